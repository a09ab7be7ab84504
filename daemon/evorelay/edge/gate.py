"""The gate: one port, every connection's first bytes, one decision per request.

A plain webhook POST is served here, on the hot path. A WebSocket upgrade goes to trio-websocket
over a FrameStream, a polling client's request to Engine.IO. Everything else, and every unusual
webhook, goes to Hypercorn with the bytes already read. So the fast path stays small and strict, and
correctness never depends on it.
"""

import logging

import trio

from evorelay.config import ServerConfig
from evorelay.edge.answering import (
    LAST_LINGER_S,
    LINGER_S,
    answer_last,
    linger,
    refusal_in_words,
    response,
    send,
    turn_away,
)
from evorelay.edge.engineio.polling import Polling
from evorelay.edge.framestream import Transport
from evorelay.edge.handover import Handover
from evorelay.edge.inbound import Inbound
from evorelay.edge.listeners import Listener
from evorelay.edge.request_context import Peer, Proxies
from evorelay.edge.ws import WebSocketEdge
from evorelay.protocol.http_head import BadRequest, Head
from evorelay.protocol.peers import is_forwarded
from evorelay.protocol.webhook import WebhookPath, match_path
from evorelay.relay.ingest import Answer, Ingest
from evorelay.relay.refusal_log import RefusalLog
from evorelay.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

HOT_BODY_BYTES_MAX = 256 * 1024
"""A larger body is streamed to disk instead of being held."""


class Gate:
    def __init__(
        self,
        config: ServerConfig,
        ingest: Ingest,
        websockets: WebSocketEdge,
        handover: Handover,
        metrics: Metrics,
        polling: Polling,
    ) -> None:
        self._config = config
        self._ingest = ingest
        self._websockets = websockets
        self._handover = handover
        self._metrics = metrics
        self._polling = polling
        self._proxies = Proxies(config.trusted_proxies)
        self._refusals = RefusalLog("connection")
        self._accepting = trio.CancelScope()
        self._open: set[Inbound] = set()
        self._draining = False

    async def run(
        self,
        listeners: list[Listener],
        *,
        task_status: trio.TaskStatus[list[Listener]] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until ``close_asap``; returns when the last connection has ended."""
        async with trio.open_nursery() as connections:
            with self._accepting:
                await trio.serve_listeners(
                    self._serve, listeners, handler_nursery=connections, task_status=task_status
                )

    def close_asap(self) -> None:
        """Accept nothing new, end idle connections, let requests under way be answered."""
        self._draining = True
        self._accepting.cancel()
        self._handover.close_asap()
        for inbound in self._open:
            self._hurry(inbound)

    def _hurry(self, inbound: Inbound) -> None:
        """Half of the drain is for what peers owe, the other for what we make of it."""
        inbound.hurry(self._config.drain_timeout / 2)

    @property
    def connections(self) -> int:
        return len(self._open)

    @property
    def _linger_s(self) -> float:
        return LAST_LINGER_S if self._draining else LINGER_S

    async def _serve(self, transport: Transport) -> None:
        if len(self._open) >= self._config.max_connections:
            await self._turn_away(transport)
            return
        inbound = Inbound(transport, self._config)
        if self._draining:
            self._hurry(inbound)
        self._open.add(inbound)
        try:
            with inbound.scope:
                await self._requests(transport, inbound)
                inbound.busy = False
                await linger(transport, self._linger_s)
            if inbound.scope.cancelled_caught and inbound.owes and inbound.is_late:
                await answer_last(transport, _too_late(inbound))
                await linger(transport, self._linger_s)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the peer went away, as peers do
        except Exception:
            # The boundary of a connection: a bug in one must not end its neighbours.
            log.exception("a connection ended with an error")
        finally:
            self._open.discard(inbound)
            with trio.move_on_after(1, shield=True):
                await transport.aclose()

    async def _turn_away(self, transport: Transport) -> None:
        """There is no room. Evolution and clients come back after a 503."""
        self._metrics.webhook_refused("unavailable")
        self._refusals.note(
            logging.ERROR,
            f"{self._config.max_connections} are open",
            peer=None,
            advice="raise server.max_connections, and LimitNOFILE with it",
        )
        turn_away(transport)
        await transport.aclose()

    async def _requests(self, transport: Transport, inbound: Inbound) -> None:
        peer = await self._meet(transport, inbound)
        while True:  # a request that comes while we drain is answered, and is the last one
            try:
                head = await inbound.read_head()
            except BadRequest as error:
                self._metrics.webhook_refused("bad_request")
                inbound.busy = True
                await answer_last(transport, refusal_in_words(error.status, error.message))
                return
            if head is None:
                return
            inbound.busy = True
            if not await self._request(transport, inbound, head, peer):
                return
            inbound.busy = False

    async def _meet(self, transport: Transport, inbound: Inbound) -> Peer:
        """Learn who connects; a TLS handshake happens here, within the time for a head."""
        if isinstance(transport, trio.SSLStream):
            inbound.allow(self._config.header_timeout)
            await transport.do_handshake()
        return Peer.of(transport)

    async def _request(
        self, transport: Transport, inbound: Inbound, head: Head, peer: Peer
    ) -> bool:
        """Serve one request; whether another one may follow on this connection."""
        if head.upgrade == "websocket" and head.method == "GET":
            await self._upgrade(transport, inbound, head, peer)
            return False
        path = match_path(head.target) if head.method == "POST" else None
        if path is not None:
            refused = self._ingest.refuse(
                path,
                head.headers,
                peer=peer.address,
                forwarded=is_forwarded(head.headers),
                length=None if head.chunked else head.content_length,
            )
            if refused is not None:
                return await self._refuse(transport, inbound, head, refused)
            if _is_plain(head):
                return await self._webhook(transport, inbound, head, path)
        inbound.scope.deadline = float("inf")
        context = self._proxies.context(head, peer)
        if self._polling.serves(head.target):
            return await self._polling.serve(transport, inbound, head, context)
        return await self._handover.serve(transport, inbound, head, context)

    async def _webhook(
        self, transport: Transport, inbound: Inbound, head: Head, path: WebhookPath
    ) -> bool:
        """The hot path."""
        began = trio.current_time()
        raw = await inbound.read_body(head.content_length)
        if raw is None:
            return False
        answer = await self._ingest.take(path, raw)
        keep = head.keep_alive and not answer.close and not self._draining
        await send(transport, inbound, response(answer, keep=keep, version=head.version))
        self._ingest.answered(answer, trio.current_time() - began)
        return keep

    async def _refuse(
        self, transport: Transport, inbound: Inbound, head: Head, answer: Answer
    ) -> bool:
        """Answer without looking at the body; a small one is skipped to keep the connection."""
        skip = _is_plain(head) and not answer.close
        if skip and await inbound.read_body(head.content_length) is None:
            return False
        keep = skip and head.keep_alive and not self._draining
        await send(transport, inbound, response(answer, keep=keep, version=head.version))
        self._ingest.answered(answer, 0.0)
        return keep

    async def _upgrade(
        self, transport: Transport, inbound: Inbound, head: Head, peer: Peer
    ) -> None:
        refused = self._websockets.refusal(head, self._proxies.context(head, peer))
        if refused is None and self._draining:
            refused = refusal_in_words(503, "EvoRelay is restarting; connect again")
        if refused is None and inbound.buffer:
            # RFC 6455 §4.1; the WebSocket library would leave these bytes lying.
            refused = refusal_in_words(
                400, "wait for the answer to the handshake before sending more"
            )
        if refused is not None:
            if refused.status == 403:
                self._refusals.note(
                    logging.WARNING,
                    "its page is not in auth.allowed_origins",
                    peer=head.header(b"origin"),
                    advice="list the origin there if the page is yours",
                )
            await answer_last(transport, refused)
            return
        inbound.scope.deadline = float("inf")  # from here on the session looks after itself
        await self._websockets.serve(transport, head, peer=peer.address)


def _too_late(inbound: Inbound) -> Answer:
    if inbound.is_hurried:  # not the sender's fault: it shall come again
        return refusal_in_words(503, "EvoRelay is restarting; send it again")
    return refusal_in_words(408, f"the request's {inbound.owes} did not come in time")


def _is_plain(head: Head) -> bool:
    return (
        not head.chunked
        and not head.expects_continue
        and not head.upgrade
        and head.content_length <= HOT_BODY_BYTES_MAX
    )
