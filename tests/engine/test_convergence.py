"""The same day ends in the same store, in whatever order, repeated, in whatever batches (P2)."""

from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from evorelay.model.change import Change, Edit, Reaction, Revoke
from evorelay.model.fact import (
    ChangeFact,
    Chat,
    Fact,
    GroupFact,
    MediaFact,
    Member,
    NameRank,
    PersonFact,
)
from evorelay.model.rendering import message_view
from evorelay.protocol.normalise.calls import call_label
from tests.engine.harness import T0, World, message, open_blobs, reply, status, stored
from tests.engine.outcome import outcome

PHONE, LID = "5531988887777", "77@lid"
OTHER, OTHER_LID = "5511977776666", "99@lid"
GROUP = Chat(jid="120363000@g.us", is_group=True)
BOTH = Chat(jid=LID, phone=PHONE, lid=LID)


def change(whatsapp_id: str, what: Change) -> ChangeFact:
    return ChangeFact(instance="loja", whatsapp_id=whatsapp_id, change=what)


def edit(whatsapp_id: str, content: str, at: int | None) -> ChangeFact:
    return change(whatsapp_id, Edit(content=content, at=at, seen_at=T0 + 99_000))


def reaction(whatsapp_id: str, emoji: str, at: int) -> ChangeFact:
    return change(whatsapp_id, Reaction(who="them", emoji=emoji, at=at))


def call(state: str, at: int) -> Fact:
    return message(
        "CALL",
        type="call",
        content=call_label(state, video=False),
        metadata={"call": state},
        sent_at=at,
    )


IMAGE = MediaFact(mimetype="image/jpeg", blob="ab" * 32, size=7)
DAY: list[Fact] = [
    message("A1", phone=None, lid=LID, sent_at=T0 + 1000),
    message("A2", sent_at=T0 + 2000, sender_name="Ana"),
    message("A3", phone="553188887777", sent_at=T0 + 3000, sender_name="Ana Maria"),
    PersonFact(instance="loja", person=BOTH, name="Agenda", at=T0),
    reply("A4", status="pending", sent_at=T0 + 4000),
    message("A4", from_me=True, status="pending", origin="api", sent_at=T0 + 4000),
    status("A4", "delivered"),
    status("A4", "read"),
    message("A5", sent_at=T0 + 5000, content="errado"),
    edit("A5", "certo", T0 + 6000),
    edit("A5", "certo", None),
    edit("A5", "mais certo", T0 + 7000),
    message("A6", sent_at=T0 + 8000),
    change("A6", Revoke(T0 + 9000)),
    reaction("A4", "👍", T0 + 9100),
    reaction("A4", "", T0 + 9200),
    reaction("A4", "❤️", T0 + 9300),
    message("A7", type="unsupported", content="[Mensagem sem conteúdo]", sent_at=T0 + 10_000),
    message("A7", type="image", content="foto", media=IMAGE, sent_at=T0 + 10_000),
    call("offer", T0 + 40_000),
    call("accept", T0 + 43_000),
    message("A8", sent_at=T0 + 44_000),
    call("terminate", T0 + 45_000),
    message("H1", is_history=True, sent_at=T0 - 90_000_000),
    message("H2", phone=None, lid=LID, is_history=True, sent_at=T0 - 80_000_000),
    message("A2", is_history=True, sent_at=T0 + 2000),
    message("A2", sent_at=T0 + 2000, sender_name="Ana", metadata={"recovered": True}),
    message("B1", phone=OTHER, sent_at=T0 + 500, metadata={"recovered": True}),
    reply("A4", status=None, sent_at=T0 + 4000, metadata={"recovered": True}),
    message("H3", phone="5599911112222", is_history=True, sent_at=T0 - 70_000_000),
    message("B1", phone=OTHER, sent_at=T0 + 500),
    reply("B2", phone=None, lid=OTHER_LID, status=None, sent_at=T0 + 600),
    message("G1", chat=GROUP, author=Chat(jid=OTHER_LID, lid=OTHER_LID), sent_at=T0 + 700),
    GroupFact(
        instance="loja",
        group=GROUP,
        action="snapshot",
        members=(Member(person=Chat(jid=OTHER, phone=OTHER, lid=OTHER_LID), role="admin"),),
    ),
    PersonFact(instance="loja", person=GROUP, name="Obra", name_rank=NameRank.SAID, at=T0 - 1000),
]


async def applied(directory: Path, batches: list[list[Fact]]) -> Any:
    with stored(directory) as storage:
        world = World(storage, await open_blobs(directory))
        for batch in batches:
            await world.apply(*batch)
        return outcome(world)


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 12))
def test_no_order_and_no_repetition_changes_a_day(
    tmp_path_factory: pytest.TempPathFactory, random: Random, batch: int
) -> None:
    again = [*DAY, *random.sample(DAY, 9)]
    random.shuffle(again)
    batches = [again[start : start + batch] for start in range(0, len(again), batch)]
    expected = trio.run(applied, tmp_path_factory.mktemp("day"), [DAY])
    assert trio.run(applied, tmp_path_factory.mktemp("shuffled"), batches) == expected


async def test_the_day_reads_as_it_should(tmp_path: Path) -> None:
    with stored(tmp_path) as storage:
        world = World(storage, await open_blobs(tmp_path))
        await world.apply(*DAY)
        said = {row.whatsapp_id: message_view(row) for row in world.messages()}
        found = [storage.readers[0].ticket(row.id) for row in world.tickets()]
    contacts = {row[1].name: row for row in found if row is not None}
    assert set(contacts) == {"Ana Maria", f"+{OTHER}", "Obra"}
    ana = contacts["Ana Maria"]
    assert (ana[1].phone, ana[1].lid, ana[1].jid) == (PHONE, LID, f"{PHONE}@s.whatsapp.net")
    assert said["A5"].content == "mais certo"
    assert said["A6"].content == "[Mensagem apagada]"
    assert [item.emoji for item in said["A4"].reactions] == ["❤️"]
    assert (said["A4"].metadata["origin"], said["A4"].status) == ("api", "read")
    assert said["A7"].media is not None
    assert "H3" not in said  # history of somebody who has no ticket
    assert said["H1"].metadata["history"] is True
    assert "history" not in said["A2"].metadata
    assert (ana[0].unread, ana[0].last_message_id) == (8, said["A8"].id)
