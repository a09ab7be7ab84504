"""What a client has said and its handler has not taken: a few messages, and then it has to wait."""

import trio

MESSAGES_MAX = 4
SETTLED_WITHIN_S = 0.05
"""How long a payload's answer waits for what it brings about, so that the GET behind it has all of
that. The reference server handles a payload's messages before it answers."""


class Inbox:
    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._in, self._out = trio.open_memory_channel[str | bytes](MESSAGES_MAX)
        self._settled = trio.lowlevel.ParkingLot()
        self.is_full = False
        """Whether a message waits for its place, and with it whatever the client says next."""

    async def deliver(self, message: str | bytes) -> bool:
        """Put a message in; wait for its place. False when that took longer than ``patience_s``.

        One that comes after ``close`` is nobody's. Cancelling loses the message.
        """
        try:
            self._in.send_nowait(message)
        except trio.WouldBlock:
            return await self._wait_with(message)
        except trio.ClosedResourceError:
            pass
        return True

    async def _wait_with(self, message: str | bytes) -> bool:
        self.is_full = True
        try:
            with trio.move_on_after(self._patience_s) as patience:
                await self._in.send(message)
        except trio.ClosedResourceError:
            return True
        finally:
            self.is_full = False
        return not patience.cancelled_caught

    async def receive(self) -> str | bytes:
        """The next message. Raises ``trio.EndOfChannel`` behind the last one before ``close``."""
        self._settled.unpark_all()
        return await self._out.receive()

    async def wait_settled(self) -> None:
        """Wait until the handler is done with everything and listens again, for a moment."""
        await trio.lowlevel.checkpoint()
        with trio.move_on_after(SETTLED_WITHIN_S):
            while not self._out.statistics().tasks_waiting_receive:
                await self._settled.park()

    def close(self) -> None:
        self._in.close()
