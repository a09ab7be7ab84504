"""Delivering webhooks as Evolution does: none waits for another, each has its own retry clock."""

import time
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import quote

import jwt
import trio

from evorelay.simulator.archive import Archive
from evorelay.simulator.dialects import iso
from evorelay.simulator.emission import Emission
from evorelay.simulator.http import Post
from evorelay.simulator.ledger import Ledger
from evorelay.simulator.retry import RETRY_POLICIES, Verdict
from evorelay.simulator.station import Station

UNDELIVERED_MAX = 20_000
"""Webhooks under way or waiting for a retry; beyond that no new one is taken on."""
JWT_LIFETIME_S = 600

_USER_AGENTS = {"1.8.2": "axios/1.21.1", "2.2.3": "axios/1.7.9", "2.3.0": "axios/1.10.0"}
"""As captured; the measured 1.8.2 was built with a newer axios than 2.3.6."""
_LATER_USER_AGENT = "axios/1.12.2"


class Credentials:
    """What a receiver knows the sender by, as headers."""

    def __init__(self, *, secret_header: str | None, jwt_key: str | None) -> None:
        self._secret_header = secret_header
        self._jwt_key = jwt_key

    def headers(self, version: str, now_s: int) -> dict[str, str]:
        """All headers of one webhook. The same ones go with every retry, an expired JWT too.

        1.8.2 could send no credential but its URL; here it does, so that one receiver that asks
        for one can be tried with every version.
        """
        headers = {
            "Accept": "application/json, text/plain, */*",
            "Content-Type": "application/json",
            "User-Agent": _USER_AGENTS.get(version, _LATER_USER_AGENT),
            "Accept-Encoding": "gzip, compress, deflate, br",
        }
        if self._secret_header:
            headers["X-Webhook-Secret"] = self._secret_header
        if self._jwt_key:
            headers["Authorization"] = _bearer(self._jwt_key, now_s)
        return headers


class Delivery:
    """Posts what it receives, when it is due. Requests under way are bounded, waits are not held.

    ``sleep`` waits between attempts; ``jitter`` gives numbers from 0 to 1.
    """

    def __init__(
        self,
        post: Post,
        ledger: Ledger,
        archive: Archive,
        stations: Mapping[str, Station],
        credentials: Credentials,
        *,
        max_in_flight: int,
        jitter: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = trio.sleep,
    ) -> None:
        self._post = post
        self._ledger = ledger
        self._credentials = credentials
        self._stations = stations
        self._archive = archive
        self._requests = trio.CapacityLimiter(max_in_flight)
        self._room = trio.Semaphore(UNDELIVERED_MAX)
        self._jitter = jitter
        self._sleep = sleep

    async def run(
        self, emissions: trio.MemoryReceiveChannel[Emission], *, started_at: float, grace_s: float
    ) -> None:
        """Until every sender has closed the channel, then ``grace_s`` more for what is under way.

        What is not settled by then stays counted as in flight; Evolution, too, keeps its retries
        in memory only. ``started_at`` is the trio time that ``due_s`` counts from.
        """
        async with trio.open_nursery() as nursery:
            async for emission in emissions:
                await self._room.acquire()
                nursery.start_soon(self._deliver, emission, started_at)
            nursery.cancel_scope.deadline = trio.current_time() + grace_s

    async def deliver(self, emission: Emission) -> None:
        """Now, and return when it is settled; cancelling leaves it counted as in flight."""
        station = self._stations[emission.instance]
        self._archive.keep(emission)
        url = station.url_for(emission.event)
        if url is None or emission.is_lost or station.is_silent:
            return
        self._ledger.emitted(emission)
        now_s = int(time.time())
        headers = self._credentials.headers(emission.version, now_s)
        headers |= _event_headers(emission, station, now_s)
        headers |= _set_headers(station, now_s)
        verdict = await self._attempt_until_settled(emission, url, headers)
        self._ledger.settled(emission, verdict)

    async def _deliver(self, emission: Emission, started_at: float) -> None:
        try:
            await trio.sleep_until(started_at + emission.due_s)
            await self.deliver(emission)
        finally:
            self._room.release()

    async def _attempt_until_settled(
        self, emission: Emission, url: str, headers: Mapping[str, str]
    ) -> Verdict:
        policy = RETRY_POLICIES[emission.version]
        attempts = 0
        while True:
            async with self._requests:
                answer = await self._post(url, headers, emission.body)
            attempts += 1
            verdict = policy.judge(answer, attempts)
            if verdict is not Verdict.AGAIN:
                return verdict
            await self._sleep(policy.wait_s(attempts, self._jitter()))
            self._ledger.retried()


def _set_headers(station: Station, now_s: int) -> dict[str, str]:
    """Those of ``webhook/set``; ``jwt_key`` among them signs a token and is not sent itself."""
    headers = {name: str(value) for name, value in (station.webhook_headers or {}).items()}
    key = headers.pop("jwt_key", None)
    return headers | ({"Authorization": _bearer(key, now_s)} if key else {})


def _bearer(key: str, now_s: int) -> str:
    lifetime = {"iat": now_s, "exp": now_s + JWT_LIFETIME_S}
    claims = lifetime | {"app": "evolution", "action": "webhook"}
    return "Bearer " + jwt.encode(claims, key, "HS256")


def _event_headers(emission: Emission, station: Station, now_s: int) -> dict[str, str]:
    """2.4 names instance and event outside the body too; the form of its time is not known."""
    if emission.version != "2.4.0":
        return {}
    return {
        "X-Instance-ID": station.instance.id,
        "X-Instance-Name": quote(station.instance.name),
        "X-Event-Type": emission.event,
        "X-Timestamp": iso(now_s * 1000),
    }
