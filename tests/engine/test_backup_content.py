"""P9: whatever happens between backups, each holds what changed since the last, no less, no more,
and what is restored is what there was."""

from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio

from evorelay.model.fact import Fact
from evorelay.relay.questions import MergeRef, MergesParams, TicketParams, TicketRef
from tests.engine.backing import Backing, rows, said
from tests.engine.harness import ADMIN, World, open_blobs, stored
from tests.engine.office import CHEFE
from tests.engine.test_convergence import DAY

Act = Callable[[World, Random], Coroutine[Any, Any, object]]


async def close_or_open(world: World, random: Random) -> object:
    tickets = [row for row in world.tickets() if row.merged_into is None]
    if not tickets:
        return None
    ticket = random.choice(tickets)
    if ticket.status != "closed":
        return await world.desk.tickets.close(ADMIN, ticket_params(ticket.id))
    others = [row for row in tickets if row.contact_id == ticket.contact_id]
    if any(row.status != "closed" for row in others):
        return None
    return await world.desk.tickets.reopen(ADMIN, ticket_params(ticket.id))


async def read(world: World, random: Random) -> object:
    for ticket in world.tickets()[:1]:
        return await world.desk.tickets.seen(ADMIN, TicketRef(ticket_id=ticket.id))
    return None


async def undo_a_merge(world: World, random: Random) -> object:
    page = await world.desk.merges.page(CHEFE, MergesParams())
    for merge in page.merges:
        if merge.undone_at is None:
            return await world.desk.merges.undo(CHEFE, MergeRef(merge_id=merge.id))
    return None


async def forget(world: World, random: Random) -> object:
    """What retention does to old messages."""
    ids = [row.id for row in world.messages()[:1]]
    return await world.ledger.maintain(lambda: world.storage.maintenance.forget_messages(ids))


ACTS: tuple[Act, ...] = (close_or_open, close_or_open, read, undo_a_merge, forget)


def ticket_params(ticket_id: str) -> Any:
    return TicketParams(ticket_id=ticket_id)


async def _live(directory: Path, random: Random, backups: int) -> None:
    """A day in random order, with agents at work, and backups at any moment."""
    backing = Backing(directory / "state")
    steps: list[Fact | Act | None] = [*DAY, *random.sample(DAY, 6)]
    steps += random.choices(ACTS, k=8)
    random.shuffle(steps)
    for _ in range(backups):
        steps.insert(random.randrange(len(steps) + 1), None)
    steps.append(None)
    manifests = []
    states = []
    with stored(directory) as storage:
        world = World(storage, await open_blobs(directory))
        for step in steps:
            if step is None:
                manifests.append(await backing.make_beside())
                states.append(rows(backing.state))
            elif callable(step):
                await step(world, random)
            else:
                await world.apply(step)

    before: list[dict[str, Any]] = []
    for manifest, state in zip(manifests, states, strict=True):
        result = backing.check(manifest.id)
        assert result.problem is None
        changed = {key: row for key, row in said(state).items() if said(before).get(key) != row}
        lines = backing.lines(manifest)
        written = said(lines)
        assert changed.items() <= written.items()
        # Nothing older is told again, but what an update left as it was.
        assert {key for key in written if key not in changed} <= said(before).keys()
        gone = {line["key"] for line in lines if line.get("of") == "message"}
        assert gone >= said(before).keys() - said(state).keys()
        before = state

    last = manifests[-1]
    restored = {
        "database": directory / "from-database",
        "chain": directory / "from-conversations",
        "one by one": directory / "one-by-one",
    }
    backing.restore(last.id, restored["database"])
    backing.restore(last.id, restored["chain"], from_conversations=True)
    for manifest, state in zip(manifests, states, strict=True):
        backing.restore(manifest.id, restored["one by one"])
        assert by_key(rows(restored["one by one"])) == by_key(state)
    for name, target in restored.items():
        assert by_key(rows(target)) == by_key(states[-1]), name
    for name, target in restored.items():
        again = backing.restore(last.id, target, from_conversations=name == "chain")
        assert (again.rows, again.messages) == (0, 0)
    assert rows(restored["chain"]) == rows(restored["database"])


def by_key(lines: list[dict[str, Any]]) -> list[str]:
    """Without their order, which arrival decides."""
    return sorted(map(repr, lines))


@pytest.mark.parametrize("seed", range(12))
def test_any_day_with_any_backups_is_whole(tmp_path: Path, seed: int) -> None:
    trio.run(_live, tmp_path, Random(seed), 1 + seed % 5)
