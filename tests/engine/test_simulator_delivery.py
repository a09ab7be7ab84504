"""Delivery against a real receiver that refuses, hangs up and stalls, with waits that we control.

What is pinned is the measured behaviour of Evolution (research/evolution-live.md), because
promises P1 and P2 are proven against this simulator.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import jwt
import pytest
import trio
import trio.testing

from evorelay.simulator.archive import Archive
from evorelay.simulator.cast import make_instances
from evorelay.simulator.delivery import Credentials, Delivery
from evorelay.simulator.emission import Emission, MessageRef
from evorelay.simulator.http import open_poster
from evorelay.simulator.ledger import Ledger
from evorelay.simulator.station import Station
from tests.webhook_receiver import HANG_UP, STALL, Receiver, Request, open_receiver


class Bench:
    """A delivery into a receiver whose waits between attempts are noted and not slept."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.ledger = Ledger()
        self.waits: list[float] = []
        [instance] = make_instances(1, 1, ("2.3.6 baileys",))
        self.station = Station(instance, receiver.url)
        self.credentials = Credentials(secret_header=None, jwt_key=None)

    async def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        await trio.lowlevel.checkpoint()

    def webhook(self, number: int = 0, *, version: str = "2.3.6") -> Emission:
        name = self.station.instance.name
        body = b'{"event":"messages.upsert","number":%d}' % number
        return Emission(
            due_s=0.0,
            instance=name,
            version=version,
            event="messages.upsert",
            body=body,
            message=MessageRef(name, f"m{number}", "c1"),
        )

    async def deliver(
        self, emissions: Iterable[Emission], *, grace_s: float = 60, max_in_flight: int = 8
    ) -> None:
        async with open_poster(max_in_flight) as post:
            delivery = Delivery(
                post,
                self.ledger,
                Archive(0),
                {self.station.instance.name: self.station},
                self.credentials,
                max_in_flight=max_in_flight,
                jitter=lambda: 0.5,
                sleep=self.wait,
            )
            emit, received = trio.open_memory_channel[Emission](100)
            async with emit:
                for emission in emissions:
                    await emit.send(emission)
            await delivery.run(received, started_at=trio.current_time(), grace_s=grace_s)


@asynccontextmanager
async def _bench(*statuses: int) -> AsyncIterator[Bench]:
    """A receiver that answers these in turn, the last one for ever."""
    ahead = list(statuses)

    def behave(request: Request) -> int:
        return ahead.pop(0) if len(ahead) > 1 else ahead[0]

    async with open_receiver(behave) as receiver:
        yield Bench(receiver)


async def test_a_webhook_looks_as_axios_posts_it() -> None:
    async with _bench(200) as bench:
        await bench.deliver([bench.webhook()])
    [request] = bench.receiver.requests
    assert (request.method, request.path) == ("POST", "/hook/a-secret")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == "axios/1.12.2"
    assert request.headers["accept"] == "application/json, text/plain, */*"
    assert request.headers["connection"] == "keep-alive"
    assert int(request.headers["content-length"]) == len(request.body)
    assert "transfer-encoding" not in request.headers
    assert bench.ledger.totals.accepted_2xx == 1


async def test_a_500_is_repeated_byte_for_byte_after_the_measured_wait() -> None:
    async with _bench(500, 503, 200) as bench:
        await bench.deliver([bench.webhook()])
    first, *others = bench.receiver.requests
    assert [first.body] * 2 == [other.body for other in others]
    assert bench.waits == [5.0, 10.0]
    totals = bench.ledger.totals
    assert (totals.accepted_2xx, totals.retried, totals.in_flight) == (1, 2, 0)


async def test_after_ten_attempts_the_webhook_is_given_up() -> None:
    async with _bench(503) as bench:
        await bench.deliver([bench.webhook()])
    assert len(bench.receiver.requests) == 10
    assert bench.waits == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert bench.ledger.totals.dropped == 1


async def test_a_receiver_that_hangs_up_gets_it_again() -> None:
    async with _bench(HANG_UP, 200) as bench:
        await bench.deliver([bench.webhook()])
    assert len(bench.receiver.requests) == 2
    assert bench.ledger.totals.accepted_2xx == 1


async def test_nobody_listening_is_a_failed_attempt_like_any_other() -> None:
    async with open_receiver() as receiver:
        bench = Bench(receiver)
    await bench.deliver([bench.webhook()])
    assert len(bench.waits) == 9
    assert bench.ledger.totals.dropped == 1


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_fatal_status_drops_it_at_once(status: int) -> None:
    async with _bench(status) as bench:
        await bench.deliver([bench.webhook()])
    assert len(bench.receiver.requests) == 1
    assert bench.ledger.totals.dropped == 1


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_redirect_is_followed_as_get_and_loses_the_webhook(status: int) -> None:
    async with _bench(status, 200) as bench:
        await bench.deliver([bench.webhook()])
    followed = bench.receiver.requests[1]
    assert (followed.method, followed.path, followed.body) == ("GET", "/redirected", b"")
    totals = bench.ledger.totals
    assert (totals.lost_by_redirect, totals.accepted_2xx) == (1, 0)


async def test_a_307_is_followed_with_the_body() -> None:
    async with _bench(307, 200) as bench:
        await bench.deliver([bench.webhook()])
    first, followed = bench.receiver.requests
    assert (followed.method, followed.body) == ("POST", first.body)
    assert bench.ledger.totals.accepted_2xx == 1


async def test_1_8_2_tries_once() -> None:
    async with _bench(500) as bench:
        await bench.deliver([bench.webhook(version="1.8.2")])
    assert len(bench.receiver.requests) == 1
    assert bench.receiver.requests[0].headers["user-agent"] == "axios/1.21.1"
    assert bench.ledger.totals.dropped == 1


async def test_2_4_names_instance_and_event_in_headers_too() -> None:
    async with _bench(200) as bench:
        await bench.deliver([bench.webhook(version="2.4.0")])
    headers = bench.receiver.requests[0].headers
    assert headers["x-instance-name"] == bench.station.instance.name
    assert headers["x-instance-id"] == bench.station.instance.id
    assert headers["x-event-type"] == "messages.upsert"
    assert headers["x-timestamp"].endswith("Z")


async def test_a_stalled_receiver_is_left_after_30_s_and_tried_again(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with _bench(STALL, 200) as bench, trio.open_nursery() as nursery:
        nursery.start_soon(bench.deliver, [bench.webhook()])
        while not bench.receiver.requests:
            await trio.testing.wait_all_tasks_blocked(0.01)
        mock_clock.jump(29.9)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert bench.waits == []
        mock_clock.jump(0.2)
        while not bench.ledger.totals.accepted_2xx:
            await trio.testing.wait_all_tasks_blocked(0.01)
    assert bench.waits == [5.0]


async def test_a_stalled_webhook_does_not_hold_the_next(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with _bench(STALL, 200) as bench, trio.open_nursery() as nursery:
        nursery.start_soon(bench.deliver, [bench.webhook(number) for number in range(5)])
        while bench.ledger.totals.accepted_2xx < 4:
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert bench.ledger.totals.in_flight == 1
        nursery.cancel_scope.cancel()


async def test_no_more_requests_are_under_way_than_allowed(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with _bench(STALL) as bench, trio.open_nursery() as nursery:
        webhooks = [bench.webhook(number) for number in range(10)]
        nursery.start_soon(lambda: bench.deliver(webhooks, max_in_flight=3))
        while len(bench.receiver.requests) < 3:
            await trio.testing.wait_all_tasks_blocked(0.01)
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert len(bench.receiver.requests) == 3
        assert bench.ledger.totals.in_flight == 10
        nursery.cancel_scope.cancel()


async def test_what_is_under_way_when_the_grace_ends_stays_in_flight(
    mock_clock: trio.testing.MockClock,
) -> None:
    mock_clock.rate = 1000
    async with _bench(STALL) as bench:
        await bench.deliver([bench.webhook()], grace_s=1)
    assert bench.ledger.totals.in_flight == 1


async def test_connections_are_reused() -> None:
    async with _bench(200) as bench:
        webhooks = [bench.webhook(number) for number in range(20)]
        await bench.deliver(webhooks, max_in_flight=1)
    assert len(bench.receiver.requests) == 20
    assert bench.receiver.connections == 1


async def test_the_jwt_is_made_once_and_goes_with_every_retry() -> None:
    key = "a-webhook-key-of-at-least-32-bytes"
    async with _bench(500, 200) as bench:
        bench.credentials = Credentials(secret_header="s3cret", jwt_key=key)
        await bench.deliver([bench.webhook()])
    first, again = (request.headers["authorization"] for request in bench.receiver.requests)
    assert first == again
    claims = jwt.decode(first.removeprefix("Bearer "), key, algorithms=["HS256"])
    assert claims["exp"] - claims["iat"] == 600
    assert (claims["app"], claims["action"]) == ("evolution", "webhook")
    assert bench.receiver.requests[0].headers["x-webhook-secret"] == "s3cret"


async def test_a_webhook_that_was_switched_off_is_not_posted() -> None:
    async with _bench(200) as bench:
        bench.station.webhook_events = ("CONNECTION_UPDATE",)
        await bench.deliver([bench.webhook()])
        assert bench.receiver.requests == []
        bench.station.webhook_events = ("MESSAGES_UPSERT",)
        bench.station.webhook_by_events = True
        await bench.deliver([bench.webhook()])
    assert [r.path for r in bench.receiver.requests] == ["/hook/a-secret/messages-upsert"]
    assert bench.ledger.totals.emitted == 1
