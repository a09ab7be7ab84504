"""A verified token's claims -> a Principal (P7). Signatures are ``edge/auth.py``'s business.

Supabase's access tokens carry ``app_metadata`` (only the server writes it) and ``user_metadata``
(every user may edit their own); only the former decides (research: anchors 5).
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from evorelay.config import AuthConfig
from evorelay.model.errors import Code, ConfigError, Refusal
from evorelay.model.principal import Principal, Role

_EDITABLE_BY_USERS = ("user_metadata", "raw_user_meta_data")
_NOT_A_PERSON = ("anon", "service_role")
"""Supabase's API keys as JWTs: one is public, the other must never be in a browser."""
_ROLES: tuple[Role, ...] = get_args(Role)
_SUB_CHARS_MAX = 256
_NAME_CHARS_MAX = 200
_LAST_MOMENT = 253_402_300_799
"""The end of the year 9999, past which no calendar of ours goes."""

Instances = frozenset[str] | Literal["*"]


class ClaimReader:
    """Reads Principals as ``auth.claims_path`` and ``auth.default_*`` say."""

    def __init__(self, config: AuthConfig) -> None:
        """Raise ConfigError for a path that users could write to, or defaults without sense."""
        self._path = tuple(config.claims_path.split("."))
        if not all(self._path):
            raise ConfigError("auth.claims_path: empty name; write it like app_metadata.evorelay")
        if self._path[0] in _EDITABLE_BY_USERS:
            raise ConfigError(
                "auth.claims_path: users may edit this claim themselves; use app_metadata"
            )
        self._default_role = config.default_role
        self._default_instances = _default_instances(config.default_instances)

    def read(self, claims: Mapping[str, Any]) -> Principal:
        """Return who these claims name.

        A token without the claim gets the configured defaults. A claim that is there but not
        exactly ``{"role": ROLE, "instances": [NAME, …] | "*"}`` grants nothing (role None);
        ``instances`` may be left out, and other members are ignored.

        Raises Refusal (UNAUTHORIZED) where no agent can be named: ``sub`` or ``exp`` missing or
        malformed, or one of Supabase's API keys.
        """
        if claims.get("role") in _NOT_A_PERSON:
            raise Refusal(Code.UNAUTHORIZED, "This is an API key, not a session; sign in.")
        try:
            role, instances = self._grant(claims)
        except _Malformed:
            role, instances = None, frozenset()
        return Principal(
            sub=_sub(claims.get("sub")),
            name=_name(claims.get("name")),
            role=role,
            instances=instances,
            expires_at=_expiry(claims.get("exp")),
        )

    def fault(self, claims: Mapping[str, Any]) -> str | None:
        """What is wrong with the claim, for an operator; None when nothing is, or it is absent.

        Shows nothing of the token but the claim's name.
        """
        try:
            self._grant(claims)
        except _Malformed as error:
            return str(error)
        return None

    def _grant(self, claims: Mapping[str, Any]) -> tuple[Role | None, Instances]:
        claim: Any = claims
        for depth, name in enumerate(self._path):
            if not isinstance(claim, Mapping):
                raise _Malformed(f"{'.'.join(self._path[:depth])} is not an object")
            if name not in claim:
                return self._default_role, self._default_instances
            claim = claim[name]
        path = ".".join(self._path)
        if not isinstance(claim, Mapping):
            raise _Malformed(f"{path} is not an object")
        instances = _instances(claim.get("instances", []))
        if instances is None:
            raise _Malformed(f'{path}.instances is neither a list of names nor "*"')
        for role in _ROLES:
            if claim.get("role") == role:
                return role, instances
        raise _Malformed(f"{path}.role is none of {', '.join(_ROLES)}")


class _Malformed(Exception):
    """The claim is there and grants nothing; says why."""


def numeric_date(value: object) -> int | None:
    """Unix seconds of a NumericDate claim (RFC 7519: any JSON number); None when it is not one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not 0 <= value <= _LAST_MOMENT:  # also NaN, which Python's JSON reads
        return None
    return int(value)


def _expiry(value: object) -> int:
    expires_at = numeric_date(value)
    if expires_at is None:
        raise Refusal(Code.UNAUTHORIZED, "The token needs an exp claim in Unix seconds.")
    return expires_at


def _sub(value: object) -> str:
    # isprintable keeps control characters and lone surrogates out of logs and rows.
    if isinstance(value, str) and 0 < len(value) <= _SUB_CHARS_MAX and value.isprintable():
        return value
    raise Refusal(Code.UNAUTHORIZED, "The token needs a sub claim that names the agent.")


def _name(value: object) -> str | None:
    if not isinstance(value, str):
        return None
    words = " ".join(value[: 2 * _NAME_CHARS_MAX].split())
    shown = "".join(character for character in words if character.isprintable())
    return shown[:_NAME_CHARS_MAX] or None


def _instances(value: object) -> Instances | None:
    """None when malformed. ``"*"`` inside a list is no instance's name and no wildcard either."""
    if value == "*":
        return "*"
    if not isinstance(value, list):
        return None
    names: set[str] = set()
    for name in value:
        if not isinstance(name, str) or name in ("", "*") or not name.isprintable():
            return None
        names.add(name)
    return frozenset(names)


def _default_instances(names: tuple[str, ...]) -> Instances:
    if names == ("*",):
        return "*"
    instances = _instances(list(names))
    if instances is None:
        raise ConfigError("auth.default_instances: write instance names, or * alone for all")
    return instances
