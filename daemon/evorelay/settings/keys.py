"""The table of configuration keys, read off the Structs in ``config.py``."""

import difflib
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from msgspec.inspect import DictType, Metadata, NoneType, StructType, Type, UnionType, type_info

from evorelay.config import Config

Key = tuple[str, ...]
PREFIX = "EVORELAY_"
ANY_INSTANCE = "<name>"
"""Stands for the instance's name in the keys of ``evolution.instances``."""


def _keys(struct: Type, prefix: Key) -> Iterator[tuple[Key, Type]]:
    assert isinstance(struct, StructType)
    for field in struct.fields:
        if isinstance(field.type, StructType):
            yield from _keys(field.type, (*prefix, field.name))
        elif isinstance(field.type, DictType):
            yield from _keys(field.type.value_type, (*prefix, field.name, ANY_INSTANCE))
        else:
            yield (*prefix, field.name), field.type


KEYS: Mapping[Key, Type] = MappingProxyType(dict(_keys(type_info(Config), ())))


def type_of(key: Key) -> Type | None:
    """The type of a key, None for one that does not exist."""
    if is_instance_key(key):
        key = (*key[:2], ANY_INSTANCE, key[3])
    return KEYS.get(key)


def is_instance_key(key: Key) -> bool:
    return len(key) == 4 and key[:2] == ("evolution", "instances")


def is_path(key: Key) -> bool:
    """Whether the value names a file or directory."""
    kind = type_of(key)
    return kind is not None and unit_of(kind) == "path"


def is_section(name: str) -> bool:
    return any(len(key) > 1 and key[0] == name for key in KEYS)


def optional(kind: Type) -> tuple[Type, bool]:
    """``T | None`` -> (T, True)."""
    if not isinstance(kind, UnionType):
        return kind, False
    (inner,) = (part for part in kind.types if not isinstance(part, NoneType))
    return inner, True


def unit_of(kind: Type) -> str | None:
    """``seconds``, ``bytes``, ``path`` or ``sha256`` where ``config.py`` says so."""
    inner, _ = optional(kind)
    return inner.extra.get("unit") if isinstance(inner, Metadata) and inner.extra else None


def env_name(key: Key) -> str:
    """``("webhook", "secret")`` -> ``EVORELAY_WEBHOOK__SECRET``."""
    if is_instance_key(key):
        return f"{PREFIX}EVOLUTION__INSTANCES__{key[2]}__{key[3].upper()}"
    return PREFIX + "__".join(key).upper()


def nearest(name: str, key: Key) -> str | None:
    """The known key most like ``name``, spelled as ``name`` is: a variable or a dotted key.

    None when nothing is near: a far-fetched guess only leads astray.
    """
    instance = key[2] if len(key) == 4 else ANY_INSTANCE
    known = [tuple(instance if part == ANY_INSTANCE else part for part in k) for k in KEYS]
    prefix = PREFIX if name.startswith(PREFIX) else ""
    spelled = [env_name(k).removeprefix(PREFIX) if prefix else ".".join(k) for k in known]
    # Without the prefix, which would make every variable a little like every other.
    found = difflib.get_close_matches(name.removeprefix(prefix), spelled, n=1)
    return prefix + found[0] if found else None
