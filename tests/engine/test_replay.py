"""Old webhooks read once more, from quarantine and from the journal."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from datetime import datetime
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
import trio

from evorelay.model.clock import utc
from evorelay.model.envelope import Envelope
from evorelay.model.errors import Code, Refusal
from evorelay.model.fact import Fact, MessageFact, QuarantineFact
from evorelay.model.principal import Principal
from evorelay.model.records import QuarantineSummary
from evorelay.protocol.normalise import normalise, normalise_row
from evorelay.relay import differences, reading, replay
from evorelay.relay.differences import Difference, FieldChange
from evorelay.relay.pipeline import POISONED
from evorelay.relay.reading import Reader
from evorelay.relay.replay import Replay
from evorelay.relay.replay_questions import (
    JournalReplay,
    JournalReplayed,
    QuarantineReplay,
    QuarantineReplayed,
)
from evorelay.storage.open import Storage
from tests.engine.harness import ADMIN, HOUR, T0, World, envelope, open_blobs, stored, webhook

SONIA = Principal(sub="sonia", role="supervisor", instances=frozenset({"loja"}))
NEW = "NEW"
"""In what an older version of the normaliser could not read."""


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    with stored(tmp_path) as storage:
        yield storage


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The normaliser is an older version until the test says ``older.undo()``."""

    def reworded(fact: Fact) -> list[Fact]:
        if isinstance(fact, MessageFact) and NEW in fact.content:
            return [QuarantineFact(reason="bad_data", detail="nobody knows this yet")]
        if isinstance(fact, MessageFact) and "WRONG" in fact.content:
            label = "[Mensagem não suportada]"
            return [msgspec.structs.replace(fact, type="unsupported", content=label)]
        return [fact]

    def older_normalise(one: Envelope, **options: Any) -> list[Fact]:
        return [new for fact in normalise(one, **options) for new in reworded(fact)]

    def older_row(one: Envelope, outer: Any, row: bytes, **options: Any) -> list[Fact]:
        return [new for fact in normalise_row(one, outer, row, **options) for new in reworded(fact)]

    monkeypatch.setattr(reading, "normalise", older_normalise)
    monkeypatch.setattr(reading, "normalise_row", older_row)
    return monkeypatch


class Archive(World):
    """A world with a replay."""

    replay: Replay

    async def again(
        self, id_: str, *, who: Principal = SONIA, dry_run: bool = False
    ) -> QuarantineReplayed:
        return await self.replay.quarantine(
            who, QuarantineReplay(quarantine_id=id_, dry_run=dry_run)
        )

    async def reread(self, **params: Any) -> JournalReplayed:
        return await self.replay.journal(ADMIN, JournalReplay(**{"after_seq": 0, **params}))

    def quarantined(self) -> list[QuarantineSummary]:
        return self.storage.readers[0].quarantine(before=None, limit=99)

    async def post(self, *envelopes: Envelope) -> None:
        for one in envelopes:
            await self.journal.submit(one)
        await self.handled()

    def everything(self) -> dict[str, list[Any]]:
        """Every row of the store."""
        with closing(apsw.Connection(str(self.storage.directory / "store.db"))) as db:
            names = [
                str(name)
                for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
            ]
            return {name: db.execute(f"SELECT * FROM {name}").fetchall() for name in names}


@asynccontextmanager
async def archive(storage: Storage, tmp_path: Path) -> AsyncIterator[Archive]:
    world = Archive(storage, await open_blobs(tmp_path))
    world.replay = Replay(
        world.reads,
        world.ledger,
        world.journal,
        Reader(world.blobs),
        handled=lambda: world.pipeline.cursor,
        reopen_within_ms=24 * HOUR,
    )
    async with trio.open_nursery() as nursery:
        await world.start(nursery)
        yield world
        nursery.cancel_scope.cancel()


def picture(text: str) -> Envelope:
    body = json.loads(webhook("P").body)
    body["data"]["message"] = {
        "imageMessage": {"mimetype": "image/png", "caption": text},
        "base64": base64.b64encode(b"pixels").decode(),
    }
    return envelope(json.dumps(body).encode())


def listed(*texts: str, event: str = "messages.upsert") -> Envelope:
    rows = [json.loads(webhook(f"L{n}", text).body)["data"] for n, text in enumerate(texts)]
    return envelope(json.dumps({"data": rows}).encode(), event=event)


async def test_what_is_understood_now_leaves_quarantine(
    storage: Storage, tmp_path: Path, older: pytest.MonkeyPatch
) -> None:
    """It becomes a message like any other: on a ticket, told, and once."""
    async with archive(storage, tmp_path) as world:
        await world.post(webhook("A", "NEW thing"))
        (row,) = world.quarantined()
        older.undo()
        answer = await world.again(row.id)
        assert (answer.outcome, answer.reason) == ("replayed", None)
        assert [one.what for one in answer.differences] == [
            "contact.created",
            "ticket.created",
            "message.created",
        ]
        assert answer.differences[-1] == Difference(
            what="message.created", id="A", seq=1, who="Ana", text="NEW thing"
        )
        (message,) = world.messages()
        assert (message.content, message.journal_seq) == ("NEW thing", 1)
        told = [event["type"] for event in world.events("inbox:loja")]
        assert told.count("message.created") == 1
        assert world.quarantined() == []


async def test_again_changes_nothing(
    storage: Storage, tmp_path: Path, older: pytest.MonkeyPatch
) -> None:
    """P2."""
    async with archive(storage, tmp_path) as world:
        await world.post(webhook("A", "NEW thing"))
        (row,) = world.quarantined()
        older.undo()
        await world.again(row.id)
        before = world.everything()
        for dry_run in (False, True):
            answer = await world.again(row.id, dry_run=dry_run)
            assert answer == QuarantineReplayed(id=row.id, outcome="already_replayed")
        assert before == world.everything()


async def test_what_is_still_not_understood_stays_and_says_why(
    storage: Storage, tmp_path: Path
) -> None:
    async with archive(storage, tmp_path) as world:
        await world.post(envelope(b'{"data":5}'), envelope(b"{}", event="soup.upsert"))
        before = world.everything()
        for row in world.quarantined():
            answer = await world.again(row.id)
            assert (answer.outcome, answer.reason) == ("still_quarantined", row.reason)
            assert answer.detail
            assert answer.differences == []
        assert before == world.everything()


async def test_a_rehearsal_says_what_the_replay_does_and_does_nothing(
    storage: Storage, tmp_path: Path, older: pytest.MonkeyPatch
) -> None:
    """Neither rows nor files, and nobody is told."""
    async with archive(storage, tmp_path) as world:
        await world.post(picture("NEW picture"))
        (row,) = world.quarantined()
        older.undo()
        before = world.everything()
        dry = await world.again(row.id, dry_run=True)
        assert before == world.everything()
        assert not [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
        done = await world.again(row.id)
        assert dry.outcome == done.outcome == "replayed"
        assert [(one.what, one.who, one.text) for one in dry.differences] == [
            (one.what, one.who, one.text) for one in done.differences
        ]
        (message,) = world.messages()
        assert message.media is not None
        assert world.blobs.path(message.media["id"]).read_bytes() == b"pixels"


async def test_of_a_list_what_is_understood_is_taken_and_the_rest_stays(
    storage: Storage, tmp_path: Path, older: pytest.MonkeyPatch
) -> None:
    async with archive(storage, tmp_path) as world:
        await world.post(listed("first", "NEW second", "third"))
        (row,) = world.quarantined()
        assert world.ids() == ["L0", "L2"]
        older.undo()

        def still_odd(one: Envelope, **options: Any) -> list[Fact]:
            return [*normalise(one), QuarantineFact(reason="no_key", detail="one of them")]

        older.setattr(reading, "normalise", still_odd)
        answer = await world.again(row.id)
        assert (answer.outcome, answer.reason) == ("still_quarantined", "no_key")
        assert sorted(id_ for id_ in world.ids() if id_) == ["L0", "L1", "L2"]
        older.undo()
        assert (await world.again(row.id)).outcome == "replayed"
        assert world.quarantined() == []


async def test_a_body_in_a_blob_is_replayed_in_parts(
    storage: Storage, tmp_path: Path, older: pytest.MonkeyPatch
) -> None:
    async with archive(storage, tmp_path) as world:
        rows = [json.loads(webhook(f"H{n:05d}", "NEW " * 100).body)["data"] for n in range(900)]
        blob = await world.blobs.put(json.dumps({"data": rows}).encode())
        await world.post(
            msgspec.structs.replace(envelope(b"", event="messages.set"), body_blob=blob)
        )
        (row,) = world.quarantined()
        older.undo()
        dry = await world.again(row.id, dry_run=True)
        answer = await world.again(row.id)
        assert dry.outcome == answer.outcome == "replayed"
        assert len(answer.differences) == differences.DIFFERENCES_MAX
        # 900 messages, and their contact: in a rehearsal every part makes it anew.
        assert len(answer.differences) + answer.differences_left_out == 901
        assert len(world.everything()["messages"]) == 900
        assert world.quarantined() == []


async def test_a_bug_met_by_a_replay_is_an_answer(
    storage: Storage, tmp_path: Path, older: pytest.MonkeyPatch
) -> None:
    async with archive(storage, tmp_path) as world:
        await world.post(webhook("A", "NEW thing"))
        (row,) = world.quarantined()

        def crash(one: Envelope, **options: Any) -> list[Fact]:
            raise ZeroDivisionError("a bug")

        older.setattr(reading, "normalise", crash)
        answer = await world.again(row.id)
        assert (answer.outcome, answer.reason) == ("still_quarantined", POISONED)
        assert answer.detail == "ZeroDivisionError while replaying it"
        older.undo()
        assert (await world.again(row.id)).outcome == "replayed"


async def test_what_is_of_no_consequence_now_leaves_quarantine_too(
    storage: Storage, tmp_path: Path
) -> None:
    """And what an instance said of its state is over: it is not told as news."""
    async with archive(storage, tmp_path) as world:
        await world.post(
            envelope(b'{"data":{"state":"soup"}}', event="connection.update"),
            envelope(b'{"data":{"state":"close"}}', event="connection.update"),
        )
        (row,) = world.quarantined()
        with closing(apsw.Connection(str(storage.directory / "store.db"))) as db:
            db.execute("UPDATE quarantine SET body = ?", ('{"data":{"state":"open"}}',))
        answer = await world.again(row.id)
        assert answer.outcome == "replayed"
        assert [(one.what, one.text) for one in answer.differences] == [
            ("ignored", "connection.update")
        ]
        assert [one.state for one in storage.readers[0].instances()] == ["close"]


async def test_a_foreign_entry_and_an_unknown_one_are_alike(
    storage: Storage, tmp_path: Path
) -> None:
    """P7."""
    async with archive(storage, tmp_path) as world:
        await world.post(envelope(b"{}", instance="outra"))
        (row,) = world.quarantined()
        for id_ in (row.id, "nothing"):
            with pytest.raises(Refusal) as refused:
                await world.again(id_)
            assert refused.value.code is Code.NOT_FOUND
        agent = Principal(sub="ana", role="agent", instances="*")
        with pytest.raises(Refusal) as refused:
            await world.again(row.id, who=agent)
        assert refused.value.code is Code.FORBIDDEN
        with pytest.raises(Refusal) as refused:
            await world.replay.journal(SONIA, JournalReplay(after_seq=0))
        assert refused.value.code is Code.FORBIDDEN


async def test_the_journal_mends_what_was_read_wrong(
    storage: Storage, tmp_path: Path, older: pytest.MonkeyPatch
) -> None:
    async with archive(storage, tmp_path) as world:
        await world.post(webhook("A", "right"), webhook("B", "WRONG"), webhook("C", "NEW"))
        older.undo()
        before = world.everything()
        dry = await world.reread(dry_run=True)
        assert before == world.everything()
        answer = await world.reread()
        assert (answer.next_seq, answer.entries) == (None, 3)
        assert answer.counts == dry.counts == {"message.changed": 1, "message.created": 1}
        (changed,) = [one for one in answer.differences if one.what == "message.changed"]
        assert (changed.id, changed.who, changed.seq) == ("B", "Ana", 2)
        assert changed.fields[:2] == [
            FieldChange("type", "unsupported", "text"),
            FieldChange("content", "[Mensagem não suportada]", "WRONG"),
        ]
        assert [(row.whatsapp_id, row.content) for row in world.messages()] == [
            ("A", "right"),
            ("B", "WRONG"),
            ("C", "NEW"),
        ]
        before = world.everything()
        assert (await world.reread()).counts == {}
        after = world.everything()
        assert before == after


async def test_the_journal_is_read_page_by_page(
    storage: Storage, tmp_path: Path, older: pytest.MonkeyPatch
) -> None:
    async with archive(storage, tmp_path) as world:
        await world.post(*(webhook(f"W{n:03d}", "WRONG") for n in range(150)))
        older.undo()
        pages = []
        position: int | None = 0
        while position is not None:
            answer = await world.reread(after_seq=position, limit=70)
            position = answer.next_seq
            pages.append((answer.entries, answer.next_seq))
        assert pages == [(70, 70), (70, 140), (10, None)]
        assert {row.content for row in world.messages()} == {"WRONG"}


async def test_a_call_ends_in_time_and_says_how_far_it_came(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5: live traffic has its turn."""
    monkeypatch.setattr(replay, "CALL_S", -1)
    async with archive(storage, tmp_path) as world:
        await world.post(*(webhook(f"W{n:03d}") for n in range(2 * replay.BATCH_ENTRIES)))
        answer = await world.reread()
        assert (answer.entries, answer.next_seq) == (replay.BATCH_ENTRIES, replay.BATCH_ENTRIES)


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"after_seq": 2}, ["W3", "W4", "W5"]),
        ({"since": utc(T0 + 2000)}, ["W2", "W3", "W4", "W5"]),
        ({"since": utc(T0 + 1999), "until": utc(T0 + 3000)}, ["W2", "W3"]),
        ({"since": utc(0), "instance": "outra"}, ["W4"]),
        ({"after_seq": 0, "event": "MESSAGES_SET"}, ["W5"]),
        ({"since": utc(T0 + 9999)}, []),
        ({"after_seq": 99}, []),
        ({"after_seq": 0, "until": utc(0)}, []),
    ],
)
async def test_a_stretch_is_chosen_by_place_time_instance_and_event(
    storage: Storage,
    tmp_path: Path,
    older: pytest.MonkeyPatch,
    params: dict[str, Any],
    expected: list[str],
) -> None:
    async with archive(storage, tmp_path) as world:
        for number in range(1, 6):
            one = webhook(f"W{number}", "WRONG", instance="outra" if number == 4 else "loja")
            event = "messages.set" if number == 5 else "messages.upsert"
            await world.post(
                msgspec.structs.replace(one, received_at=T0 + number * 1000, event=event)
            )
        older.undo()
        answer = await world.replay.journal(ADMIN, JournalReplay(**params))
        assert answer.next_seq is None
        found = [one.id for one in answer.differences if one.what == "message.changed"]
        assert sorted(found) == expected
        assert answer.entries == len(expected)


@pytest.mark.parametrize("params", [{}, {"after_seq": 1, "since": datetime.now().astimezone()}])
async def test_a_stretch_begins_somewhere(
    storage: Storage, tmp_path: Path, params: dict[str, Any]
) -> None:
    async with archive(storage, tmp_path) as world:
        with pytest.raises(Refusal, match="give after_seq or since") as refused:
            await world.replay.journal(ADMIN, JournalReplay(**params))
        assert refused.value.code is Code.BAD_REQUEST


async def test_what_the_pipeline_has_not_come_to_is_not_old(
    storage: Storage, tmp_path: Path
) -> None:
    async with archive(storage, tmp_path) as world:
        await world.post(webhook("A"))
        storage.journal.append([webhook("B")])
        assert (await world.reread()).entries == 1
        assert world.ids() == ["A"]


async def test_an_entry_that_meets_a_bug_fails_alone(
    storage: Storage, tmp_path: Path, older: pytest.MonkeyPatch
) -> None:
    async with archive(storage, tmp_path) as world:
        await world.post(*(webhook(f"W{n}", "WRONG") for n in range(9)), webhook("X", "NEW"))
        older.undo()

        def odd(one: Envelope, **options: Any) -> list[Fact]:
            if b'"W4"' in one.body:
                raise ZeroDivisionError
            facts = normalise(one)
            if b'"W7"' in one.body:  # what no store can take
                return [msgspec.structs.replace(fact, sent_at="soup") for fact in facts]
            return facts

        older.setattr(reading, "normalise", odd)
        answer = await world.reread()
        assert answer.counts == {
            "message.changed": 7,
            "message.created": 1,
            "not_understood": 1,
            "failed": 1,
        }


async def test_live_traffic_goes_on_beside_a_replay(
    storage: Storage, tmp_path: Path, older: pytest.MonkeyPatch
) -> None:
    """P2, P5: and both end in one store."""
    async with archive(storage, tmp_path) as world:
        await world.post(*(webhook(f"W{n:03d}", "WRONG") for n in range(300)))
        older.undo()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.reread)
            for number in range(300, 320):
                await world.journal.submit(webhook(f"W{number:03d}", "live"))
        await world.handled()
        contents = [row.content for row in world.messages()]
        assert sorted(contents) == ["WRONG"] * 300 + ["live"] * 20


async def test_long_values_are_cut(
    storage: Storage, tmp_path: Path, older: pytest.MonkeyPatch
) -> None:
    async with archive(storage, tmp_path) as world:
        await world.post(webhook("A", "WRONG" + "x" * 5000))
        older.undo()
        (difference,) = (await world.reread()).differences
        shown = next(one.after for one in difference.fields if one.field == "content")
        assert isinstance(shown, str)
        assert (len(shown), shown[-1]) == (differences.VALUE_CHARS, "…")
