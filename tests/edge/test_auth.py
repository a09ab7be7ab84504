"""P7: a token is good only when one of our keys signed it, for us, now."""

import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import jwt
import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from evorelay.config import AuthConfig
from evorelay.edge.auth import (
    NOT_BEFORE_LEEWAY_S,
    TOKEN_BYTES_MAX,
    Authenticator,
    is_open_to,
    not_open_because,
    open_principal,
)
from evorelay.edge.http_client import open_http_client
from evorelay.edge.jwks import Jwks
from evorelay.model.errors import Code, ConfigError, Refusal
from evorelay.protocol.peers import UNIX_PEER, Headers
from tests.edge.key_server import (
    KeyServer,
    PrivateKey,
    ec_key,
    jwk,
    key_set,
    open_key_server,
    rsa_key,
)

SECRET = "current-jwt-secret-" + "0123456789abcdef" * 3
PREVIOUS = "previous-jwt-secret-" + "0123456789abcdef" * 3
STRANGER = "somebody-elses-secret-" + "0123456789abcdef" * 3
NOW_S = 1_795_000_000
ISSUER = "https://project.supabase.example/auth/v1"


class Time:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> int:
        return self.now_s * 1000


def claims(**changes: Any) -> dict[str, Any]:
    """What a token of Ana's says; a member changed to None is left out."""
    whole = {
        "sub": "ana",
        "iat": NOW_S,
        "exp": NOW_S + 3600,
        "iss": ISSUER,
        "aud": "authenticated",
        "role": "authenticated",
        "app_metadata": {"evorelay": {"role": "agent", "instances": ["sales"]}},
    } | changes
    return {name: value for name, value in whole.items() if value is not None}


async def test_a_malformed_claim_is_told_to_the_operator_once_per_token(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The agent sees nothing, and nobody could find out why; the token itself stays secret."""
    time = Time()
    authenticator = Authenticator(AuthConfig(jwt_secret=SECRET), None, time)
    grant = {"evorelay": {"role": "agent", "instances": "sales"}}
    token = hs256(app_metadata=grant)
    for _ in range(3):
        assert (await authenticator.authenticate(token)).role is None
    time.now_s += 7200
    for _ in range(2):
        with pytest.raises(Refusal):
            await authenticator.authenticate(token)
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == (
        "a valid token grants nothing: app_metadata.evorelay.instances"
        ' is neither a list of names nor "*"'
    )
    assert vars(record)["sub"] == "ana"
    assert token not in str(vars(record))


def hs256(secret: str = SECRET, *, headers: dict[str, Any] | None = None, **changes: Any) -> str:
    return jwt.encode(claims(**changes), secret, algorithm="HS256", headers=headers)


def signed(key: PrivateKey, kid: str | None, algorithm: str, **changes: Any) -> str:
    headers = {"kid": kid} if kid is not None else None
    return jwt.encode(claims(**changes), key, algorithm=algorithm, headers=headers)


def authenticator(time: Time | None = None, **config: Any) -> Authenticator:
    settings = {"jwt_secret": SECRET, "previous_jwt_secret": PREVIOUS} | config
    return Authenticator(AuthConfig(**settings), None, time or Time())


async def refused(who: Authenticator, token: str) -> Code:
    with pytest.raises(Refusal) as caught:
        await who.authenticate(token)
    assert len(token) < 8 or token not in caught.value.message
    return caught.value.code


@asynccontextmanager
async def with_jwks(
    *keys: dict[str, Any], time: Time | None = None
) -> AsyncIterator[tuple[Authenticator, KeyServer]]:
    """An Authenticator that also trusts ``keys``, served by a real server."""
    async with open_key_server() as server, open_http_client() as client:
        server.body = key_set(*keys)
        now = time or Time()
        jwks = Jwks(server.url, client, now)
        async with trio.open_nursery() as nursery:
            await nursery.start(jwks.run)
            yield Authenticator(AuthConfig(jwt_secret=SECRET), jwks, now), server
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("secret", [SECRET, PREVIOUS])
async def test_both_live_secrets_verify(secret: str) -> None:
    principal = await authenticator().authenticate(hs256(secret))
    assert (principal.sub, principal.role, principal.expires_at) == ("ana", "agent", NOW_S + 3600)
    assert principal.instances == frozenset({"sales"})


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "not a token",
        "é" * 20,
        "\ud800",
        hs256(STRANGER),
        hs256() + "x",
        hs256()[:-4],
        jwt.encode(claims(), "", algorithm="none"),
        jwt.encode(claims(), SECRET, algorithm="HS512"),
        hs256(headers={"crit": ["exp"]}),
        hs256(headers={"b64": False, "crit": ["b64"]}),
    ],
)
async def test_what_no_secret_of_ours_signed_as_hs256_is_refused(token: str) -> None:
    assert await refused(authenticator(), token) is Code.UNAUTHORIZED


async def test_a_changed_payload_is_refused_although_the_true_token_is_remembered() -> None:
    who = authenticator()
    token = hs256()
    await who.authenticate(token)
    head, _, signature = token.split(".")
    forged = hs256(STRANGER, app_metadata={"evorelay": {"role": "admin"}}).split(".")[1]
    assert await refused(who, f"{head}.{forged}.{signature}") is Code.UNAUTHORIZED


async def test_without_any_key_every_token_is_refused() -> None:
    who = authenticator(jwt_secret="", previous_jwt_secret="")
    for token in (hs256(), hs256("\0" * 32), signed(ec_key(), "e", "ES256")):
        assert await refused(who, token) is Code.UNAUTHORIZED


async def test_an_oversized_token_is_refused_unread() -> None:
    token = hs256(padding="x" * TOKEN_BYTES_MAX)
    assert await refused(authenticator(), token) is Code.UNAUTHORIZED


async def test_a_token_is_good_until_the_second_it_expires() -> None:
    """The memory of verified tokens must not outlive them either."""
    time = Time()
    who, token = authenticator(time), hs256()
    time.now_s = NOW_S + 3599
    await who.authenticate(token)
    time.now_s = NOW_S + 3600
    assert await refused(who, token) is Code.TOKEN_EXPIRED
    assert await refused(authenticator(time), token) is Code.TOKEN_EXPIRED


@pytest.mark.parametrize(
    "token",
    [
        hs256(STRANGER, exp=NOW_S),
        hs256(exp=NOW_S, sub=None),
        hs256(exp=NOW_S, role="anon"),
        hs256(exp=NOW_S, nbf=NOW_S + 3600),
        hs256(exp=NOW_S, iss="https://evil.example"),
        hs256(exp=NOW_S, aud="other"),
    ],
)
async def test_only_an_otherwise_good_token_is_called_expired(token: str) -> None:
    who = authenticator(issuer=ISSUER, audience="authenticated")
    assert await refused(who, token) is Code.UNAUTHORIZED


@pytest.mark.parametrize("exp", ["1999999999", True, [], -1, 10**30, float("inf"), float("nan")])
async def test_an_exp_that_is_no_date_is_refused(exp: Any) -> None:
    body = json.dumps(claims() | {"exp": exp}).encode()
    token = jwt.api_jws.encode(body, SECRET, algorithm="HS256")
    assert await refused(authenticator(), token) is Code.UNAUTHORIZED


@pytest.mark.parametrize("token", [hs256(exp=None), hs256(sub=None)])
async def test_exp_and_sub_are_required(token: str) -> None:
    assert await refused(authenticator(), token) is Code.UNAUTHORIZED


async def test_nbf_has_leeway_for_clocks_and_no_more() -> None:
    who = authenticator()
    await who.authenticate(hs256(nbf=NOW_S + NOT_BEFORE_LEEWAY_S))
    for nbf in (NOW_S + NOT_BEFORE_LEEWAY_S + 1, "0", True):
        assert await refused(who, hs256(nbf=nbf)) is Code.UNAUTHORIZED


async def test_issuer_and_audience_are_checked_when_configured() -> None:
    who = authenticator(issuer=ISSUER, audience="authenticated")
    await who.authenticate(hs256())
    await who.authenticate(hs256(aud=["other", "authenticated"]))
    for changes in (
        {"iss": None},
        {"iss": ISSUER + "/"},
        {"iss": [ISSUER]},
        {"aud": None},
        {"aud": "other"},
        {"aud": ["other"]},
        {"aud": {"authenticated": True}},
    ):
        body = json.dumps(claims(**changes)).encode()
        token = jwt.api_jws.encode(body, SECRET, algorithm="HS256")
        assert await refused(who, token) is Code.UNAUTHORIZED


async def test_issuer_and_audience_are_free_when_not_configured() -> None:
    await authenticator().authenticate(hs256(iss="https://elsewhere.example", aud="other"))


@pytest.mark.parametrize("role", ["anon", "service_role"])
async def test_supabases_api_keys_are_refused(role: str) -> None:
    assert await refused(authenticator(), hs256(role=role)) is Code.UNAUTHORIZED


async def test_the_memory_of_good_tokens_is_bounded_and_holds_no_token() -> None:
    who = authenticator()
    first = hs256(sub="agent-0")
    for number in range(2100):
        await who.authenticate(hs256(sub=f"agent-{number}"))
    assert len(who._remembered) == 2048
    assert all(len(digest) == 32 for digest in who._remembered)
    assert (await who.authenticate(first)).sub == "agent-0"


@pytest.mark.parametrize(
    ("key", "config"),
    [
        ("jwt_secret", AuthConfig(jwt_secret="x" * 31)),
        ("previous_jwt_secret", AuthConfig(jwt_secret=SECRET, previous_jwt_secret="xxx")),
    ],
)
def test_a_short_secret_is_a_configuration_error_that_does_not_show_it(
    key: str, config: AuthConfig
) -> None:
    with pytest.raises(ConfigError, match=rf"^auth\.{key}: ") as caught:
        Authenticator(config, None, Time())
    assert "xxx" not in str(caught.value)


def test_a_public_key_as_secret_is_a_configuration_error() -> None:
    """It would let anybody sign HS256 tokens with what is published."""
    with pytest.raises(ConfigError, match=r"^auth\.jwt_secret: .*jwks_url"):
        authenticator(jwt_secret=_pem(rsa_key()).decode())


async def test_published_keys_verify_their_algorithm() -> None:
    async with with_jwks(jwk(ec_key(), "e"), jwk(rsa_key(), "r")) as (who, server):
        assert (await who.authenticate(signed(ec_key(), "e", "ES256"))).sub == "ana"
        assert (await who.authenticate(signed(rsa_key(), "r", "RS256"))).sub == "ana"
        assert (await who.authenticate(hs256())).sub == "ana"
        assert server.requests == 1


async def test_a_token_signed_otherwise_than_its_key_is_refused() -> None:
    async with with_jwks(jwk(ec_key(), "e"), jwk(rsa_key(), "r")) as (who, server):
        for token in (
            signed(ec_key("stranger"), "e", "ES256"),
            signed(rsa_key("stranger"), "r", "RS256"),
            signed(rsa_key(), "r", "RS512"),
            signed(rsa_key(), "r", "PS256"),
            signed(ec_key(), "r", "ES256"),
            signed(rsa_key(), "e", "RS256"),
            signed(ec_key(), None, "ES256"),
            signed(ec_key(), "unknown", "ES256"),
            jwt.encode(claims(), "", algorithm="none", headers={"kid": "e"}),
            # The classic: HS256 over the public key's own text, which everybody has.
            _hs256_by_hand(_pem(rsa_key()), {"kid": "r"}),
            _hs256_by_hand(_pem(ec_key()), {"kid": "e"}),
            _hs256_by_hand(json.dumps(jwk(rsa_key(), "r")).encode(), {"kid": "r"}),
            # Keys that the token brings along or points to.
            _hs256_by_hand(b"k" * 32, {"jwk": {"kty": "oct", "k": "a" * 43}, "kid": "e"}),
            jwt.encode(
                claims(),
                ec_key("stranger"),
                algorithm="ES256",
                headers={"kid": "evil", "jku": server.url, "jwk": jwk(ec_key("stranger"), "evil")},
            ),
        ):
            assert await refused(who, token) is Code.UNAUTHORIZED


async def test_a_symmetric_key_in_the_set_verifies_nothing() -> None:
    secret = b"published-by-mistake-0123456789abcdef"
    shared = {"kty": "oct", "k": base64.urlsafe_b64encode(secret).decode(), "kid": "s"}
    async with with_jwks(shared, jwk(ec_key(), "e")) as (who, _):
        await who.authenticate(signed(ec_key(), "e", "ES256"))
        token = hs256(secret.decode(), headers={"kid": "s"})
        assert await refused(who, token) is Code.UNAUTHORIZED


async def test_an_expired_token_of_a_published_key_is_called_expired() -> None:
    async with with_jwks(jwk(ec_key(), "e")) as (who, _):
        token = signed(ec_key(), "e", "ES256", exp=NOW_S)
        assert await refused(who, token) is Code.TOKEN_EXPIRED


async def test_a_revoked_key_ends_what_was_verified_with_it(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with with_jwks(jwk(ec_key(), "old")) as (who, server):
        token = signed(ec_key(), "old", "ES256")
        await who.authenticate(token)
        server.body = key_set(jwk(ec_key("two"), "new"))
        mock_clock.jump(30)
        await who.authenticate(signed(ec_key("two"), "new", "ES256"))
        assert await refused(who, token) is Code.UNAUTHORIZED


async def test_keys_that_were_never_fetched_are_no_verdict_on_the_token() -> None:
    """UNAUTHORIZED would log every agent out because their provider was slow to start."""
    async with with_jwks() as (who, server):
        server.status = "503 Service Unavailable"
        assert await refused(who, signed(ec_key(), "e", "ES256")) is Code.UNAVAILABLE
        await who.authenticate(hs256())


@given(st.binary(), st.binary(), st.binary())
def test_no_text_in_a_tokens_shape_causes_another_error(
    head: bytes, body: bytes, signature: bytes
) -> None:
    parts = (head, body, signature)
    token = ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)
    assert trio.run(refused, authenticator(), token) is Code.UNAUTHORIZED


@pytest.mark.parametrize("part", [0, 1])
async def test_deep_json_is_refused_as_any_other_nonsense(part: int) -> None:
    parts = hs256().split(".")
    parts[part] = base64.urlsafe_b64encode(b"[" * 5000).rstrip(b"=").decode()
    assert await refused(authenticator(), ".".join(parts)) is Code.UNAUTHORIZED


LOCAL: Headers = [(b"Host", b"localhost:4000")]
OPEN = AuthConfig(mode="open")


def test_open_mode_makes_everybody_admin() -> None:
    principal = open_principal()
    assert principal.sees_all
    assert principal.is_at_least("admin")
    assert principal.expires_at is None


@pytest.mark.parametrize("peer", ["127.0.0.1", "::1", "::ffff:127.0.0.1", UNIX_PEER])
def test_open_mode_lets_this_machine_in(peer: str) -> None:
    assert is_open_to(OPEN, peer=peer, headers=LOCAL)


def test_over_a_unix_socket_the_host_is_free() -> None:
    assert is_open_to(OPEN, peer=UNIX_PEER, headers=[(b"Host", b"evorelay")])


@pytest.mark.parametrize("peer", ["192.0.2.1", "10.0.0.1", "2001:db8::1", "localhost", "", None])
def test_open_mode_lets_nobody_else_in(peer: str | None) -> None:
    assert not is_open_to(OPEN, peer=peer, headers=LOCAL)


@pytest.mark.parametrize("peer", ["127.0.0.1", UNIX_PEER])
@pytest.mark.parametrize("name", [b"X-Forwarded-For", b"Forwarded", b"X-Real-IP", b"Via"])
def test_open_mode_lets_nothing_in_that_was_passed_on(peer: str, name: bytes) -> None:
    assert not is_open_to(OPEN, peer=peer, headers=[*LOCAL, (name, b"127.0.0.1")])


@pytest.mark.parametrize("hosts", [[], [b"evil.example:4000"], [b"localhost", b"evil.example"]])
def test_open_mode_refuses_a_page_whose_name_was_rebound_to_us(hosts: list[bytes]) -> None:
    headers = [(b"Host", host) for host in hosts]
    assert not is_open_to(OPEN, peer="127.0.0.1", headers=headers)


@pytest.mark.parametrize(
    ("peer", "headers", "reason"),
    [
        ("127.0.0.1", [*LOCAL, (b"Via", b"1.1 proxy")], "a proxy"),
        ("192.0.2.1", LOCAL, "another machine"),
        ("127.0.0.1", [(b"Host", b"evil.example")], "Host"),
    ],
)
def test_open_mode_says_why_it_does_not_apply(peer: str, headers: Headers, reason: str) -> None:
    assert reason in (not_open_because(peer=peer, headers=headers) or "")


def test_other_modes_are_never_open() -> None:
    assert not is_open_to(AuthConfig(), peer="127.0.0.1", headers=LOCAL)


def _pem(key: PrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _hs256_by_hand(key: bytes, header: dict[str, Any]) -> str:
    """PyJWT refuses to sign with a public key; an attacker's tool does not."""
    segments = [{"alg": "HS256", "typ": "JWT"} | header, claims()]
    signing_input = b".".join(
        base64.urlsafe_b64encode(json.dumps(segment).encode()).rstrip(b"=") for segment in segments
    )
    signature = hmac.new(key, signing_input, hashlib.sha256).digest()
    return (signing_input + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()
