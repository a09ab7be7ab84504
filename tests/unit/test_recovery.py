"""Rows of Evolution's list in the form of webhooks, and how a window is cut (P6, P7)."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.protocol.recovery import (
    BASE64_CHARS_MAX,
    id_of_row,
    moment_of_row,
    recovered_envelope,
    spans,
)


def body_of(row: dict[str, Any]) -> Any:
    return json.loads(recovered_envelope("loja", row, received_at=7).body)


def test_the_envelope_is_that_of_a_webhook() -> None:
    envelope = recovered_envelope("loja", {"key": {"id": "A"}}, received_at=7)
    assert (envelope.event, envelope.instance) == ("messages.recovered", "loja")
    assert (envelope.received_at, envelope.body_blob) == (7, None)
    assert json.loads(envelope.body)["data"] == {"key": {"id": "A"}}


def test_no_secret_is_kept_at_any_depth() -> None:
    row = {"apikey": "s3cret", "message": {"x": {"apiKey": "s3cret", "a": [{"api_key": "s3cret"}]}}}
    assert b"s3cret" not in recovered_envelope("loja", row, received_at=7).body


def test_a_long_file_is_left_to_the_fetcher_and_a_short_one_stays() -> None:
    short, long = "A" * BASE64_CHARS_MAX, "A" * (BASE64_CHARS_MAX + 1)
    kept = {"imageMessage": {"caption": "foto"}}
    assert body_of({"message": {**kept, "base64": short}})["data"]["message"]["base64"] == short
    assert body_of({"message": {**kept, "base64": long}})["data"]["message"] == kept
    assert body_of({"message": "no object"})["data"] == {"message": "no object"}


def test_what_is_no_json_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="cannot be written"):
        recovered_envelope("loja", {"a": object()}, received_at=7)


@pytest.mark.parametrize(
    ("row", "id_", "at"),
    [
        ({"key": {"id": "A"}, "messageTimestamp": 1795345917}, "A", 1795345917000),
        ({"key": {"id": "A"}, "id": "row", "messageTimestamp": "1795345917"}, "A", 1795345917000),
        ({"id": "row"}, None, None),
        ({"key": {"id": 7}, "messageTimestamp": 0}, None, None),
        ({"key": "A", "messageTimestamp": "soon"}, None, None),
    ],
)
def test_what_names_a_row_and_dates_it(row: Any, id_: str | None, at: int | None) -> None:
    assert (id_of_row(row), moment_of_row(row)) == (id_, at)


@given(st.integers(0, 10**10), st.integers(0, 10**6), st.integers(1, 50))
def test_parts_cover_the_window_without_touching(first: int, length: int, number: int) -> None:
    parts = list(spans(first, first + length, number))
    assert len(parts) <= number
    assert (parts[0][0], parts[-1][1]) == (first, first + length)
    assert all(a <= b for a, b in parts)
    assert all(after[0] == before[1] + 1 for before, after in pairwise(parts))
