"""The WebSocket transport: a session of its own, or one that came by polling and moves over."""

import trio
from trio_websocket import ConnectionClosed

from evorelay.edge.engineio.http import NO_ROOM
from evorelay.edge.engineio.server import EngineServer
from evorelay.edge.engineio.socket import EngineSocket
from evorelay.edge.framestream import FrameStream
from evorelay.edge.ws_connection import Connection
from evorelay.model.close import Close
from evorelay.model.errors import RETRY_AFTER_S
from evorelay.protocol.engineio import (
    PROBE,
    PROBED,
    Fault,
    Kind,
    Packet,
    decode_packet,
    find_fault,
    read_query,
)
from evorelay.protocol.frame import text_frame
from evorelay.protocol.http_head import Head
from evorelay.relay.ingest import Answer


class WebSockets:
    def __init__(self, server: EngineServer) -> None:
        self._server = server

    def serves(self, target: str) -> bool:
        return self._server.serves(target)

    def refusal(self, head: Head) -> Answer | None:
        """How to refuse an upgrade; None accepts it."""
        try:
            query = read_query(head.target)
        except ValueError:
            return answer_to(Fault.BAD_REQUEST)
        socket = self._server.find(query.sid) if query.sid else None
        current = None if socket is None else socket.transport
        fault = find_fault(query, head.method, is_upgrade=True, current=current)
        if fault is not None:
            return answer_to(fault)
        if socket is None and not self._server.has_room():
            return Answer(503, NO_ROOM, RETRY_AFTER_S)
        return None

    async def serve(
        self, ws: Connection, stream: FrameStream, head: Head, *, peer: str | None
    ) -> Close | None:
        """Serve an accepted WebSocket until it ends; returns the reason to close it with."""
        sid = read_query(head.target).sid
        if not sid:
            socket = self._server.open(head, peer, stream)
            if socket is None:
                return Close.SHUTDOWN
            stream.push(text_frame(self._server.opening(socket)))
        else:
            found = self._server.find(sid)
            if found is None or found.buffer is None or found.is_linked:
                return None  # the session has a WebSocket, or is over; neither is disturbed
            socket = found
        try:
            with socket.link(ws) as link:
                if socket.buffer is not None:
                    link.deadline = trio.current_time() + self._server.options.upgrade_timeout_s
                    if not await _upgrades(ws, stream, socket):
                        return None
                    link.deadline = float("inf")
                while await _hears(ws, socket):
                    pass
        except (ConnectionClosed, trio.BrokenResourceError):
            return None
        return socket.close_reason


async def _upgrades(ws: Connection, stream: FrameStream, socket: EngineSocket) -> bool:
    """Whether the client tries this WebSocket out and moves to it."""
    if await _packet(ws) != Packet(Kind.PING, PROBE) or socket.buffer is None:
        return False
    stream.push(PROBED)
    socket.buffer.probe(True)
    if await _packet(ws) != Packet(Kind.UPGRADE) or socket.buffer is None:
        return False
    socket.upgrade(stream)
    return True


async def _hears(ws: Connection, socket: EngineSocket) -> bool:
    """Pass the next packet on, and keep nothing of it; False when it is the last."""
    packet = await _packet(ws)
    return packet is not None and await socket.take(packet)


async def _packet(ws: Connection) -> Packet | None:
    """What came next; None when it is no packet."""
    try:
        return decode_packet(await ws.get_message())
    except ValueError:
        return None


def answer_to(fault: Fault) -> Answer:
    return Answer(fault.status, fault.body)
