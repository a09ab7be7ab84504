"""Replies that wait when the person they are for is erased are not sent any more (P4, LGPD)."""

from functools import partial
from pathlib import Path

import trio

from evorelay.model.erasing import Traces
from evorelay.relay.lookup import person_of
from evorelay.relay.taking_out import ALWAYS, take_out
from tests.engine.evolution import PlayedEvolution
from tests.engine.harness import open_blobs, stored
from tests.engine.replying import Office, running

ANA, BIA = "5511988880001", "5511988880002"


async def erased(office: Office, ticket_id: str) -> Traces:
    found = office.storage.readers[0].ticket(ticket_id)
    assert found is not None
    person = await office.reads(lambda reader: person_of(reader.erasing, [found[1].id]))
    traces = await office.reads(lambda reader: reader.erasing.find(person, ALWAYS))
    taken = await office.ledger.change(partial(take_out, person=person, found=traces))
    assert taken is not None
    return taken


async def parked(office: Office) -> tuple[str, str]:
    """Two replies to Ana and one to Bia wait for their instance; the tickets."""
    office.evolution.states["loja"] = "close"
    ana, bia = await office.ticket(ANA), await office.ticket(BIA)
    await office.say(ana, "um")
    await office.say(ana, "dois")
    await office.say(bia, "tres")
    with trio.fail_after(30):
        while "loja" not in office.lanes.parked():
            await trio.sleep(0.005)
    return ana, bia


async def reopened(office: Office) -> list[str]:
    """What is sent once the instance is back, until nothing waits."""
    office.evolution.states["loja"] = "open"
    office.signals.note("loja", "open")
    await office.all_over()
    return [sent.text for sent in office.evolution.delivered]


async def test_they_leave_the_lane_with_the_person(tmp_path: Path) -> None:
    with stored(tmp_path) as storage:
        office = Office(storage, await open_blobs(tmp_path), PlayedEvolution(lambda: 0))
        async with running(office):
            ana, _ = await parked(office)
            office.lanes.forget((await erased(office, ana)).replies)
            assert office.lanes.total_waiting == 1
            assert await reopened(office) == ["tres"]


async def test_what_a_lane_still_holds_is_found_to_be_gone_at_its_turn(tmp_path: Path) -> None:
    """Whoever was about to begin when the person went."""
    with stored(tmp_path) as storage:
        office = Office(storage, await open_blobs(tmp_path), PlayedEvolution(lambda: 0))
        async with running(office):
            ana, _ = await parked(office)
            await erased(office, ana)
            assert office.lanes.total_waiting == 3
            assert await reopened(office) == ["tres"]
