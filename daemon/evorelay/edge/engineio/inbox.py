"""What a client has said and its handler has not taken: a few messages, and then it has to wait."""

import trio

MESSAGES_MAX = 4


class Inbox:
    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._in, self._out = trio.open_memory_channel[str | bytes](MESSAGES_MAX)
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
        return await self._out.receive()

    def close(self) -> None:
        self._in.close()
