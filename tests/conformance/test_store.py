"""What every store promises: plans whole or not at all, its constraints, and durable heads."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from evorelay.model.change import Change, Reaction, Status
from evorelay.model.errors import StoreUnavailable
from evorelay.model.records import (
    EarlyChangesRecord,
    InstanceRecord,
    MemberRecord,
    MessageRecord,
    QuarantineRecord,
    SeenRecord,
)
from evorelay.storage.ports import Plan, Transaction
from tests.conformance.harness import (
    T0,
    Driver,
    Store,
    alias,
    contact,
    event,
    every_driver,
    make_message,
    make_ticket,
    opened,
)

pytestmark = every_driver

ODD_TEXTS = [
    "",
    "null",
    "true",
    "12345678901234567890",
    "1e400",
    "'; DROP TABLE messages; --",
    '{"a":[1,"\\u0000"]}',
    "linha\u2028separada\u2029aqui",
    "👩‍👩‍👧‍👦 \U0001f600 ação",
    "\u202eoãçnaç\u202c\x01\x1f\x7f",
    '\\ " / \b\f\n\r\t',
    "%_\\%",
    "x" * 1_000_000,
]


def fill(store: Store) -> None:
    """One of every kind of row."""
    store.write(
        new_contacts=[contact()],
        aliases=[alias("phone:553188887777"), alias("lid:1@lid")],
        new_tickets=[make_ticket()],
        new_messages=[make_message(metadata={"a": [1, None, "ç"]}, media={"id": "x"})],
        instances=[instance()],
        early_changes=[early("W-9", READ)],
        members=[member("c1", "admin")],
        seen=[SeenRecord(ticket_id="t1", agent="ana", inbound=2)],
        quarantined=[quarantined("q1")],
        events=[event(("ticket:t1", 1), ("inbox:loja", 1))],
        cursor=("journal", 7),
    )


def instance(name: str = "loja", **fields: Any) -> InstanceRecord:
    row = InstanceRecord(
        name=name,
        state="open",
        state_since=T0,
        reason=None,
        phone=None,
        profile_name="Loja",
        last_event_at=T0,
        created_at=T0,
    )
    return msgspec.structs.replace(row, **fields)


READ = Status("read")
LIKED = Reaction(who="them", emoji="👍", at=T0, sender_name="Érica")


def early(whatsapp_id: str, *changes: Change, at: int = T0) -> EarlyChangesRecord:
    return EarlyChangesRecord(
        instance="loja", whatsapp_id=whatsapp_id, changes=list(changes), at=at
    )


def member(contact_id: str, role: str | None, group_id: str = "c1") -> MemberRecord:
    return MemberRecord(group_id=group_id, contact_id=contact_id, role=role)


def quarantined(id_: str) -> QuarantineRecord:
    return QuarantineRecord(
        id=id_,
        journal_seq=1,
        received_at=T0,
        event="x",
        instance="loja",
        reason="unknown_event",
        detail="d",
        body="{}",
        digest=f"digest of {id_}",
        replayed_at=None,
    )


def snapshot(tx: Transaction) -> list[Any]:
    """Everything a transaction can look up."""
    return [
        tx.messages([("loja", "W-m1")]),
        tx.contacts_by_alias([("loja", "phone:553188887777"), ("loja", "lid:1@lid")]),
        tx.contacts(["c1"]),
        tx.latest_tickets(["c1"]),
        tx.tickets(["t1"]),
        tx.instances(["loja"]),
        tx.early_changes([("loja", "W-9")]),
        tx.aliases(["c1"]),
        tx.members(["c1"]),
        tx.seen(["t1"]),
        tx.tickets_of("c1"),
        tx.heads(["ticket:t1", "inbox:loja"]),
        tx.cursor("journal"),
    ]


def test_everything_written_is_looked_up_again(driver: Driver) -> None:
    with opened(driver) as store:
        fill(store)
        row = make_message(metadata={"a": [1, None, "ç"]}, media={"id": "x"})
        assert store.look(snapshot) == [
            {("loja", "W-m1"): row},
            {("loja", "phone:553188887777"): contact(), ("loja", "lid:1@lid"): contact()},
            {"c1": contact()},
            {"c1": make_ticket()},
            {"t1": make_ticket()},
            {"loja": instance()},
            {("loja", "W-9"): [READ]},
            [alias("lid:1@lid"), alias("phone:553188887777")],
            [member("c1", "admin")],
            [SeenRecord(ticket_id="t1", agent="ana", inbound=2)],
            [make_ticket()],
            {"ticket:t1": 1, "inbox:loja": 1},
            7,
        ]


def test_everything_written_survives_a_process_that_never_closed(driver: Driver) -> None:
    """P1: ``transact`` is durable when it returns."""
    with opened(driver) as store:
        fill(store)
        before = store.look(snapshot)
        with driver.reader() as reader:
            epoch = reader.epoch()
    with opened(driver) as store:
        assert store.look(snapshot) == before
        assert store.reader.epoch() == epoch


def test_nothing_is_found_in_an_empty_store(driver: Driver) -> None:
    with opened(driver) as store:
        assert store.look(snapshot) == [{}, {}, {}, {}, {}, {}, {}, [], [], [], [], {}, 0]


def test_an_exception_after_the_write_leaves_nothing(driver: Driver) -> None:
    """A plan is written whole or not at all, and the next transaction works."""
    with opened(driver) as store:

        def work(tx: Transaction) -> None:
            tx.write(Plan(new_contacts=[contact()], cursor=("journal", 9)))
            assert tx.cursor("journal") == 9  # it sees its own state
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            store.look(work)
        assert store.look(lambda tx: (tx.contacts(["c1"]), tx.cursor("journal"))) == ({}, 0)
        fill(store)


def test_an_os_error_of_deciding_code_is_not_taken_for_the_stores(driver: Driver) -> None:
    """Else a bug would be retried for ever as if the disk were full."""
    with opened(driver) as store:

        def work(tx: Transaction) -> None:
            raise FileNotFoundError(2, "no such file", "x")

        with pytest.raises(FileNotFoundError):
            store.look(work)


@pytest.mark.parametrize(
    "violation",
    [
        {"new_messages": [make_message("m2", whatsapp_id="W-m1")]},
        {"new_messages": [make_message("m1", whatsapp_id="W-other")]},
        {"new_messages": [make_message("m2", direction="sideways")]},
        {"new_messages": [make_message("m2", ticket_id="t-unknown")]},
        {"new_tickets": [make_ticket("t2")]},
        {"new_tickets": [make_ticket("t2", status="pending")]},
        {"new_tickets": [make_ticket("t2", status="lost", contact_id="c2")]},
        {"new_tickets": [make_ticket("t2", contact_id="c-unknown")]},
        {"aliases": [alias("phone:1", "c-unknown")]},
        {"members": [member("c-unknown", None)]},
        {"seen": [SeenRecord(ticket_id="t-unknown", agent="ana", inbound=1)]},
        {"new_messages": [make_message("m2", contact_id="c-unknown")]},
        {"new_contacts": [contact("c1")]},
        {"events": [event(("inbox:loja", 1))]},
    ],
    ids=lambda plan: next(iter(plan)),
)
def test_what_must_not_be_cannot_be_stored(driver: Driver, violation: dict[str, Any]) -> None:
    """P2, P3: constraints of the database, whatever the code above believes. All of it undone."""
    with opened(driver) as store:
        fill(store)
        before = store.look(snapshot)
        with pytest.raises(Exception) as refused:  # noqa: PT011 -- each driver has its own error for a bug
            store.write(**{"cursor": ("journal", 99), **violation})
        assert not isinstance(refused.value, StoreUnavailable)
        assert store.look(snapshot) == before


def test_one_whatsapp_id_may_exist_in_two_instances(driver: Driver) -> None:
    with opened(driver) as store:
        store.person()
        store.write(
            new_messages=[
                make_message("m1", whatsapp_id="W", instance="loja"),
                make_message("m2", whatsapp_id="W", instance="filial"),
            ]
        )
        found = store.look(lambda tx: tx.messages([("loja", "W"), ("filial", "W")]))
        assert {key: row.id for key, row in found.items()} == {
            ("loja", "W"): "m1",
            ("filial", "W"): "m2",
        }


def test_messages_without_a_whatsapp_id_do_not_collide(driver: Driver) -> None:
    """Internal notes and replies that wait have none."""
    with opened(driver) as store:
        store.person()
        store.write(new_messages=[make_message(id_, whatsapp_id=None) for id_ in ("m1", "m2")])
        rows = store.reader.messages("t1", before=None, after=None, limit=9)
        assert rows is not None
        assert [row.id for row in rows] == ["m1", "m2"]


def test_a_closed_ticket_makes_room_for_an_open_one(driver: Driver) -> None:
    with opened(driver) as store:
        store.person()
        store.write(changed_tickets=[make_ticket(status="closed", closed_at=T0)])
        store.write(new_tickets=[make_ticket("t2", created_at=T0 - 5)])
        assert store.look(lambda tx: tx.latest_tickets(["c1"]))["c1"].id == "t2"


def test_of_closed_tickets_the_one_closed_last_is_the_latest(driver: Driver) -> None:
    with opened(driver) as store:
        store.person(ticket=None)
        store.write(
            new_tickets=[
                make_ticket("t1", status="closed", closed_at=T0 + 1, created_at=T0),
                make_ticket("t2", status="closed", closed_at=T0 + 9, created_at=T0 - 9),
                make_ticket("t3", status="closed", closed_at=T0 + 5, created_at=T0 + 3),
            ]
        )
        assert store.look(lambda tx: tx.latest_tickets(["c1"]))["c1"].id == "t2"


def test_changed_rows_are_overwritten_whole(driver: Driver) -> None:
    with opened(driver) as store:
        fill(store)
        person = contact(name="Bia", phone=None, lid="1@lid")
        ticket = make_ticket(unread=3, assignee="joão", last_message_at=T0 + 1, version=2)
        row = make_message(status="read", media=None, reactions=[{"emoji": "👍"}], deleted_at=T0)
        store.write(
            changed_contacts=[person],
            changed_tickets=[ticket],
            changed_messages=[row],
            instances=[instance(state="close", profile_name=None)],
            early_changes=[early("W-9", Status("played"), LIKED)],
            members=[member("c1", "left")],
            seen=[SeenRecord(ticket_id="t1", agent="ana", inbound=3)],
            aliases=[alias("lid:1@lid")],
            cursor=("journal", 8),
        )
        assert store.look(lambda tx: tx.contacts(["c1"])) == {"c1": person}
        assert store.look(lambda tx: tx.tickets(["t1"])) == {"t1": ticket}
        assert store.look(lambda tx: tx.messages([("loja", "W-m1")])) == {("loja", "W-m1"): row}
        assert store.look(lambda tx: tx.instances(["loja"]))["loja"].state == "close"
        assert store.look(lambda tx: tx.early_changes([("loja", "W-9")])) == {
            ("loja", "W-9"): [Status("played"), LIKED]
        }
        assert store.look(lambda tx: tx.members(["c1"])) == [member("c1", "left")]
        assert [row.inbound for row in store.look(lambda tx: tx.seen(["t1"]))] == [3]
        assert store.look(lambda tx: tx.cursor("journal")) == 8


def test_settled_early_changes_are_gone_the_others_stay(driver: Driver) -> None:
    with opened(driver) as store:
        store.write(early_changes=[early("W-1", READ), early("W-2", LIKED)])
        store.write(settled_early=[("loja", "W-1"), ("loja", "W-never"), ("filial", "W-2")])
        keys = [("loja", "W-1"), ("loja", "W-2")]
        assert store.look(lambda tx: tx.early_changes(keys)) == {("loja", "W-2"): [LIKED]}


def test_changes_whose_message_never_came_are_dropped_when_they_are_old(driver: Driver) -> None:
    """P5."""
    with opened(driver) as store:
        store.write(early_changes=[early("W-1", READ, at=T0), early("W-2", READ, at=T0 + 1)])
        assert store.writer.trim_early_changes(T0 + 1) == 1
        keys = [("loja", "W-1"), ("loja", "W-2")]
        assert store.look(lambda tx: tx.early_changes(keys)) == {("loja", "W-2"): [READ]}


def test_who_wrote_in_a_group_is_a_member_and_keeps_the_role_we_were_told(driver: Driver) -> None:
    with opened(driver) as store:
        store.write(new_contacts=[contact("g", is_group=True), contact("c1"), contact("c2")])
        store.write(members=[member("c1", "admin", "g")])
        store.write(writers={("g", "c1"), ("g", "c2")})
        found = store.look(lambda tx: {row.contact_id: row.role for row in tx.members(["g"])})
        assert found == {"c1": "admin", "c2": None}


def test_every_journal_has_a_cursor_of_its_own(driver: Driver) -> None:
    with opened(driver) as store:
        store.write(cursor=("a", 5))
        store.write(cursor=("b", 2))
        assert store.look(lambda tx: (tx.cursor("a"), tx.cursor("b"), tx.cursor("c"))) == (5, 2, 0)


@pytest.mark.parametrize("text", ODD_TEXTS, ids=lambda text: ascii(text)[:20])
def test_any_text_comes_back_as_it_was(driver: Driver, text: str) -> None:
    """Quotes, emoji, separators of lines that are none: in every text of every row."""
    with opened(driver) as store:
        person = contact(name=text, phone=text, lid=text, avatar_url=text)
        ticket = make_ticket(assignee=text, subject=text)
        row = make_message(
            content=text, sender_name=text, whatsapp_id="W" + text, metadata={text: text}
        )
        told = event(("inbox:" + text, 1), data=msgspec.json.encode(text).decode())
        store.write(
            new_contacts=[person],
            aliases=[alias("jid:" + text)],
            new_tickets=[ticket],
            new_messages=[row],
            events=[told],
            cursor=(text, 1),
        )
        assert store.reader.ticket("t1") == (ticket, person)
        assert store.reader.messages("t1", before=None, after=None, limit=1) == [row]
        assert store.look(lambda tx: tx.messages([("loja", "W" + text)])) == {
            ("loja", "W" + text): row
        }
        assert store.look(lambda tx: tx.contacts_by_alias([("loja", "jid:" + text)])) == {
            ("loja", "jid:" + text): person
        }
        assert store.look(lambda tx: (tx.heads(["inbox:" + text]), tx.cursor(text))) == (
            {"inbox:" + text: 1},
            1,
        )
        page = store.reader.events_after("inbox:" + text, 0, 9)
        assert [(one.offset, one.data) for one in page.events] == [(1, told.data.encode())]


@pytest.mark.parametrize("number", [0, -1, 1 << 53, (1 << 63) - 1, -(1 << 63)])
def test_any_64_bit_number_comes_back_as_it_was(driver: Driver, number: int) -> None:
    with opened(driver) as store:
        store.person()
        row = make_message(created_at=number, edited_at=number, metadata={"n": number})
        store.write(new_messages=[row])
        assert store.reader.messages("t1", before=None, after=None, limit=1) == [row]


def test_a_whole_batch_is_looked_up_at_once(driver: Driver) -> None:
    with opened(driver) as store:
        store.write(
            new_contacts=[contact(f"c{n}") for n in range(500)],
            new_tickets=[make_ticket(f"t{n}", contact_id=f"c{n}") for n in range(500)],
            new_messages=[make_message(f"m{n}", ticket_id=f"t{n}") for n in range(500)],
        )
        keys = [("loja", f"W-m{n}") for n in range(0, 1000, 2)]
        found: dict[Any, MessageRecord] = store.look(lambda tx: tx.messages(keys))
        assert sorted(found) == sorted(key for key in keys if int(key[1][3:]) < 500)
        assert len(store.look(lambda tx: tx.latest_tickets(f"c{n}" for n in range(500)))) == 500


def test_a_store_has_one_epoch_and_another_store_another(
    driver: Driver, tmp_path_factory: pytest.TempPathFactory
) -> None:
    make: Callable[[Any], Driver] = type(driver)
    with opened(driver) as one, opened(make(tmp_path_factory.mktemp("other"))) as two:
        assert one.reader.epoch() == one.reader.epoch() != two.reader.epoch()


def test_touching_changes_nothing_that_anybody_reads(driver: Driver) -> None:
    """P8: health asks again and again whether the store can be changed."""
    with opened(driver) as store:
        before = (store.reader.epoch(), store.reader.position())
        assert store.writer.touch(T0) == 1
        assert store.writer.touch(T0 + 1) == 1
        assert (store.reader.epoch(), store.reader.position()) == before
