"""P9: the chain of conversations. A missing link is told, and everything that is there is used."""

import shutil
from pathlib import Path

import pytest
import trio

from evorelay.model.backup import Manifest, RestoreRefused
from evorelay.protocol.backup_manifest import CONVERSATIONS
from evorelay.relay.backup.listing import listed
from evorelay.relay.questions import TicketParams
from tests.engine.backing import Backing, rows
from tests.engine.harness import ADMIN, HOUR, T0, World, message, open_blobs, stored
from tests.engine.test_backup_restore import texts

DAYS = 4


async def _days(directory: Path, backing: Backing) -> list[Manifest]:
    """A message a day. The ticket is closed on the third; the fourth's message opens another."""
    made = []
    with stored(directory) as storage:
        world = World(storage, await open_blobs(directory))
        for day in range(DAYS):
            world.now.ms = T0 + day * 48 * HOUR
            await world.apply(message(f"A{day}", content=f"day {day}", sent_at=world.now.ms))
            if day == 2:
                (ticket,) = world.tickets()
                await world.desk.tickets.close(ADMIN, TicketParams(ticket_id=ticket.id))
            made.append(await backing.make_beside())
    return made


@pytest.fixture
def backing(tmp_path: Path) -> Backing:
    return Backing(tmp_path / "state")


@pytest.fixture
def made(tmp_path: Path, backing: Backing) -> list[Manifest]:
    return trio.run(_days, tmp_path, backing)


def lose(backing: Backing, *manifests: Manifest) -> None:
    for manifest in manifests:
        shutil.rmtree(backing.shelf.place(manifest.id))


def gaps(backing: Backing) -> dict[str, str]:
    return {view.id: view.gap for view in listed(backing.shelf) if view.gap}


def test_a_whole_chain_has_no_gap(backing: Backing, made: list[Manifest]) -> None:
    assert [manifest.since is None for manifest in made] == [True, False, False, False]
    assert gaps(backing) == {}


def test_a_missing_backup_is_told_and_what_is_there_is_used(
    backing: Backing, made: list[Manifest], tmp_path: Path
) -> None:
    lose(backing, made[1], made[2])
    (gap,) = gaps(backing).items()
    assert gap[0] == made[3].id
    assert made[2].id in gap[1]
    assert "what changed from 2026-12-01 12:00 to 2026-12-03 12:00 UTC" in gap[1]
    assert backing.check(made[3].id).problem is None  # it is whole itself

    target = tmp_path / "target"
    with pytest.raises(RestoreRefused, match="from 2026-12-01 12:00 to 2026-12-03"):
        backing.restore(made[3].id, target, from_conversations=True)
    assert not (target / "store.db").exists()
    restored = backing.restore(made[3].id, target, from_conversations=True, is_partial=True)
    assert texts(target) == ["day 0", "day 3"]
    assert restored.missing_before is None
    assert [(one.from_, one.to) for one in restored.missing] == [
        (made[0].created_at, made[2].created_at)
    ]
    tickets = [row for row in rows(target) if row["kind"] == "ticket"]
    # The day it was closed on is missing; one person has one open ticket all the same.
    assert sorted(ticket["status"] == "closed" for ticket in tickets) == [False, True]
    assert backing.restore(made[3].id, tmp_path / "other").missing == []


def test_a_day_whose_lines_are_damaged_is_left_out_like_a_missing_one(
    backing: Backing, made: list[Manifest], tmp_path: Path
) -> None:
    path = backing.shelf.place(made[1].id) / CONVERSATIONS
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RestoreRefused, match="from 2026-12-01 12:00 to 2026-12-02 12:00"):
        backing.restore(made[2].id, tmp_path / "target", from_conversations=True)
    backing.restore(made[2].id, tmp_path / "target", from_conversations=True, is_partial=True)
    assert texts(tmp_path / "target") == ["day 0", "day 2"]


def test_after_a_gap_the_next_one_holds_everything(
    backing: Backing, made: list[Manifest], tmp_path: Path
) -> None:
    lose(backing, made[1])
    following = backing.make()
    assert (following.since, following.counts["message"]) == (None, DAYS)
    assert list(gaps(backing)) == [made[2].id]  # it stays told
    restored = backing.restore(following.id, tmp_path / "target", from_conversations=True)
    assert restored.missing == []
    assert backing.make().since is not None


def test_where_nothing_holds_the_beginning_that_is_told(
    backing: Backing, made: list[Manifest]
) -> None:
    lose(backing, made[0])
    assert list(gaps(backing)) == [made[1].id]
    assert backing.make().since is None
    assert gaps(backing) == {}  # another one holds everything, as after retention


def test_the_newest_can_always_be_restored_from_lines_whatever_retention_drops(
    backing: Backing, made: list[Manifest], tmp_path: Path
) -> None:
    for keep in (3, 3, 3, 2, 1, 1, 3, 3, 3):
        backing.keep = keep
        newest = backing.make()
        backing.shelf.drop_oldest(keep)
        assert gaps(backing) == {}
        target = tmp_path / newest.id
        backing.restore(newest.id, target, from_conversations=True)
        assert len(texts(target)) == DAYS


async def test_what_was_removed_in_the_gap_and_came_again_is_there_once(
    tmp_path: Path, backing: Backing
) -> None:
    made = []
    with stored(tmp_path) as storage:
        world = World(storage, await open_blobs(tmp_path))
        await world.apply(message("A0", content="once"), message("A1", content="other"))
        made.append(await backing.make_beside())
        gone = [row.id for row in world.messages() if row.whatsapp_id == "A0"]
        await world.ledger.maintain(lambda: storage.maintenance.forget_messages(gone))
        made.append(await backing.make_beside())
        await world.apply(message("A0", content="again"))
        made.append(await backing.make_beside())
    lose(backing, made[1])
    target = tmp_path / "target"
    backing.restore(made[2].id, target, from_conversations=True, is_partial=True)
    assert sorted(texts(target)) == ["again", "other"]
