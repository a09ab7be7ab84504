"""The engine without its edges: real SQLite, real hub, and small real things for sockets."""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import msgspec
import trio

from evorelay.model.change import Status
from evorelay.model.close import Close
from evorelay.model.envelope import Entry, Envelope
from evorelay.model.event import ChannelEvent
from evorelay.model.fact import ChangeFact, Chat, Fact, InstanceFact, MessageFact
from evorelay.model.principal import Principal
from evorelay.model.records import EventRecord, MessageRecord, TicketRecord
from evorelay.relay.apply import Applied, Understood, apply_batch
from evorelay.relay.blobs import BlobStore
from evorelay.relay.cache import RecentEvents
from evorelay.relay.catchup import CatchUp
from evorelay.relay.channel_session import ChannelSession
from evorelay.relay.desk import Desk
from evorelay.relay.draft import Draft
from evorelay.relay.hub import Hub
from evorelay.relay.instance_signals import InstanceSignals
from evorelay.relay.instances import InstanceNews
from evorelay.relay.journal import TAIL_BYTES, Journal
from evorelay.relay.ledger import Ledger
from evorelay.relay.pipeline import Pipeline
from evorelay.relay.reading import Reader
from evorelay.relay.reads import Reads
from evorelay.relay.session import Engine, Session
from evorelay.storage.open import Storage, open_storage
from evorelay.storage.ports import StoreWriter, TicketQuery
from evorelay.telemetry.metrics import NopMetrics

GIB = 1 << 30
T0 = 1_795_000_000_000
"""Unix ms: when these tests happen."""
HOUR = 3_600_000
ADMIN = Principal(sub="chefe", role="admin", instances="*")


class Clock:
    """Wall time that moves when a test says so."""

    def __init__(self) -> None:
        self.ms = T0

    def __call__(self) -> int:
        return self.ms


def counted_ids() -> Any:
    """Ids that sort in the order they were made, like UUIDv7."""
    counter = itertools.count(1)
    return lambda: f"id{next(counter):08d}"


def webhook(
    whatsapp_id: str,
    text: str = "oi",
    *,
    phone: str = "5531988887777",
    instance: str = "loja",
    sent_at: int = T0,
) -> Envelope:
    """A customer's text in the journal's form; ``sent_at`` is Unix ms."""
    body = {
        "data": {
            "key": {"remoteJid": f"{phone}@s.whatsapp.net", "fromMe": False, "id": whatsapp_id},
            "pushName": "Ana",
            "message": {"conversation": text},
            "messageTimestamp": sent_at // 1000,
        }
    }
    return envelope(json.dumps(body).encode(), instance=instance)


def envelope(
    body: bytes = b"{}", *, event: str = "messages.upsert", instance: str = "loja", at: int = T0
) -> Envelope:
    return Envelope(received_at=at, event=event, instance=instance, body=body)


def message(
    whatsapp_id: str, *, phone: str | None = "5531988887777", lid: str | None = None, **fields: Any
) -> MessageFact:
    """A customer's text as the normaliser would say it."""
    jid = f"{phone}@s.whatsapp.net" if phone else lid
    assert jid is not None
    defaults: dict[str, Any] = {
        "instance": "loja",
        "chat": Chat(jid=jid, phone=phone, lid=lid),
        "from_me": False,
        "type": "text",
        "content": whatsapp_id,
        "sent_at": T0,
        "status": "received",
    }
    return MessageFact(whatsapp_id=whatsapp_id, **{**defaults, **fields})


def reply(whatsapp_id: str, *, status: str | None = "pending", **fields: Any) -> MessageFact:
    """A message of ours, typed on the phone."""
    return message(whatsapp_id, from_me=True, status=status, origin="phone", **fields)


def status(whatsapp_id: str, word: str) -> ChangeFact:
    return ChangeFact(instance="loja", whatsapp_id=whatsapp_id, change=Status(word))


def connection(state: str, **fields: Any) -> InstanceFact:
    return InstanceFact(instance="loja", state=state, **fields)


def quarantined_body(storage: Storage, id_: str) -> str:
    """What was kept of a webhook that was not understood; the reader only lists them."""
    with closing(apsw.Connection(str(storage.directory / "store.db"))) as db:
        return str(db.execute("SELECT body FROM quarantine WHERE id = ?", (id_,)).get)


NEW_ID = counted_ids()
"""One for all worlds: a second one over the same store goes on where the first one stopped."""


class Recorder:
    """A publisher that keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[EventRecord] = []

    def publish(self, events: Sequence[EventRecord]) -> None:
        self.events.extend(events)

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]


class NoEchoes:
    """Where nothing is sent."""

    def settled(self, outbox_ids: Iterable[str]) -> None: ...

    def merged(self, people: Iterable[tuple[str, str]]) -> None: ...


class PlainDialect:
    """Says offsets as a JSON list, anything transient as it is."""

    name = "plain"
    ping_frame = b'"ping"'

    def encode_run(self, channel: str, events: Sequence[ChannelEvent]) -> bytes:
        return msgspec.json.encode([event.offset for event in events])

    def encode_transient(self, channel: str, data: bytes) -> bytes:
        return data


class BoundedWire:
    """A client's socket: holds ``room`` bytes until somebody calls ``drain``.

    Like edge/framestream.py, an empty buffer takes a frame of any size.
    """

    def __init__(self, room: int = 1 << 20) -> None:
        self.room = room
        self.pending = 0
        self.tell_drained = False
        self.last_progress_at = 0.0
        self.frames: list[bytes] = []
        self.session: Session | None = None

    def push(self, frame: bytes) -> bool:
        if self.pending and self.pending + len(frame) > self.room:
            return False
        self.pending += len(frame)
        self.frames.append(frame)
        return True

    def drain(self) -> None:
        """The client takes everything."""
        self.pending = 0
        if self.tell_drained and self.session is not None:
            self.tell_drained = False
            self.session.drained()

    @property
    def offsets(self) -> list[int]:
        return [offset for frame in self.frames for offset in msgspec.json.decode(frame)]


class World:
    """Every part of the engine over one state directory; ``start`` runs them in a nursery."""

    def __init__(
        self,
        storage: Storage,
        blobs: BlobStore,
        *,
        writer: StoreWriter | None = None,
        tail_bytes: int = TAIL_BYTES,
        reads: Reads | None = None,
        cache_bytes: int = 1 << 20,
    ) -> None:
        self.now = Clock()
        self.free_bytes = 100 * GIB
        self.storage = storage
        self.blobs = blobs
        metrics = NopMetrics()
        self.reads = reads or Reads(storage.readers)
        self.cache = RecentEvents(ttl_ms=HOUR, bytes_max=cache_bytes)
        self.catchup = CatchUp(self.cache, self.reads, metrics)
        self.hub = Hub(self.cache, self.catchup, metrics, position=storage.readers[0].position())
        self.ledger = Ledger(writer or storage.writer, self.hub, new_id=NEW_ID, now=self.now)
        self.journal = Journal(
            storage.journal,
            metrics,
            free_bytes=lambda: self.free_bytes,
            free_bytes_min=GIB,
            tail_bytes=tail_bytes,
        )
        self.signals = InstanceSignals()
        self.news = InstanceNews(self.ledger, self.signals)
        self.pipeline = Pipeline(
            self.journal,
            self.ledger,
            Reader(blobs),
            self.news,
            NoEchoes(),
            metrics,
            now=self.now,
            reopen_within_ms=24 * HOUR,
        )
        self.desk = Desk(self.reads, self.ledger, self.hub)
        self.engine = Engine(
            self.hub, self.cache, self.reads, self.desk, self.catchup, storage.readers[0].epoch()
        )

    async def start(self, nursery: trio.Nursery) -> None:
        await nursery.start(self.catchup.run, self.hub)
        await nursery.start(self.journal.run)
        await nursery.start(self.pipeline.run)

    async def apply(self, *facts: Fact, seq: int = 0) -> Applied:
        """Have facts stored and told, as one batch, without a journal."""
        first = seq or self.ledger_seq + 1
        batch = [
            Understood(Entry(seq, envelope(at=self.now())), [fact])
            for seq, fact in enumerate(facts, first)
        ]
        self.ledger_seq = batch[-1].entry.seq

        def work(draft: Draft) -> Applied:
            return apply_batch(draft, batch=batch, journal="test", reopen_within_ms=24 * HOUR)

        return await self.ledger.change(work)

    ledger_seq = 0

    async def handled(self) -> None:
        """Wait until the pipeline has nothing left to do."""
        with trio.fail_after(30):
            while self.pipeline.lag:
                await trio.sleep(0.002)

    def session(
        self, who: Principal = ADMIN, *, room: int = 1 << 20
    ) -> tuple[ChannelSession, BoundedWire]:
        wire = BoundedWire(room)
        session = ChannelSession("s", who, PlainDialect(), wire, self.engine)
        wire.session = session
        return session, wire

    def messages(self) -> list[MessageRecord]:
        """All messages in the store, ticket by ticket, in reading order."""
        reader = self.storage.readers[0]
        found: list[MessageRecord] = []
        for ticket in self.tickets():
            found += reader.messages(ticket.id, before=None, after=None, limit=10_000) or []
        return found

    def tickets(self) -> list[TicketRecord]:
        rows = self.storage.readers[0].tickets(TicketQuery(limit=10_000))
        return sorted((ticket for ticket, _ in rows), key=lambda ticket: ticket.id)

    def ids(self) -> list[str | None]:
        """WhatsApp ids of all messages, in reading order."""
        return [row.whatsapp_id for row in self.messages()]

    def events(self, channel: str) -> list[Any]:
        """What a channel has been told, in order."""
        page = self.storage.readers[0].events_after(channel, 0, 100_000)
        assert [event.offset for event in page.events] == list(range(1, page.head + 1))
        return [json.loads(event.data) for event in page.events]


@contextmanager
def stored(path: Path) -> Iterator[Storage]:
    with open_storage(path / "state", None) as storage:
        yield storage


def has_lived(state: Path) -> None:
    """Not begun or restored a moment ago: its files go when nobody needs them."""
    with closing(apsw.Connection(str(state / "store.db"))) as db:
        db.execute("UPDATE meta SET value = '0' WHERE key = 'born_at'")


async def open_blobs(path: Path) -> BlobStore:
    return await BlobStore.open(path / "blobs")


def closed_with(session: Session) -> Close | None:
    return session.close_reason if session.is_closed else None
