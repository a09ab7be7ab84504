"""What a client says, packet by packet, no faster than is good for everybody else."""

import trio

from evorelay.edge.engineio.socket import EngineSocket
from evorelay.protocol.pacing import TokenBucket
from evorelay.protocol.socketio import Assembler, Packet

PACKETS_PER_S = 50.0
PACKETS_BURST = 300
"""A front end that comes back joins all its tickets at once, and some loads each of them, too."""


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
            try:
                packet = self._assembler.take(message)
            except ValueError as error:
                raise Malformed(str(error)) from None
            if packet is not None:
                await trio.sleep(self._bucket.wait(trio.current_time()))
                self._bucket.take(trio.current_time())
                return packet
