"""The canary's client: a session like an agent's, whose socket ends in this process.

From the hub on everything is real: session, feed, dialect, ``FrameStream``, the daemon's one
flusher, a socket, and the frames are read as an SDK would. What it leaves out is the gate, which
whoever asks for health has just come through, and the credential: no token opens this channel.
"""

import logging
import socket
from collections.abc import Callable

import msgspec
import trio
from msgspec import Struct
from wsproto.frame_protocol import FrameProtocol, Opcode

from evorelay.edge.centrifuge import DIALECT
from evorelay.edge.framestream import Flusher, FrameStream
from evorelay.model.errors import StoreUnavailable
from evorelay.model.ids import CANARY_CHANNEL
from evorelay.model.principal import Principal
from evorelay.model.told import CanaryEvent
from evorelay.relay.channel_session import ChannelSession
from evorelay.relay.session import Engine

log = logging.getLogger(__name__)

AGAIN_S = 1.0
_READ_BYTES = 16 * 1024
_NOBODY = Principal(sub="canary", role=None, instances=frozenset())


class _Publication(Struct):
    data: CanaryEvent


class _Push(Struct):
    pub: _Publication


class _Told(Struct):
    push: _Push


_decode = msgspec.json.Decoder(_Told).decode


class _CanarySession(ChannelSession):
    """May watch the one channel that nobody else may, and nothing else."""

    async def may_watch(self, channel: str) -> bool:
        return channel == CANARY_CHANNEL


class CanaryClient:
    """``Listener`` of relay/canary.py."""

    def __init__(self, engine: Engine, flusher: Flusher) -> None:
        self._engine = engine
        self._flusher = flusher

    async def listen(
        self,
        heard: Callable[[str], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        has_started = False

        def hears() -> None:
            nonlocal has_started
            if not has_started:
                has_started = True
                task_status.started()

        is_told = False
        while True:
            try:
                await self._connect(heard, hears)
                is_told = False
            except StoreUnavailable as error:
                if not is_told:  # once: it may stay away for hours
                    log.warning("no test messages meanwhile, the store cannot be read: %s", error)
                is_told = True
            await trio.sleep(AGAIN_S)

    async def _connect(self, heard: Callable[[str], None], hears: Callable[[], None]) -> None:
        """One connection, until it is closed as any client's would be that could not be served."""
        ours, theirs = (
            trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in socket.socketpair()
        )
        async with ours, theirs:
            stream = FrameStream(ours, b"", self._flusher)
            session = _CanarySession("canary", _NOBODY, DIALECT, stream, self._engine)
            stream.sender = session
            try:
                with session.scope:
                    subscription = await session.subscribe(CANARY_CHANNEL, None)
                    session.answered(subscription)
                    hears()
                    await _read(theirs, heard)
            finally:
                session.leave()


async def _read(stream: trio.SocketStream, heard: Callable[[str], None]) -> None:
    frames = FrameProtocol(client=True, extensions=[])
    text = ""
    while data := await stream.receive_some(_READ_BYTES):
        frames.receive_bytes(data)
        for frame in frames.received_frames():
            assert frame.opcode is Opcode.TEXT  # our own dialect's
            text += str(frame.payload)
            if frame.message_finished:
                for line in text.splitlines():
                    heard(_decode(line).push.pub.data.id)
                text = ""
