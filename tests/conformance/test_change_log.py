"""P9: what backups rely on: the log of changes, and every column of a conversation in its line."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest

from evorelay.model.records import MemberRecord
from evorelay.storage.sqlite.lines import KINDS
from evorelay.storage.sqlite.store import SqliteStore
from tests.conformance.harness import Sqlite, Store, contact, make_message, make_ticket, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with closing(SqliteStore(tmp_path / "store.db")):
        return tmp_path / "store.db"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_line_has_every_column_of_its_row(kind: object, path: Path) -> None:
    """A column that is added one day must come back from a backup, too."""
    table = kind.table  # type: ignore[attr-defined]  # a Kind, which pytest does not say
    with closing(apsw.Connection(str(path))) as db:
        columns = {row[1] for row in db.execute(f"PRAGMA table_info({table.name})")}
    assert columns - {"arrival"} == set(table.columns)


def log_of(path: Path) -> list[tuple[str, str]]:
    with closing(apsw.Connection(str(path))) as db:
        return db.execute("SELECT kind, key FROM changes ORDER BY revision").fetchall()  # type: ignore[return-value]  # two texts


def test_every_change_is_noted_whoever_makes_it(tmp_path: Path) -> None:
    with opened(Sqlite(tmp_path)) as store:
        store.write(
            new_contacts=[contact("c1"), contact("g1", is_group=True)],
            new_tickets=[make_ticket("t1")],
            new_messages=[make_message("m1")],
            members=[MemberRecord(group_id="g1", contact_id="c1", role=None)],
        )
        store.write(changed_messages=[make_message("m1", content="edited")])
        store.write(removed_messages=["m1"])
    assert log_of(tmp_path / "store.db") == [
        ("contact", "c1"),
        ("contact", "g1"),
        ("ticket", "t1"),
        ("message", "m1"),
        ("member", '["g1","c1"]'),
        ("message", "m1"),
        ("message", "m1"),
    ]


def filled(store: Store, count: int) -> None:
    for number in range(count):
        store.write(new_contacts=[contact(f"c{number}")])


def test_what_a_backup_holds_is_let_go_and_numbers_go_on(tmp_path: Path) -> None:
    with opened(Sqlite(tmp_path)) as store:
        filled(store, 10)
        assert store.writer.trim_changes(4, 1000, 2) == 2  # in steps
        assert store.writer.trim_changes(4, 1000, 1000) == 1
        assert len(log_of(tmp_path / "store.db")) == 7
        assert store.writer.trim_changes(10**9, 1000, 1000) == 6  # the last one stays
        store.write(new_contacts=[contact("c10")])
    with closing(apsw.Connection(str(tmp_path / "store.db"))) as db:
        assert db.execute("SELECT revision FROM changes").fetchall() == [(10,), (11,)]


def test_without_backups_it_is_bounded(tmp_path: Path) -> None:
    with opened(Sqlite(tmp_path)) as store:
        filled(store, 10)
        assert store.writer.trim_changes(0, 3, 1000) == 6
    assert [key for _, key in log_of(tmp_path / "store.db")] == ["c6", "c7", "c8", "c9"]
