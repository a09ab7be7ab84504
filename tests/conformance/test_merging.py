"""What every store promises of two contacts that become one, and of the way back."""

from typing import Any

import pytest

from evorelay.model.records import MemberRecord, MergeRecord
from evorelay.storage.ports import Transaction
from tests.conformance.harness import (
    T0,
    Driver,
    Store,
    alias,
    contact,
    every_driver,
    make_merge,
    make_message,
    make_ticket,
    opened,
)

pytestmark = every_driver


def two_people(store: Store) -> None:
    """Each with an alias, an open ticket with two messages, and a closed one with one."""
    for number in ("1", "2"):
        store.write(
            new_contacts=[contact("c" + number)],
            aliases=[alias(f"phone:{number}", "c" + number)],
            new_tickets=[
                make_ticket("t" + number, contact_id="c" + number),
                make_ticket("old" + number, contact_id="c" + number, status="closed", closed_at=T0),
            ],
            new_messages=[
                make_message(f"a{number}", ticket_id="t" + number, contact_id="c" + number),
                make_message(
                    f"b{number}",
                    ticket_id="t" + number,
                    contact_id="c" + number,
                    created_at=T0 + int(number),
                    content="b" + number,
                ),
                make_message(f"o{number}", ticket_id="old" + number, contact_id="c" + number),
            ],
        )


def joined() -> MergeRecord:
    return make_merge(
        kept_ticket="t1",
        absorbed_ticket="t2",
        absorbed_status="open",
        aliases=["phone:2"],
        tickets=["t2", "old2"],
    )


def placed(store: Store) -> dict[str, str]:
    """Message -> its ticket."""
    rows = [
        row
        for ticket_id in ("t1", "t2", "old1", "old2", "t3")
        for row in store.reader.messages(ticket_id, before=None, after=None, limit=99) or []
    ]
    return {row.id: str(row.ticket_id) for row in rows}


def owners(store: Store) -> dict[str, str]:
    """Alias and ticket -> contact."""
    aliases = store.look(lambda tx: tx.aliases(["c1", "c2"]))
    tickets = store.look(lambda tx: tx.tickets(["t1", "t2", "old1", "old2"]))
    return {row.alias: row.contact_id for row in aliases} | {
        row.id: row.contact_id for row in tickets.values()
    }


def test_a_merge_makes_one_person_with_one_open_ticket(driver: Driver) -> None:
    with opened(driver) as store:
        two_people(store)
        store.merge(joined())
        assert set(owners(store).values()) == {"c1"}
        assert placed(store) == {
            **dict.fromkeys(("a1", "b1", "a2", "b2"), "t1"),
            "o1": "old1",
            "o2": "old2",
        }
        rows = store.look(lambda tx: tx.tickets(["t1", "t2"]))
        assert (rows["t1"].status, rows["t1"].merged_into) == ("open", None)
        assert (rows["t2"].status, rows["t2"].merged_into, rows["t2"].version) == (
            "closed",
            "t1",
            2,
        )
        assert store.look(lambda tx: tx.contacts(["c2"]))["c2"].merged_into == "c1"
        assert store.look(lambda tx: tx.standing_merge("c2")) == joined()
        assert store.look(lambda tx: tx.standing_merge("c1")) is None


def test_undoing_it_gives_everything_back(driver: Driver) -> None:
    with opened(driver) as store:
        two_people(store)
        before = (owners(store), placed(store))
        store.merge(joined())
        store.look(lambda tx: tx.unmerge(joined(), "t1", T0 + 9))
        assert (owners(store), placed(store)) == before
        row = store.look(lambda tx: tx.tickets(["t2"]))["t2"]
        assert (row.status, row.merged_into) == ("closed", None)
        assert store.look(lambda tx: tx.contacts(["c2"]))["c2"].merged_into is None
        assert store.look(lambda tx: tx.merges(["x1", "x9"]))["x1"].undone_at == T0 + 9
        assert store.look(lambda tx: tx.standing_merge("c2")) is None


def test_of_a_merge_within_a_merge_the_outer_is_undone_alone(driver: Driver) -> None:
    """What had been the absorbed contact's by another merge stays with it."""
    with opened(driver) as store:
        two_people(store)
        inner = make_merge(
            "x0", kept_contact="c2", absorbed_contact="c3", kept_ticket="t2", absorbed_ticket="t3",
            absorbed_status="open", aliases=["phone:3"], tickets=["t3"],
        )  # fmt: skip
        store.write(
            new_contacts=[contact("c3")],
            aliases=[alias("phone:3", "c3")],
            new_tickets=[make_ticket("t3", contact_id="c3")],
            new_messages=[make_message("a3", ticket_id="t3", contact_id="c3")],
        )
        outer = joined()
        outer.aliases, outer.tickets = ["phone:2", "phone:3"], ["t2", "old2", "t3"]
        store.merge(inner, outer)
        assert placed(store)["a3"] == "t1"
        store.look(lambda tx: tx.unmerge(outer, "t1", T0 + 9))
        where = placed(store)
        assert (where["a1"], where["a2"], where["a3"]) == ("t1", "t2", "t2")
        assert [row.alias for row in store.look(lambda tx: tx.aliases(["c2"]))] == [
            "phone:2",
            "phone:3",
        ]
        store.look(lambda tx: tx.unmerge(inner, "t2", T0 + 10))
        assert placed(store)["a3"] == "t3"


def test_strays_are_what_came_under_somebody_else(driver: Driver) -> None:
    with opened(driver) as store:
        two_people(store)
        store.write(
            new_messages=[make_message("s", ticket_id="t2", contact_id="c1")],
            new_tickets=[
                make_ticket("shell", contact_id="c1", status="closed", merged_into="t2"),
                make_ticket("own", contact_id="c2", status="closed", merged_into="t2"),
            ],
        )
        assert store.look(lambda tx: tx.with_strays("c2", ["t2", "old2"])) == ["t2"]
        assert store.look(lambda tx: tx.with_strays("c2", [])) == []
        store.look(lambda tx: tx.move_strays("c2", "t2", "t1"))
        assert store.look(lambda tx: tx.with_strays("c2", ["t2", "old2"])) == []
        where = placed(store)
        assert (where["s"], where["a2"], where["b2"]) == ("t1", "t2", "t2")
        shells = store.look(lambda tx: tx.tickets(["shell", "own"]))
        assert {row.id: row.merged_into for row in shells.values()} == {"shell": "t1", "own": "t2"}


def test_people_who_were_parted_are_kept_apart(driver: Driver) -> None:
    """Also when one of them has become somebody else since: the same two would be one again."""
    with opened(driver) as store:
        store.write(new_contacts=[contact(f"c{number}") for number in range(1, 6)])

        def apart(one: str, other: str) -> Any:
            answers = [
                store.look(lambda tx: tx.are_kept_apart(one, other)),
                store.look(lambda tx: tx.are_kept_apart(other, one)),
            ]
            assert answers[0] == answers[1]
            return answers[0]

        store.merge(make_merge())
        assert not apart("c1", "c2")
        store.look(lambda tx: tx.unmerge(make_merge(), None, T0))
        assert apart("c1", "c2")
        assert not apart("c1", "c3")
        for kept, absorbed in (("c3", "c1"), ("c4", "c2")):
            row = make_merge(f"x-{kept}", kept_contact=kept, absorbed_contact=absorbed)
            store.merge(row)
        assert apart("c3", "c4")
        assert not apart("c3", "c5")


def test_counts_follow_from_the_messages(driver: Driver) -> None:
    """Imported history is no news, notes are no reply, and what was deleted is not quoted."""
    rows: list[dict[str, Any]] = [
        {"created_at": T0 + 1},
        {"created_at": T0 + 2, "direction": "out"},
        {"created_at": T0 + 3, "content": "x" * 500},
        {"created_at": T0 + 4},
        {"created_at": T0 + 5, "direction": "out", "is_internal": True, "content": "note"},
        {"created_at": T0 + 6, "metadata": {"history": True}},
    ]
    with opened(driver) as store:
        store.person()
        store.write(
            new_messages=[make_message(f"m{number}", **row) for number, row in enumerate(rows)],
            new_tickets=[make_ticket("empty", contact_id="c1", status="closed", inbound=5)],
        )

        def recounted(tx: Transaction) -> Any:
            return tx.recounted(["t1", "empty"])

        found = store.look(recounted)
        full, empty = found["t1"], found["empty"]
        assert (full.last_message_id, full.last_message_at, full.last_message) == (
            "m4",
            T0 + 5,
            "note",
        )
        assert (full.inbound, full.last_inbound_at, full.last_reply_at, full.waiting_since) == (
            3,
            T0 + 4,
            T0 + 2,
            T0 + 3,
        )
        assert (empty.inbound, empty.last_message_id, empty.waiting_since) == (0, None, None)
        last = make_message("m4", **rows[4] | {"deleted_at": T0 + 9})
        store.write(changed_messages=[last])
        assert store.look(recounted)["t1"].last_message == "[Mensagem apagada]"


@pytest.mark.parametrize("has_both", [True, False])
def test_a_merged_contact_is_in_a_group_once(driver: Driver, has_both: bool) -> None:
    with opened(driver) as store:
        two_people(store)
        store.write(
            new_contacts=[contact("g", is_group=True)],
            members=[
                MemberRecord(group_id="g", contact_id=id_, role="member")
                for id_ in (("c1", "c2") if has_both else ("c2",))
            ],
        )
        store.merge(joined())
        assert [row.contact_id for row in store.look(lambda tx: tx.members(["g"]))] == ["c1"]
