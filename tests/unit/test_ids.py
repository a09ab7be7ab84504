"""Ids and channel names."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.model.ids import (
    inbox_channel,
    instance_channel,
    new_id,
    parse_channel,
    ticket_channel,
    uuid7,
)


@given(st.integers(0, (1 << 48) - 1), st.integers(0, (1 << 74) - 1))
def test_uuid7_is_a_version_7_uuid_of_its_moment(unix_ms: int, random_bits: int) -> None:
    """RFC 9562 §5.7, read by the standard library."""
    parsed = uuid.UUID(uuid7(unix_ms, random_bits))
    assert str(parsed) == uuid7(unix_ms, random_bits)
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == unix_ms
    assert (parsed.int >> 64 & 0xFFF) << 62 | parsed.int & (1 << 62) - 1 == random_bits


@given(st.lists(st.integers(0, (1 << 48) - 1), min_size=2, max_size=5))
def test_ids_sort_by_time(moments: list[int]) -> None:
    ids = [uuid7(moment, (1 << 74) - 1 - index) for index, moment in enumerate(sorted(moments))]
    assert [id_[:13] for id_ in sorted(ids)] == [id_[:13] for id_ in ids]


def test_no_two_ids_are_the_same() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize("name", ["x", "a:b", "ção", "loja 1", ":"])
def test_channels_are_parsed_as_they_were_made(name: str) -> None:
    assert parse_channel(ticket_channel(name)) == ("ticket", name)
    assert parse_channel(inbox_channel(name)) == ("inbox", name)
    assert parse_channel(instance_channel(name)) == ("instance", name)


@pytest.mark.parametrize("text", ["", "ticket", "ticket:", ":x", "Ticket:x", "user:x", " inbox:x"])
def test_what_is_no_channel_of_ours_is_none(text: str) -> None:
    assert parse_channel(text) is None
