"""P8: a test message goes through the whole engine and out at a socket; it leaves no trace."""

import itertools
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, NoReturn

import apsw
import msgspec
import pytest
import trio

from evorelay.edge import canary_client
from evorelay.edge.canary_client import CanaryClient
from evorelay.edge.framestream import Flusher
from evorelay.model.close import Close
from evorelay.model.envelope import Envelope
from evorelay.model.errors import StoreUnavailable
from evorelay.model.ids import CANARY_CHANNEL, parse_channel
from evorelay.relay.canary import UNANSWERED_MAX, Canary
from evorelay.relay.reading import Reader
from evorelay.relay.replay import Replay
from evorelay.relay.replay_questions import JournalReplay
from evorelay.relay.session import Session
from evorelay.relay.vitals import CanaryFacts
from evorelay.storage.open import Storage
from evorelay.storage.sqlite.journal import SqliteJournal
from evorelay.storage.sqlite.reader import SqliteReader
from evorelay.telemetry.metrics import NopMetrics
from tests.engine.harness import ADMIN, HOUR, World, counted_ids, open_blobs, stored, webhook

EVERY_S = 0.02


class Counted(NopMetrics):
    def __init__(self) -> None:
        self.returned = 0
        self.lost = 0

    def canary_returned(self, seconds: float) -> None:
        self.returned += 1

    def canary_lost(self) -> None:
        self.lost += 1


class Watched:
    """A world with a canary; its listener can be kept from hearing."""

    def __init__(self, world: World, *, every_s: float = EVERY_S, lost_s: float = 30.0) -> None:
        self.world = world
        self.metrics = Counted()
        self.flusher = Flusher()
        self.client = CanaryClient(world.engine, self.flusher)
        self.is_deaf = False
        self.canary = Canary(
            world.journal,
            self,
            self.metrics,
            handled=lambda: world.pipeline.cursor,
            every_s=every_s,
            lost_s=lost_s,
            new_id=counted_ids(),
            now=world.now,
        )

    async def listen(
        self,
        heard: Callable[[str], None],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        def heard_by_nobody(id_: str) -> None:
            if not self.is_deaf:
                heard(id_)

        await self.client.listen(heard_by_nobody, task_status=task_status)

    async def returned(self, count: int) -> None:
        await self.until(lambda: self.metrics.returned >= count)

    async def until(self, holds: Callable[[], bool]) -> None:
        with trio.fail_after(30):
            while not holds():
                await trio.sleep(0.005)

    @property
    def facts(self) -> CanaryFacts:
        return self.canary.facts()


@asynccontextmanager
async def flying(path: Path, **options: Any) -> AsyncIterator[Watched]:
    with stored(path) as storage:
        world = World(storage, await open_blobs(path))
        watched = Watched(world, **options)
        async with trio.open_nursery() as nursery:
            await nursery.start(watched.flusher.run)
            await world.start(nursery)
            await nursery.start(watched.canary.run)
            yield watched
            nursery.cancel_scope.cancel()


def events_of(storage: Storage) -> list[tuple[int, str, list[list[Any]]]]:
    """(id, type, positions) of all there are."""
    with closing(apsw.Connection(str(storage.directory / "store.db"))) as db:
        rows = db.execute("SELECT id, type, positions FROM events ORDER BY id").fetchall()
    return [(int(str(id_)), str(type_), json.loads(str(places))) for id_, type_, places in rows]


async def test_it_comes_out_and_its_way_is_measured(tmp_path: Path) -> None:
    async with flying(tmp_path) as watched:
        assert watched.facts == CanaryFacts()
        await watched.returned(3)
        facts = watched.facts
        assert facts.round_trip_s is not None
        assert 0 < facts.round_trip_s < 30
        assert watched.metrics.lost == 0


async def test_it_leaves_nothing_but_events_in_their_order(tmp_path: Path) -> None:
    """P3: ids and offsets stay contiguous, with messages of customers in between."""
    async with flying(tmp_path) as watched:
        world = watched.world
        for number in range(3):
            await watched.returned(watched.metrics.returned + 1)
            await world.journal.submit(webhook(f"A{number}"))
        await world.handled()
        await watched.returned(watched.metrics.returned + 1)
        found = events_of(world.storage)
        assert [id_ for id_, _, _ in found] == list(range(1, len(found) + 1))
        canaries = [positions for _, type_, positions in found if type_ == "canary"]
        assert canaries == [[[CANARY_CHANNEL, number]] for number in range(1, len(canaries) + 1)]
        assert world.ids() == ["A0", "A1", "A2"]
        assert len(world.tickets()) == 1
        assert [row.name for row in world.storage.readers[0].instances()] == ["loja"]
        assert world.storage.readers[0].quarantine(before=None, limit=9) == []
        assert len(world.events("inbox:loja")) == len(found) - len(canaries)


async def test_its_traces_go_with_the_retention(tmp_path: Path) -> None:
    """P5: journal and log of events stay as long as they are said to, whoever filled them."""
    async with flying(tmp_path) as watched:
        await watched.returned(3)
    with stored(tmp_path) as storage:
        last = storage.journal.last_seq()
        assert storage.journal.trim(last, 1 << 45) == last - 1  # the newest commit stays
        assert storage.maintenance.trim_events(1 << 45, 1000) == last
        assert events_of(storage) == []
        assert storage.readers[0].events_after(CANARY_CHANNEL, 0, 9).head == last


async def test_a_replay_passes_it_over(tmp_path: Path) -> None:
    async with flying(tmp_path) as watched:
        world = watched.world
        await watched.returned(2)
        await world.journal.submit(webhook("A1"))
        await world.handled()
        replay = Replay(
            world.reads,
            world.ledger,
            world.journal,
            Reader(world.blobs),
            handled=lambda: world.pipeline.cursor,
            reopen_within_ms=HOUR,
        )
        answer = await replay.journal(ADMIN, JournalReplay(after_seq=0))
        assert answer.entries == 1
        assert answer.next_seq is None
        canaries = [one for one in events_of(world.storage) if one[1] == "canary"]
        assert len(canaries) <= watched.metrics.returned + 1


def test_no_client_may_name_its_channel() -> None:
    """P7: what is no channel of ours is refused to everybody, whatever their role."""
    assert parse_channel(CANARY_CHANNEL) is None


def test_an_envelope_of_an_older_journal_is_no_canary() -> None:
    old = msgspec.msgpack.encode([1, "call", "loja", b"{}", None])
    assert msgspec.msgpack.decode(old, type=Envelope).canary is None


@pytest.mark.parametrize("stage", ["journal", "pipeline", "delivery"])
async def test_one_that_does_not_come_back_says_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    may_commit = threading.Event()

    def held(journal: SqliteJournal, envelopes: Any) -> int:
        assert may_commit.wait(30)
        return append(journal, envelopes)

    append = SqliteJournal.append
    with stored(tmp_path) as storage:
        watched = Watched(World(storage, await open_blobs(tmp_path)))
        world = watched.world
        async with trio.open_nursery() as nursery:
            await nursery.start(watched.flusher.run)
            await nursery.start(world.journal.run)
            if stage == "journal":
                monkeypatch.setattr(SqliteJournal, "append", held)
            if stage == "delivery":
                await nursery.start(world.pipeline.run)
                watched.is_deaf = True
            await nursery.start(watched.canary.run)
            await watched.until(lambda: watched.facts.stage == stage)
            before = watched.facts.missing_s
            await trio.sleep(0.01)
            assert watched.facts.missing_s > before
            may_commit.set()
            if stage != "delivery":
                if stage == "journal":
                    await watched.until(lambda: watched.facts.stage == "pipeline")
                await nursery.start(world.pipeline.run)
                await watched.returned(1)
                await watched.until(lambda: watched.facts.missing_s < EVERY_S + before)
            nursery.cancel_scope.cancel()


async def test_what_was_given_up_is_missing_until_a_later_one_is_back(tmp_path: Path) -> None:
    """One that was lost on the way must not keep the daemon from being well again."""
    async with flying(tmp_path, lost_s=0.05) as watched:
        await watched.returned(1)
        watched.is_deaf = True
        await watched.until(lambda: watched.metrics.lost >= 3)
        facts = watched.facts
        assert facts.missing_s > 2 * 0.05
        assert facts.stage == "delivery"
        watched.is_deaf = False
        await watched.returned(watched.metrics.returned + 1)
        await watched.until(lambda: watched.facts.missing_s < facts.missing_s)


async def test_behind_a_backlog_its_age_is_that_of_the_backlog(tmp_path: Path) -> None:
    """P5, P8: each comes back in the end, and what is missing is the oldest that did not."""
    with stored(tmp_path) as storage:
        watched = Watched(World(storage, await open_blobs(tmp_path)), lost_s=0.03)
        world = watched.world
        async with trio.open_nursery() as nursery:
            await nursery.start(watched.flusher.run)
            await nursery.start(world.journal.run)
            await nursery.start(watched.canary.run)
            await watched.until(lambda: watched.metrics.lost >= 3)
            for _ in range(20):  # of the oldest, also while a later one is being journaled
                assert watched.facts.stage == "pipeline"
                await trio.sleep(0.005)
            await nursery.start(world.pipeline.run)
            await watched.returned(4)
            nursery.cancel_scope.cancel()


async def test_those_that_never_come_back_are_not_kept_for_ever(tmp_path: Path) -> None:
    """P5."""
    async with flying(tmp_path, every_s=0.0, lost_s=0.0) as watched:
        watched.is_deaf = True
        began_at = trio.current_time()
        await watched.until(lambda: watched.metrics.lost > UNANSWERED_MAX + 20)
        assert len(watched.canary._unanswered) <= UNANSWERED_MAX + 1
        assert watched.facts.missing_s >= (trio.current_time() - began_at) / 2


async def test_what_the_journal_refuses_is_not_missing(tmp_path: Path) -> None:
    """P8: one trouble is told by one check."""
    async with flying(tmp_path) as watched:
        await watched.returned(1)
        watched.world.free_bytes = 0
        watched.world.journal.check_disk()
        await watched.until(lambda: watched.facts.missing_s == 0)
        for _ in range(5):
            await trio.sleep(EVERY_S)
            assert watched.facts.missing_s < EVERY_S
        watched.world.free_bytes = 1 << 40
        watched.world.journal.check_disk()
        await watched.returned(watched.metrics.returned + 1)


async def test_its_client_comes_back_like_any_other(tmp_path: Path) -> None:
    async with flying(tmp_path, lost_s=0.5) as watched:
        await watched.returned(1)
        (feed,) = watched.world.hub.feeds(CANARY_CHANNEL)
        assert isinstance(feed.receiver, Session)
        feed.receiver.close_asap(Close.SERVER_ERROR)
        await watched.until(lambda: feed not in set(watched.world.hub.feeds(CANARY_CHANNEL)))
        await watched.returned(watched.metrics.returned + 2)


async def test_a_store_that_is_away_is_logged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """P5: not every second for as long as it lasts."""
    tries = 0

    def away(*_: object) -> NoReturn:
        nonlocal tries
        tries += 1
        raise StoreUnavailable("disk I/O error")

    monkeypatch.setattr(canary_client, "AGAIN_S", 0.01)
    with monkeypatch.context() as broken:
        broken.setattr(SqliteReader, "events_after", away)
        async with flying(tmp_path) as watched:
            await watched.until(lambda: tries >= 5)
            broken.undo()
            await watched.returned(1)
    assert len([one for one in caplog.records if "no test messages" in one.message]) == 1


async def test_what_an_earlier_life_sent_is_passed_over(tmp_path: Path) -> None:
    with stored(tmp_path) as storage:
        storage.journal.append(
            [Envelope(received_at=1, event="canary", instance="", body=b"{}", canary="before")]
        )
    async with flying(tmp_path) as watched:
        await watched.returned(2)
        assert watched.metrics.lost == 0


async def test_whatever_a_webhook_says_it_is_no_canary(tmp_path: Path) -> None:
    """P7: only ``Envelope.canary`` makes one, and no part of a body comes to be that."""
    async with flying(tmp_path) as watched:
        world = watched.world
        bodies: list[Any] = [
            {"event": "canary", "instance": "", "canary": "forged"},
            {"event": "canary", "instance": "loja", "data": {"type": "canary", "id": "forged"}},
            [0, "canary", "", "{}", None, "forged"],
        ]
        for number, body in enumerate(bodies):
            event = body["event"] if isinstance(body, dict) else "canary"
            await world.journal.submit(
                Envelope(
                    received_at=number,
                    event=event,
                    instance="loja",
                    body=msgspec.json.encode(body),
                )
            )
        await world.handled()
        await watched.returned(watched.metrics.returned + 1)
        ids = [
            json.loads(event.data)["id"]
            for event in world.storage.readers[0].events_after(CANARY_CHANNEL, 0, 1000).events
        ]
        ours = counted_ids()
        assert ids == list(itertools.islice(iter(ours, None), len(ids)))
