"""What only the embedded driver can get wrong: files, disks, schemas, kill -9."""

import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import pytest

from evorelay.model.errors import JournalUnavailable, RelayError, StoreInUse, StoreUnavailable
from evorelay.storage.open import open_storage
from evorelay.storage.sqlite.connection import DamagedFile
from evorelay.storage.sqlite.journal import SqliteJournal
from evorelay.storage.sqlite.schema import MIGRATIONS
from tests.conformance.harness import (
    T0,
    Sqlite,
    contact,
    envelope,
    make_message,
    make_ticket,
    opened,
)

WRITES_UNTIL_KILLED = """
import sys
from pathlib import Path
from evorelay.storage.ports import Plan
from tests.conformance.harness import Sqlite, contact, envelope, make_ticket
driver = Sqlite(Path(sys.argv[1]))
with driver.journal() as journal, driver.writer() as writer:
    number = 0
    while True:
        seq = journal.append([envelope(b"%d" % number)] * 3)
        number += 1
        plan = Plan(
            new_contacts=[contact(f"c{number}")],
            new_tickets=[make_ticket(f"t{number}", contact_id=f"c{number}")],
            cursor=("j", number),
        )
        writer.transact(lambda tx: tx.write(plan))
        print(number, seq, flush=True)
"""


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes: the error of a disk without room."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def largest(directory: Path) -> int:
    return max(path.stat().st_size for path in directory.iterdir())


def test_kill_9_loses_nothing_that_was_confirmed(tmp_path: Path) -> None:
    """P1: killed between any two instructions, every confirmed commit is there, and is whole."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITES_UNTIL_KILLED, str(tmp_path)], stdout=subprocess.PIPE
    ) as writing:
        assert writing.stdout is not None
        lines = [writing.stdout.readline() for _ in range(50)]
        writing.send_signal(signal.SIGKILL)
        lines += writing.stdout.readlines()
    confirmed, seq = map(int, lines[-1].split())
    driver = Sqlite(tmp_path)
    with driver.journal() as journal, opened(driver) as store:
        entries = journal.read(0, 1 << 40)
        assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
        assert seq + 2 <= len(entries)
        assert len(entries) % 3 == 0
        stored = store.look(lambda tx: tx.cursor("j"))
        assert stored in (confirmed, confirmed + 1)
        ids = [f"c{number}" for number in range(1, stored + 2)]
        assert len(store.look(lambda tx: tx.contacts(ids))) == stored
        assert len(store.look(lambda tx: tx.latest_tickets(ids))) == stored


def test_a_full_disk_is_answered_and_outlived(tmp_path: Path) -> None:
    """P1, P5: refused as something that may pass, nothing half written, and it goes on later."""
    driver = Sqlite(tmp_path)
    with driver.journal() as journal, opened(driver) as store:
        journal.append([envelope(b"before")])
        store.person()
        room = largest(tmp_path) + 50_000
        with full_disk(room):
            with pytest.raises(JournalUnavailable) as refused:
                journal.append([envelope(b"x" * room)])
            assert refused.value.retryable
            with pytest.raises(StoreUnavailable):
                store.write(new_contacts=[contact(f"c-{n}") for n in range(2000)])
        assert journal.append([envelope(b"after")]) == 2
        assert [entry.envelope.body for entry in journal.read(0, 1 << 40)] == [b"before", b"after"]
        assert store.look(lambda tx: tx.contacts(["c-0", "c-1999"])) == {}
        store.write(new_contacts=[contact("c-0")])


def test_a_newer_schema_is_refused_and_left_alone(tmp_path: Path) -> None:
    driver = Sqlite(tmp_path)
    with opened(driver) as store:
        store.person()
    newer = apsw.Connection(str(driver.store_path))
    newer.pragma("user_version", len(MIGRATIONS) + 1)
    newer.close()
    with (
        pytest.raises(RelayError, match=r"newer evorelay.*move .*store.*\.db away and restore"),
        driver.writer(),
    ):
        pass
    again = apsw.Connection(str(driver.store_path))
    assert again.pragma("user_version") == len(MIGRATIONS) + 1


@pytest.mark.parametrize(
    ("name", "price"), [("store.db", "older tickets are lost"), ("journal.db", "tickets stay")]
)
@pytest.mark.parametrize("damage", ["no database", "first page"])
def test_a_damaged_file_is_named_and_the_way_out_told_in_one_line(
    tmp_path: Path, name: str, price: str, damage: str
) -> None:
    with open_storage(tmp_path, None) as storage:
        storage.journal.append([envelope()])
    path = tmp_path / name
    whole = path.read_bytes()
    path.write_bytes(
        b"this is no database " * 1000
        if damage == "no database"
        else whole[:100] + b"\xff" * 900 + whole[1000:]
    )
    with pytest.raises(RelayError) as caught, open_storage(tmp_path, None):
        pass
    message = str(caught.value)
    assert message.startswith(f"{path} is damaged (")
    assert f"move it and {name}-wal away" in message
    assert price in message
    assert "\n" not in message
    path.rename(tmp_path / "away")
    with open_storage(tmp_path, None) as storage:
        assert storage.journal.append([envelope()])


def test_a_journal_entry_that_cannot_be_read_is_damage_of_its_file(tmp_path: Path) -> None:
    """SQLite keeps no checksums: what a bad disk changes inside a value, it gives back."""
    path = tmp_path / "journal.db"
    with closing(SqliteJournal(path)) as journal:
        journal.append([envelope()])
        raw = apsw.Connection(str(path))
        raw.execute("UPDATE batches SET envelopes = zeroblob(100)")
        raw.close()
        with pytest.raises(DamagedFile, match=r"journal\.db is damaged"):
            journal.read(0, 1 << 20)


def test_files_are_for_the_owner_alone(tmp_path: Path) -> None:
    """P7: customers' messages are nobody else's business, whatever the umask."""
    with open_storage(tmp_path / "state", None) as storage:
        storage.journal.append([envelope()])
        files = list((tmp_path / "state").iterdir())
        assert len(files) > 4
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


def test_a_state_directory_serves_one_process(tmp_path: Path) -> None:
    with (
        open_storage(tmp_path / "state", None),
        pytest.raises(StoreInUse, match="in use"),
        open_storage(tmp_path / "state", None),
    ):
        pass
    with open_storage(tmp_path / "state", None):
        pass


def test_a_store_elsewhere_is_locked_too(tmp_path: Path) -> None:
    url = f"sqlite://{tmp_path}/else%20where/my.db"
    with open_storage(tmp_path / "a", url):
        assert (tmp_path / "else where" / "my.db").exists()
        with pytest.raises(StoreInUse), open_storage(tmp_path / "b", url):
            pass


@pytest.mark.parametrize("blocked", ["state", "state/store.db", "state/evorelay.lock"])
def test_a_place_that_cannot_be_used_is_told_in_our_words(tmp_path: Path, blocked: str) -> None:
    """A file where a directory should be, or the other way round: one line, no traceback."""
    place = tmp_path / blocked
    place.parent.mkdir(exist_ok=True)
    if blocked == "state":
        place.write_text("")
    else:
        place.mkdir()
    with pytest.raises(RelayError, match=place.name), open_storage(tmp_path / "state", None):
        pass


def test_trimming_lets_the_journal_use_its_pages_again(tmp_path: Path) -> None:
    """P5: with retention the file stops growing."""
    path = tmp_path / "journal.db"
    sizes = []
    journal = SqliteJournal(path)
    try:
        for _ in range(4):
            for _ in range(50):
                journal.append([envelope(b"x" * 20_000)])
            while journal.trim(journal.last_seq(), 1 << 60):
                pass
            sizes.append(path.stat().st_size + path.with_name("journal.db-wal").stat().st_size)
    finally:
        journal.close()
    assert sizes[3] < 2 * 50 * 20_000 + 17 * 1024 * 1024


def test_the_index_of_search_is_sound_and_holds_nothing_deleted(tmp_path: Path) -> None:
    """P7, P9: a repair of the index must not bring deleted words back."""
    with opened(Sqlite(tmp_path)) as store:
        store.write(new_contacts=[contact("c1")], new_tickets=[make_ticket("t1", contact_id="c1")])
        gone = make_message("m1", ticket_id="t1", contact_id="c1", content="segredo")
        heard = make_message(
            "m2",
            ticket_id="t1",
            contact_id="c1",
            whatsapp_id="W2",
            content="[Áudio]",
            media={"filename": "contrato.pdf"},
        )
        store.write(new_messages=[gone, heard])
        heard.metadata = {"transcription": "remarcar"}
        gone.deleted_at = T0
        store.write(changed_messages=[gone, heard])
        db = apsw.Connection(str(tmp_path / "store.db"))

        def found(word: str) -> list[int]:
            sql = "SELECT rowid FROM messages_text WHERE messages_text MATCH ?"
            return [row for (row,) in db.execute(sql, (word,))]

        for command in ("integrity-check", "rebuild", "integrity-check"):
            db.execute("INSERT INTO messages_text (messages_text, rank) VALUES (?, 1)", (command,))
            assert (found("segredo"), found("remarcar"), found("contrato")) == ([], [2], [2])
        db.close()
