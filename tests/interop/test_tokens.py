"""The SDK's token handling against ours: refresh while connected, expiry, refusal (contract §5)."""

import pytest

from tests.interop.sdk import open_sdk
from tests.support.daemon import Daemon, token
from tests.support.posting import post_text
from tests.support.webhooks import INSTANCE

INBOX = f"inbox:{INSTANCE}"


async def test_a_token_is_refreshed_while_connected(daemon: Daemon) -> None:
    """The SDK asks its application for a token when the ttl ends; nobody notices anything."""
    async with open_sdk() as sdk:
        tokens = [token(ttl=5), token(ttl=8), token(ttl=3600)]
        await sdk.connect(daemon.websocket_url, tokens=tokens)
        await sdk.subscribe(INBOX)
        await sdk.told("getToken", nth=3)
        await post_text(daemon, "AFTER", "ainda aí?")
        await sdk.told("publication", channel=INBOX)
        assert sdk.count("connected") == 1
        assert sdk.count("subscribed") == 1
        assert sdk.count("disconnected") == 0


async def test_a_refreshed_token_that_grants_less_takes_channels_away(daemon: Daemon) -> None:
    """P7: rights end with the token that granted them, in the middle of a connection."""
    async with open_sdk() as sdk:
        less = token(instances=["outra-loja"])
        await sdk.connect(daemon.websocket_url, tokens=[token(ttl=5), less])
        await sdk.subscribe(INBOX)
        await sdk.told("unsubscribed", channel=INBOX, code=2000)
        assert sdk.count("connected") == 1


async def test_an_expired_token_at_connect_is_refreshed(daemon: Daemon) -> None:
    """Error 109: the SDK asks for a fresh token and comes back with it."""
    async with open_sdk() as sdk:
        await sdk.connect(daemon.websocket_url, token=token(ttl=-60), tokens=[token("ana")])
        assert sdk.count("getToken") == 1
        assert [line["code"] for line in sdk.lines if line.get("event") == "clientError"] == [109]
        assert (await sdk.rpc("tickets.list"))["tickets"] == []


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param("not a token", id="garbage"),
        pytest.param(token()[:-4] + "AAAA", id="wrong-signature"),
        pytest.param(
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbmEiLCJleHAiOjk5OTk5OTk5OTl9.", id="alg-none"
        ),
        pytest.param("", id="none"),
    ],
)
async def test_a_bad_token_ends_it_for_good(daemon: Daemon, bad: str) -> None:
    """3500: from here the SDK does not reconnect by itself."""
    async with open_sdk() as sdk:
        await sdk.call("connect", url=daemon.websocket_url, token=bad)
        ended = await sdk.told("disconnected")
        assert (ended["code"], ended["reason"]) == (3500, "invalid token")
        assert sdk.count("connected") == 0
        assert sdk.count("connecting") == 1
