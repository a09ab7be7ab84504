"""Replies: how long an acknowledgement takes, how exactly the pace is kept, how soon all is back.

Agents send over REST, each waiting for its acknowledgement, which says that the reply is fsynced.
Gateway and agents run in this process and the daemon in its own. After each measurement the gateway
must have every acknowledged reply once, and those of a conversation in order.
"""

import http.client
import json
from array import array
from collections import defaultdict
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from bench.daemon import Daemon
from bench.harness import Run, latency_figures, main
from bench.load.bodies import Audience
from bench.load.gateway import API_KEY, Gateway, open_gateway
from bench.load.poster import Posting, post

CHATS = 20
RATE = 10.0
"""``outbox.rate``, with ``outbox.burst`` of 20: the defaults."""
DOWN_S = 10.0


class Office:
    """Agents of one daemon, on kept connections."""

    def __init__(self, daemon: Daemon, tickets: dict[str, list[str]]) -> None:
        self._daemon = daemon
        self._token = daemon.token()
        self.tickets = tickets
        self.latencies = array("q")
        self.acknowledged: dict[str, list[int]] = defaultdict(list)
        self._next = 0

    async def agent(self, ticket: str, due: Callable[[int], float], count: int) -> None:
        """Send ``count`` replies to a ticket, the n-th not before ``due(n)``."""
        stream = await trio.open_tcp_stream(self._daemon.host, self._daemon.port)
        async with stream:
            for n in range(count):
                await trio.sleep_until(due(n))
                number, self._next = self._next, self._next + 1
                began = max(due(n), 0.0)
                await self._send(stream, ticket, number)
                self.latencies.append(int((trio.current_time() - began) * 1e9))
                self.acknowledged[ticket].append(number)

    async def _send(self, stream: trio.SocketStream, ticket: str, number: int) -> None:
        body = json.dumps({"content": str(number), "op_id": str(number)}).encode()
        await stream.send_all(
            f"POST /v1/tickets/{ticket}/messages HTTP/1.1\r\nHost: bench\r\n"
            f"Authorization: Bearer {self._token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += await stream.receive_some(65536)
        head, _, rest = answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 202"):
            raise RuntimeError(f"a reply was answered {head[:40]!r} {rest[:200]!r}")
        size = int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0])
        while len(rest) < size:
            rest += await stream.receive_some(65536)


def bench(run: Run) -> None:
    for title, measure in (
        ("ack at 100/s, 20 instances", _acknowledge),
        ("pace of one instance", _pace),
        ("gateway back after 10 s", _recover),
    ):
        trio.run(_measured, run, title, measure)


async def _measured(
    run: Run, title: str, measure: Callable[[Run, str, Daemon, Gateway, Office], Awaitable[None]]
) -> None:
    async with open_gateway() as gateway:
        settings = {"EVOLUTION__URL": gateway.url, "EVOLUTION__API_KEY": API_KEY}
        with Daemon(settings) as daemon:
            audience = Audience(instances=20, chats=CHATS)
            count = 20 * CHATS
            load = Posting(
                host=daemon.host,
                port=daemon.port,
                secret=daemon.secret,
                audience=audience,
                connections=1,
                count=count,
            )
            await trio.to_thread.run_sync(post, load)
            while await trio.to_thread.run_sync(daemon.lag):
                await trio.sleep(0.05)
            tickets = await trio.to_thread.run_sync(_tickets, daemon)
            office = Office(daemon, tickets)
            await measure(run, title, daemon, gateway, office)
            _check(run, title, gateway, office)


async def _acknowledge(
    run: Run, title: str, daemon: Daemon, gateway: Gateway, office: Office
) -> None:
    seconds = run.seconds(10, quick=2)
    tickets = [ticket for chats in office.tickets.values() for ticket in chats[:5]]
    each = max(1, int(seconds))  # one a second to each of 100 tickets
    begin = trio.current_time() + 0.2
    cpu_s = daemon.cpu_s()
    with run.step(title, seconds + 1) as tick:
        async with trio.open_nursery() as nursery:
            for index, ticket in enumerate(tickets):
                offset = begin + index / len(tickets)
                nursery.start_soon(office.agent, ticket, partial(_every_second, offset), each)
            nursery.start_soon(_tick, tick, seconds)
        await _all_sent(gateway, office)
    count = len(office.latencies)
    run.row(
        title,
        **latency_figures(office.latencies),
        replies=count,
        daemon_us_each=round((daemon.cpu_s() - cpu_s) / count * 1e6),
    )


async def _pace(run: Run, title: str, daemon: Daemon, gateway: Gateway, office: Office) -> None:
    """A backlog of one instance: 20 at once, then 10 a second (to a recipient 1 a second, so to
    all of them in turn)."""
    seconds = run.seconds(20, quick=4)
    chats = next(iter(office.tickets.values()))
    each = int((20 + RATE * seconds) / len(chats))
    with run.step(title, seconds + 1) as tick:
        async with trio.open_nursery() as nursery:
            for ticket in chats:
                nursery.start_soon(office.agent, ticket, lambda _: 0.0, each)
            nursery.start_soon(_tick, tick, seconds)
        await _all_sent(gateway, office)
    steady = gateway.at[20:]
    rate = (len(steady) - 1) / (steady[-1] - steady[0])
    deviation = (rate / RATE - 1) * 100
    run.check(deviation <= 5, f"{title}: {rate:.2f}/s, which is more than {RATE:g}/s")
    run.row(title, sent_per_s=round(rate, 2), deviation_percent=round(deviation, 2))


async def _recover(run: Run, title: str, daemon: Daemon, gateway: Gateway, office: Office) -> None:
    down_s = 2.0 if run.quick else DOWN_S
    gateway.is_down = True
    with run.step(title, down_s + 20) as tick:
        async with trio.open_nursery() as nursery:
            for chats in office.tickets.values():
                nursery.start_soon(office.agent, chats[0], lambda _: 0.0, 5)
            nursery.start_soon(_tick, tick, down_s)
        back = trio.current_time()
        gateway.is_down = False
        await _all_sent(gateway, office)
    run.row(
        title,
        first_after_s=round(gateway.at[0] - back, 1),
        last_after_s=round(gateway.at[-1] - back, 1),
        replies=len(gateway.sent),
    )


def _every_second(begin: float, n: int) -> float:
    return begin + n


async def _tick(tick: Callable[[], None], seconds: float) -> None:
    end = trio.current_time() + seconds
    while trio.current_time() < end:
        tick()
        await trio.sleep(0.1)


async def _all_sent(gateway: Gateway, office: Office) -> None:
    with trio.move_on_after(120):
        while len(gateway.sent) < len(office.latencies):
            await trio.sleep(0.01)


def _tickets(daemon: Daemon) -> dict[str, list[str]]:
    """Ids of all tickets, by instance."""
    found: dict[str, list[str]] = defaultdict(list)
    connection = http.client.HTTPConnection(daemon.host, daemon.port, timeout=60)
    cursor = ""
    while True:
        connection.request(
            "GET",
            f"/v1/tickets?limit=200{cursor}",
            headers={"Authorization": f"Bearer {daemon.token()}"},
        )
        page = json.loads(connection.getresponse().read())
        for ticket in page["tickets"]:
            found[ticket["instance"]].append(ticket["id"])
        if page["next_cursor"] is None:
            return dict(sorted(found.items()))
        cursor = f"&cursor={page['next_cursor']}"


def _check(run: Run, title: str, gateway: Gateway, office: Office) -> None:
    ticket_of = {n: ticket for ticket, numbers in office.acknowledged.items() for n in numbers}
    arrived: dict[str, list[int]] = defaultdict(list)
    for _, number in gateway.sent:
        arrived[ticket_of[number]].append(number)
    run.check_same(
        sorted(number for _, number in gateway.sent), sorted(ticket_of), f"{title}: replies"
    )
    for ticket, numbers in office.acknowledged.items():
        run.check_same(arrived[ticket], numbers, f"{title}: the replies of a ticket")


if __name__ == "__main__":
    main("replies", __doc__, bench)
