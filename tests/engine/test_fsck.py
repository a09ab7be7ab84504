"""``evorelay fsck``: a real store, damaged in every way it looks for; each is named by itself."""

import json
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
from click.testing import CliRunner

from evorelay.cli.fsck import command
from evorelay.cli.main import main
from evorelay.model.records import OutboxRecord
from evorelay.relay.blobs import BlobStore
from evorelay.storage.open import open_storage
from tests.engine.harness import World, envelope, has_lived, message, reply
from tests.engine.test_erasing import upsert

PHOTO = b"a photo"
NAME = sha256(PHOTO).hexdigest()


async def a_day(state: Path) -> None:
    """Tickets, a group, a merge, a file, a reply, quarantine, and a webhook not handled yet."""
    with open_storage(state, None) as storage:
        world = World(storage, await BlobStore.open(state / "blobs"))
        world.now.ms = time.time_ns() // 1_000_000
        at = world.now()
        async with trio.open_nursery() as nursery:
            await world.start(nursery)
            image: dict[str, Any] = {"imageMessage": {"mimetype": "image/png"}}
            image["base64"] = b64encode(PHOTO).decode()
            group = {"jid": "120363000000000001@g.us"}
            for webhook in (
                upsert("A1", "oi", at=at),
                upsert("A2", image, at=at + 1000),
                upsert("A3", "resposta", at=at + 2000, fromMe=True),
                upsert("A4", "obrigado", at=at + 3000),
                upsert("B1", "bom dia", jid="77@lid", at=at),
                upsert("B2", "sou eu", jid="5511977776666@s.whatsapp.net", at=at + 1000),
                upsert("G1", "no grupo", participant="99@lid", at=at, **group),
                envelope(b'{"data":7}', at=at),
            ):
                await world.journal.submit(webhook)
            await world.handled()
            await world.apply(message("B3", phone="5511977776666", lid="77@lid", sent_at=at + 2000))
            await world.apply(reply("B4", phone="5511977776666", lid="77@lid", sent_at=at + 4000))
            nursery.cancel_scope.cancel()
        assert len(storage.readers[0].merges(None, before=None, limit=9)) == 1
        ticket = world.tickets()[0]
        row = OutboxRecord(
            id="o1",
            instance="loja",
            contact_id=ticket.contact_id,
            ticket_id=ticket.id,
            message_id=world.messages()[0].id,
            op_id="op",
            digest="",
            agent="ana",
            outgoing={"type": "text", "content": "oi"},
            state="queued",
            attempts=0,
            created_at=at,
            queued_at=at,
            due_at=at,
        )
        await world.ledger.change(lambda draft: draft.plan.new_outbox.append(row))
        body = json.dumps({"data": {"base64": f"blob:{NAME}"}}).encode()
        storage.journal.append([envelope(body, at=at)])


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("sound") / "state"
    trio.run(a_day, state)
    return state


@pytest.fixture
def state(sound: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    target = tmp_path / "state"
    target.mkdir(mode=0o700)
    for path in sorted(sound.rglob("*")):
        if path.is_dir():
            (target / path.relative_to(sound)).mkdir(mode=0o700)
        else:
            copy = target / path.relative_to(sound)
            copy.write_bytes(path.read_bytes())
            copy.chmod(0o600)
    has_lived(target)
    return target


def fsck(state: Path, *args: str, status: int) -> dict[str, Any]:
    done = CliRunner().invoke(
        command, ["--json", *args], env={"EVORELAY_STATE_DIR": str(state)}, catch_exceptions=False
    )
    assert done.exit_code == status, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def codes(found: dict[str, Any]) -> list[str]:
    return sorted(fault["code"] for fault in found["faults"])


def sql(*statements: str, file: str = "store.db") -> Callable[[Path], None]:
    def damage(state: Path) -> None:
        with closing(apsw.Connection(str(state / file))) as db:
            for statement in statements:
                db.execute(statement)

    return damage


def no_trigger(*statements: str) -> Callable[[Path], None]:
    """Without the index of search hearing of it."""
    drops = [f"DROP TRIGGER messages_text_{verb}" for verb in ("insert", "update", "delete")]
    return sql(*drops, *statements)


def index_without_a_row(state: Path) -> None:
    """What a lost write looks like: the index was away while a row changed."""
    path = str(state / "store.db")
    chosen = "FROM sqlite_schema WHERE name = 'messages_once'"
    with closing(apsw.Connection(path)) as db:
        row = db.execute(f"SELECT * {chosen}").fetchone()
        db.pragma("writable_schema", True)
        db.execute(f"DELETE {chosen}")
    with closing(apsw.Connection(path)) as db:
        db.execute("UPDATE messages SET whatsapp_id = 'B3-changed' WHERE whatsapp_id = 'B3'")
        db.pragma("writable_schema", True)
        db.execute("INSERT INTO sqlite_schema VALUES (?, ?, ?, ?, ?)", row)


def blob_file(state: Path) -> Path:
    return state / "blobs" / NAME[:2] / NAME[2:4] / NAME


def put_file(name: str, content: bytes) -> Callable[[Path], None]:
    def damage(state: Path) -> None:
        path = state / "blobs" / name[:2] / name[2:4] / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    return damage


def open_secrets(state: Path) -> None:
    (state / "secrets.json").write_text("{}")
    (state / "secrets.json").chmod(0o644)


def unreadable_batch(state: Path) -> None:
    sql("UPDATE batches SET envelopes = x'c1' WHERE first_seq = 1", file="journal.db")(state)


DAMAGES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "a hole in a channel": (
        sql("DELETE FROM positions WHERE channel = 'inbox:loja' AND \"offset\" = 2"),
        ["event_without_position", "offsets"],
    ),
    "a head too far": (
        sql("UPDATE channels SET head = head + 1 WHERE name = 'inbox:loja'"),
        ["channel_head"],
    ),
    "a hole in the log": (
        sql("DELETE FROM events WHERE id = 2"),
        ["event_ids", "position_without_event"],
    ),
    "a log that goes on elsewhere": (
        sql("UPDATE channels SET head = head + 5 WHERE name = ''"),
        ["event_head"],
    ),
    "no epoch": (sql("DELETE FROM meta"), ["no_epoch"]),
    "a contact that is gone": (
        sql("PRAGMA foreign_keys = OFF", "DELETE FROM contacts WHERE merged_into IS NULL"),
        ["dangling_merge", "dangling_merge_record", "dangling_row"],
    ),
    "a merge into nowhere": (
        sql("UPDATE tickets SET merged_into = 'x' WHERE merged_into IS NOT NULL"),
        ["dangling_ticket_merge"],
    ),
    "a number that leads to a merged contact": (
        sql(
            "UPDATE aliases SET contact_id = (SELECT id FROM contacts WHERE merged_into IS NOT NULL"
            " LIMIT 1) WHERE alias = 'lid:77@lid'"
        ),
        ["merged_with_alias"],
    ),
    "messages left behind in a merge": (
        sql(
            "UPDATE messages SET ticket_id = (SELECT id FROM tickets WHERE merged_into IS NOT NULL)"
            " WHERE whatsapp_id = 'G1'"
        ),
        ["counters", "last_message", "merged_with_messages", "waiting"],
    ),
    "two open tickets": (
        sql(
            "DROP INDEX tickets_one_open",
            "INSERT INTO tickets SELECT 'x', instance, contact_id, status, assignee, subject, 0,"
            " NULL, NULL, created_at, closed_at, version, NULL, 0, NULL, NULL, NULL, NULL, 0"
            " FROM tickets WHERE status <> 'closed' LIMIT 1",
        ),
        ["two_open_tickets"],
    ),
    "a reply without its message": (
        sql("UPDATE outbox SET message_id = 'x'"),
        ["dangling_reply"],
    ),
    "a wish for the file of no message": (
        sql("INSERT INTO fetches VALUES ('x', 'loja', 0, 0, 0)"),
        ["dangling_fetch"],
    ),
    "a wrong count": (sql("UPDATE tickets SET inbound = inbound + 1"), ["counters"]),
    "a last message of somebody else": (
        sql("UPDATE tickets SET last_message_id = 'x' WHERE merged_into IS NULL"),
        ["last_message"],
    ),
    "a customer whose waiting nobody sees": (
        sql("UPDATE tickets SET waiting_since = NULL WHERE merged_into IS NULL"),
        ["waiting"],
    ),
    "more unread than came in": (
        sql("UPDATE tickets SET unread = 99 WHERE merged_into IS NULL"),
        ["unread"],
    ),
    "a message that search does not know": (
        no_trigger(
            "INSERT INTO messages (id, ticket_id, contact_id, instance, direction, sender, type,"
            " content, status, is_internal, created_at, received_at, reactions, metadata, edits)"
            " SELECT 'x', ticket_id, contact_id, instance, 'out', sender, type, 'y', status, 1,"
            " created_at - 1, received_at, '[]', '{}', '[]' FROM messages"
            " WHERE whatsapp_id = 'A1'"
        ),
        ["search"],
    ),
    "a row that is no JSON": (
        no_trigger("UPDATE messages SET reactions = '[' WHERE whatsapp_id = 'A1'"),
        ["not_json"],
    ),
    "an index that lacks rows": (index_without_a_row, ["damaged"]),
    "a commit gone from the journal": (
        sql("DELETE FROM batches WHERE last_seq = 4", file="journal.db"),
        ["journal_gap"],
    ),
    "webhooks that cannot be read": (unreadable_batch, ["unreadable_entry"]),
    "a number given twice": (
        sql("UPDATE batches SET first_seq = first_seq - 1 WHERE last_seq = 4", file="journal.db"),
        ["journal_order"],
    ),
    "a journal that is an older copy": (
        sql("UPDATE cursors SET seq = seq + 50"),
        ["cursor_ahead"],
    ),
    "a journal without a name": (sql("DELETE FROM meta", file="journal.db"), ["no_identity"]),
    "a file that changed": (
        put_file(NAME, b"a phoTo"),
        ["damaged_file"],
    ),
    "a file that is gone": (lambda state: blob_file(state).unlink(), ["missing_file"]),
    "a file that nobody needs": (
        put_file(sha256(b"stray").hexdigest(), b"stray"),
        ["orphan"],
    ),
    "a file of no blob": (put_file("ab" + "notes.txt", b"hello"), ["strange_file"]),
    "secrets that others may read": (open_secrets, ["open_file"]),
}


def test_a_store_that_has_lived_is_sound(state: Path) -> None:
    found = fsck(state, status=0)
    assert (found["sound"], found["faults"], found["notes"]) == (True, [], [])
    assert found["checked"]["messages"] == 9
    assert found["checked"]["files"] == 1
    assert found["checked"]["journal_entries"] == 9


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_is_named(name: str, state: Path) -> None:
    damage, expected = DAMAGES[name]
    damage(state)
    found = fsck(state, status=1)
    assert codes(found) == sorted(expected)
    assert all(fault["where"] for fault in found["faults"])


def test_entries_that_left_the_journal_too_early_are_missed(state: Path) -> None:
    """P1: accepted, never handled, and gone."""
    sql("DELETE FROM batches WHERE last_seq < 9", file="journal.db")(state)
    assert codes(fsck(state, status=0)) == []
    sql("UPDATE cursors SET seq = 3")(state)
    found = fsck(state, status=1)
    assert codes(found) == ["lost_entries"]
    assert found["faults"][0]["where"] == ["4 to 8"]


def test_what_can_be_worked_out_is_repaired(state: Path) -> None:
    for name in (
        "a wrong count",
        "a last message of somebody else",
        "a customer whose waiting nobody sees",
        "more unread than came in",
        "a file that nobody needs",
        "secrets that others may read",
    ):
        DAMAGES[name][0](state)
    sql("INSERT INTO messages_text (messages_text) VALUES ('delete-all')")(state)
    assert "search" in codes(fsck(state, status=1))
    found = fsck(state, "--repair", status=0)
    assert found["sound"]
    assert len(found["repaired"]) == 4
    assert blob_file(state).exists()
    assert fsck(state, status=0)["repaired"] == []


def test_the_rest_is_left_to_a_person(state: Path) -> None:
    DAMAGES["a hole in the log"][0](state)
    found = fsck(state, "--repair", status=1)
    assert (codes(found), found["repaired"]) == (["event_ids", "position_without_event"], [])
    assert not any(fault["repairable"] for fault in found["faults"])


def run_main(state: Path, *args: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["fsck", *args], env={"EVORELAY_STATE_DIR": str(state)})
    return done.exit_code, done.output


def test_beside_a_daemon_it_looks_and_does_not_repair(state: Path) -> None:
    """And a file that nobody needs may be on its way there: no fault yet."""
    DAMAGES["a file that nobody needs"][0](state)
    with open_storage(state, None):
        found = fsck(state, status=0)
        assert len(found["notes"]) == 1
        status, said = run_main(state, "--repair")
        assert status == 2
        assert "stop it before --repair" in said


def test_what_is_no_store_is_said_in_a_line(tmp_path: Path, state: Path) -> None:
    assert run_main(tmp_path / "nothing")[0] == 2
    (state / "store.db").write_bytes(b"this is no database, whatever it is called" * 100)
    for name in ("store.db-wal", "store.db-shm"):
        (state / name).unlink(missing_ok=True)
    assert codes(fsck(state, status=1)) == ["damaged"]


def test_what_a_person_reads(state: Path) -> None:
    status, said = run_main(state)
    assert (status, "Everything is whole." in said) == (0, True)
    DAMAGES["a wrong count"][0](state)
    status, said = run_main(state)
    assert status == 1
    assert "counters" in said
    assert "fsck --repair" in said


def test_files_of_a_store_begun_anew_are_left_for_its_backup(state: Path) -> None:
    """P9: the files are in no backup, and ``--repair`` must not take them before it is put back."""
    put_file(sha256(b"stray").hexdigest(), b"stray")(state)
    sql("UPDATE meta SET value = strftime('%s') * 1000 WHERE key = 'born_at'")(state)
    found = fsck(state, "--repair", status=0)
    assert (found["faults"], found["repaired"], len(found["notes"])) == ([], [], 1)
    sql("UPDATE meta SET value = '0' WHERE key = 'born_at'")(state)
    assert codes(fsck(state, status=1)) == ["orphan"]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("a file that changed", "your copy of blobs/"),
        ("a file that is gone", "your copy of blobs/"),
        ("a file of no blob", "out of blobs/"),
        ("a file that nobody needs", "fsck --repair"),
    ],
)
def test_for_files_nobody_is_sent_to_a_backup(name: str, advice: str, state: Path) -> None:
    """P9: a backup holds none."""
    DAMAGES[name][0](state)
    _, said = run_main(state)
    assert advice in said
    assert "put a backup back" not in said


def test_a_store_that_was_put_back_is_looked_at_without_a_journal(state: Path) -> None:
    for path in state.glob("journal.db*"):
        path.unlink()
    found = fsck(state, status=0)
    assert found["checked"]["messages"] == 9
    assert "no journal.db" in found["notes"][0]
    assert not (state / "journal.db").exists()


def test_without_a_journal_no_file_is_removed(state: Path) -> None:
    """P1: it may be the one that a webhook of it names."""
    DAMAGES["a file that nobody needs"][0](state)
    for path in state.glob("journal.db*"):
        path.unlink()
    status, said = run_main(state, "--repair")
    assert (status, "start the daemon" in said) == (2, True)
