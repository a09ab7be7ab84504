"""Erasing one person: nothing of them is left in any file, and everybody else is as before."""

import json
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import trio

from evorelay.model.change import Reaction, Vote
from evorelay.model.envelope import Envelope
from evorelay.model.erasing import Traces
from evorelay.model.errors import Code, Refusal
from evorelay.model.fact import ChangeFact, Chat, GroupFact, Member, NameRank, PersonFact
from evorelay.model.principal import Principal
from evorelay.model.records import OutboxRecord
from evorelay.relay.bygone import Bygone
from evorelay.relay.draft import Draft
from evorelay.relay.erased import Erased
from evorelay.relay.erasing import ErasePerson, Eraser
from evorelay.relay.questions import TicketRef
from evorelay.relay.reading import Reader
from evorelay.relay.replay import Replay
from evorelay.relay.replay_questions import JournalReplay
from evorelay.relay.taking_out import forget_again
from evorelay.storage.ports import TicketQuery
from tests.engine.harness import ADMIN, HOUR, World, message, open_blobs, stored

PHONE, OTHER = "5531988887777", "5511977776666"
SPELT = "553188887777"
LID = "222222222222222@lid"
GROUP = "120363000000000001@g.us"
WORD = "jabuticabeira"
PHOTO = b"a photo of the garden"
SHARED = b"a sticker that everybody has"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    with stored(tmp_path) as storage:
        opened = World(storage, await open_blobs(tmp_path))
        opened.now.ms = time.time_ns() // 1_000_000
        async with trio.open_nursery() as nursery:
            await opened.start(nursery)
            yield opened
            nursery.cancel_scope.cancel()


def eraser(world: World, erased: Erased | None = None) -> Eraser:
    def forget(taken: Traces) -> None:
        world.cache.clear()
        world.desk.forget(id_ for id_, _ in taken.tickets)

    return Eraser(
        world.ledger,
        world.reads,
        world.journal,
        world.blobs,
        world.storage.maintenance,
        erased or Erased.load(world.storage.directory),
        handled=lambda: world.pipeline.cursor,
        forget=forget,
        now=world.now,
        settled_ms=5,
    )


def upsert(
    whatsapp_id: str,
    said: dict[str, Any] | str,
    *,
    jid: str = f"{SPELT}@s.whatsapp.net",
    participant: str | None = None,
    at: int,
    event: str = "messages.upsert",
    **key: Any,
) -> Envelope:
    key = {"remoteJid": jid, "fromMe": False, "id": whatsapp_id, **key}
    if participant:
        key["participant"] = participant
    content = {"conversation": said} if isinstance(said, str) else said
    data = {"key": key, "message": content, "messageTimestamp": at // 1000, "pushName": "Ana"}
    body = json.dumps({"event": event, "data": data}).encode()
    return Envelope(received_at=at, event=event, instance="loja", body=body)


def image(data: bytes) -> dict[str, Any]:
    return {"imageMessage": {"mimetype": "image/png"}, "base64": b64encode(data).decode()}


async def lived(world: World) -> None:
    """A day with Ana, who is to be erased, and Bia, who is not."""
    at = world.now()
    ana, bia = f"{SPELT}@s.whatsapp.net", f"{OTHER}@s.whatsapp.net"
    quoting = {
        "extendedTextMessage": {
            "text": f"pergunta para @{PHONE}",
            "contextInfo": {
                "stanzaId": "G1",
                "participant": ana,
                "quotedMessage": {"conversation": f"no grupo {WORD}"},
                "mentionedJid": [ana],
            },
        }
    }
    reaction = {"reactionMessage": {"key": {"remoteJid": GROUP, "id": "G2"}, "text": "👍"}}
    webhooks = [
        upsert("A1", f"oi, {WORD}", at=at, senderPn=ana, remoteJidAlt=ana),
        upsert("A2", image(PHOTO), at=at),
        upsert("A3", image(SHARED), at=at),
        upsert("B1", "bom dia", jid=bia, at=at),
        upsert("B2", image(SHARED), jid=bia, at=at),
        upsert("G1", f"no grupo {WORD}", jid=GROUP, participant=ana, at=at),
        upsert("G2", quoting, jid=GROUP, participant=bia, at=at + 1000),
        upsert("G3", reaction, jid=GROUP, participant=ana, at=at + 2000),
        Envelope(
            received_at=at,
            event="messages.upsert",
            instance="loja",
            body=json.dumps({"data": {"nonsense": [ana, WORD]}}).encode(),
        ),
        Envelope(
            received_at=at,
            event="messages.edited",
            instance="loja",
            body=json.dumps(
                {
                    "data": {
                        "key": {"id": "NEVER-CAME", "remoteJid": ana},
                        "editedMessage": {"conversation": WORD},
                    }
                }
            ).encode(),
        ),
    ]
    for webhook in webhooks:
        await world.journal.submit(webhook)
    await world.handled()


async def erase(world: World, erased: Erased | None = None, **params: Any) -> Any:
    params = params or {"phone": PHONE}
    return await eraser(world, erased).erase(ADMIN, ErasePerson(**params))


def files_with(world: World, *words: str) -> list[str]:
    found = []
    for path in sorted(world.storage.directory.parent.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            found += [f"{path.name}: {word}" for word in words if word.encode() in content]
    return found


async def test_nothing_of_the_person_is_left_in_any_file(world: World) -> None:
    """Numbers in every spelling, words, the file: in rows, events, index, journal, free pages."""
    await lived(world)
    assert len(files_with(world, SPELT, WORD, PHOTO.decode())) > 3
    result = await erase(world)
    assert files_with(world, PHONE, SPELT, WORD, PHOTO.decode(), b64encode(PHOTO).decode()) == []
    assert (result.contacts, result.tickets, result.messages, result.mentions) == (1, 1, 4, 1)
    assert (result.quarantined, result.files, result.compacted) == (1, 1, True)
    assert result.journal_entries == 8


async def test_others_keep_what_is_theirs(world: World) -> None:
    await lived(world)
    await erase(world)
    rows = {row.whatsapp_id: row for row in world.messages()}
    assert rows.keys() == {"B1", "B2", "G2"}
    assert rows["G2"].content == f"pergunta para @{'0' * len(PHONE)}"
    assert "quoted" not in rows["G2"].metadata
    assert rows["G2"].reactions == []
    assert rows["B2"].media is not None
    assert await world.blobs.size(rows["B2"].media["id"]) == len(SHARED)
    [group] = [t for t in world.tickets() if t.last_message == rows["G2"].content]
    assert group.inbound == 1
    assert not world.storage.readers[0].tickets(TicketQuery(q=WORD))


async def test_offsets_have_no_hole_and_clients_are_told(world: World) -> None:
    """P3: what was told of the person is written over and stays in its place."""
    await lived(world)
    before = world.storage.readers[0].events_after("inbox:loja", 0, 1000).head
    await erase(world)
    told = world.events("inbox:loja")
    assert len(told) > before
    erased = {event["ticket_id"] for event in told if event["type"] == "ticket.erased"}
    assert len(erased) == 1
    for ticket_id in erased:
        assert {event["type"] for event in world.events(f"ticket:{ticket_id}")} == {"ticket.erased"}
    assert WORD not in json.dumps(told)
    assert len(world.cache) == 0


async def test_a_rehearsal_says_the_same_and_changes_nothing(world: World) -> None:
    await lived(world)
    rehearsed = await erase(world, phone=PHONE, dry_run=True)
    assert world.storage.readers[0].tickets(TicketQuery(q=WORD))
    assert not (world.storage.directory / "erased.json").exists()
    done = await erase(world)
    same = ("contacts", "tickets", "messages", "mentions", "quarantined", "journal_entries")
    assert [getattr(rehearsed, name) for name in same] == [getattr(done, name) for name in same]


async def test_what_was_erased_does_not_come_back(world: World) -> None:
    """P2: late webhooks, a replay of the journal, the address book; who writes anew is welcome."""
    await lived(world)
    erased = Erased.load(world.storage.directory)
    await erase(world, erased)
    world.now.ms += 1000
    bygone = Bygone(erased, messages_ms=0, now=world.now)
    chat = Chat(jid=f"{PHONE}@s.whatsapp.net", phone=PHONE)
    early = message("A1", phone=PHONE, sent_at=world.now() - 2000)
    assert bygone.left(early) is None
    assert bygone.left(message("A9", phone=PHONE, sent_at=world.now())) is not None
    assert bygone.left(message("A1", phone=OTHER, sent_at=world.now() - 2000)) is not None
    written = message(
        "G9",
        phone=None,
        lid=GROUP,
        chat=Chat(jid=GROUP, is_group=True),
        author=chat,
        sent_at=world.now() - 2000,
    )
    assert bygone.left(written) is None
    theirs, others = chat.aliases[0], "lid:1@lid"
    for who, at, is_left in ((theirs, -2000, False), (theirs, 1000, True), (others, -2000, True)):
        reaction = Reaction(who=who, emoji="🎈", at=world.now() + at)
        fact = ChangeFact(instance="loja", whatsapp_id="G2", change=reaction)
        assert (bygone.left(fact) is not None) is is_left
    vote = Vote(who="them", options=("a",), at=world.now() - 2000, sender_id=chat.jid)
    assert bygone.left(ChangeFact(instance="loja", whatsapp_id="A1", change=vote)) is None
    book = PersonFact(instance="loja", person=chat, name="Ana", name_rank=NameRank.LISTED, at=1)
    assert bygone.left(book) is None
    members = GroupFact(
        instance="loja",
        group=Chat(jid=GROUP, is_group=True),
        action="snapshot",
        members=(Member(person=chat), Member(person=Chat(jid="x", phone=OTHER))),
    )
    kept = bygone.left(members)
    assert isinstance(kept, GroupFact)
    assert [member.person.phone for member in kept.members] == [OTHER]
    replay = Replay(
        world.reads,
        world.ledger,
        world.journal,
        Reader(world.blobs),
        handled=lambda: world.pipeline.cursor,
        reopen_within_ms=HOUR,
        bygone=bygone,
    )
    again = await replay.journal(ADMIN, JournalReplay(after_seq=0))
    assert again.counts == {}
    assert len(world.tickets()) == 2


async def test_the_list_of_erased_people_names_nobody(world: World) -> None:
    await lived(world)
    await erase(world)
    path = world.storage.directory / "erased.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not any(name in path.read_text() for name in (PHONE, SPELT, "Ana", "lid"))
    again = Erased.load(world.storage.directory)
    assert again.until("loja", [f"phone:{SPELT}"]) is not None
    assert again.until("outra", [f"phone:{SPELT}"]) is None


async def test_a_store_put_back_from_a_backup_forgets_again(world: World) -> None:
    """Only what was said until the erasure: somebody may have written anew before that backup."""
    await lived(world)
    erased = Erased.load(world.storage.directory)
    erased.add([("loja", f"phone:{SPELT}")], world.now() + 5000)
    await world.journal.submit(upsert("A8", "voltei", at=world.now() + 60_000))
    await world.handled()
    assert forget_again(world.storage.writer, erased) == 1
    kept = {row.whatsapp_id for row in world.messages()}
    assert kept == {"A8", "B1", "B2", "G2"}
    [ticket] = [t for t in world.tickets() if t.last_message == "voltei"]
    assert ticket.inbound == 1
    assert forget_again(world.storage.writer, erased) == 0
    erased.add([("loja", f"phone:{SPELT}")], world.now() + 90_000)
    assert forget_again(world.storage.writer, erased) == 1
    assert {row.whatsapp_id for row in world.messages()} == {"B1", "B2", "G2"}
    assert forget_again(world.storage.writer, erased) == 0


@pytest.mark.parametrize(("state", "doubt_since"), [("sending", 1), ("unknown", 1), ("queued", 1)])
async def test_a_reply_on_its_way_is_waited_for(
    world: World, state: str, doubt_since: int | None
) -> None:
    """P4: nothing may be sent that nobody knows of any more."""
    await lived(world)
    found = await world.reads(
        lambda reader: reader.erasing.contacts_named(
            contact=None, aliases=[f"phone:{SPELT}"], instance=None
        )
    )
    row = OutboxRecord(
        id="o1",
        instance="loja",
        contact_id=found[0],
        ticket_id="t",
        message_id="m",
        op_id="op",
        digest="",
        agent="ana",
        outgoing={"type": "text", "content": "oi"},
        state=state,
        attempts=1,
        created_at=1,
        queued_at=1,
        due_at=1,
        doubt_since=doubt_since,
    )
    await world.ledger.change(lambda draft: draft.plan.new_outbox.append(row))
    assert (await erase(world, phone=PHONE, dry_run=True)).unfinished == 1
    with pytest.raises(Refusal) as refused:
        await erase(world)
    assert refused.value.code is Code.REPLIES_UNFINISHED
    assert world.storage.readers[0].tickets(TicketQuery(q=WORD))

    def end(draft: Draft) -> None:
        row.state = "failed"
        draft.plan.changed_outbox.append(row)

    await world.ledger.change(end)
    assert (await erase(world)).replies == 1


@pytest.mark.parametrize(
    ("who", "params", "code"),
    [
        (Principal(sub="s", role="supervisor", instances="*"), {"phone": PHONE}, Code.FORBIDDEN),
        (ADMIN, {}, Code.BAD_REQUEST),
        (ADMIN, {"phone": PHONE, "contact_id": "x"}, Code.BAD_REQUEST),
        (ADMIN, {"phone": "12"}, Code.BAD_REQUEST),
        (ADMIN, {"phone": "5521900000000"}, Code.NOT_FOUND),
        (ADMIN, {"contact_id": "nobody"}, Code.NOT_FOUND),
    ],
)
async def test_what_is_refused(
    world: World, who: Principal, params: dict[str, Any], code: Code
) -> None:
    """P7: an administrator only; and nobody by mistake."""
    await world.journal.submit(upsert("B1", "oi", jid=f"{OTHER}@s.whatsapp.net", at=world.now()))
    await world.handled()
    with pytest.raises(Refusal) as refused:
        await eraser(world).erase(who, ErasePerson(**params))
    assert refused.value.code is code
    assert world.ids() == ["B1"]


async def test_everything_that_turned_out_to_be_one_person_goes(world: World) -> None:
    """Two ids, two tickets, merged; the webhooks of before the merge know the hidden id alone."""
    at = world.now()
    await world.journal.submit(upsert("L1", f"sou {WORD}", jid=LID, at=at))
    await world.journal.submit(upsert("A1", "oi", at=at))
    await world.journal.submit(upsert("B1", "bom dia", jid=f"{OTHER}@s.whatsapp.net", at=at))
    await world.handled()
    both = Chat(jid=LID, phone=PHONE, lid=LID)
    await world.apply(message("A2", chat=both, sent_at=at + 1000))
    assert len(world.storage.readers[0].merges(None, before=None, limit=9)) == 1
    result = await erase(world)
    assert (result.contacts, result.tickets, result.messages) == (2, 2, 3)
    assert files_with(world, PHONE, SPELT, LID, WORD) == []
    assert world.storage.readers[0].merges(None, before=None, limit=9) == []
    assert world.ids() == ["B1"]


async def test_what_changes_between_the_search_and_the_end_goes_too(world: World) -> None:
    """A reaction to an old message of somebody else, while old ones are looked through."""
    await lived(world)
    reaction = {"reactionMessage": {"key": {"remoteJid": GROUP, "id": "G2"}, "text": "🎈"}}
    late = upsert(
        "G8", reaction, jid=GROUP, participant=f"{SPELT}@s.whatsapp.net", at=world.now() + 9000
    )
    original = world.journal.replace

    async def meanwhile(envelopes: Any) -> None:
        world.journal.replace = original  # type: ignore[method-assign]  # back again
        await original(envelopes)
        await world.journal.submit(late)
        await world.handled()

    world.journal.replace = meanwhile  # type: ignore[method-assign]  # to act in between
    await erase(world)
    (row,) = [row for row in world.messages() if row.whatsapp_id == "G2"]
    assert row.reactions == []
    assert files_with(world, SPELT, "🎈") == []


@pytest.mark.parametrize("step", ["_rows", "_files", "_scrub"])
async def test_what_was_cut_off_is_finished_by_doing_it_again(
    world: World, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """A crash at any point: also files that nothing names any more are remembered."""

    class Crash(Exception):
        pass

    async def crash(*args: Any) -> None:
        raise Crash

    await lived(world)
    with monkeypatch.context() as patch:
        patch.setattr(Eraser, step, crash)
        with pytest.raises(Crash):
            await erase(world)
    result = await erase(world)
    assert result.compacted
    left = [*(await erased_files(world)), *files_with(world, PHONE, SPELT, WORD)]
    assert left == []
    assert Erased.load(world.storage.directory).owed == []
    assert await world.blobs.size(sha256(SHARED).hexdigest()) is not None
    assert {row.whatsapp_id for row in world.messages()} == {"B1", "B2", "G2"}


async def erased_files(world: World) -> list[str]:
    """Files of the person that are still there."""
    name = sha256(PHOTO).hexdigest()
    return [name] if await world.blobs.size(name) is not None else []


async def test_who_erased_is_logged_and_whom_is_not(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """P8: it cannot be undone, so somebody may ask one day."""
    await lived(world)
    caplog.set_level("INFO")
    await eraser(world).erase(ADMIN, ErasePerson(phone=PHONE, dry_run=True))
    assert "erased" not in caplog.text
    await erase(world)
    assert f"{ADMIN.sub} erased a person" in caplog.text
    assert not any(name in caplog.text for name in (PHONE, SPELT, "Ana", WORD))


async def test_contact_cards_and_numbers_written_by_hand_go_too(world: World) -> None:
    """A card of the person in somebody else's conversation: with the number goes the name."""
    at, bia = world.now(), f"{OTHER}@s.whatsapp.net"
    vcard = "BEGIN:VCARD\nVERSION:3.0\nFN:{}\nTEL;waid={}:{}\nEND:VCARD"
    zulmira = {
        "displayName": "Zulmira Quaresma",
        "vcard": vcard.format("Zulmira Quaresma", PHONE, "+55 31 98888-7777"),
    }
    caio = {"displayName": "Caio", "vcard": vcard.format("Caio", "5511900000003", "+55 11")}
    quote = {
        "extendedTextMessage": {
            "text": "quem?",
            "contextInfo": {"stanzaId": "C1", "quotedMessage": {"contactMessage": zulmira}},
        }
    }
    for webhook in (
        upsert("C1", {"contactMessage": zulmira}, jid=bia, at=at),
        upsert("C2", {"contactsArrayMessage": {"contacts": [zulmira, caio]}}, jid=bia, at=at),
        upsert("C3", quote, jid=bia, at=at),
        upsert("C4", "liga (31) 98888-7777 ou +55 31 8888-7777", jid=bia, at=at),
        upsert("C5", "liga (31) 98888-77771", jid=bia, at=at),
    ):
        await world.journal.submit(webhook)
    await world.handled()
    assert world.storage.readers[0].tickets(TicketQuery(q="Quaresma"))
    result = await erase(world)
    assert (result.mentions, result.messages) == (4, 0)
    rows = {row.whatsapp_id: row for row in world.messages()}
    assert rows["C1"].content == "[Contato]"
    assert rows["C2"].content == "[Contatos] Caio"
    assert [card["name"] for card in rows["C2"].metadata["contacts"]] == ["Caio"]
    assert len(rows["C2"].metadata["vcards"]) == 1
    assert "quoted" not in rows["C3"].metadata
    assert rows["C4"].content == "liga (00) 00000-0000 ou +00 00 0000-0000"
    assert rows["C5"].content == "liga (31) 98888-77771"
    assert files_with(world, "Zulmira", "Quaresma", PHONE, "98888-7777 ") == []
    assert not world.storage.readers[0].tickets(TicketQuery(q="Quaresma"))


async def test_nobody_has_other_unread_messages_than_before(world: World) -> None:
    """Of a group where the person wrote: what is left unread is what others wrote, read and not."""
    at, ana, bia = world.now(), f"{SPELT}@s.whatsapp.net", f"{OTHER}@s.whatsapp.net"

    async def write(*said: tuple[str, str]) -> None:
        for id_, who in said:
            await world.journal.submit(upsert(id_, "oi", jid=GROUP, participant=who, at=at))
        await world.handled()

    def unread() -> dict[str, int]:
        asked = {
            agent: world.storage.readers[0].tickets(TicketQuery(agent=agent))[0][0].unread
            for agent in ("early", "late", "never")
        }
        (group,) = world.tickets()
        return {**asked, "team": group.unread}

    async def look(agent: str) -> None:
        (group,) = world.tickets()
        who = Principal(sub=agent, role="agent", instances="*")
        await world.desk.tickets.seen(who, TicketRef(ticket_id=group.id))

    await write(("G1", ana), ("G2", bia), ("G3", ana))
    await look("early")
    await write(("G4", bia), ("G5", ana))
    await look("late")
    await write(("G6", ana), ("G7", bia), ("G8", bia))
    assert unread() == {"early": 5, "late": 3, "never": 8, "team": 3}
    await erase(world)
    assert unread() == {"early": 3, "late": 2, "never": 4, "team": 2}
    await write(("H1", bia), ("H2", bia), ("H3", bia))
    assert unread() == {"early": 6, "late": 5, "never": 7, "team": 5}
