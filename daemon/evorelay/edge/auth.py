"""Tokens -> Principals (P7): which key may verify a token, and for how long that stays true.

The key decides the algorithm, never the token alone: our shared secrets verify HS256 and nothing
else, a published key verifies the one algorithm it is bound to, ``none`` matches no key. Time is
judged after the signature, so "expired" is said only of tokens that were once good.
"""

import logging
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import jwt

from evorelay.config import AuthConfig
from evorelay.edge.jwks import Jwks
from evorelay.model.clock import NowMs
from evorelay.model.errors import Code, ConfigError, Refusal
from evorelay.model.principal import Principal
from evorelay.protocol.claims import ClaimReader, numeric_date
from evorelay.protocol.peers import (
    UNIX_PEER,
    Headers,
    is_forwarded,
    is_loopback,
    names_this_machine,
)

log = logging.getLogger(__name__)

TOKEN_BYTES_MAX = 8 * 1024
NOT_BEFORE_LEEWAY_S = 30
"""A fresh token from an issuer whose clock is ahead must work. ``exp`` gets no leeway: a few
seconds less of an hour cost a refresh, which SDKs do by themselves on ``token_expired``."""
_SECRET_BYTES_MIN = 32
"""Of an HS256 secret (RFC 7518 §3.2); PyJWT only warns."""
_REMEMBERED_MAX = 2048


class Authenticator:
    """Verifies tokens; remembers a bounded number of good ones by hash, never the tokens."""

    def __init__(self, config: AuthConfig, jwks: Jwks | None, now: NowMs) -> None:
        """Raise ConfigError for a secret or a claims path that cannot be used."""
        self._secrets = [
            _hmac_secret(key, secret)
            for key, secret in (
                ("auth.jwt_secret", config.jwt_secret),
                ("auth.previous_jwt_secret", config.previous_jwt_secret),
            )
            if secret
        ]
        self._jwks = jwks
        self._now = now
        self._issuer = config.issuer
        self._audience = config.audience
        self._claims = ClaimReader(config)
        self._remembered: OrderedDict[bytes, Principal] = OrderedDict()
        self._remembered_generation = 0

    async def authenticate(self, token: str) -> Principal:
        """Return whom the token names; waits only when an unknown key id needs a JWKS fetch.

        Raises Refusal: TOKEN_EXPIRED for a token whose only fault is its age, UNAUTHORIZED for
        every other fault, UNAVAILABLE when a JWKS token cannot be judged because the key set was
        never fetched since the start (the client should try again, not log out).
        """
        if len(token) > TOKEN_BYTES_MAX or not token.isascii():
            raise Refusal(Code.UNAUTHORIZED, "This is not a token; sign in again.")
        self._forget_if_keys_changed()
        digest = sha256(token.encode()).digest()
        principal = self._remembered.get(digest)
        if principal is None:
            principal = await self._verify(token)
            self._remember(digest, principal)
        else:
            self._remembered.move_to_end(digest)
        if self._is_expired(principal):
            self._remembered.pop(digest, None)
            raise Refusal(Code.TOKEN_EXPIRED, "The token has expired; get a new one.")
        return principal

    async def _verify(self, token: str) -> Principal:
        try:
            header = jwt.get_unverified_header(token)
            claims = await self._signed_claims(token, header)
        except jwt.InvalidAudienceError:
            raise Refusal(Code.UNAUTHORIZED, "The token is for another audience.") from None
        except jwt.InvalidIssuerError:
            raise Refusal(Code.UNAUTHORIZED, "The token is from another issuer.") from None
        except jwt.MissingRequiredClaimError as error:
            raise Refusal(Code.UNAUTHORIZED, f"The token needs the claim {error.claim}.") from None
        except jwt.PyJWTError:
            raise Refusal(Code.UNAUTHORIZED, "The token is not valid; sign in again.") from None
        self._check_not_before(claims)
        principal = self._claims.read(claims)
        fault = self._claims.fault(claims)
        # Once per token: a good one is remembered, and an expired one no longer matters.
        if fault is not None and not self._is_expired(principal):
            log.warning("a valid token grants nothing: %s", fault, extra={"sub": principal.sub})
        return principal

    def _is_expired(self, principal: Principal) -> bool:
        return principal.expires_at is not None and principal.expires_at <= self._now() // 1000

    async def _signed_claims(self, token: str, header: Mapping[str, Any]) -> dict[str, Any]:
        """Claims of a token that one of our keys signed, for us; raises PyJWTError otherwise."""
        if header.get("alg") == "HS256":
            return self._decode_with_secrets(token)
        kid = header.get("kid")
        if self._jwks is None or not isinstance(kid, str):
            raise jwt.InvalidTokenError
        key = await self._jwks.key(kid)
        if key is None:
            if not self._jwks.ever_fetched:
                raise Refusal(
                    Code.UNAVAILABLE, "The keys that verify tokens cannot be fetched; try again."
                )
            raise jwt.InvalidTokenError
        return self._decode(token, key, key.algorithm_name)

    def _decode_with_secrets(self, token: str) -> dict[str, Any]:
        for secret in self._secrets:
            try:
                return self._decode(token, secret, "HS256")
            except jwt.InvalidSignatureError:
                continue
        raise jwt.InvalidSignatureError

    def _decode(self, token: str, key: bytes | jwt.PyJWK, algorithm: str) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=self._issuer,
            audience=self._audience,
            options={
                "require": ["exp", "sub"],
                "verify_aud": self._audience is not None,
                # PyJWT reads the system's clock; ours is an argument and judges later.
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
            },
        )

    def _check_not_before(self, claims: Mapping[str, Any]) -> None:
        if "nbf" not in claims:
            return
        not_before = numeric_date(claims["nbf"])
        if not_before is None or not_before > self._now() // 1000 + NOT_BEFORE_LEEWAY_S:
            raise Refusal(Code.UNAUTHORIZED, "The token is not valid yet; check the clocks.")

    def _remember(self, digest: bytes, principal: Principal) -> None:
        self._remembered[digest] = principal
        if len(self._remembered) > _REMEMBERED_MAX:
            self._remembered.popitem(last=False)

    def _forget_if_keys_changed(self) -> None:
        """A key taken out of the set must not live on in verdicts made with it."""
        if self._jwks is not None and self._jwks.generation != self._remembered_generation:
            self._remembered.clear()
            self._remembered_generation = self._jwks.generation


def open_principal() -> Principal:
    """Who everybody is in ``auth.mode = "open"``."""
    return Principal(sub="open", role="admin", instances="*")


def is_open_to(config: AuthConfig, *, peer: str | None, headers: Headers) -> bool:
    """Whether ``auth.mode = "open"`` lets this request in without a credential."""
    return config.mode == "open" and not_open_because(peer=peer, headers=headers) is None


def not_open_because(*, peer: str | None, headers: Headers) -> str | None:
    """Why ``auth.mode = "open"`` does not let this request in; None when it does.

    Only from this machine itself (a loopback peer, or ``UNIX_PEER``), with nothing that says it
    was passed on, and, over TCP, under a ``Host`` that a hostile web page cannot have.
    """
    if is_forwarded(headers):
        return "a proxy passed this request on (X-Forwarded-For or the like)"
    if peer == UNIX_PEER:
        return None
    if not is_loopback(peer):
        return "this request comes from another machine"
    hosts = [value for name, value in headers if name.lower() == b"host"]
    if len(hosts) != 1 or not names_this_machine(hosts[0].decode("latin-1")):
        return "the Host header must be localhost or a loopback address"
    return None


def _hmac_secret(config_key: str, secret: str) -> bytes:
    key = secret.encode()
    if len(key) < _SECRET_BYTES_MIN:
        raise ConfigError(
            f"{config_key}: HS256 needs at least {_SECRET_BYTES_MIN} bytes; use a longer secret"
        )
    try:
        return jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256).prepare_key(key)
    except jwt.InvalidKeyError:
        raise ConfigError(
            f"{config_key}: is a public key's text; give the provider's keys as auth.jwks_url"
        ) from None
