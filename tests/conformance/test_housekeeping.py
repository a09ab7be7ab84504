"""What is old enough to go, on every driver: no more than that, and nothing that is needed."""

from collections.abc import Iterator
from typing import Any

import pytest

from evorelay.model.records import OutboxRecord, QuarantineRecord, UploadRecord
from tests.conformance.harness import (
    T0,
    Driver,
    Store,
    envelope,
    every_driver,
    make_message,
    opened,
)

A, B, C, D, E = (letter * 64 for letter in "abcde")


@pytest.fixture
def store(driver: Driver) -> Iterator[Store]:
    with opened(driver) as found:
        found.person()
        yield found


def quarantined(id_: str, body: str, at: int = T0) -> QuarantineRecord:
    return QuarantineRecord(
        id=id_,
        journal_seq=1,
        received_at=at,
        event="e",
        instance="loja",
        reason="r",
        detail="d",
        replayed_at=None,
        body=body,
        digest=id_,
    )


def command(id_: str, **fields: Any) -> OutboxRecord:
    defaults: dict[str, Any] = {
        "instance": "loja",
        "contact_id": "c1",
        "ticket_id": "t1",
        "message_id": "m-" + id_,
        "op_id": id_,
        "digest": "",
        "agent": "ana",
        "outgoing": {"type": "text", "content": "oi"},
        "state": "sent",
        "attempts": 1,
        "created_at": T0,
        "queued_at": T0,
        "due_at": 0,
    }
    return OutboxRecord(id=id_, **{**defaults, **fields})


@every_driver
def test_whatever_needs_a_file_is_asked(store: Store) -> None:
    image = {"type": "image", "content": "", "media": {"blob": B, "mimetype": "x", "size": 1}}
    store.write(
        new_messages=[
            make_message("m1", media={"id": A}),
            make_message("m2", media={"id": E, "state": "removed"}),
        ],
        new_outbox=[command("o1", outgoing=image)],
        uploads=[UploadRecord(id="u1", agent="ana", at=T0, media={"blob": C})],
        quarantined=[quarantined("q1", f'{{"x":"blob:{D}"}}')],
    )
    assert store.writer.note_quarantined_blobs(10) == 1
    assert store.writer.note_quarantined_blobs(10) == 0
    assert store.reader.referred([A, B, C, D, E, "f" * 64]) == {A, B, C, D}
    assert store.reader.quarantined_bodies() == []


@every_driver
def test_a_body_that_is_a_file_is_known_as_one(store: Store) -> None:
    store.write(quarantined=[quarantined("q1", f'{{"blob":"{A}"}}'), quarantined("q2", "{}")])
    assert store.writer.note_quarantined_blobs(1) == 1
    assert store.writer.note_quarantined_blobs(10) == 1
    assert store.reader.quarantined_bodies() == [A]
    assert store.reader.referred([A]) == {A}


@every_driver
def test_files_are_given_up_the_oldest_first(store: Store) -> None:
    store.write(
        new_messages=[
            make_message("m1", media={"id": A}, received_at=T0 + 2),
            make_message("m2", media={"id": B}, received_at=T0 + 1),
            make_message("m3", media={"id": C}, received_at=T0 + 9),
            make_message("m4", media={"id": None, "state": "failed"}, received_at=T0),
        ]
    )
    assert store.writer.age_media(T0 + 5, 1) == 1
    assert store.reader.referred([A, B, C]) == {A, C}
    assert store.writer.age_media(T0 + 5, 9) == 1
    assert store.writer.age_media(T0 + 5, 9) == 0
    assert store.reader.referred([A, B, C]) == {C}


@every_driver
def test_of_two_messages_with_one_file_the_one_that_has_it_is_found(store: Store) -> None:
    """What was removed from the older message may have come again."""
    store.write(new_messages=[make_message("m1", media={"id": A}, received_at=T0)])
    assert store.writer.age_media(T0 + 1, 9) == 1
    (gone,) = store.reader.media(A)
    assert (gone.id, gone.media) == ("m1", {"id": A, "state": "removed"})
    store.write(new_messages=[make_message("m2", media={"id": A}, received_at=T0 + 5)])
    (here,) = store.reader.media(A)
    assert here.id == "m2"


@every_driver
def test_messages_go_by_when_they_were_sent_and_not_while_a_command_has_them(store: Store) -> None:
    store.write(
        new_messages=[
            make_message("m1", created_at=T0),
            make_message("m-o1", created_at=T0, direction="out"),
            make_message("m2", created_at=T0 + 9),
            make_message("m3", created_at=T0, ticket_id=None),
        ],
        new_outbox=[command("o1")],
    )
    assert sorted(store.reader.sent_before(T0 + 1, 10)) == ["m1", "m3"]
    assert len(store.reader.sent_before(T0 + 1, 1)) == 1
    assert store.writer.forget_messages(["m1", "m3", "unknown"]) == 2
    assert store.reader.sent_before(T0 + 1, 10) == []
    found = store.reader.ticket("t1")
    assert found is not None
    assert (found[0].inbound, found[0].last_message_id) == (2, "m2")


@every_driver
def test_quarantine_goes_by_age(store: Store) -> None:
    store.write(quarantined=[quarantined("q1", f'"blob:{A}"', T0), quarantined("q2", "{}", T0 + 9)])
    store.writer.note_quarantined_blobs(10)
    assert store.writer.trim_quarantine(T0 + 5, 10) == 1
    assert [row.id for row in store.reader.quarantine(before=None, limit=9)] == ["q2"]
    assert store.reader.referred([A]) == set()


@every_driver
def test_the_journal_knows_its_oldest_entry_and_can_be_written_over(driver: Driver) -> None:
    with driver.journal() as journal:
        assert journal.oldest_at() is None
        journal.append([envelope(b"1"), envelope(b"2")])
        journal.append([envelope(b"3")])
        assert journal.oldest_at() is not None
        journal.replace({2: envelope(b"{}", event="erased"), 99: envelope(b"x")})
        assert [entry.envelope.body for entry in journal.read(0, 1 << 20)] == [b"1", b"{}", b"3"]
        assert journal.scrub(1 << 40)
        assert not journal.scrub(0)
        assert [entry.seq for entry in journal.read(0, 1 << 20)] == [1, 2, 3]
