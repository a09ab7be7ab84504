"""Load the configuration: file, credentials and environment into one checked ``Config``."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.inspect import BoolType, FloatType, IntType, LiteralType, Metadata, Type, VarTupleType

from evorelay.config import Config
from evorelay.model.errors import ConfigError
from evorelay.settings.checks import check
from evorelay.settings.keys import KEYS, Key, is_section, nearest, optional, type_of, unit_of
from evorelay.settings.sources import Collected, collect
from evorelay.settings.values import (
    parse_bool,
    parse_bytes,
    parse_fingerprint,
    parse_list,
    parse_seconds,
)

_PROBLEMS_MAX = 100
_NAME_SHOWN_MAX = 100


def load_config(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read and check the whole configuration (contract §2). Secrets may still be empty.

    ``path`` None means ``EVORELAY_CONFIG``, else ``/etc/evorelay/evorelay.toml`` if it exists,
    else defaults. Environment wins over systemd credentials, these over the file.

    Raises ``ConfigError`` with every problem found, one line each:
    ``key: what is wrong; what to do``. No line shows a value of a secret.
    """
    found = collect(path, environ)
    problems = list(found.problems)
    problems += [_unknown(name, key) for name, key in found.unknown[:_PROBLEMS_MAX]]
    tree, faulty = _convert_all(found, problems)
    config = msgspec.convert(tree, Config)
    for name, problem in check(config):
        if name not in faulty:
            problems.append(_line(name, problem, _origin(found, name)))
    if problems:
        raise ConfigError("\n".join(problems[:_PROBLEMS_MAX]))
    return config


def _convert_all(found: Collected, problems: list[str]) -> tuple[dict[str, Any], set[str]]:
    """Return the tree of good values and the names of the keys whose value was not."""
    tree: dict[str, Any] = {}
    faulty: set[str] = set()
    places = {key: place for place, key in enumerate(KEYS)}
    for key, setting in sorted(
        found.settings.items(), key=lambda item: places.get(item[0], len(places))
    ):
        kind = type_of(key)
        assert kind is not None
        try:
            value = _convert(kind, setting.value)
        except ValueError as error:
            name = ".".join(key)
            faulty.add(name)
            problems.append(_line(name, str(error), setting.origin))
            continue
        section = tree
        for part in key[:-1]:
            section = section.setdefault(part, {})
        section[key[-1]] = value
    return tree, faulty


def _convert(kind: Type, value: Any) -> Any:
    """One setting's value, text or TOML's own type. Raises ``ValueError`` with what to do."""
    kind, may_be_none = optional(kind)
    if may_be_none and value == "":
        return None
    unit = unit_of(kind)
    if isinstance(kind, Metadata):
        kind = kind.type
    match kind:
        case BoolType():
            return _bool(value)
        case IntType():
            return _within(kind, _whole(value, unit))
        case FloatType():
            return _within(kind, _number(value, unit))
        case LiteralType():
            return _one_of(kind, value)
        case VarTupleType():
            return _list(value)
        case _:
            text = _text(value)
            return parse_fingerprint(text) if unit == "sha256" else text


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if not isinstance(value, str):
        raise ValueError("is neither true nor false; write one of them")
    return parse_bool(value)


def _whole(value: Any, unit: str | None) -> int:
    if isinstance(value, str) and unit == "bytes":
        return parse_bytes(value)
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            raise ValueError("is not a whole number; write digits only") from None
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("is not a whole number; write digits only")
    return value


def _number(value: Any, unit: str | None) -> float:
    if isinstance(value, str) and unit == "seconds":
        return parse_seconds(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("is not a number; write one")
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError("is not a number; write one like 2.5") from None
    if not math.isfinite(number):
        raise ValueError("is not a finite number; write one like 2.5")
    return number


def _within(kind: IntType | FloatType, number: float) -> float:
    if kind.gt is not None and number <= kind.gt:
        raise ValueError(f"is too small; it must be more than {kind.gt:g}")
    if kind.ge is not None and number < kind.ge:
        raise ValueError(f"is too small; it must be at least {kind.ge:g}")
    if kind.le is not None and number > kind.le:
        raise ValueError(f"is too large; it must be at most {kind.le:,.0f}")
    return number


def _one_of(kind: LiteralType, value: Any) -> Any:
    if value in kind.values:
        return value
    raise ValueError(f"is none of the choices; write {' or '.join(map(str, kind.values))}")


def _list(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return parse_list(_text(value))
    if not isinstance(value, list):
        raise ValueError('is not a list; write it like ["a", "b"]')
    return tuple(_text(item) for item in value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("is not text; put it in quotes")
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise ValueError("has control characters or line breaks; remove them")
    if any(0xD800 <= ord(char) <= 0xDFFF for char in value):
        raise ValueError("is not UTF-8 text; write it again in UTF-8")
    return value


def _unknown(name: str, key: Key) -> str:
    if len(key) == 1 and is_section(key[0]):
        return _line(name, f"is a section; write its keys under [{key[0]}]", "")
    meant = nearest(name, key)
    advice = f"did you mean {meant}?" if meant else "correct or remove it"
    return _line(name, f"is unknown; {advice}", "")


def _origin(found: Collected, name: str) -> str:
    key = next((key for key in found.settings if ".".join(key) == name), None)
    return found.settings[key].origin if key else ""


def _line(name: str, problem: str, origin: str) -> str:
    """A name comes from outside: it may not break the line, nor a terminal."""
    shown = "".join(char if char.isprintable() else "?" for char in name)[:_NAME_SHOWN_MAX]
    return f"{shown}: {problem} (set by {origin})" if origin else f"{shown}: {problem}"
