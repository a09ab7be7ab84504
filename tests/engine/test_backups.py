"""P9: backups by the clock, whatever happens to the clock, the disk, and the daemon."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from datetime import datetime
from pathlib import Path

import apsw
import pytest
import trio

from evorelay.config import BackupConfig
from evorelay.model.backup import BackupRunning
from evorelay.model.errors import Code, Refusal
from evorelay.relay.backup.listing import drop_old
from evorelay.relay.backup.shelf import Shelf
from evorelay.relay.backups import Backups
from evorelay.relay.questions import NoParams
from evorelay.telemetry.metrics import NopMetrics
from tests.engine.backing import Backing
from tests.engine.harness import ADMIN, HOUR, T0, World, message, open_blobs, stored
from tests.engine.office import ANA, CHEFE
from tests.support.backups import backups_of
from tests.support.waiting import eventually

DAY_MS = 24 * HOUR
CONFIG = BackupConfig(schedule="0 2 * * *", timezone="America/Sao_Paulo", keep=3)


class Office:
    """A store with a message in it, and its backups; ``at`` is the wall clock."""

    def __init__(self, world: World, backups: Backups) -> None:
        self.world = world
        self.backups = backups
        self.shelf = Shelf(world.storage.directory / "backups")

    def at(self, text: str) -> None:
        self.world.now.ms = round(datetime.fromisoformat(text).timestamp() * 1000)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The service as the daemon runs it; left, it is stopped in the middle of anything."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.backups.run)
            yield
            nursery.cancel_scope.cancel()

    async def verified(self, *before: str) -> list[str]:
        """Wait until there is another one than these that was proved; returns all ids."""

        async def look() -> list[str] | None:
            page = await self.backups.page(CHEFE, NoParams())
            ids = [view.id for view in page.backups]
            is_new = ids and ids[0] not in before and page.backups[0].state == "verified"
            return ids[::-1] if is_new and not page.is_running else None

        return await eventually(look, what="another verified backup")

    async def trouble(self) -> str:
        async def look() -> str | None:
            return self.backups.facts().trouble

        return await eventually(look, what="trouble")


@asynccontextmanager
async def office(
    directory: Path, config: BackupConfig = CONFIG, *, has_message: bool = True
) -> AsyncIterator[Office]:
    with stored(directory) as storage:
        world = World(storage, await open_blobs(directory))
        world.now.ms = T0  # 2026-11-18 11:06 UTC
        if has_message:
            await world.apply(message("A1"))
        backups = backups_of(
            storage, world.ledger, world.reads, NopMetrics(), config, now=world.now
        )
        yield Office(world, backups)


async def test_what_was_missed_is_made_after_the_start_and_once(tmp_path: Path) -> None:
    """The daemon was down for three nights; the first message is older than them."""
    async with office(tmp_path) as here:
        here.at("2026-11-21T09:00:00+00:00")
        async with here.running():
            ids = await here.verified()
            facts = here.backups.facts()
            assert facts.trouble is None
            assert facts.due_at == _ms("2026-11-22T05:00:00+00:00")
        async with here.running():  # a restart makes no other one
            await trio.testing.wait_all_tasks_blocked(0.2)
            assert here.shelf.ids() == ids


async def test_a_new_store_waits_for_the_night(tmp_path: Path) -> None:
    async with office(tmp_path) as here:
        async with here.running():
            await trio.testing.wait_all_tasks_blocked(0.2)
            assert here.shelf.ids() == []
            assert here.backups.facts().due_at == _ms("2026-11-19T05:00:00+00:00")


async def test_a_store_that_was_empty_at_the_start_is_backed_up_in_its_first_night(
    tmp_path: Path,
) -> None:
    """A new installation, which nobody restarts: what is due does not move on with the clock, and
    is told to be late as long as it is (P8)."""
    async with office(tmp_path, has_message=False) as here:
        with here.shelf.locked():
            async with here.running():
                await trio.testing.wait_all_tasks_blocked(0.2)
                due_at = here.backups.facts().due_at
                assert due_at == _ms("2026-11-19T05:00:00+00:00")
                await here.world.apply(message("A1"))
                here.at("2026-11-19T09:00:00+00:00")
                assert here.backups.facts().due_at == due_at
        async with here.running():
            await here.verified()
            (view,) = (await here.backups.page(CHEFE, NoParams())).backups
            assert view.messages == 1
            assert here.backups.facts().due_at == _ms("2026-11-20T05:00:00+00:00")


async def test_one_is_made_when_somebody_asks_and_old_ones_go(tmp_path: Path) -> None:
    async with office(tmp_path) as here, here.running():
        made: list[str] = []
        for number in range(1, 5):
            await here.world.apply(message(f"B{number}"))
            assert (await here.backups.start(ADMIN, NoParams())).started
            with pytest.raises(Refusal) as refused:
                await here.backups.start(ADMIN, NoParams())
            assert refused.value.code is Code.BACKUP_RUNNING
            made.append((await here.verified(*made))[-1])
            page = await here.backups.page(CHEFE, NoParams())
            # backup.keep = 3: the fourth holds everything again, for the first one goes.
            assert page.backups[0].messages == {1: 2, 4: 5}.get(number, 1)
        assert here.shelf.ids() == made[1:]
        assert [view.state for view in page.backups] == ["verified"] * 3
        assert len(list(here.shelf.path.glob("*.check.json"))) == 3


async def test_a_full_disk_is_told_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path) as here:
        monkeypatch.setattr(Shelf, "free_bytes", lambda self: 1000)
        async with here.running():
            await here.backups.start(ADMIN, NoParams())
            assert "1000 bytes are free" in await here.trouble()
            assert here.shelf.ids() == []
            monkeypatch.undo()
            await here.backups.start(ADMIN, NoParams())
            await here.verified()
            assert here.backups.facts().trouble is None


async def test_keeping_fewer_makes_room_before_the_next_one(tmp_path: Path) -> None:
    """The disk is full of backups: a lower ``backup.keep`` helps although none can be made."""
    backing = Backing(tmp_path / "state")
    async with office(tmp_path) as here:
        backing.shelf = here.shelf
        made = [(await backing.make_beside()).id for _ in range(4)]
        assert drop_old(here.shelf, 2) == []  # none is proved
        assert backing.check(made[-1]).problem is None
        assert drop_old(here.shelf, 2) == made[:2]
        last = await backing.make_beside()
        assert drop_old(here.shelf, 1) == []  # the newest is not proved
        assert here.shelf.ids()[-1] == last.id


async def test_a_bug_in_a_backup_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with office(tmp_path) as here:
        monkeypatch.setattr(Shelf, "new_id", lambda self, now: 1 // 0)
        async with here.running():
            await here.backups.start(ADMIN, NoParams())
            assert "ZeroDivisionError" in await here.trouble()
            monkeypatch.undo()
            await here.backups.start(ADMIN, NoParams())
            await here.verified()


async def test_a_backup_that_cannot_be_restored_is_told_and_removes_no_other(
    tmp_path: Path,
) -> None:
    async with office(tmp_path) as here:
        async with here.running():
            await here.backups.start(ADMIN, NoParams())
            (first,) = await here.verified()
        here.at("2026-11-19T09:00:00+00:00")
        check = here.shelf.path / f"{first}.check.json"
        check.unlink()
        database = here.shelf.place(first) / "store.db.zst"
        database.write_bytes(database.read_bytes()[:-3])
        async with here.running():
            await here.verified(first)  # the night's own
            views = (await here.backups.page(CHEFE, NoParams())).backups
        assert [view.state for view in views] == ["verified", "unverified"]
        newest = here.shelf.place(views[0].id) / "store.db.zst"
        newest.write_bytes(newest.read_bytes()[:-3])
        (here.shelf.path / f"{views[0].id}.check.json").unlink()
        async with here.running():
            trouble = await here.trouble()
            assert "cannot be restored" in trouble
            assert "cut short" in trouble
            assert here.backups.facts().verified_at is None
        assert len(here.shelf.ids()) == 2


async def test_a_stop_in_the_middle_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM does not wait for a backup; the next start makes it."""
    async with office(tmp_path) as here:
        here.at("2026-11-21T09:00:00+00:00")
        begun = trio.Event()
        token = trio.lowlevel.current_trio_token()
        real = Shelf.put

        def slow_put(self: Shelf, written: Path, backup_id: str) -> Path:
            token.run_sync_soon(begun.set)
            return real(self, written, backup_id)

        monkeypatch.setattr(Shelf, "put", slow_put)
        async with here.running():
            with trio.fail_after(30):
                await begun.wait()
        assert list(here.shelf.path.glob(".tmp*")) == []
        monkeypatch.undo()
        async with here.running():
            await here.verified()


async def test_leftovers_of_a_crash_go_at_the_start(tmp_path: Path) -> None:
    async with office(tmp_path) as here:
        leftover = here.shelf.path / ".tmp-20261118T050000Z"
        leftover.mkdir(parents=True)
        (leftover / "store.db").write_bytes(b"x" * 1000)
        restoring = here.world.storage.directory / ".restore-abc"
        restoring.mkdir()
        (restoring / "copy.db").write_bytes(b"x" * 1000)
        async with here.running():

            async def is_gone() -> bool:
                return not leftover.exists() and not restoring.exists()

            await eventually(is_gone, what="tidy directory")


async def test_a_backup_of_the_future_stops_no_later_one(tmp_path: Path) -> None:
    """The clock was years ahead when one was made, and was put right."""
    async with office(tmp_path) as here:
        here.at("2031-01-01T09:00:00+00:00")
        async with here.running():
            (future,) = await here.verified()
        here.at("2026-11-21T09:00:00+00:00")
        async with here.running():
            first, second = await here.verified(future)
            assert first == future < second  # names go on, whatever the clock says
            due_at = here.backups.facts().due_at
            assert due_at == _ms("2026-11-22T05:00:00+00:00")


async def test_while_a_command_makes_one_ours_waits(tmp_path: Path) -> None:
    async with office(tmp_path) as here:
        here.at("2026-11-21T09:00:00+00:00")
        with here.shelf.locked():
            async with here.running():
                await trio.testing.wait_all_tasks_blocked(0.3)
                assert here.shelf.ids() == []
                assert here.backups.facts().trouble is None
        async with here.running():
            await here.verified()


async def test_a_command_comes_after_the_daemon_s_own(tmp_path: Path) -> None:
    async with office(tmp_path) as here, trio.open_nursery() as nursery:
        entered = trio.Event()

        def enter(patience_s: float) -> None:
            with here.shelf.locked(patience_s=patience_s):
                trio.from_thread.run_sync(entered.set)

        with here.shelf.locked():
            with pytest.raises(BackupRunning):
                await trio.to_thread.run_sync(enter, 0.0)
            nursery.start_soon(trio.to_thread.run_sync, enter, 60.0)
            await trio.testing.wait_all_tasks_blocked(0.3)
            assert not entered.is_set()
        with trio.fail_after(30):
            await entered.wait()


async def test_a_directory_that_cannot_be_used_is_told_at_the_start(tmp_path: Path) -> None:
    async with office(tmp_path) as here:
        (here.world.storage.directory / "backups").write_text("a file")
        async with here.running():
            assert "backup.dir" in await here.trouble()


async def test_the_log_of_changes_is_let_go_once_a_backup_holds_it(tmp_path: Path) -> None:
    async with office(tmp_path) as here:
        async with here.running():
            await here.backups.start(ADMIN, NoParams())
            await here.verified()

            async def is_trimmed() -> bool:
                return _changes(here) == 1

            await eventually(is_trimmed, what="short log of changes")
        await here.world.apply(message("A9"), seq=99)
        shutil.rmtree(here.shelf.path)
        async with here.running():
            await here.backups.start(ADMIN, NoParams())
            await here.verified()
            (view,) = (await here.backups.page(CHEFE, NoParams())).backups
        assert (view.from_, view.messages) == (None, 2)  # nothing to go on from: all of it


async def test_who_may_see_and_start_backups(tmp_path: Path) -> None:
    """P7."""
    async with office(tmp_path) as here:
        for who, ask in ((ANA, here.backups.page), (ANA, here.backups.start)):
            with pytest.raises(Refusal) as refused:
                await ask(who, NoParams())
            assert refused.value.code is Code.FORBIDDEN
        with pytest.raises(Refusal) as refused:
            await here.backups.start(CHEFE, NoParams())
        assert refused.value.code is Code.FORBIDDEN
        assert (await here.backups.page(CHEFE, NoParams())).backups == []


def _changes(here: Office) -> int:
    with closing(apsw.Connection(str(here.world.storage.directory / "store.db"))) as db:
        return int(db.execute("SELECT count(*) FROM changes").get or 0)


def _ms(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)
