"""P7, P5: published keys are fetched when needed, kept through outages, and asked for in bounds."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from evorelay.edge.http_client import FetchFailed, open_http_client
from evorelay.edge.jwks import Jwks, usable_keys
from tests.edge.key_server import (
    KeyServer,
    ec_key,
    jwk,
    key_set,
    open_key_server,
    rsa_key,
)

NOW_MS = 1_795_000_000_000


@asynccontextmanager
async def running_jwks(*keys: dict[str, Any]) -> AsyncIterator[tuple[Jwks, KeyServer]]:
    """A Jwks whose service runs, after its first fetch of ``keys``."""
    async with open_key_server() as server, open_http_client() as client:
        server.body = key_set(*keys)
        jwks = Jwks(server.url, client, lambda: NOW_MS)
        async with trio.open_nursery() as nursery:
            await nursery.start(jwks.run)
            await until_idle(jwks, fetches=1)
            yield jwks, server
            nursery.cancel_scope.cancel()


async def until_idle(jwks: Jwks, *, fetches: int) -> None:
    """Return once that many fetches have ended, well or badly."""
    while jwks.generation + jwks.statistics().failures < fetches:
        await trio.lowlevel.checkpoint()


async def test_the_first_fetch_brings_every_usable_key_with_its_algorithm() -> None:
    async with running_jwks(jwk(ec_key(), "e"), jwk(rsa_key(), "r")) as (jwks, server):
        found = {kid: await jwks.key(kid) for kid in ("e", "r")}
        assert {kid: key and key.algorithm_name for kid, key in found.items()} == {
            "e": "ES256",
            "r": "RS256",
        }
        assert server.requests == 1
        statistics = jwks.statistics()
        assert (statistics.keys, statistics.last_success_at) == (2, NOW_MS)
        assert (statistics.failures, statistics.last_error) == (0, None)


async def test_who_asks_before_the_first_fetch_has_ended_waits_for_it() -> None:
    async with open_key_server() as server, open_http_client() as client:
        server.body = key_set(jwk(ec_key(), "e"))
        jwks = Jwks(server.url, client, lambda: NOW_MS)
        async with trio.open_nursery() as nursery:
            await nursery.start(jwks.run)
            assert not jwks.ever_fetched
            assert await jwks.key("e") is not None
            await trio.testing.wait_all_tasks_blocked()
            assert server.requests == 1
            nursery.cancel_scope.cancel()


async def test_an_unknown_id_fetches_at_most_once_per_30_s(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with running_jwks(jwk(ec_key(), "old")) as (jwks, server):
        assert await jwks.key("made up") is None
        assert server.requests == 2
        server.body = key_set(jwk(ec_key("two"), "new"))
        mock_clock.jump(29)
        assert await jwks.key("new") is None
        assert server.requests == 2
        mock_clock.jump(1)
        assert await jwks.key("new") is not None
        assert await jwks.key("old") is None  # it was revoked with the new set
        assert await jwks.key("stranger") is None
        assert server.requests == 3


async def test_many_callers_share_one_fetch(mock_clock: trio.testing.MockClock) -> None:
    async with running_jwks(jwk(ec_key(), "old")) as (jwks, server):
        mock_clock.jump(30)
        server.silent, server.asked = True, trio.Event()
        server.body = key_set(jwk(ec_key(), "new"))
        found = []

        async def ask() -> None:
            found.append(await jwks.key("new"))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(ask)
            await server.asked.wait()
            assert await jwks.key("old") is not None  # known ids never wait
            server.speak()
        assert len(found) == 50
        assert None not in found
        assert server.requests == 2


async def test_a_caller_that_leaves_does_not_take_the_fetch_along(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with running_jwks(jwk(ec_key(), "old")) as (jwks, server):
        mock_clock.jump(30)
        server.silent, server.asked = True, trio.Event()
        server.body = key_set(jwk(ec_key(), "new"))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(jwks.key, "stranger")
            await server.asked.wait()
            nursery.cancel_scope.cancel()
        server.speak()
        assert await jwks.key("new") is not None


async def test_a_caller_waits_no_longer_than_the_deadline(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with running_jwks(jwk(ec_key(), "old")) as (jwks, server):
        mock_clock.jump(30)
        server.silent, server.asked = True, trio.Event()

        async def pass_time() -> None:
            await server.asked.wait()
            mock_clock.jump(10)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pass_time)
            assert await jwks.key("stranger") is None


async def test_nobody_waits_for_ever_for_a_service_that_does_not_run(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with open_http_client() as client, trio.open_nursery() as nursery:
        jwks = Jwks("http://127.0.0.1:1/", client, lambda: NOW_MS)

        async def pass_time() -> None:
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(10)

        nursery.start_soon(pass_time)
        assert await jwks.key("e") is None


@pytest.mark.parametrize(
    ("status", "body"),
    [
        ("500 Internal Server Error", b"{}"),
        ("200 OK", b"<html>"),
        ("200 OK", b"[]"),
        ("200 OK", b'{"keys": 7}'),
        ("200 OK", b'{"keys": []}'),
        ("200 OK", b"[" * 100_000),
        ("200 OK", b" " * 300_000),
    ],
)
async def test_the_last_good_set_outlives_a_bad_answer(
    mock_clock: trio.testing.MockClock, status: str, body: bytes
) -> None:
    async with running_jwks(jwk(ec_key(), "e")) as (jwks, server):
        server.status, server.body = status, body
        mock_clock.jump(600)
        await until_idle(jwks, fetches=2)
        assert await jwks.key("e") is not None
        statistics = jwks.statistics()
        assert (statistics.failures, statistics.failures_in_a_row, statistics.keys) == (1, 1, 1)
        assert statistics.last_error


async def test_failures_back_off_and_success_returns_to_ten_minutes(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with running_jwks() as (jwks, server):
        fetches = 1
        for pause_s in (5, 10, 20, 40, 80, 160, 320, 600, 600):
            mock_clock.jump(pause_s - 1)
            await trio.testing.wait_all_tasks_blocked()
            assert server.requests == fetches
            mock_clock.jump(1)
            fetches += 1
            await until_idle(jwks, fetches=fetches)
        assert not jwks.ever_fetched
        server.body = key_set(jwk(ec_key(), "e"))
        mock_clock.jump(600)
        await until_idle(jwks, fetches=fetches + 1)
        assert jwks.statistics().failures_in_a_row == 0
        mock_clock.jump(599)
        await trio.testing.wait_all_tasks_blocked()
        assert server.requests == fetches + 1
        mock_clock.jump(1)
        await until_idle(jwks, fetches=fetches + 2)


def _oct(kid: str) -> dict[str, Any]:
    secret = base64.urlsafe_b64encode(b"s" * 32).decode()
    return {"kty": "oct", "k": secret, "kid": kid, "alg": "HS256"}


@pytest.mark.parametrize(
    "entry",
    [
        _oct("k"),
        _oct("k") | {"alg": "ES256"},
        jwk(ec_key(), "k", alg="HS256"),
        jwk(ec_key(), "k", alg="RS256"),
        jwk(ec_key(), "k", alg=None),
        jwk(ec_key(), "k", use="enc"),
        jwk(ec_key(), "k", kid=7),
        jwk(ec_key(), "k", x="!"),
        jwk(ec_key(), "k", x=7),
        jwk(ec_key(), "k", crv="P-384"),
        jwk(ec_key(), "k", kty=["EC"]),
        jwk(ec.generate_private_key(ec.SECP384R1()), "k"),
        jwk(ec.generate_private_key(ec.SECP384R1()), "k", alg="ES384"),
        jwk(rsa_key(bits=1024), "k"),
        jwk(rsa_key(), "k", alg="RS512"),
        jwk(rsa_key(), "k", alg="PS256"),
        jwk(rsa_key(), "k", e="AA"),
        {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "kid": "k"},
        {"kty": "RSA", "kid": "k"},
        {"kid": "k"},
        {},
        7,
        None,
    ],
)
def test_other_keys_are_passed_over_and_do_not_spoil_the_set(entry: Any) -> None:
    assert set(usable_keys(key_set(entry, jwk(ec_key(), "good")))) == {"good"}


def test_of_two_keys_with_one_id_the_first_counts() -> None:
    keys = usable_keys(key_set(jwk(ec_key(), "k"), jwk(rsa_key(), "k")))
    assert keys["k"].algorithm_name == "ES256"


def test_a_published_private_key_is_taken_as_its_public_half() -> None:
    keys = usable_keys(key_set(jwk(ec_key(), "k", d="A" * 43)))
    assert isinstance(keys["k"].key, ec.EllipticCurvePublicKey)


@given(
    st.binary()
    | st.recursive(
        st.none() | st.text() | st.integers(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.sampled_from(("keys", "kty", "kid", "crv", "x", "n", "e")), inner)
        ),
    ).map(lambda value: json.dumps(value).encode())
)
def test_no_document_causes_another_error(body: bytes) -> None:
    with pytest.raises(FetchFailed):
        usable_keys(body)
