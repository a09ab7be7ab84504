"""All Engine.IO sessions: who may open one, how many there are, and the heartbeat of them all."""

import logging
from secrets import token_urlsafe

import trio

from evorelay.config import AuthConfig
from evorelay.edge.auth import is_open_to, open_principal
from evorelay.edge.engineio.options import EngineOptions, EngineRequest
from evorelay.edge.engineio.poll_buffer import PollBuffer
from evorelay.edge.engineio.socket import EngineSocket, Handler, State
from evorelay.edge.framestream import FrameStream
from evorelay.model.close import Close
from evorelay.protocol.engineio import Opening, TransportName
from evorelay.protocol.http_head import Head
from evorelay.relay.refusal_log import RefusalLog

log = logging.getLogger(__name__)

SID_BYTES = 15
"""Of chance; a session id is a secret: who has it speaks for the client."""
_RESOLUTION_S_MAX = 0.5


class EngineServer:
    """The sessions. A service: its nursery runs the handler of each."""

    def __init__(self, handler: Handler, options: EngineOptions, auth: AuthConfig) -> None:
        self.options = options
        self.is_draining = False
        self._handler = handler
        self._auth = auth
        self._sockets: dict[str, EngineSocket] = {}
        self._strangers: dict[EngineSocket, None] = {}
        """Those whose client has not signed in, the oldest first."""
        self._refusals = RefusalLog("Socket.IO client")
        self._nursery: trio.Nursery | None = None

    def __len__(self) -> int:
        return len(self._sockets)

    @property
    def polled(self) -> int:
        """How many sessions are carried by long-polling now."""
        return sum(socket.transport == "polling" for socket in self._sockets.values())

    def serves(self, target: str) -> bool:
        """Whether a request target is ours."""
        path = target.partition("?")[0]
        return path == self.options.path or path + "/" == self.options.path

    def find(self, sid: str) -> EngineSocket | None:
        """The session of this id that is not over yet."""
        socket = self._sockets.get(sid)
        if socket is not None:
            socket.beat(trio.current_time())
        return None if socket is None or socket.state is State.OVER else socket

    def has_room(self) -> bool:
        """Whether one more session may open. Makes room where a stranger has had its time."""
        if self._nursery is None or self.is_draining:
            return False
        options = self.options
        if len(self._sockets) >= options.sockets_max:
            self._refuse(f"{options.sockets_max} are open", "raise server.max_connections")
            return False
        if len(self._strangers) >= options.strangers_max:
            oldest = next(iter(self._strangers))
            if trio.current_time() - oldest.opened_at < options.stranger_grace_s:
                self._refuse(
                    f"{options.strangers_max} wait that have not signed in",
                    "look where so many handshakes come from",
                )
                return False
            self._strangers.pop(oldest)
            oldest.end()
        return True

    def _refuse(self, reason: str, advice: str) -> None:
        self._refusals.note(logging.ERROR, reason, peer=None, advice=advice)

    def open(
        self, head: Head, peer: str | None, outgoing: PollBuffer | FrameStream
    ) -> EngineSocket | None:
        """Open a session and start its handler; None when there is no room."""
        if self._nursery is None or not self.has_room():
            return None
        is_open = is_open_to(self._auth, peer=peer, headers=head.headers)
        socket = EngineSocket(
            token_urlsafe(SID_BYTES),
            EngineRequest(peer, head.headers, open_principal() if is_open else None),
            outgoing,
            options=self.options,
            strangers=self._strangers,
        )
        self._sockets[socket.sid] = socket
        self._nursery.start_soon(self._serve, socket)
        return socket

    def opening(self, socket: EngineSocket) -> bytes:
        """The first packet of a session."""
        upgrades: tuple[TransportName, ...] = () if socket.buffer is None else ("websocket",)
        options = self.options
        return Opening(
            socket.sid,
            upgrades,
            round(options.ping_interval_s * 1000),
            round(options.ping_timeout_s * 1000),
            options.max_payload,
        ).packet

    async def _serve(self, socket: EngineSocket) -> None:
        try:
            await self._handle(socket)
            socket.close_asap()
            with trio.move_on_after(self.options.farewell_s):
                await socket.over.wait()
        finally:
            socket.end()
            self._strangers.pop(socket, None)
            del self._sockets[socket.sid]

    async def _handle(self, socket: EngineSocket) -> None:
        try:
            await self._handler.serve(socket)
        except* (trio.EndOfChannel, trio.BrokenResourceError):
            pass  # the client went away, as clients do
        except* Exception:
            # The boundary of a connection: a bug in one must not end its neighbours, nor may one
            # that shows while we are cancelled.
            log.exception("an Engine.IO session ended with an error")
            socket.close_asap(Close.SERVER_ERROR)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve sessions until cancelled; that ends them all."""
        resolution_s = min(_RESOLUTION_S_MAX, self.options.ping_timeout_s / 20)
        try:
            async with trio.open_nursery() as self._nursery:
                task_status.started()
                while True:
                    await trio.sleep(resolution_s)
                    now = trio.current_time()
                    for socket in tuple(self._sockets.values()):
                        if now >= socket.heart.due_at:
                            socket.beat(now)
        finally:
            self._nursery = None

    def close_asap(self) -> None:
        """Draining: open no session, and end those whose client has not signed in.

        The others are the handler's to end; it knows what to say.
        """
        self.is_draining = True
        for socket in tuple(self._strangers):
            socket.close_asap(Close.SHUTDOWN)
