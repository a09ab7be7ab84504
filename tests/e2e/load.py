"""Customers who write all the time, and an Evolution that posts until it is answered 2xx."""

import random

import trio

from tests.support.daemon import Daemon
from tests.support.http import Connection, connected
from tests.support.webhooks import PATH, as_body, text_message


class Customer:
    """One conversation, its messages posted in order; what was answered 2xx is remembered."""

    def __init__(self, daemon: Daemon, number: int, rand: random.Random) -> None:
        self.phone = f"55319888810{number:02}"
        self.accepted: list[str] = []
        """WhatsApp ids answered 200, in order; the text of a message is its id."""
        self.seqs: list[int] = []
        self.posts = 0
        self._daemon = daemon
        self._rand = rand
        self._stopping = False

    def stop_asap(self) -> None:
        """Finish the message under way, then stop."""
        self._stopping = True

    async def write(self) -> None:
        """Write until stopped, through every crash of the daemon's."""
        while not self._stopping:
            try:
                async with connected(self._daemon) as connection:
                    while not self._stopping:
                        await self._write_one(connection)
            except (OSError, trio.BrokenResourceError, EOFError):
                await trio.sleep(0.02)

    async def _write_one(self, connection: Connection) -> None:
        whatsapp_id = f"{self.phone[-4:]}-{len(self.accepted):05}"
        seq = await self._post(connection, whatsapp_id)
        self.accepted.append(whatsapp_id)
        self.seqs.append(seq)
        if self._rand.random() < 0.1:
            # Evolution posts what it already posted: after a time-out, after its own restart.
            self.seqs.append(await self._post(connection, self._rand.choice(self.accepted)))

    async def _post(self, connection: Connection, whatsapp_id: str) -> int:
        webhook = text_message(whatsapp_id, whatsapp_id, phone=self.phone)
        while True:
            await connection.send(_request(as_body(webhook)))
            self.posts += 1
            reply = await connection.read_reply()
            if reply is None:
                raise EOFError
            if reply.status == 200:
                seq: int = reply.json["seq"]
                return seq
            assert reply.status == 503, reply
            await trio.sleep(0.02)


def _request(body: bytes) -> bytes:
    head = f"POST {PATH} HTTP/1.1\r\nHost: relay\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
