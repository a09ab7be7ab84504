"""P5: a client that stops reading costs the others nothing, and misses nothing itself."""

import trio

from tests.support.agent import Event, signed_in
from tests.support.daemon import Daemon
from tests.support.http import connected
from tests.support.posting import metric
from tests.support.webhooks import INSTANCE, PATH, as_body, text_message

INBOX = f"inbox:{INSTANCE}"
MESSAGES = 400
TEXT = "á" * 30_000
"""60 KB each: 24 MB in all, several times what kernel and daemon hold for one connection."""


async def _post_all(daemon: Daemon) -> None:
    async with connected(daemon) as connection:
        for number in range(MESSAGES):
            body = as_body(text_message(f"BIG-{number:04}", f"{number} {TEXT}"))
            assert (await connection.ask("POST", PATH, body)).status == 200


def created(events: list[Event]) -> list[str]:
    return [
        event.data["message"]["whatsapp_id"]
        for event in events
        if event.data["type"] == "message.created"
    ]


async def test_who_stops_reading_falls_back_and_catches_up(daemon: Daemon) -> None:
    async with signed_in(daemon) as healthy, signed_in(daemon, receive_buffer=8192) as slow:
        for agent in (healthy, slow):
            assert "subscribe" in await agent.ask(subscribe={"channel": INBOX})
        before = daemon.rss_mib()
        received: list[Event] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_post_all, daemon)
            while len(created(received)) < MESSAGES:
                received.append(await healthy.event())
        assert [event.offset for event in received] == list(range(1, len(received) + 1))
        assert await metric(daemon, "evorelay_feeds_lagged_total") >= 1
        # The cache may hold 64 MiB of events for everybody; a stalled client holds 1 MiB.
        assert daemon.rss_mib() - before < 120
        late = await slow.events_up_to(received[-1].offset)
        assert [event.offset for event in late] == [event.offset for event in received]
        assert created(late) == [f"BIG-{number:04}" for number in range(MESSAGES)]
