"""What every store promises of commands, files to be sent and files to be fetched."""

from typing import Any

import pytest

from evorelay.model.ids import uuid7
from evorelay.model.records import (
    FetchRecord,
    InstanceRecord,
    OutboxRecord,
    QuarantineRecord,
    UploadRecord,
)
from evorelay.storage.ports import Plan, StoreCounts, ToldEvent, Transaction
from tests.conformance.harness import (
    T0,
    Driver,
    Store,
    contact,
    event,
    every_driver,
    make_message,
    make_ticket,
    opened,
)

pytestmark = every_driver


def command(number: int, **fields: Any) -> OutboxRecord:
    defaults: dict[str, Any] = {
        "id": f"o{number}",
        "instance": "loja",
        "contact_id": "c1",
        "ticket_id": "t1",
        "message_id": "m1",
        "op_id": f"op{number}",
        "digest": "d",
        "agent": "ana",
        "outgoing": {"type": "text", "content": "oi ção"},
        "state": "queued",
        "attempts": 0,
        "created_at": T0,
        "queued_at": T0 + number,
        "due_at": 0,
    }
    return OutboxRecord(**{**defaults, **fields})


def fill(store: Store, *commands: OutboxRecord) -> None:
    store.write(
        new_contacts=[contact()],
        new_tickets=[make_ticket()],
        new_messages=[make_message()],
        new_outbox=list(commands),
    )


def ids(rows: list[OutboxRecord]) -> list[str]:
    return [row.id for row in rows]


def test_a_command_comes_back_as_it_was_written(driver: Driver) -> None:
    with opened(driver) as store:
        row = command(1, error={"code": "x", "message": "ção"}, own_id="3EB0", is_first=True)
        fill(store, row)
        assert store.look(lambda tx: tx.outbox(["o1", "none"])) == {"o1": row}
        key = ("loja", "op1")
        assert store.look(lambda tx: tx.outbox_by_op([key, ("loja", "x")])) == {key: row}
        assert store.look(lambda tx: tx.outbox_of(["m1"])) == [row]
        row.state, row.attempts, row.doubt_since = "sending", 1, T0
        store.write(changed_outbox=[row])
        assert store.look(lambda tx: tx.outbox_in_doubt(["c1"])) == [row]
        assert store.look(lambda tx: tx.outbox_under_way("loja")) == [row]


def test_an_op_id_is_there_once_in_an_instance(driver: Driver) -> None:
    """P4: whatever the code above believes."""
    with opened(driver) as store:
        fill(store, command(1), command(2, instance="outra", op_id="op1"))
        with pytest.raises(Exception, match=r"(?i)unique"):
            store.write(new_outbox=[command(3, op_id="op1")])


def test_what_said_the_same_lately_is_found_oldest_first(driver: Driver) -> None:
    def said(n: int, **fields: Any) -> OutboxRecord:
        return command(n, id=uuid7(T0 + n, n), **{"created_at": T0 + n, **fields})

    with opened(driver) as store:
        store.person("c2", ticket=None, phone=None, jid="c2@lid")
        fill(
            store,
            *(said(n) for n in (3, 1, 2)),
            said(4, outgoing={"type": "text", "content": "oi çã"}),
            said(5, contact_id="c2"),
            said(6, state="kept", ended_at=T0, path="rest"),
            said(7, created_at=T0),
        )

        def found(since: int, limit: int = 10, contact_id: str = "c1") -> list[str]:
            rows = store.look(
                lambda tx: tx.outbox_saying(contact_id, "oi ção", since=since, limit=limit)
            )
            return [row.op_id for row in rows]

        assert found(T0) == ["op1", "op2", "op3", "op6"]
        assert found(T0 + 1) == ["op2", "op3", "op6"]
        assert found(0) == ["op7", "op1", "op2", "op3", "op6"]
        assert found(T0, limit=4) == ["op3", "op6"]  # of 7, 6, 4 and 3
        assert found(T0, contact_id="c2") == ["op5"]
        assert found(T0, contact_id="none") == []


def test_what_is_unfinished_is_read_in_its_order_page_by_page(driver: Driver) -> None:
    with opened(driver) as store:
        states = ("queued", "sent", "unknown", "failed", "sending", "kept", "queued")
        fill(store, *(command(n, state=state) for n, state in enumerate(states)))
        first = store.reader.outbox_unfinished(after=(0, ""), limit=2)
        after = (first[-1].queued_at, first[-1].id)
        rest = store.reader.outbox_unfinished(after=after, limit=10)
        assert ids(first) + ids(rest) == ["o0", "o2", "o4", "o6"]
        page = store.reader.outbox_page(("loja",), states=("failed",), before=None, limit=5)
        assert ids(page) == ["o3"]
        assert store.reader.outbox_page((), states=("failed",), before=None, limit=5) == []


def test_the_latest_reply_is_no_reaction(driver: Driver) -> None:
    with opened(driver) as store:
        reaction = {"type": "reaction", "content": "👍"}
        fill(
            store,
            command(1, state="sent", ended_at=T0 + 5),
            command(2, state="sent", ended_at=T0 + 9, outgoing=reaction),
            command(3, state="failed", ended_at=T0 + 8),
        )
        found = store.reader.latest_reply("loja")
        assert found is not None
        assert found.id == "m1"
        assert store.reader.latest_reply("outra") is None
        assert store.reader.sent_since("loja", T0 + 6) == (1, 0)


def test_sends_that_stay_silent_are_due_with_their_messages(driver: Driver) -> None:
    with opened(driver) as store:
        fill(
            store,
            command(1, state="sent", due_at=T0 + 5),
            command(2, state="sent", due_at=T0 + 50),
            command(3, state="queued", due_at=T0),
        )
        due = store.reader.outbox_silent(T0 + 10, 10)
        assert [(row.id, message.id) for row, message in due] == [("o1", "m1")]


def test_what_ended_long_ago_goes_and_frees_its_op_id(driver: Driver) -> None:
    with opened(driver) as store:
        fill(
            store,
            command(1, state="sent", ended_at=T0),
            command(2, state="queued"),
            command(3, state="kept", ended_at=T0 + 100),
        )
        assert store.writer.trim_outbox(T0 + 50, 10) == 1
        assert set(store.look(lambda tx: tx.outbox(["o1", "o2", "o3"]))) == {"o2", "o3"}
        store.write(new_outbox=[command(4, op_id="op1")])


def test_files_to_be_sent_and_to_be_fetched(driver: Driver) -> None:
    with opened(driver) as store:
        upload = UploadRecord(id="u1", agent="ana", at=T0, media={"blob": "b", "size": 1})
        wish = FetchRecord(message_id="m1", instance="loja", attempts=0, due_at=T0, at=T0)
        fill(store)
        store.write(uploads=[upload], fetches=[wish])
        assert store.reader.upload("u1") == upload
        assert store.reader.fetches_due(T0, 10) == [wish]
        assert store.reader.fetches_due(T0 - 1, 10) == []
        store.write(settled_fetches=["m1"])
        assert store.reader.fetches_due(T0, 10) == []
        assert store.writer.trim_uploads(T0 + 1) == 1
        assert store.reader.upload("u1") is None


def test_a_removed_message_leaves_its_whatsapp_id_to_another(driver: Driver) -> None:
    """P2: a double goes and the message that stays takes its id over in one plan."""
    with opened(driver) as store:
        fill(store)
        double = make_message("m2", whatsapp_id="DOUBLE")
        store.write(new_messages=[double])
        kept = store.look(lambda tx: tx.messages_by_id(["m1"]))["m1"]
        kept.whatsapp_id = "DOUBLE"
        store.write(removed_messages=["m2"], changed_messages=[kept])
        found = store.look(lambda tx: tx.messages([("loja", "DOUBLE")]))
        assert [row.id for row in found.values()] == ["m1"]


def test_works_of_one_transaction_stand_and_fall_by_themselves(driver: Driver) -> None:
    with opened(driver) as store:
        fill(store)

        def write(number: int) -> Any:
            return lambda tx: tx.write(Plan(new_outbox=[command(number)]))

        def refuse(tx: Transaction) -> None:
            tx.write(Plan(new_outbox=[command(2)]))
            raise ValueError("no")

        results = store.writer.transact_each([write(1), refuse, write(3), write(1)])
        assert [type(result) for result in results[:3]] == [type(None), ValueError, type(None)]
        assert isinstance(results[3], Exception)
        assert set(store.look(lambda tx: tx.outbox(["o1", "o2", "o3"]))) == {"o1", "o3"}


def test_all_there_is_about_one_message(driver: Driver) -> None:
    """P8: its row, the commands about it, and the events that show it; of its ticket alone."""
    about = '{"message":{"id":"m1"}}'
    with opened(driver) as store:
        tried = command(2, tries=[{"at": T0, "ends": [{"at": T0 + 1, "outcome": "accepted"}]}])
        fill(store, tried, command(1, message_id="other"))
        store.write(
            events=[
                event(("ticket:t1", 1), ("inbox:loja", 1), data=about),
                event(("ticket:t1", 2), ("inbox:loja", 2), data='{"message":{"id":"m2"}}'),
                event(("ticket:t1", 3), ("inbox:loja", 3), data='{"ticket":{"id":"m1"}}'),
                event(("ticket:t2", 1), ("inbox:loja", 4), data=about),
                event(("ticket:t1", 4), ("inbox:loja", 5), at=T0 + 9, data=about),
            ]
        )
        story = store.reader.story("m1")
        assert story is not None
        assert story.message == make_message()
        assert story.commands == [tried]
        assert story.events == [
            ToldEvent(T0, 1, 1, "message.created", about.encode()),
            ToldEvent(T0 + 9, 5, 4, "message.created", about.encode()),
        ]
        assert store.reader.story("m2") is None


def test_what_should_not_be_there_is_counted(driver: Driver) -> None:
    """P8: what was understood or retried since does not count."""

    def state(name: str, state: str, cause: str | None = None) -> InstanceRecord:
        return InstanceRecord(
            name=name,
            state=state,
            state_since=T0,
            reason=None,
            phone=None,
            profile_name=None,
            last_event_at=T0,
            created_at=T0,
            cause=cause,
        )

    def quarantined(number: int) -> QuarantineRecord:
        return QuarantineRecord(
            id=f"q{number}",
            journal_seq=number,
            received_at=T0,
            event="x",
            instance="loja",
            reason="r",
            detail="d",
            body="{}",
            digest=f"d{number}",
            replayed_at=None,
        )

    with opened(driver) as store:
        assert store.reader.counts() == StoreCounts(0, 0, {})
        failed = [command(n, state="failed", ended_at=T0) for n in (1, 2)]
        fill(store, *failed, command(3), command(4, state="sent", ended_at=T0))
        store.write(
            quarantined=[quarantined(n) for n in range(3)],
            instances=[
                state("a", "open"),
                state("b", "open"),
                state("c", "close"),
                state("d", "close", "removed"),
            ],
        )
        assert store.reader.counts() == StoreCounts(2, 3, {"open": 2, "close": 1})
        store.write(replayed=[("q2", T0)], changed_outbox=[command(1, state="queued")])
        assert store.reader.counts() == StoreCounts(1, 2, {"open": 2, "close": 1})


def test_what_failed_lately_and_stands_so_is_counted(driver: Driver) -> None:
    """P8: a retry makes it queued again."""
    with opened(driver) as store:
        store.person()
        store.write(
            new_outbox=[
                command(1, state="failed", ended_at=T0 - 1),
                command(2, state="failed", ended_at=T0),
                command(3, state="failed", ended_at=T0 + 5),
                command(4, state="sent", ended_at=T0 + 5),
                command(5, state="queued"),
            ]
        )
        assert store.reader.failed_since(T0) == 2
        store.write(changed_outbox=[command(3, state="queued", ended_at=None)])
        assert store.reader.failed_since(T0) == 1
