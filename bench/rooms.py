"""The daemon's hub by itself, with one room full of Socket.IO clients that take everything."""

import time
from collections.abc import Sequence

from msgspec import Struct

from evorelay.model.close import Close
from evorelay.model.event import ChannelEvent
from evorelay.model.records import EventRecord
from evorelay.protocol.socketio_events import SocketIoDialect
from evorelay.relay.cache import RecentEvents
from evorelay.relay.feed import AnyFeed
from evorelay.relay.hub import Hub
from evorelay.relay.merged_feed import MergedFeed
from evorelay.telemetry.metrics import NopMetrics

ROOM = "inbox:bench-0000"
_DATA = (
    '{"type":"message.created","ticket_id":"01a20594-b8ce-740c-bb36-485efd3dbffa",'
    '"message":{"id":"01a20594-b8ce-7a70-b1bf-6ecacb5b52e0","ticket_id":'
    '"01a20594-b8ce-740c-bb36-485efd3dbffa","instance":"bench-0000","direction":"in",'
    '"sender_name":"Maria Teste","type":"text","content":"Oi!","status":"received"}}'
)


class Counted(Struct, frozen=True):
    encodings: int
    pushes: int
    cpu_s: float


class _CountingDialect(SocketIoDialect):
    def __init__(self) -> None:
        super().__init__("epoch")
        self.encodings = 0

    def encode_event(self, event: ChannelEvent) -> bytes:
        self.encodings += 1
        return super().encode_event(event)


class _Client:
    """A session that is never behind."""

    is_closed = False

    def __init__(self, dialect: SocketIoDialect, number: int) -> None:
        self.dialect = dialect
        self.pid = str(number)
        self.pushes = 0

    def push(self, frame: bytes) -> bool:
        self.pushes += 1
        return True

    def idle(self) -> bool:
        return True

    def close_asap(self, reason: Close) -> None:
        raise AssertionError(reason)


class _NoLaggards:
    def enlist(self, feed: AnyFeed) -> None:
        raise AssertionError("a client fell behind that takes everything")


def count_encodings(clients: int, events: int) -> Counted:
    """Publish ``events``, each in a commit of its own, to ``clients`` in one room."""
    hub = Hub(RecentEvents(ttl_ms=0, bytes_max=0), _NoLaggards(), NopMetrics(), position=0)
    dialect = _CountingDialect()
    audience = [_Client(dialect, number) for number in range(clients)]
    for client in audience:
        feed = MergedFeed(client)
        hub.attach_merged(feed, ROOM)
        feed.cursors[ROOM] = 0
        hub.settle(feed, {})
    cpu = time.process_time()
    for event in _events(events):
        hub.publish([event])
    cpu = time.process_time() - cpu
    return Counted(dialect.encodings, sum(client.pushes for client in audience), cpu)


def _events(count: int) -> Sequence[EventRecord]:
    return [
        EventRecord(
            at=number, type="message.created", data=_DATA, positions=[(ROOM, number)], id=number
        )
        for number in range(1, count + 1)
    ]
