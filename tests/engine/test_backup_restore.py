"""P9: a backup put into a store that is not empty, and what does not come back."""

from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio

from evorelay.model.backup import RestoreRefused
from evorelay.model.change import Revoke
from evorelay.model.errors import RelayError, StoreInUse
from evorelay.model.fact import ChangeFact, Chat, MediaFact, PersonFact
from evorelay.relay.backup.files_of_messages import missing_files
from evorelay.relay.backup.pace import Pace
from evorelay.relay.questions import TicketParams
from evorelay.storage.open import open_storage
from evorelay.storage.sqlite import absorbing, life, store, suspicion
from evorelay.storage.sqlite.schema import MIGRATIONS
from tests.conformance.test_migrations import OLD
from tests.engine.backing import Backing, rows, said
from tests.engine.harness import ADMIN, T0, World, message, open_blobs, stored, webhook

_SEQ = count(1, 1000)
ANA, BIA = "5531988887777", "5511977776666"


@pytest.fixture
def backing(tmp_path: Path) -> Backing:
    return Backing(tmp_path / "state")


async def filled(directory: Path, *facts: Any) -> None:
    with stored(directory) as storage:
        world = World(storage, await open_blobs(directory))
        await world.apply(*facts, seq=next(_SEQ))  # behind the store's place in the journal


def _named(phone: str, name: str) -> PersonFact:
    person = Chat(jid=f"{phone}@s.whatsapp.net", phone=phone)
    return PersonFact(instance="loja", person=person, name=name, at=T0)


def texts(state: Path) -> list[str]:
    return sorted(row["content"] for row in said(rows(state)).values())


def epoch(state: Path) -> str:
    with open_storage(state, None) as storage:
        return storage.readers[0].epoch()


async def test_into_an_empty_place_and_again(backing: Backing, tmp_path: Path) -> None:
    await filled(tmp_path, message("A1"), message("A2"))
    manifest = backing.make()
    target = tmp_path / "target"
    first = backing.restore(manifest.id, target)
    assert (first.messages, first.source) == (2, "database")
    assert first.epoch == epoch(target) != epoch(backing.state)
    again = backing.restore(manifest.id, target)
    assert (again.messages, again.rows, again.epoch) == (0, 0, first.epoch)


async def test_a_store_filled_anew_keeps_its_people_and_gets_their_past(tmp_path: Path) -> None:
    """The store was lost, webhooks went on coming: Ana has other ids now, and is one person."""
    old, new = tmp_path / "old", tmp_path / "new"
    backing = Backing(old / "state")
    past = [message(f"A{n}", content=f"old {n}", sent_at=T0 - n * 1000) for n in range(3)]
    await filled(old, *past, message("B1", phone=BIA, content="bia"))
    manifest = backing.make()
    await filled(new, message("A0", content="old 0"), message("A9", content="new", sent_at=T0 + 1))
    restored = backing.restore(manifest.id, new / "state")
    assert restored.messages == 3  # two of Ana's and Bia's: A0 was there
    with stored(new) as storage:
        world = World(storage, await open_blobs(new))
        alive = [row for row in world.tickets() if row.merged_into is None]
        assert len(alive) == 2
        said_by_ana = [row.content for row in world.messages() if row.content != "bia"]
        assert said_by_ana == ["old 2", "old 1", "old 0", "new"]
        ana = next(row for row in alive if row.last_message == "new")
        assert (ana.inbound, ana.last_message_at) == (4, T0 + 1)
        # The old ticket's link leads to the one that took its messages.
        old_ticket = next(row for row in rows(old / "state") if row.get("last_message") == "old 0")
        shell = storage.readers[0].ticket(old_ticket["id"])
        assert shell is not None
        assert (shell[0].status, shell[0].merged_into) == ("closed", ana.id)
        # And whoever writes next goes on where they were.
        await world.apply(message("A10", content="more", sent_at=T0 + 2), seq=next(_SEQ))
        assert {row.ticket_id for row in world.messages()} == {row.id for row in alive}
    assert backing.restore(manifest.id, new / "state").rows == 0


async def test_who_was_two_in_the_copy_and_is_one_in_the_store(tmp_path: Path) -> None:
    """An open ticket each, then; one of them takes the other's messages, one leads there."""
    old, new = tmp_path / "old", tmp_path / "new"
    backing = Backing(old / "state")
    lid = "77@lid"
    await filled(old, message("P1"), message("L1", phone=None, lid=lid, sent_at=T0 + 1))
    manifest = backing.make()
    with stored(new) as storage:
        world = World(storage, await open_blobs(new))
        await world.apply(message("BOTH", lid=lid, sent_at=T0 + 2))
        (ticket,) = world.tickets()
        await world.desk.tickets.close(ADMIN, TicketParams(ticket_id=ticket.id))
    assert backing.restore(manifest.id, new / "state").messages == 2
    with stored(new) as storage:
        world = World(storage, await open_blobs(new))
        (taking,) = [row for row in world.tickets() if row.status == "open"]
        assert [row.whatsapp_id for row in world.messages() if row.ticket_id == taking.id] == [
            "P1",
            "L1",
        ]
    assert backing.restore(manifest.id, new / "state").rows == 0


async def test_what_the_store_knows_later_stays(tmp_path: Path, backing: Backing) -> None:
    """Deleted on WhatsApp, closed by an agent, after the backup: so it stays."""
    deleted = ChangeFact(instance="loja", whatsapp_id="A1", change=Revoke(T0 + 9))
    with stored(tmp_path) as storage:
        world = World(storage, await open_blobs(tmp_path))
        await world.apply(message("A1", content="a secret"), message("A2"))
        manifest = await backing.make_beside()
        await world.apply(deleted)
        (ticket,) = world.tickets()
        await world.desk.tickets.close(ADMIN, TicketParams(ticket_id=ticket.id))
    before = rows(backing.state)
    assert backing.restore(manifest.id, backing.state).rows == 0
    assert rows(backing.state) == before


async def test_an_older_state_of_the_same_store_takes_what_came_later(tmp_path: Path) -> None:
    """Somebody put back last week's disk, then restores last night's backup."""
    backing = Backing(tmp_path / "state")
    aside = tmp_path / "last-week.db"
    with stored(tmp_path) as storage:
        world = World(storage, await open_blobs(tmp_path))
        await world.apply(message("A1", content="a secret"), message("B1", phone=BIA))
        with closing(apsw.Connection(str(backing.state / "store.db"))) as db:
            db.execute("VACUUM INTO ?", (str(aside),))
        await world.apply(ChangeFact(instance="loja", whatsapp_id="A1", change=Revoke(T0 + 9)))
        await world.apply(_named(BIA, "Bia"))
        (one, _) = world.tickets()
        await world.desk.tickets.close(ADMIN, TicketParams(ticket_id=one.id))
        await world.apply(message("B2", phone=BIA))
        manifest = await backing.make_beside()
    expected = rows(backing.state)
    rolled_back = tmp_path / "rolled-back"
    rolled_back.mkdir()
    aside.rename(rolled_back / "store.db")
    restored = backing.restore(manifest.id, rolled_back)
    assert restored.messages == 1
    assert sorted(map(repr, rows(rolled_back))) == sorted(map(repr, expected))
    assert backing.restore(manifest.id, rolled_back).rows == 0


async def test_a_merge_that_was_killed_is_ended_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At any of its steps; and no client's cursor is true from its first change on (P3)."""
    monkeypatch.setattr(absorbing, "_STEP", 2)
    backing = Backing(tmp_path / "state")
    await filled(tmp_path, *(message(f"A{n}", sent_at=T0 + n) for n in range(9)))
    manifest = backing.make()
    for killed_at in (2, 4, 8, 9):
        target = tmp_path / f"target-{killed_at}"
        await filled(target, message("Z1", phone=BIA), message("A3", sent_at=T0 + 3))
        before = epoch(target / "state")

        def told(what: str, done: int, total: int, killed_at: int = killed_at) -> None:
            if what == "restoring" and done >= killed_at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            backing.restore(manifest.id, target / "state", told=told)
        assert epoch(target / "state") != before
        backing.restore(manifest.id, target / "state")
        with stored(target) as storage:
            world = World(storage, await open_blobs(target))
            of_ana = [row for row in world.ids() if row != "Z1"]
            assert of_ana == [f"A{n}" for n in range(9)]
            by_id = {row.last_message_id: row for row in world.tickets()}
            last = next(row.id for row in world.messages() if row.whatsapp_id == "A8")
            assert by_id[last].inbound == 9
        assert backing.restore(manifest.id, target / "state").rows == 0


async def test_what_was_done_since_a_restore_outlives_a_later_one(tmp_path: Path) -> None:
    backing = Backing(tmp_path / "state")
    target = tmp_path / "other"
    with stored(tmp_path) as storage:
        world = World(storage, await open_blobs(tmp_path))
        await world.apply(message("A1"), message("B1", phone=BIA))
        first = await backing.make_beside()
        (ticket, _) = world.tickets()
        await world.desk.tickets.claim(ADMIN, TicketParams(ticket_id=ticket.id))
        second = await backing.make_beside()
    backing.restore(first.id, target / "state")
    with stored(target) as storage:
        world = World(storage, await open_blobs(target))
        await world.desk.tickets.close(ADMIN, TicketParams(ticket_id=ticket.id))
    backing.restore(second.id, target / "state")
    with stored(target) as storage:
        found = storage.readers[0].ticket(ticket.id)
    assert found is not None
    assert (found[0].status, found[0].assignee) == ("closed", None)


async def test_a_reply_that_waited_is_not_sent_by_a_restore(
    tmp_path: Path, backing: Backing
) -> None:
    """P4: it may have been sent after the backup, and nobody here knows. It ends, visibly."""
    await filled(tmp_path, message("A1"))
    with closing(apsw.Connection(str(backing.state / "store.db"))) as db:
        db.execute(_REPLY)
    manifest = backing.make()
    for name, from_conversations in (("database", False), ("chain", True)):
        target = tmp_path / name
        restored = backing.restore(manifest.id, target, from_conversations=from_conversations)
        assert restored.failed_replies == (0 if from_conversations else 1)
        with open_storage(target, None) as storage:
            row = storage.readers[0].message("r1")
            assert row is not None
            assert (row.status, row.error and row.error["code"]) == ("failed", "restored")
            assert storage.readers[0].outbox_unfinished(after=(0, ""), limit=9) == []
    into_another = tmp_path / "another"
    await filled(into_another, message("Z1", phone=BIA))
    assert backing.restore(manifest.id, into_another / "state").failed_replies == 1
    with open_storage(into_another / "state", None) as storage:
        (failed,) = storage.readers[0].outbox_page(None, states=("failed",), before=None, limit=9)
    assert failed.doubt_since == 5  # so its late echo still joins it


async def test_what_was_sent_since_is_not_sent_by_an_older_state(tmp_path: Path) -> None:
    """P4: last week's disk has it in its queue, the backup knows that it was sent."""
    backing = Backing(tmp_path / "state")
    await filled(tmp_path, message("A1"))
    rolled_back = tmp_path / "rolled-back"
    rolled_back.mkdir()
    with closing(apsw.Connection(str(backing.state / "store.db"))) as db:
        db.execute(_REPLY)
        db.execute("VACUUM INTO ?", (str(rolled_back / "store.db"),))
        db.execute("UPDATE outbox SET state = 'sent', ended_at = 9")
        db.execute("UPDATE messages SET status = 'sent' WHERE id = 'r1'")
    manifest = backing.make()
    assert backing.restore(manifest.id, rolled_back).failed_replies == 0
    with open_storage(rolled_back, None) as storage:
        reader = storage.readers[0]
        assert reader.outbox_unfinished(after=(0, ""), limit=9) == []
        (sent,) = reader.outbox_page(None, states=("sent",), before=None, limit=9)
        row = reader.message("r1")
    assert (sent.id, row and row.status) == ("r1", "sent")


_REPLY = """
    INSERT INTO messages (id, ticket_id, contact_id, instance, direction, sender, type, content,
            status, is_internal, created_at, received_at, reactions, metadata, edits)
        SELECT 'r1', id, contact_id, 'loja', 'out', 'agent', 'text', 'hello', 'pending', 0, 5, 5,
            '[]', '{}', '[]' FROM tickets;
    INSERT INTO outbox (id, instance, contact_id, ticket_id, message_id, op_id, digest, agent,
            outgoing, state, attempts, created_at, queued_at, due_at, is_first)
        SELECT 'r1', 'loja', contact_id, id, 'r1', 'op', 'd', 'ana', '{"content":"hello"}',
            'queued', 0, 5, 5, 5, 0 FROM tickets;
"""


async def test_the_pipeline_goes_on_where_the_backup_was(tmp_path: Path, backing: Backing) -> None:
    """The journal is still there: what came after the backup is read from it, once."""
    with stored(tmp_path) as storage:
        world = World(storage, await open_blobs(tmp_path))
        async with trio.open_nursery() as nursery:
            await world.start(nursery)
            for number in range(4):
                await world.journal.submit(webhook(f"A{number}", f"text {number}"))
                await world.handled()
                if number == 1:
                    manifest = await backing.make_beside()
            nursery.cancel_scope.cancel()
    cursor = manifest.mark.cursors[storage.journal.identity]
    assert cursor == 2
    for from_conversations in (False, True):
        (backing.state / "store.db").unlink()
        backing.restore(manifest.id, backing.state, from_conversations=from_conversations)
        assert texts(backing.state) == ["text 0", "text 1"]
        with stored(tmp_path) as storage:
            world = World(storage, await open_blobs(tmp_path))
            async with trio.open_nursery() as nursery:
                await world.start(nursery)
                await world.handled()
                assert world.pipeline.cursor == 4
                nursery.cancel_scope.cancel()
        assert texts(backing.state) == [f"text {number}" for number in range(4)]


async def test_a_store_that_went_on_keeps_its_place_in_the_journal(tmp_path: Path) -> None:
    backing = Backing(tmp_path / "state")
    await filled(tmp_path, message("A1"))
    old = backing.make()
    await filled(tmp_path, message("A2"))
    with closing(apsw.Connection(str(backing.state / "store.db"))) as db:
        db.execute("UPDATE cursors SET seq = 77")
        db.execute("DELETE FROM messages WHERE whatsapp_id = 'A1'")
    assert backing.restore(old.id, backing.state).messages == 1
    with closing(apsw.Connection(str(backing.state / "store.db"))) as db:
        assert db.execute("SELECT seq FROM cursors").fetchall() == [(77,)]


async def test_the_next_backup_after_a_restore_holds_everything(
    tmp_path: Path, backing: Backing
) -> None:
    await filled(tmp_path, message("A1"))
    manifest = backing.make()
    (backing.state / "store.db").unlink()
    backing.restore(manifest.id, backing.state)
    await filled(tmp_path, message("A2", sent_at=T0 + 1))
    following = backing.make()
    assert following.since is None
    assert following.previous is not None
    assert [row["whatsapp_id"] for row in said(backing.lines(following)).values()] == ["A1", "A2"]
    assert backing.check(following.id).problem is None


async def test_the_first_days_may_be_gone(tmp_path: Path, backing: Backing) -> None:
    """Without the copies of the database, and with the oldest backup removed: what there is, for
    whoever says that it is enough."""
    with stored(tmp_path) as storage:
        world = World(storage, await open_blobs(tmp_path))
        manifests = []
        for number in range(3):
            await world.apply(message(f"A{number}", content=f"day {number}"))
            manifests.append(await backing.make_beside())
    assert backing.shelf.drop_oldest(2) == [manifests[0].id]
    for manifest in manifests[1:]:
        (backing.shelf.place(manifest.id) / "store.db.zst").unlink()
    target = tmp_path / "target"
    with pytest.raises(RestoreRefused, match="what changed before 2026-12-01 12:00 UTC"):
        backing.restore(manifests[-1].id, target, from_conversations=True)
    assert not (target / "store.db").exists()
    restored = backing.restore(manifests[-1].id, target, from_conversations=True, is_partial=True)
    assert restored.missing_before == manifests[0].created_at
    assert texts(target) == ["day 1", "day 2"]


def test_a_store_of_the_first_schema_is_backed_up_and_restored(
    tmp_path: Path, backing: Backing
) -> None:
    """Before its new daemon was ever started; and that backup outlives later schemas."""
    backing.state.mkdir(mode=0o700)
    with closing(apsw.Connection(str(backing.state / "store.db"))) as db:
        db.execute(MIGRATIONS[0])
        db.execute(OLD)
        db.pragma("user_version", 1)
    manifest = backing.make()
    assert backing.check(manifest.id).problem is None
    backing.restore(manifest.id, tmp_path / "target")
    assert len(texts(tmp_path / "target")) == 3
    with closing(apsw.Connection(str(backing.state / "store.db"))) as db:
        assert db.pragma("user_version") == 1  # the store itself was only read


def test_a_backup_of_an_older_schema_is_proved_and_restored(
    tmp_path: Path, backing: Backing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sums are over other columns; its rows are counted, and read by what this version is."""
    with monkeypatch.context() as earlier:
        for module in (store, life, suspicion):
            earlier.setattr(module, "MIGRATIONS", MIGRATIONS[:-1])
        trio.run(filled, tmp_path, message("A1"), message("B1", phone=BIA))
        manifest = backing.make()
    assert manifest.mark.schema == len(MIGRATIONS) - 1
    assert backing.check(manifest.id).problem is None
    target = tmp_path / "target"
    assert backing.restore(manifest.id, target).messages == 2
    with closing(apsw.Connection(str(target / "store.db"))) as db:
        assert db.pragma("user_version") == len(MIGRATIONS)
    monkeypatch.setattr(store, "MIGRATIONS", MIGRATIONS[:-2])
    monkeypatch.setattr(suspicion, "MIGRATIONS", MIGRATIONS[:-2])
    with pytest.raises(RelayError, match="newer evorelay"):  # and an older version says so
        backing.restore(manifest.id, tmp_path / "another")


async def test_files_of_messages_that_lack_are_counted(tmp_path: Path, backing: Backing) -> None:
    here, away = "ab" * 32, "cd" * 32
    files = [MediaFact(mimetype="image/jpeg", blob=blob, size=7) for blob in (here, away)]
    await filled(
        tmp_path, *(message(f"I{n}", type="image", media=file) for n, file in enumerate(files))
    )
    manifest = backing.make()
    assert (manifest.media.files, manifest.media.bytes) == (2, 14)
    assert missing_files(backing.shelf, manifest, {here}.__contains__, Pace()) == 1


def test_nothing_is_restored_beside_a_daemon(tmp_path: Path, backing: Backing) -> None:
    with stored(tmp_path), pytest.raises(StoreInUse):
        backing.restore("20261130T050000Z", backing.state)
