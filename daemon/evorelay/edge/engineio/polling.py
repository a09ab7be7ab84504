"""The long-polling transport: GETs that wait for packets, POSTs that bring some.

A GET waits in the gate's own task of its connection; whoever pushes a frame wakes it. There is at
most one GET and one POST of a session at a time: a second ends the session, as the order of
packets would be anybody's guess (Engine.IO 4, "Sending and receiving data").
"""

import logging

from evorelay.config import AuthConfig
from evorelay.edge.answering import send
from evorelay.edge.engineio.body import TooLarge, read_body
from evorelay.edge.engineio.http import (
    HTML,
    JSON,
    NO_ROOM,
    RETRY_AFTER,
    SLICE_BYTES,
    TEXT,
    Exchange,
)
from evorelay.edge.engineio.poll_buffer import PollBuffer
from evorelay.edge.engineio.server import EngineServer
from evorelay.edge.engineio.socket import EngineSocket, State
from evorelay.edge.framestream import Transport
from evorelay.edge.inbound import Inbound
from evorelay.edge.request_context import RequestContext
from evorelay.protocol.engineio import Fault, Kind, decode_payload, find_fault, read_query
from evorelay.protocol.http_head import BadRequest, Head
from evorelay.protocol.origin import OriginPolicy
from evorelay.relay.refusal_log import RefusalLog


class Polling:
    def __init__(self, server: EngineServer, auth: AuthConfig) -> None:
        """Raise ConfigError for an origin that cannot be used."""
        self._server = server
        self._origins = OriginPolicy(auth.allowed_origins)
        self._refusals = RefusalLog("connection")

    def serves(self, target: str) -> bool:
        return self._server.serves(target)

    async def serve(
        self, transport: Transport, inbound: Inbound, head: Head, context: RequestContext
    ) -> bool:
        """Answer one request; whether another may follow on this connection."""
        exchange = Exchange(transport, inbound, head, context)
        if self._server.is_draining:
            exchange.keeps = False
        origin = head.header(b"origin")
        if not self._origins.allows(origin, scheme=context.scheme, host=context.host):
            self._refusals.note(
                logging.WARNING,
                "its page is not in auth.allowed_origins",
                peer=origin,
                advice="list the origin there if the page is yours",
            )
            return await exchange.refuse(Fault.FORBIDDEN)
        exchange.allow_page()
        if head.method == "OPTIONS":
            return await exchange.preflight()
        try:
            query = read_query(head.target)
        except ValueError:
            return await exchange.refuse(Fault.BAD_REQUEST)
        socket = self._server.find(query.sid) if query.sid else None
        current = None if socket is None else socket.transport
        fault = find_fault(query, head.method, is_upgrade=False, current=current)
        if fault is not None:
            return await exchange.refuse(fault)
        if socket is None:
            return await self._handshake(exchange)
        if head.method == "GET":
            return await self._poll(exchange, socket)
        return await self._post(exchange, socket)

    async def _handshake(self, exchange: Exchange) -> bool:
        context = exchange.context
        socket = self._server.open(exchange.head, context.peer, PollBuffer())
        if socket is None:
            return await exchange.answer(503, NO_ROOM, JSON, RETRY_AFTER)
        try:
            return await exchange.answer(200, self._server.opening(socket), TEXT)
        except BaseException:
            socket.end()  # nobody knows its name
            raise

    async def _poll(self, exchange: Exchange, socket: EngineSocket) -> bool:
        buffer = socket.buffer
        assert buffer is not None
        if buffer.is_polled:
            socket.end()
            return await exchange.refuse(Fault.BAD_REQUEST)
        is_done = False
        try:
            payload = await buffer.next_payload(exchange.inbound)
            if payload is None:
                return False
            if payload:
                if self._server.is_draining:
                    exchange.keeps = False
                await self._write(exchange, buffer, payload)
                is_done = not buffer.is_spent
                return exchange.keeps
            is_done = True
            return await exchange.refuse(Fault.BAD_REQUEST)
        finally:
            if not is_done:
                socket.end()  # what was in an answer that is not read is lost

    async def _write(self, exchange: Exchange, buffer: PollBuffer, payload: bytes) -> None:
        data = exchange.head_of(200, TEXT, len(payload)) + payload
        for at in range(0, len(data), SLICE_BYTES):
            await send(exchange.transport, exchange.inbound, data[at : at + SLICE_BYTES])
            buffer.progressed()
        buffer.written()

    async def _post(self, exchange: Exchange, socket: EngineSocket) -> bool:
        if socket.is_posting:
            socket.end()
            return await exchange.refuse(Fault.BAD_REQUEST)
        socket.is_posting = True
        is_done = False
        try:
            bytes_max, body = socket.payload_max, None
            try:
                with socket.reading() as reading:
                    body = await read_body(
                        exchange.transport, exchange.inbound, exchange.head, bytes_max
                    )
            except TooLarge:
                is_done = True
                words = b"a payload is at most %d bytes here" % bytes_max
                return await exchange.answer(413, words, TEXT)
            except BadRequest:
                return await exchange.refuse(Fault.BAD_REQUEST)
            if reading.cancelled_caught:
                exchange.inbound.owes = ""
                is_done = socket.state is State.CLOSING  # its last words may still be fetched
                return await exchange.refuse(Fault.BAD_REQUEST)
            if body is None:
                return False
            exchange.keeps = exchange.head.keep_alive and not self._server.is_draining
            is_done = await self._take(socket, body)
        finally:
            # Before the answer: the client may send its next POST once it has read that.
            socket.is_posting = False
            if not is_done:
                socket.end()
        if is_done:
            return await exchange.answer(200, b"ok", HTML)
        return await exchange.refuse(Fault.BAD_REQUEST)

    async def _take(self, socket: EngineSocket, body: bytes) -> bool:
        """Pass a payload's packets on; whether all of them were in order."""
        try:
            packets = decode_payload(body)
        except ValueError:
            return False
        for packet in packets:
            if socket.state is not State.OPEN:
                # What is said to a handler that is done is not heard; its last words still are.
                return socket.state is State.CLOSING
            if not await socket.take(packet):
                return False
            if packet.kind is Kind.CLOSE:
                break
        await socket.wait_settled()
        return True
