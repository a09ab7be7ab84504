"""Signing a credential with the configured secret (contract: "A credential is a JWT")."""

from typing import Any

import jwt

from evorelay.config import AuthConfig
from evorelay.model.principal import Role

CONSOLE_TTL_S = 12 * 3600


def sign_token(
    auth: AuthConfig,
    *,
    sub: str,
    name: str | None,
    role: Role,
    instances: list[str] | str,
    now_s: int,
    ttl_s: int,
) -> str:
    """Return an HS256 JWT that this daemon accepts from ``now_s`` for ``ttl_s`` seconds.

    ``instances`` is a list of names or ``"*"``. Role and instances go to ``auth.claims_path``,
    issuer and audience are the configured ones.
    """
    claims: dict[str, Any] = {"sub": sub, "iat": now_s, "exp": now_s + ttl_s}
    if name is not None:
        claims["name"] = name
    if auth.issuer is not None:
        claims["iss"] = auth.issuer
    if auth.audience is not None:
        claims["aud"] = auth.audience
    *parents, last = auth.claims_path.split(".")
    place = claims
    for parent in parents:
        place = place.setdefault(parent, {})
    place[last] = {"role": role, "instances": instances}
    return jwt.encode(claims, auth.jwt_secret, algorithm="HS256")


def console_token(auth: AuthConfig, *, now_s: int) -> str | None:
    """The token of the console's URL: an administrator for half a day, none where all is open."""
    if auth.mode == "open":
        return None
    return sign_token(
        auth,
        sub="console",
        name="Console",
        role="admin",
        instances="*",
        now_s=now_s,
        ttl_s=CONSOLE_TTL_S,
    )
