"""One real port: gate, ingest, journal, Hypercorn, Centrifuge, on real sockets and real SQLite.

The HTTP application behind Hypercorn is a small one that misbehaves on request.
"""

import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

import jwt
import msgspec
import trio

from evorelay.config import AuthConfig, OutboxConfig, ServerConfig, WebhookConfig
from evorelay.edge.auth import Authenticator
from evorelay.edge.centrifuge import CentrifugeEdge
from evorelay.edge.engineio.options import EngineOptions
from evorelay.edge.engineio.polling import Polling
from evorelay.edge.engineio.server import EngineServer
from evorelay.edge.engineio.websocket import WebSockets
from evorelay.edge.framestream import Flusher
from evorelay.edge.gate import Gate
from evorelay.edge.handover import Handover
from evorelay.edge.listeners import listeners, listening_sockets
from evorelay.edge.rpc import Rpc
from evorelay.edge.socketio.connection import SocketIoEdge
from evorelay.edge.socketio.events import Events
from evorelay.edge.unusual_webhooks import UnusualWebhooks
from evorelay.edge.ws import WebSocketEdge
from evorelay.model.clock import now_ms
from evorelay.model.envelope import Envelope
from evorelay.model.ids import new_id
from evorelay.protocol.manners import Manners
from evorelay.protocol.socketio_events import SocketIoDialect
from evorelay.relay.blobs import BlobStore
from evorelay.relay.cache import RecentEvents
from evorelay.relay.catchup import CatchUp
from evorelay.relay.desk import Desk
from evorelay.relay.hub import Hub
from evorelay.relay.ingest import Ingest
from evorelay.relay.instance_signals import InstanceSignals
from evorelay.relay.instances import InstanceNews
from evorelay.relay.journal import Journal
from evorelay.relay.lanes import Lanes
from evorelay.relay.ledger import Ledger
from evorelay.relay.outbox import Outbox
from evorelay.relay.overview import Overview, standing
from evorelay.relay.pipeline import Pipeline
from evorelay.relay.reading import Reader
from evorelay.relay.reads import Reads
from evorelay.relay.reconnects import Reconnects
from evorelay.relay.replay import Replay
from evorelay.relay.session import Engine
from evorelay.relay.sessions import Sessions
from evorelay.relay.socket_memory import SocketMemory
from evorelay.relay.trace import Traces
from evorelay.storage.open import Storage, open_storage
from evorelay.telemetry.metrics import NopMetrics, Totals
from tests.engine.evolution import PlayedEvolution
from tests.engine.replying import NoFiles
from tests.engine.watched import Evolution
from tests.support.backups import backups_of

WEBHOOK_SECRET = "webhook-secret-of-the-edge-tests"
JWT_SECRET = "jwt-secret-of-the-edge-tests-0123456789abcdef"
HOOK = f"/hook/{WEBHOOK_SECRET}"


class App:
    """An ASGI application whose paths do what the tests need; says what it saw."""

    def __init__(self) -> None:
        self.scopes: list[Any] = []
        self.body_bytes = 0
        self.entered = trio.Event()
        self.disconnected = trio.Event()
        self.may_answer = trio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        self.entered.set()
        await getattr(self, scope["path"].strip("/").replace("-", "_"))(scope, receive, send)

    async def hello(self, scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"hello")

    async def echo(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] != "http.request":
                self.disconnected.set()
                return
            body += message["body"]
            self.body_bytes = len(body)
            if not message["more_body"]:
                break
        await answer(send, body)

    async def ignore(self, scope: Any, receive: Any, send: Any) -> None:
        await answer(send, b"not interested")

    async def big(self, scope: Any, receive: Any, send: Any) -> None:
        await answer(send, bytes(int(scope["query_string"])))

    async def unmodified(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", b"x")]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def streamed(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for part in (b"one ", b"two ", b"three"):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def boom(self, scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("a bug in the application")

    async def boom_late(self, scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"content-length", b"100")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise RuntimeError("a bug in the application")

    async def when_allowed(self, scope: Any, receive: Any, send: Any) -> None:
        await self.may_answer.wait()
        await answer(send, b"at last")

    async def until_gone(self, scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.disconnected.set()


async def answer(send: Any, body: bytes) -> None:
    headers = [(b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


class Response(msgspec.Struct, frozen=True):
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def closes(self) -> bool:
        return self.headers.get("connection") == "close"


class Client:
    """An HTTP client that sends exactly the bytes it is given and reads one answer at a time."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream
        self._held = b""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *args: object) -> None:
        await trio.aclose_forcefully(self.stream)

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def answer(self, *, to_head: bool = False) -> Response:
        """The next answer; ``to_head`` expects no body, as after HEAD."""
        head = (await self._until(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        status = int(first.split(" ")[1])
        body = b""
        if to_head or status in (100, 101, 204, 304):
            pass
        elif headers.get("transfer-encoding") == "chunked":
            while size := int(await self._until(b"\r\n"), 16):
                body += await self._exactly(size)
                await self._exactly(2)
            await self._exactly(2)
        else:
            body = await self._exactly(int(headers["content-length"]))
        return Response(status, headers, body)

    async def call(self, data: bytes) -> Response:
        await self.send(data)
        return await self.answer()

    async def is_ended(self) -> bool:
        """Wait for the end of the connection; false when something else comes instead."""
        try:
            return not self._held and not await self.stream.receive_some()
        except trio.BrokenResourceError:
            return True

    async def _fill(self) -> None:
        data = await self.stream.receive_some(65536)
        if not data:
            raise EOFError(f"the connection ended after {self._held!r}")
        self._held += data

    async def _until(self, mark: bytes) -> bytes:
        while mark not in self._held:
            await self._fill()
        end = self._held.index(mark) + len(mark)
        found, self._held = self._held[:end], self._held[end:]
        return found

    async def _exactly(self, size: int) -> bytes:
        parts, got = [self._held], len(self._held)
        while got < size:
            self._held = b""
            await self._fill()
            parts.append(self._held)
            got += len(self._held)
        whole = b"".join(parts)
        self._held = whole[size:]
        return whole[:size]


class Port:
    """A served port and what is behind it. ``free_bytes`` is what the disk pretends to have."""

    def __init__(
        self,
        storage: Storage,
        blobs: BlobStore,
        server: ServerConfig,
        webhook: WebhookConfig,
        auth: AuthConfig,
        engineio: EngineOptions,
    ) -> None:
        self.server = server
        self.app = App()
        self.free_bytes = 1 << 40
        self.journal = Journal(
            storage.journal, NopMetrics(), free_bytes=lambda: self.free_bytes, free_bytes_min=1
        )
        self.journaled = storage.journal
        metrics = NopMetrics()
        cache = RecentEvents(ttl_ms=60_000, bytes_max=1 << 22)
        reads = Reads(storage.readers)
        self.catchup = CatchUp(cache, reads, metrics)
        self.flusher = Flusher(metrics.webhook_to_browser_seconds)
        self.hub = Hub(
            cache,
            self.catchup,
            metrics,
            position=storage.readers[0].position(),
            on_pushed=self.flusher.pushed,
        )
        ledger = Ledger(storage.writer, self.hub, new_id=new_id, now=now_ms)
        signals = InstanceSignals()
        news = InstanceNews(ledger, signals)
        manners = Manners(zone=ZoneInfo("America/Sao_Paulo"))
        self.evolution = PlayedEvolution(now_ms)
        self.lanes = Lanes(
            self.evolution, ledger, reads, signals, OutboxConfig(), manners, metrics, now=now_ms
        )
        self.pipeline = Pipeline(
            self.journal,
            ledger,
            Reader(blobs),
            news,
            self.lanes,
            metrics,
            now=now_ms,
            reopen_within_ms=3_600_000,
        )
        desk = Desk(reads, ledger, self.hub)
        replay = Replay(
            reads,
            ledger,
            self.journal,
            Reader(blobs),
            handled=lambda: self.pipeline.cursor,
            reopen_within_ms=3_600_000,
        )
        outbox = Outbox(
            ledger,
            reads,
            self.lanes,
            self.evolution,
            NoFiles(),
            manners,
            metrics,
            reopen_within_ms=3_600_000,
            queued_max=10_000,
            same_command_within_ms=10_000,
        )
        reconnects = Reconnects(Evolution(), ledger, reads, news, cooldown_s=60.0, now=now_ms)
        self.sessions = Sessions(self.hub, metrics, now=now_ms)
        self.epoch = storage.readers[0].epoch()
        engine = Engine(self.hub, cache, reads, desk, self.catchup, self.epoch)
        overview = Overview(
            Totals(),
            reads,
            partial(standing, self.sessions, self.pipeline, self.lanes),
            now=now_ms,
        )
        backups = backups_of(storage, ledger, reads, metrics)
        traces = Traces(reads, self.journal)
        rpc = Rpc(desk, self.hub, replay, reconnects, outbox, overview, traces, backups)
        authenticator = Authenticator(auth, None, now_ms)
        self.centrifuge = CentrifugeEdge(
            engine, self.sessions, rpc, authenticator, new_id=new_id, now=now_ms
        )
        dialect = SocketIoDialect(self.epoch)
        events = Events(dialect, desk, outbox, rpc, authenticator, new_id=new_id)
        memory = SocketMemory(ledger, reads)
        socketio = SocketIoEdge(engine, self.sessions, memory, events, authenticator, dialect)
        self.engineio = EngineServer(socketio, engineio, auth)
        ingest = Ingest(webhook, self.journal, blobs, metrics, now=now_ms)
        self.gate = Gate(
            server,
            ingest,
            WebSocketEdge(self.centrifuge, auth, self.flusher, WebSockets(self.engineio)),
            Handover(UnusualWebhooks(ingest, self.app)),
            metrics,
            Polling(self.engineio, auth),
        )
        self.is_done = trio.Event()
        """Set when ``Gate.run`` has returned."""
        self._sockets = listening_sockets(server, [])
        self.address = self._sockets[0].getsockname()

    def envelopes(self) -> list[Envelope]:
        return [entry.envelope for entry in self.journaled.read(0, 1 << 30)]

    async def connect(self, tls: ssl.SSLContext | None = None) -> Client:
        if isinstance(self.address, str):
            return Client(await trio.open_unix_socket(self.address))
        host, port = self.address[:2]
        stream = await trio.open_tcp_stream(host, port)
        if tls is None:
            return Client(stream)
        return Client(
            trio.SSLStream(stream, tls, server_hostname="relay.example", https_compatible=True)
        )

    async def serve(self, *, task_status: trio.TaskStatus[object]) -> None:
        await self.gate.run(listeners(self.server, self._sockets), task_status=task_status)
        self.is_done.set()


@asynccontextmanager
async def open_port(
    directory: Path,
    *,
    webhook: dict[str, Any] | None = None,
    auth: dict[str, Any] | None = None,
    engineio: EngineOptions | None = None,
    **server: Any,
) -> AsyncIterator[Port]:
    """Serve until the block ends; time-outs and limits are settings like any other."""
    async with AsyncExitStack() as stack:
        storage = stack.enter_context(open_storage(directory / "state", None))
        blobs = await BlobStore.open(directory / "blobs")
        nursery = await stack.enter_async_context(trio.open_nursery())
        stack.callback(nursery.cancel_scope.cancel)
        port = Port(
            storage,
            blobs,
            ServerConfig(**({"bind": "127.0.0.1:0"} | server)),
            WebhookConfig(**({"secret": WEBHOOK_SECRET} | (webhook or {}))),
            AuthConfig(**({"jwt_secret": JWT_SECRET} | (auth or {}))),
            engineio or EngineOptions(),
        )
        await nursery.start(port.flusher.run)
        await nursery.start(partial(port.catchup.run, port.hub))
        await nursery.start(port.lanes.run)
        await nursery.start(port.journal.run)
        await nursery.start(port.pipeline.run)
        await nursery.start(port.engineio.run)
        await nursery.start(port.serve)
        yield port


def request(
    target: str,
    body: bytes | None = None,
    *headers: str,
    method: str | None = None,
    host: str = "relay",
) -> bytes:
    """A plain request; with a body it is a POST that says its length."""
    lines = [f"{method or ('GET' if body is None else 'POST')} {target} HTTP/1.1", f"Host: {host}"]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, *headers, "", ""]).encode() + (body or b"")


def webhook(number: int = 1, *, pad: int = 0, text: str = "") -> bytes:
    """A webhook body that is recognised by its number."""
    return json.dumps(
        {"event": "test.number", "instance": "a", "n": number, "pad": text or "x" * pad}
    ).encode()


def post(number: int = 1, *headers: str, pad: int = 0) -> bytes:
    """A whole webhook request with the secret in its path."""
    return request(HOOK, webhook(number, pad=pad), *headers)


def numbers(port: Port) -> list[int]:
    """Which webhooks the journal holds, in its order."""
    return [msgspec.json.decode(envelope.body)["n"] for envelope in port.envelopes()]


def token(
    sub: str = "agent", *, ttl_s: int = 86_400, secret: str = JWT_SECRET, **grant: Any
) -> str:
    """A signed token; by default an admin's."""
    claims = {
        "sub": sub,
        "exp": now_ms() // 1000 + ttl_s,
        "app_metadata": {"evorelay": grant or {"role": "admin"}},
    }
    return jwt.encode(claims, secret, algorithm="HS256")


async def until(condition: Callable[[], bool], *, within_s: float = 30.0) -> None:
    """Wait for something that will become true; raise ``TooSlowError`` when it does not."""
    with trio.fail_after(within_s):
        while not condition():
            await trio.sleep(0.002)
