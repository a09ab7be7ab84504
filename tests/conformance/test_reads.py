"""What every reader promises: one consistent view, never in the writer's way, stable pages."""

import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evorelay.model.event import ChannelEvent
from evorelay.model.ids import uuid7
from evorelay.model.records import (
    MemberRecord,
    QuarantineRecord,
    QuarantineSummary,
    SeenRecord,
)
from evorelay.storage.ports import PAGE_BYTES_MAX, ChannelPage, Plan, TicketQuery, Transaction
from tests.conformance.harness import (
    DRIVERS,
    T0,
    Driver,
    Store,
    contact,
    event,
    every_driver,
    make_merge,
    make_message,
    make_ticket,
    opened,
)

INBOX = "inbox:loja"


@pytest.fixture
def store(driver: Driver) -> Iterator[Store]:
    with opened(driver) as store:
        yield store


def tell(store: Store, count: int, *, first: int = 1, at: int = T0) -> None:
    store.write(
        events=[
            event((INBOX, offset), ("ticket:t1", offset), at=at, data=str(offset))
            for offset in range(first, first + count)
        ]
    )


def offsets(page: ChannelPage) -> list[int]:
    return [one.offset for one in page.events]


@every_driver
def test_a_channel_is_read_forward_from_any_offset(store: Store) -> None:
    tell(store, 10)
    page = store.reader.events_after(INBOX, 4, 3)
    places = [((INBOX, n), ("ticket:t1", n)) for n in (5, 6, 7)]
    assert page == ChannelPage(
        head=10,
        floor=1,
        events=[ChannelEvent(n, b"%d" % n, n, at) for n, at in zip((5, 6, 7), places, strict=True)],
    )
    assert store.reader.events_after(INBOX, 10, 3).events == []
    assert store.reader.events_after(INBOX, 99, 3) == ChannelPage(head=10, floor=1, events=[])
    assert store.reader.events_after(INBOX, 0, 0) == ChannelPage(head=10, floor=1, events=[])


@every_driver
def test_a_page_may_end_behind_a_place_of_the_log(store: Store) -> None:
    """With the one event that shows that there is nothing else up to there."""
    tell(store, 10)
    page = store.reader.events_after(INBOX, 4, 9, until=6)
    assert (page.head, offsets(page)) == (10, [5, 6, 7])
    assert offsets(store.reader.events_after(INBOX, 4, 9, until=1)) == [5]
    assert offsets(store.reader.events_after(INBOX, 8, 9, until=10)) == [9, 10]


@every_driver
def test_a_channel_is_read_backward_newest_first(store: Store) -> None:
    tell(store, 10)
    assert offsets(store.reader.events_before(INBOX, 1 << 62, 3)) == [10, 9, 8]
    assert offsets(store.reader.events_before(INBOX, 3, 9)) == [2, 1]
    assert offsets(store.reader.events_before(INBOX, 1, 9)) == []


@every_driver
def test_a_channel_nobody_wrote_to_is_empty_from_the_start(store: Store) -> None:
    assert store.reader.events_after(INBOX, 0, 9) == ChannelPage(head=0, floor=1, events=[])


@every_driver
def test_trimming_keeps_the_head_and_says_where_the_log_begins(store: Store) -> None:
    """P3: who is behind the floor must be able to see it; numbering never starts again."""
    tell(store, 4, at=T0)
    tell(store, 2, first=5, at=T0 + 100)
    assert store.writer.trim_events(T0, 100) == 0
    assert store.writer.trim_events(T0 + 100, 3) == 3
    assert store.reader.events_after(INBOX, 0, 9).floor == 4
    assert store.writer.trim_events(T0 + 100, 3) == 1
    assert store.writer.trim_events(T0 + 100, 3) == 0
    page = store.reader.events_after(INBOX, 0, 9)
    assert (page.head, page.floor, offsets(page)) == (6, 5, [5, 6])
    while store.writer.trim_events(T0 + 200, 1):
        pass
    assert store.reader.events_after(INBOX, 0, 9) == ChannelPage(head=6, floor=7, events=[])
    assert store.look(lambda tx: tx.heads([INBOX])) == {INBOX: 6}
    tell(store, 1, first=7)
    assert offsets(store.reader.events_after(INBOX, 6, 9)) == [7]
    assert offsets(store.reader.events_after("ticket:t1", 0, 9)) == [7]


@every_driver
def test_a_reader_neither_sees_half_a_transaction_nor_waits_for_it(store: Store) -> None:
    """P5."""
    store.person(ticket=None)

    def work(tx: Transaction) -> Any:
        tx.write(Plan(new_tickets=[make_ticket()], events=[event((INBOX, 1))]))
        # In a thread of its own, so that a reader which waited for us would be seen to.
        seen: list[Any] = []
        reading = threading.Thread(
            target=lambda: seen.append(
                (store.reader.ticket("t1"), store.reader.events_after(INBOX, 0, 9).head)
            )
        )
        reading.start()
        reading.join(10)
        return seen

    assert store.look(work) == [(None, 0)]
    assert store.reader.ticket("t1") == (make_ticket(), contact())
    assert store.reader.events_after(INBOX, 0, 9).head == 1


@every_driver
def test_a_writer_does_not_wait_for_readers(driver: Driver) -> None:
    """P5: a hundred commits pass while others read as fast as they can."""
    with opened(driver) as store, driver.reader() as other:
        store.person()
        done = threading.Event()
        torn: list[Any] = []

        def read() -> None:
            while not done.is_set():
                page = other.events_after(INBOX, 0, 1000)
                if offsets(page) != list(range(1, page.head + 1)):
                    torn.append(page)

        thread = threading.Thread(target=read)
        thread.start()
        try:
            for number in range(1, 101):
                tell(store, 1, first=number)
        finally:
            done.set()
            thread.join()
        assert torn == []


@every_driver
def test_messages_are_in_whatsapps_order_then_in_that_of_arrival(store: Store) -> None:
    store.person()
    for id_, sent_at in (("a", 5), ("b", 3), ("c", 5), ("d", 1), ("e", 3)):
        store.write(new_messages=[make_message(id_, created_at=sent_at)])
    everything = ["d", "b", "e", "a", "c"]

    def page(limit: int = 9, **bounds: str | None) -> list[str] | None:
        rows = store.reader.messages(
            "t1", before=bounds.get("before"), after=bounds.get("after"), limit=limit
        )
        return None if rows is None else [row.id for row in rows]

    assert page() == everything
    assert page(2) == ["a", "c"]
    assert page(2, before="a") == ["b", "e"]
    assert page(2, after="b") == ["e", "a"]
    assert page(9, before="d") == []
    assert page(9, after="c") == []
    for number, id_ in enumerate(everything):
        assert page(9, before=id_) == everything[:number]
        assert page(9, after=id_) == everything[number + 1 :]
        assert page(9, after=everything[0], before=id_) == everything[1:number]


@every_driver
def test_a_page_beside_a_message_of_another_ticket_is_none(store: Store) -> None:
    store.person()
    store.person("c2", ticket="t2")
    store.write(new_messages=[make_message("m1")])
    for bounds in ({"before": "m1", "after": None}, {"before": None, "after": "m1"}):
        assert store.reader.messages("t2", limit=9, **bounds) is None
    assert store.reader.messages("t1", before="never", after=None, limit=9) is None
    assert store.reader.messages("never", before=None, after=None, limit=9) == []


@every_driver
def test_a_file_is_found_by_one_message_of_each_instance_that_carries_it(store: Store) -> None:
    store.person()
    store.write(
        new_messages=[
            make_message("m1", media={"id": "f1", "mimetype": "image/png"}),
            make_message("m2", media={"id": "f1"}),
            make_message("m3", instance="filial", media={"id": "f1"}),
            make_message("m4", media={"id": None}),
            make_message("m5", content="f1"),
        ]
    )
    assert sorted(row.id for row in store.reader.media("f1")) == ["m1", "m3"]
    assert store.reader.media("f2") == []
    assert store.reader.media("") == []


def people(store: Store) -> None:
    """Five tickets; the higher the number, the more recent."""
    rows = [
        ("Ana Souza", "5511987654321", "loja", "open", "joão", "troca", T0 + 1),
        ("Bruno 100%", "5521912345678", "loja", "pending", None, None, T0 + 2),
        ("Ação_Ltda", None, "filial", "closed", None, "Orçamento", T0 + 3),
        ("Dona Ana", "551187654321", "filial", "open", "maria", None, T0 + 4),
        ("Érica", "447911123456", "matriz", "open", "joão", None, None),
    ]
    for number, (name, phone, inbox, state, assignee, subject, active) in enumerate(rows, 1):
        store.write(
            new_contacts=[contact(f"c{number}", name=name, phone=phone, instance=inbox)],
            new_tickets=[
                make_ticket(
                    f"t{number}",
                    contact_id=f"c{number}",
                    instance=inbox,
                    status=state,
                    assignee=assignee,
                    subject=subject,
                    last_message_at=active,
                    created_at=T0 + 5 if active is None else T0,
                )
            ],
        )


@every_driver
@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, "54321"),
        ({"instances": ("loja",)}, "21"),
        ({"instances": ("loja", "matriz", "loja'")}, "521"),
        ({"instances": ()}, ""),
        ({"status": "open"}, "541"),
        ({"status": "closed"}, "3"),
        ({"assignee": "joão"}, "51"),
        ({"q": "ana"}, "41"),
        ({"q": "100%"}, "2"),
        ({"q": "%"}, "2"),
        ({"q": "_"}, "3"),
        ({"q": "'"}, ""),
        ({"q": "troca"}, "1"),
        ({"q": "11987654321"}, "41"),
        ({"q": "+55 (11) 98765-4321"}, "41"),
        ({"q": "(11) 8765-4321"}, "41"),
        ({"q": "7911 123456"}, "5"),
        ({"q": "12"}, ""),
        ({"instances": ("loja",), "status": "open", "assignee": "joão", "q": "Ana"}, "1"),
    ],
)
def test_tickets_are_found_by_every_filter_newest_first(
    store: Store, filters: dict[str, Any], expected: str
) -> None:
    people(store)
    rows = store.reader.tickets(TicketQuery(**filters))
    assert "".join(ticket.id[1:] for ticket, _ in rows) == expected
    assert all(ticket.contact_id == person.id for ticket, person in rows)


@every_driver
def test_ticket_pages_join_without_overlap(store: Store) -> None:
    """Also where several have the same moment."""
    store.write(
        new_contacts=[contact(f"c{n}") for n in range(7)],
        new_tickets=[
            make_ticket(f"t{n}", contact_id=f"c{n}", last_message_at=T0 + n // 3) for n in range(7)
        ],
    )
    seen: list[str] = []
    query = TicketQuery(limit=2)
    while rows := store.reader.tickets(query):
        seen += [ticket.id for ticket, _ in rows]
        query = msgspec.structs.replace(query, after=query.place(rows[-1][0]))
    assert seen == ["t6", "t5", "t4", "t3", "t2", "t1", "t0"]


@every_driver
def test_who_has_waited_longest_comes_first_and_pages_join(store: Store) -> None:
    """Those who do not wait come last, whatever their number."""
    waiting = {"t0": None, "t1": T0 + 5, "t2": T0, "t3": T0 + 5, "t4": None, "t5": 0}
    store.write(
        new_contacts=[contact("c" + id_) for id_ in waiting],
        new_tickets=[
            make_ticket(id_, contact_id="c" + id_, waiting_since=at) for id_, at in waiting.items()
        ],
    )
    seen: list[str] = []
    query = TicketQuery(order="waiting", limit=2)
    while rows := store.reader.tickets(query):
        seen += [ticket.id for ticket, _ in rows]
        query = msgspec.structs.replace(query, after=query.place(rows[-1][0]))
    assert seen == ["t5", "t2", "t1", "t3", "t0", "t4"]


@every_driver
def test_unread_is_counted_for_each_agent_from_where_they_have_read_to(store: Store) -> None:
    """Who has never looked has read nothing, whatever the team has."""
    store.write(
        new_contacts=[contact("c1"), contact("c2")],
        new_tickets=[
            make_ticket("t1", contact_id="c1", inbound=10, unread=2, last_message_at=T0 + 1),
            make_ticket("t2", contact_id="c2", inbound=4),
        ],
        seen=[
            SeenRecord(ticket_id="t1", agent="ana", inbound=10),
            SeenRecord(ticket_id="t1", agent="bia", inbound=3),
            SeenRecord(ticket_id="t2", agent="bia", inbound=9),
        ],
    )

    def unread(agent: str | None, **filters: Any) -> dict[str, int]:
        rows = store.reader.tickets(TicketQuery(agent=agent, **filters))
        return {ticket.id: ticket.unread for ticket, _ in rows}

    assert unread(None) == {"t1": 2, "t2": 0}
    assert unread("ana") == {"t1": 0, "t2": 4}
    assert unread("bia") == {"t1": 7, "t2": 0}
    assert unread("caio") == {"t1": 10, "t2": 4}
    assert unread("ana", is_unread=True) == {"t2": 4}
    assert unread("bia", is_unread=True) == {"t1": 7}
    assert unread("caio", is_unread=True) == {"t1": 10, "t2": 4}
    assert unread(None, is_unread=True) == {"t1": 2}
    one = store.reader.ticket("t1", agent="bia")
    team = store.reader.ticket("t1")
    assert one is not None
    assert team is not None
    assert (one[0].unread, team[0].unread) == (7, 2)


@every_driver
def test_a_merged_ticket_is_in_no_list_but_still_there(store: Store) -> None:
    store.person()
    store.write(new_tickets=[make_ticket("t2", status="closed", closed_at=T0, merged_into="t1")])
    assert [ticket.id for ticket, _ in store.reader.tickets(TicketQuery())] == ["t1"]
    found = store.reader.ticket("t2")
    assert found is not None
    assert found[0].merged_into == "t1"


@every_driver
def test_participants_are_those_of_the_group_or_the_one_person(store: Store) -> None:
    """Admins first, then by name; who has left is no participant."""
    names = {"a": "Zoé", "b": "Ana", "c": "Bia", "d": "Caio", "e": "Davi"}
    roles = {"a": "superadmin", "b": None, "c": "member", "d": "left", "e": "admin"}
    store.write(
        new_contacts=[
            contact("g", is_group=True),
            contact("h", is_group=True),
            *(contact(id_, name=name) for id_, name in names.items()),
        ],
        new_tickets=[
            make_ticket("tg", contact_id="g"),
            make_ticket("th", contact_id="h"),
            make_ticket("ta", contact_id="a"),
        ],
        members=[
            MemberRecord(group_id="g", contact_id=id_, role=role) for id_, role in roles.items()
        ],
    )

    def listed(ticket_id: str, limit: int = 9) -> list[tuple[str, str | None]]:
        rows = store.reader.participants(ticket_id, limit)
        return [(person.name, role) for person, role in rows]

    everybody = [("Davi", "admin"), ("Zoé", "superadmin"), ("Ana", None), ("Bia", "member")]
    assert listed("tg") == everybody
    assert listed("tg", 2) == everybody[:2]
    assert listed("th") == []
    assert listed("ta") == [("Zoé", None)]
    assert listed("never") == []


@every_driver
def test_merges_are_listed_newest_first_with_both_people(store: Store) -> None:
    store.write(new_contacts=[contact("c1"), contact("c2", name="Bia"), contact("f", name="F")])
    merges = [
        make_merge("x1"),
        make_merge("x2", instance="filial", absorbed_contact="f"),
        make_merge("x3", undone_at=T0 + 1),
    ]
    store.merge(*merges)

    def listed(*instances: str, before: str | None = None, limit: int = 9) -> list[str]:
        rows = store.reader.merges(instances or None, before=before, limit=limit)
        return [merge.id for merge, _, _ in rows]

    assert listed() == ["x3", "x2", "x1"]
    assert listed(limit=2) == ["x3", "x2"]
    assert listed(before="x2") == ["x1"]
    assert listed("loja") == ["x3", "x1"]
    assert listed("loja", "filial", before="x3") == ["x2", "x1"]
    assert listed("matriz") == []
    merge, kept, absorbed = store.reader.merges(None, before=None, limit=1)[0]
    assert (merge, kept.name, absorbed.name) == (merges[2], "Ana", "Bia")


@every_driver
def test_a_page_of_a_channel_is_bounded_in_bytes(store: Store) -> None:
    """P5: a thousand events may be a GB; the reader sees by ``head`` that there is more."""
    size = PAGE_BYTES_MAX // 2
    store.write(
        events=[event((INBOX, n), data=str(n).ljust(size)) for n in range(1, 4)]
        + [event((INBOX, 4), data="4".ljust(PAGE_BYTES_MAX + 1))]
    )
    forward = store.reader.events_after(INBOX, 0, 1000)
    assert (offsets(forward), forward.head) == ([1, 2], 4)
    assert offsets(store.reader.events_after(INBOX, 3, 1000)) == [4]
    assert offsets(store.reader.events_before(INBOX, 9, 1000)) == [4]
    assert offsets(store.reader.events_before(INBOX, 4, 1000)) == [3, 2]


@every_driver
def test_one_entry_of_quarantine_is_read_with_the_beginning_of_its_body(store: Store) -> None:
    """P5: bounded in bytes, never in the middle of a character."""
    body = '{"a":"çé"}'  # the two letters are bytes 6 to 9
    entry = QuarantineRecord(
        id="q1",
        journal_seq=1,
        received_at=T0,
        event="x",
        instance="loja",
        reason="r",
        detail="d",
        body=body,
        digest="d1",
        replayed_at=None,
    )
    store.write(quarantined=[entry])
    (summary,) = store.reader.quarantine(before=None, limit=9)
    for body_bytes, seen in ((99, body), (12, body), (11, body[:-1]), (9, body[:7]), (8, body[:7])):
        found = store.reader.quarantined("q1", body_bytes=body_bytes)
        assert found == (summary, seen, len(seen) < len(body)), body_bytes
    assert store.reader.quarantined("q2", body_bytes=99) is None


@every_driver
def test_quarantine_is_paged_newest_first(store: Store) -> None:
    rows = [
        QuarantineRecord(
            id=f"q{n}",
            journal_seq=n,
            received_at=T0,
            event="x",
            instance="",
            reason="r",
            detail="d",
            body="{}",
            digest=f"d{n}",
            replayed_at=None,
        )
        for n in range(5)
    ]
    store.write(quarantined=rows)

    def listed(before: str | None, limit: int) -> list[str]:
        return [row.id for row in store.reader.quarantine(before=before, limit=limit)]

    assert listed(None, 2) == ["q4", "q3"]
    assert listed("q3", 9) == ["q2", "q1", "q0"]
    assert listed("q0", 9) == []


@every_driver
def test_what_was_understood_after_all_leaves_the_list_of_quarantine(store: Store) -> None:
    rows = [
        QuarantineRecord(
            id=f"q{n}",
            journal_seq=n,
            received_at=T0,
            event="x",
            instance="",
            reason="r",
            detail="d",
            body="{}",
            digest=f"d{n}",
            replayed_at=T0 if n == 1 else None,
        )
        for n in range(3)
    ]
    store.write(quarantined=rows)

    def listed(**options: Any) -> list[tuple[str, int | None]]:
        found = store.reader.quarantine(before=None, limit=9, **options)
        return [(row.id, row.replayed_at) for row in found]

    assert listed() == [("q2", None), ("q0", None)]
    assert listed(with_replayed=True) == [("q2", None), ("q1", T0), ("q0", None)]


@every_driver
def test_listing_quarantine_leaves_the_bodies_where_they_are(store: Store) -> None:
    """P5: a page of 200 bodies of 4 MiB took 2 GB."""
    row = QuarantineRecord(
        id="q1",
        journal_seq=1,
        received_at=T0,
        event="x",
        instance="a",
        reason="r",
        detail="d",
        body="{}",
        digest="d1",
        replayed_at=None,
    )
    store.write(quarantined=[row])
    assert store.reader.quarantine(before=None, limit=9) == [
        QuarantineSummary(
            id="q1",
            journal_seq=1,
            received_at=T0,
            event="x",
            instance="a",
            reason="r",
            detail="d",
            replayed_at=None,
        )
    ]


@every_driver
def test_an_unknown_ticket_is_none(store: Store) -> None:
    assert store.reader.ticket("never") is None
    assert store.reader.instances() == []
    assert store.reader.instance("never") is None


@pytest.mark.parametrize("driver_name", DRIVERS)
@settings(max_examples=20, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["tell", "trim"]), st.integers(1, 6), st.integers(0, 2)),
        max_size=20,
    )
)
def test_offsets_stay_contiguous_whatever_is_trimmed(
    driver_name: str,
    tmp_path_factory: pytest.TempPathFactory,
    steps: list[tuple[str, int, int]],
) -> None:
    """P3: from the floor to the head nothing is missing, in any channel."""
    driver = DRIVERS[driver_name](tmp_path_factory.mktemp("store"))
    channels = ["inbox:a", "inbox:b", "ticket:c"]
    with opened(driver) as store:
        heads = dict.fromkeys(channels, 0)
        now = T0
        for step, number, which in steps:
            now += 1
            if step == "trim":
                store.writer.trim_events(now - number, number)
                continue
            told = []
            its = {channels[which], channels[2]}
            for _ in range(number):
                for channel in its:
                    heads[channel] += 1
                told.append(event(*((channel, heads[channel]) for channel in its), at=now))
            store.write(events=told)
        for channel, head in heads.items():
            page = store.reader.events_after(channel, 0, 1000)
            assert page.head == head
            assert offsets(page) == list(range(page.floor, head + 1))


@every_driver
def test_what_was_set_aside_lately_is_counted_unless_it_was_understood(store: Store) -> None:
    """P8: by when it was set aside, which its id says."""
    rows = [
        QuarantineRecord(
            id=uuid7(at, number),
            journal_seq=number,
            received_at=T0,
            event="call",
            instance="loja",
            reason="unknown_event",
            detail="",
            replayed_at=None,
            body="{}",
            digest=str(number),
        )
        for number, at in enumerate((T0 - 1, T0, T0 + 5))
    ]
    store.write(quarantined=rows)
    assert store.reader.quarantined_since(T0) == 2
    store.write(replayed=[(rows[2].id, T0 + 9)])
    assert store.reader.quarantined_since(T0) == 1
