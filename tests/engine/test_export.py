"""``evorelay export``: everything of one person, nothing of anybody else."""

import json
import stat
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest
import trio
from click.testing import CliRunner

from evorelay.cli.main import main
from evorelay.relay.blobs import BlobStore
from evorelay.storage.open import open_storage
from tests.engine.harness import World
from tests.engine.test_erasing import OTHER, PHONE, PHOTO, SPELT, WORD, lived, upsert


async def a_day(state: Path) -> None:
    with open_storage(state, None) as storage:
        world = World(storage, await BlobStore.open(state / "blobs"))
        world.now.ms = 1_790_000_000_000
        async with trio.open_nursery() as nursery:
            await world.start(nursery)
            await lived(world)
            hostile = "<script>alert(1)</script> & 'aspas'"
            await world.journal.submit(upsert("A9", hostile, at=world.now() + 9000))
            await world.handled()
            nursery.cancel_scope.cancel()


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("export") / "state"
    trio.run(a_day, state)
    return state


def export(state: Path, *args: str, status: int = 0) -> str:
    done = CliRunner().invoke(main, ["export", *args], env={"EVORELAY_STATE_DIR": str(state)})
    assert done.exit_code == status, done.output
    return done.output


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_everything_of_the_person_is_there(state: Path, tmp_path: Path) -> None:
    out = tmp_path / "ana"
    told = json.loads(export(state, "--phone", PHONE, "--out", str(out), "--json"))
    counts = {name: told[name] for name in ("contacts", "messages", "files", "missing_files")}
    assert counts == {"contacts": 1, "messages": 5, "files": 2, "missing_files": 0}
    messages = lines(out / "messages.jsonl")
    assert [row["whatsapp_id"] for row in messages] == ["A1", "A2", "A3", "G1", "A9"]
    assert messages[0]["content"] == f"oi, {WORD}"
    assert messages[0]["created_at"].startswith("2026-")
    assert (out / messages[1]["file"]).read_bytes() == PHOTO
    people = json.loads((out / "people.json").read_text())
    assert [row["jid"] for row in people["contacts"]] == [f"{SPELT}@s.whatsapp.net"]
    assert len(lines(out / "tickets.jsonl")) == 2
    assert WORD in lines(out / "quarantine.jsonl")[0]["body"]


def test_nothing_of_anybody_else_is(state: Path, tmp_path: Path) -> None:
    out = tmp_path / "ana"
    export(state, "--phone", PHONE, "--out", str(out))
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert [path for path in files if OTHER.encode() in path.read_bytes()] == []
    for theirs in (b"bom dia", b"pergunta para"):
        assert not any(theirs in path.read_bytes() for path in files)


def test_the_page_is_text_and_nothing_runs_in_it(state: Path, tmp_path: Path) -> None:
    """What customers write is a stranger's (P7)."""
    out = tmp_path / "ana"
    export(state, "--phone", PHONE, "--out", str(out))
    page = (out / "conversation.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#x27;aspas&#x27;" in page
    assert f"oi, {WORD}" in page
    assert "default-src 'none'" in page


def test_nobody_else_may_read_it(state: Path, tmp_path: Path) -> None:
    out = tmp_path / "ana"
    export(state, "--phone", PHONE, "--out", str(out))
    for path in (out, *out.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_a_zip_file_has_the_same(state: Path, tmp_path: Path) -> None:
    out = tmp_path / "ana.zip"
    export(state, "--phone", PHONE, "--out", str(out))
    with zipfile.ZipFile(out) as archive:
        assert {"README.txt", "messages.jsonl", "conversation.html"} <= set(archive.namelist())
        assert archive.testzip() is None
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["ana.zip"]
    assert "is there already" in export(state, "--phone", PHONE, "--out", str(out), status=2)


def test_beside_a_daemon(state: Path, tmp_path: Path) -> None:
    with open_storage(state, None):
        export(state, "--phone", PHONE, "--out", str(tmp_path / "ana"))


@pytest.mark.parametrize(
    ("args", "status", "line"),
    [
        (("--phone", "5521900000000"), 1, "nothing is kept of such a person"),
        (("--contact", "nobody"), 1, "nothing is kept of such a person"),
        (("--phone", PHONE, "--instance", "outra"), 1, "nothing is kept of such a person"),
        (("--phone", "12"), 2, "--phone"),
        ((), 2, "exactly one of"),
    ],
)
def test_what_is_refused(
    state: Path, tmp_path: Path, args: tuple[str, ...], status: int, line: str
) -> None:
    out = tmp_path / "x"
    assert line in export(state, *args, "--out", str(out), status=status)
    assert not out.exists()


def test_a_directory_that_is_in_use_is_left_alone(state: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    said = export(state, "--phone", PHONE, "--out", str(tmp_path), status=2)
    assert "not an empty directory" in said
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_store_of_another_version_is_said_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    with closing(apsw.Connection(str(tmp_path / "state" / "store.db"))) as db:
        db.execute("PRAGMA user_version = 1")
    said = export(tmp_path / "state", "--phone", PHONE, "--out", str(tmp_path / "x"), status=1)
    assert "start the daemon once" in said
