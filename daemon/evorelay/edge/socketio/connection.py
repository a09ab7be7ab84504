"""One Socket.IO connection: who the client is, what it missed, and then its events one by one.

The first packet must be CONNECT, with a credential, within ``STALE_AFTER_S``; one that is refused
may be followed by a better one. A client that disconnects without hanging up is a stranger again.
What it asks for is handled one after the other; answers and what it is told share its bounded
buffer. A push is refused when the buffer is full; an answer makes the next packet wait.
"""

from base64 import urlsafe_b64encode
from hashlib import sha256
from secrets import token_urlsafe

import trio
from msgspec import Struct

from evorelay.edge.auth import Authenticator
from evorelay.edge.engineio.socket import EngineSocket
from evorelay.edge.socketio.credentials import Credentials
from evorelay.edge.socketio.events import Events
from evorelay.edge.socketio.packets import Malformed, Packets
from evorelay.model.close import Close
from evorelay.model.errors import Code, Refusal, StoreUnavailable
from evorelay.model.principal import Principal
from evorelay.protocol import socketio as wire
from evorelay.protocol.socketio import Kind, Packet
from evorelay.protocol.socketio_events import SocketIoDialect
from evorelay.relay.room_session import Opened, RoomSession
from evorelay.relay.session import Engine, Position
from evorelay.relay.sessions import Sessions
from evorelay.relay.socket_memory import SocketMemory

STALE_AFTER_S = 10.0
PID_BYTES = 18
"""Of chance: with its ``pid`` and its agent's credential a client gets what it missed."""


class SocketIoEdge:
    """``Handler`` of the Engine.IO server; one per daemon."""

    def __init__(
        self,
        engine: Engine,
        sessions: Sessions,
        memory: SocketMemory,
        events: Events,
        authenticator: Authenticator,
        dialect: SocketIoDialect,
    ) -> None:
        self.engine = engine
        self.sessions = sessions
        self.memory = memory
        self.events = events
        self.authenticator = authenticator
        self.dialect = dialect
        self._by_pid: dict[str, RoomSession] = {}

    def enter(self, session: RoomSession) -> None:
        """A client is in. Where it left behind a connection that we still believe in, that ends."""
        older = self._by_pid.get(session.pid)
        if older is not None:
            older.close_asap(Close.NO_PONG)
        self._by_pid[session.pid] = session
        self.sessions.add(session)

    def leave(self, session: RoomSession) -> None:
        """A client is gone, and all it held with it."""
        if self._by_pid.get(session.pid) is session:
            del self._by_pid[session.pid]
        self.sessions.remove(session)
        session.leave()

    async def serve(self, socket: EngineSocket) -> None:
        """Serve a connection until it ends. Raises what its socket raises when it is gone."""
        try:
            reason = await _Connection(self, socket).serve()
        except Malformed:
            reason = Close.BAD_REQUEST
        socket.close_asap(reason)


class _Welcome(Struct, frozen=True):
    """A client that was let in and has not been told so yet."""

    session: RoomSession
    opened: Opened


class _Connection:
    def __init__(self, edge: SocketIoEdge, socket: EngineSocket) -> None:
        self._edge = edge
        self._socket = socket
        self._packets = Packets(socket)

    async def serve(self) -> Close:
        """Returns why the connection must end."""
        while True:
            reason = await self._visit()
            if reason is not None:
                return reason

    async def _visit(self) -> Close | None:
        """Serve a client from its CONNECT on; None when it has left and may connect again."""
        welcome = await self._greet()
        if isinstance(welcome, Close):
            return welcome
        session = welcome.session
        try:
            self._socket.admit()
            self._socket.sender = session
            self._edge.enter(session)
            with session.scope:
                await self._welcome(session, welcome.opened)
                del welcome  # all that was missed is not to be kept as long as the client stays
                return await self._attend(session)
            assert session.close_reason is not None  # nothing else cancels this scope
            if not session.close_reason.reconnect:
                self._socket.push(wire.encode_disconnect())
            return session.close_reason
        finally:
            self._leave(session)

    async def _greet(self) -> _Welcome | Close:
        """Wait for a client that may come in."""
        sessions = self._edge.sessions
        with trio.move_on_after(STALE_AFTER_S) as patience, sessions.stranger(patience):
            while True:
                packet = await self._packets.next()
                if packet.kind is not Kind.CONNECT:
                    return Close.BAD_REQUEST
                namespace, credentials = packet.namespace, Credentials.of(packet.data)
                del packet  # a large one is not to be kept while anybody waits
                if namespace != wire.MAIN:
                    await self._refuse_namespace(namespace)
                    continue
                try:
                    return await self._let_in(credentials)
                except StoreUnavailable:
                    return Close.SERVER_ERROR
                except Refusal as refusal:
                    if refusal.code is Code.UNAVAILABLE:
                        # After ``connect_error`` a client stays away; now it comes back by itself.
                        return Close.SERVER_ERROR
                    data = {"code": refusal.code.code, "message": refusal.message}
                    await self._socket.send(wire.encode_connect_error("unauthorized", data))
        return Close.SHUTDOWN if sessions.is_closing else Close.STALE

    async def _let_in(self, credentials: Credentials) -> _Welcome:
        principal = await self._principal(credentials)
        if credentials.since is not None:
            welcome = await self._open(principal, credentials.pid, credentials.since)
            if welcome.opened.recovered:
                return welcome
            welcome.session.leave()
        return await self._open(principal, token_urlsafe(PID_BYTES), None)

    async def _principal(self, credentials: Credentials) -> Principal:
        request = self._socket.request
        token = credentials.token_or(request.header(b"authorization"))
        if not token and request.trusted is not None:
            return request.trusted
        return await self._edge.authenticator.authenticate(token)

    async def _open(self, principal: Principal, pid: str, since: Position | None) -> _Welcome:
        edge = self._edge
        session = RoomSession(
            _public_id(pid),
            principal,
            edge.dialect,
            self._socket,
            edge.engine,
            edge.memory,
            pid=pid,
        )
        try:
            return _Welcome(session, await session.open(since))
        except BaseException:
            session.leave()
            raise

    async def _attend(self, session: RoomSession) -> Close | None:
        """Do what a client asks for until it disconnects, or breaks the protocol."""
        while True:
            packet = await self._packets.next()
            if packet.namespace != wire.MAIN:
                if packet.kind is not Kind.CONNECT:
                    return Close.BAD_REQUEST
                await self._refuse_namespace(packet.namespace)
            elif packet.kind is Kind.EVENT:
                await self._handle(session, packet)
            elif packet.kind is Kind.DISCONNECT:
                return None
            elif packet.kind is not Kind.ACK:
                return Close.BAD_REQUEST
            del packet  # a large one is not to be kept until the next

    async def _welcome(self, session: RoomSession, opened: Opened) -> None:
        """Let the client in, tell it what it missed, and go live."""
        dialect, principal = self._edge.dialect, session.principal
        place = wire.offset_text(opened.position.offset, opened.position.epoch)
        told = {
            "user": principal.sub,
            "role": principal.role,
            "expiresAt": principal.expires_at,
            "recovered": opened.recovered,
        }
        frames = [
            wire.encode_connect(session.id, session.pid),
            *map(dialect.encode_event, opened.missed),
            # Last, so that the client's place is where we go on, also when it has heard nothing
            # yet, or still remembers a place of another session.
            wire.encode_event("signed-in", told, place),
        ]
        await self._socket.send(b"".join(frames))
        session.opened(opened)

    def _leave(self, session: RoomSession) -> None:
        self._socket.sender = None
        self._edge.leave(session)

    async def _handle(self, session: RoomSession, packet: Packet) -> None:
        name, *args = packet.data
        try:
            answer = await self._edge.events.call(session, name, args)
        except Refusal as refusal:
            await self._fail(packet, refusal.code, refusal.message)
        except StoreUnavailable:
            await self._fail(packet, Code.UNAVAILABLE, "this cannot be done now; try again later")
        else:
            frames = answer.frames
            if packet.id is not None:
                frames += wire.encode_ack(packet.id, {"ok": True, **answer.ack})
            if frames:
                await self._socket.send(frames)

    async def _fail(self, packet: Packet, code: Code, message: str) -> None:
        error = {"code": code.code, "message": message}
        if packet.id is None:
            frames = wire.encode_event("error", {**error, "event": str(packet.data[0])[:100]})
        else:
            frames = wire.encode_ack(packet.id, {"ok": False, "error": error})
        await self._socket.send(frames)

    async def _refuse_namespace(self, namespace: str) -> None:
        await self._socket.send(wire.encode_connect_error("Invalid namespace", namespace=namespace))


def _public_id(pid: str) -> str:
    """The id that others may see; the same for a session that was recovered."""
    return urlsafe_b64encode(sha256(pid.encode()).digest()[:15]).decode()
