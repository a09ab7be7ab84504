"""P8: the watchdog is fed by work that gets done, and by nothing else."""

import threading
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from evorelay.relay.moves import STUCK_S, Moves
from evorelay.storage.sqlite.journal import SqliteJournal
from tests.engine.harness import World, envelope, open_blobs, stored


async def test_idleness_moves(tmp_path: Path, mock_clock: MockClock) -> None:
    with stored(tmp_path) as storage:
        world = World(storage, await open_blobs(tmp_path))
        moves = Moves(world.journal, world.pipeline)
        assert moves()
        mock_clock.jump(100 * STUCK_S)
        assert moves()


async def test_a_pipeline_that_begins_nothing_does_not_move(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    with stored(tmp_path) as storage:
        storage.journal.append([envelope()])
        world = World(storage, await open_blobs(tmp_path))
        moves = Moves(world.journal, world.pipeline)
        assert moves()
        mock_clock.jump(STUCK_S - 1)
        assert moves()
        mock_clock.jump(1)
        assert not moves()
        world.pipeline.last_attempt_at = (
            trio.current_time()
        )  # as at each try of a store that refuses
        assert moves()


async def test_a_commit_that_hangs_does_not_move(
    tmp_path: Path, mock_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, release = threading.Event(), threading.Event()
    append = SqliteJournal.append

    def hangs(journal: SqliteJournal, envelopes: Any) -> int:
        begun.set()
        assert release.wait(30)
        return append(journal, envelopes)

    monkeypatch.setattr(SqliteJournal, "append", hangs)
    with stored(tmp_path) as storage:
        world = World(storage, await open_blobs(tmp_path))
        moves = Moves(world.journal, world.pipeline)
        async with trio.open_nursery() as nursery:
            await nursery.start(world.journal.run)
            await nursery.start(world.pipeline.run)
            nursery.start_soon(world.journal.submit, envelope())
            await wait_all_tasks_blocked()
            while not begun.is_set():
                await trio.sleep(0)
            assert moves()
            mock_clock.jump(STUCK_S)
            assert not moves()
            release.set()
            while world.journal.waiting_since is not None:
                await trio.sleep(0)
            assert moves()
            nursery.cancel_scope.cancel()
