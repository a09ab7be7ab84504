"""Evolution posting at a steady rate, whatever happens: until each webhook is answered 200."""

import select
from collections import Counter

import trio

from tests.support.http import Connection, request
from tests.support.webhooks import as_body, text_message

_AGAIN_S = 0.1
"""Before a webhook is sent again. Evolution waits longer; here the daemon shall be tried harder."""


class SteadyLoad:
    """``senders`` people write in turn, ``rate`` messages a second in all, to ``instances``.

    The n-th message of all is due at ``n / rate``, also when those before it are late. Half of the
    senders keep their connection, the others open one for each webhook, as Node's clients do with
    and without an agent.
    """

    def __init__(
        self, host: str, port: int, path: str, *, rate: float, senders: int, instances: int
    ) -> None:
        self.accepted: list[list[str]] = [[] for _ in range(senders)]
        """By sender, texts answered 200, in order."""
        self.latencies: list[float] = []
        """Seconds from being due to being answered 200."""
        self.outcomes: Counter[str] = Counter()
        """What came of each attempt: ``200``, another status, ``refused``, ``hung up``."""
        self._address = (host, port)
        self._path = path
        self._rate = rate
        self._instances = instances
        self._stopping = False
        self._began = 0.0

    def instance(self, sender: int) -> str:
        return f"loja-{sender % self._instances}"

    def phone(self, sender: int) -> str:
        return f"55319777{sender:05}"

    def accepted_by(self, instance: str) -> dict[int, list[str]]:
        """By sender, what was accepted for an instance."""
        return {
            sender: texts
            for sender, texts in enumerate(self.accepted)
            if self.instance(sender) == instance
        }

    async def catches_up(self, within_s: float) -> bool:
        """Wait until what came due while nobody answered has been made up for.

        False when it was not in time: this machine is too busy for such a rate.
        """
        senders = len(self.accepted)
        with trio.move_on_after(within_s):
            while self._due - len(self.latencies) > senders:  # each may have one under way
                await trio.sleep(0.02)
            return True
        return False

    @property
    def _due(self) -> float:
        """How many should have been posted by now."""
        return (trio.current_time() - self._began) * self._rate

    def stop_asap(self) -> None:
        self._stopping = True

    async def run(self) -> None:
        """Post until stopped; returns when the last webhook under way has been answered."""
        self._began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for sender in range(len(self.accepted)):
                nursery.start_soon(self._send_all, sender)

    async def _send_all(self, sender: int) -> None:
        kept: Connection | None = None
        senders = len(self.accepted)
        while not self._stopping:
            count = len(self.accepted[sender])
            due = self._began + (count * senders + sender) / self._rate
            await trio.sleep_until(due)
            text = f"{sender}-{count}"
            webhook = text_message(
                f"S{sender:03}N{count:06}",
                text,
                phone=self.phone(sender),
                instance=self.instance(sender),
            )
            kept = await self._until_accepted(kept, as_body(webhook))
            self.latencies.append(trio.current_time() - due)
            self.accepted[sender].append(text)
            if kept is not None and sender % 2:
                await trio.aclose_forcefully(kept.stream)
                kept = None
        if kept is not None:
            await trio.aclose_forcefully(kept.stream)

    async def _until_accepted(self, kept: Connection | None, body: bytes) -> Connection | None:
        """Post it; the connection it went through, unless the daemon ended that."""
        while True:
            if kept is not None and _has_ended(kept):
                await trio.aclose_forcefully(kept.stream)
                kept = None
            outcome, kept = await self._attempt(kept, body)
            self.outcomes[outcome] += 1
            if outcome == "200":
                return kept
            await trio.sleep(_AGAIN_S)

    async def _attempt(self, kept: Connection | None, body: bytes) -> tuple[str, Connection | None]:
        try:
            connection = kept or Connection(await trio.open_tcp_stream(*self._address))
        except OSError:
            return "refused", None
        reply = None
        try:
            await connection.send(request("POST", self._path, body))
            reply = await connection.read_reply()
        except trio.BrokenResourceError:
            pass
        if reply is None or reply.headers.get("connection") == "close":
            await trio.aclose_forcefully(connection.stream)
            return ("hung up" if reply is None else str(reply.status)), None
        return str(reply.status), connection


def _has_ended(connection: Connection) -> bool:
    """Whether the daemon has closed it meanwhile, which a client sees before it sends again."""
    assert isinstance(connection.stream, trio.SocketStream)
    poll = select.poll()
    poll.register(connection.stream.socket.fileno(), select.POLLIN)
    return bool(poll.poll(0))
