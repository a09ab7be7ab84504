"""Where settings come from: the TOML file, systemd credentials and the environment.

``collect`` reads all three into flat settings, the later ones winning. Nothing is interpreted
here but names; values are converted in ``config_load.py``.

``secret = …`` under ``[webhook]``
    in the TOML file.
``webhook.secret``
    a file in ``$CREDENTIALS_DIRECTORY`` (systemd.exec(5)); there ``EVORELAY_WEBHOOK__SECRET``
    is read as well. Files whose names have nothing to do with us are left alone.
``EVORELAY_WEBHOOK__SECRET``, ``EVORELAY_WEBHOOK__SECRET_FILE``
    environment: the value, or a file that holds it. A key that is itself a path takes the
    path of such a file (and of a credential), every other key its content.
``EVORELAY_STATE_DIR``
    is like any other; systemd's ``STATE_DIRECTORY`` replaces the default only, never what
    somebody wrote.
``EVORELAY_EVOLUTION__INSTANCES__Loja__URL``
    the instance's name is taken as written. Where the file has an instance that differs only in
    case and punctuation, which a variable's name cannot carry, that one is meant.
"""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from evorelay.settings.keys import PREFIX, Key, is_instance_key, is_path, is_section, type_of

DEFAULT_FILE = Path("/etc/evorelay/evorelay.toml")
_FILE_MAX = 1024 * 1024
_VALUE_MAX = 64 * 1024


class Setting(NamedTuple):
    value: Any
    origin: str
    """``""`` for the TOML file, else what set it."""


class Collected(NamedTuple):
    settings: dict[Key, Setting]
    unknown: list[tuple[str, Key]]
    """(name as the operator wrote it, the key it would be)"""
    problems: list[str]


def collect(path: Path | None, environ: Mapping[str, str]) -> Collected:
    """Read every source. ``path`` None: ``EVORELAY_CONFIG``, else the default file if there."""
    found = Collected({}, [], [])
    state_directory = environ.get("STATE_DIRECTORY", "").split(":")[0]
    if state_directory:
        found.settings[("state_dir",)] = Setting(state_directory, "STATE_DIRECTORY")
    for key, value in _toml(path, environ, found.problems):
        if type_of(key) is not None:
            found.settings[key] = Setting(value, "")
        else:
            found.unknown.append((".".join(key), key))
    instances = {_env_form(key[2]): key[2] for key in found.settings if is_instance_key(key)}
    _add_credentials(found, environ, instances)
    _add_environment(found, environ, instances)
    return found


def _toml(
    path: Path | None, environ: Mapping[str, str], problems: list[str]
) -> list[tuple[Key, Any]]:
    if path is None and environ.get(PREFIX + "CONFIG"):
        path = Path(environ[PREFIX + "CONFIG"])
    must_exist = path is not None
    path = path or DEFAULT_FILE
    try:
        return list(_flatten(tomllib.loads(_read_text(path, _FILE_MAX)), ()))
    except FileNotFoundError as error:
        if must_exist:
            problems.append(f"{path}: {_reason(error)}; name a configuration file that is there")
    except RecursionError:
        problems.append(f"{path}: is nested too deeply; write it like the example configuration")
    except OSError as error:
        problems.append(f"{path}: {_reason(error)}; let this user read it, or name another")
    except ValueError as error:
        problems.append(f"{path}: is not TOML: {error}; correct it")
    return []


def _flatten(tree: dict[str, Any], prefix: Key) -> Iterator[tuple[Key, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _flatten(value, (*prefix, name))
        else:
            yield (*prefix, name), value


def _add_credentials(
    found: Collected, environ: Mapping[str, str], instances: Mapping[str, str]
) -> None:
    directory = environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        return
    try:
        with os.scandir(directory) as entries:
            files = sorted(Path(entry.path) for entry in entries if entry.is_file())
    except OSError as error:
        found.problems.append(f"CREDENTIALS_DIRECTORY: {_reason(error)}; let systemd set it")
        return
    for file in files:
        name = file.name
        key = _env_key(name, instances) if name.startswith(PREFIX) else _dotted_key(name)
        if type_of(key) is not None:
            _add_file(found, key, file, f"credential {name}")
        elif name.startswith(PREFIX) or is_section(key[0]):
            found.unknown.append((name, key))


def _add_environment(
    found: Collected, environ: Mapping[str, str], instances: Mapping[str, str]
) -> None:
    for name in sorted(environ):
        if not name.startswith(PREFIX) or name == PREFIX + "CONFIG":
            continue
        key = _env_key(name, instances)
        direct = name.removesuffix("_FILE")
        direct_key = _env_key(direct, instances)
        if type_of(key) is not None:
            found.settings[key] = Setting(environ[name], name)
        elif direct == name or type_of(direct_key) is None:
            found.unknown.append((name, key))
        elif direct in environ:
            found.problems.append(f"{name}: {direct} is set as well; keep one of the two")
        else:
            _add_file(found, direct_key, Path(environ[name]), name)


def _add_file(found: Collected, key: Key, file: Path, origin: str) -> None:
    if is_path(key):
        found.settings[key] = Setting(str(file), origin)
        return
    try:
        found.settings[key] = Setting(_read_text(file, _VALUE_MAX).strip(), origin)
    except (OSError, ValueError) as error:
        found.problems.append(f"{origin}: {_reason(error)}; name a file that holds the value")


def _read_text(path: Path, limit: int) -> str:
    with open(path, "rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"over {limit} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8 text") from None


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or 'unusable path'}"
    return f"cannot be used: {error}"


def _env_form(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "_", name.lower())


def _env_key(name: str, instances: Mapping[str, str]) -> Key:
    parts = name.removeprefix(PREFIX).split("__")
    key = tuple(part.lower() for part in parts)
    if key[:2] == ("evolution", "instances") and len(key) >= 4:
        instance = "__".join(parts[2:-1])
        return (*key[:2], instances.get(_env_form(instance), instance), key[-1])
    return key


def _dotted_key(name: str) -> Key:
    parts = tuple(name.split("."))
    if parts[:2] == ("evolution", "instances") and len(parts) >= 4:
        return (*parts[:2], ".".join(parts[2:-1]), parts[-1])
    return parts
