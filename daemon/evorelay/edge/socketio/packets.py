"""What a client says, packet by packet, no faster than is good for everybody else."""

import trio

from evorelay.edge.engineio.socket import EngineSocket
from evorelay.protocol.pacing import TokenBucket
from evorelay.protocol.socketio import Assembler, Packet

PACKETS_PER_S = 50.0
PACKETS_BURST = 300
"""A front end that comes back joins all its tickets at once, and some loads each of them, too."""
TOKEN_BYTES = 16 * 1024
"""A larger message counts for as many. To read a MiB of nothing but brackets takes 0.1 s, in which
nobody else is served."""


class Malformed(Exception):
    """The client does not speak the protocol; its connection is to be ended."""


class Packets:
    def __init__(self, socket: EngineSocket) -> None:
        self._socket = socket
        self._assembler = Assembler()
        self._bucket = TokenBucket(PACKETS_PER_S, PACKETS_BURST, trio.current_time())

    async def next(self) -> Packet:
        """The next packet, attachments included; a flood of them has to wait.

        Raises ``Malformed``, and ``trio.EndOfChannel`` when the connection is over.
        """
        while True:
            message = await self._socket.receive()
            await trio.sleep(self._bucket.wait(trio.current_time()))
            self._bucket.take(trio.current_time(), 1 + len(message) // TOKEN_BYTES)
            try:
                packet = self._assembler.take(message)
            except ValueError as error:
                raise Malformed(str(error)) from None
            if packet is not None:
                return packet
            if not self._socket.is_admitted:
                raise Malformed("attachments of a stranger")  # who may not have us keep anything
