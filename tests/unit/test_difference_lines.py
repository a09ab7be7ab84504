"""Differences of a replay in lines, whatever strangers wrote in them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.cli.difference_lines import difference_lines
from evorelay.cli.printable import printable


def lines(what: str, **fields: Any) -> list[str]:
    difference = {"what": what, "id": "ID", "seq": 7, "who": "Ana", "text": None, "fields": []}
    return list(difference_lines(difference | fields))


@pytest.mark.parametrize(
    ("what", "fields", "expected"),
    [
        ("message.created", {"text": "Olá 😀"}, ['new message ID of Ana: "Olá 😀"']),
        ("message.created", {"who": None, "text": "oi"}, ['new message ID: "oi"']),
        ("ticket.created", {}, ["new ticket of Ana"]),
        ("contact.created", {}, ["new person Ana"]),
        ("ignored", {"text": "call"}, ["call is of no consequence any more"]),
        (
            "ticket.merged",
            {"fields": [{"field": "merged_into", "before": None, "after": "T2"}]},
            ["ticket ID of Ana is one with ticket T2"],
        ),
        (
            "message.changed",
            {
                "fields": [
                    {"field": "content", "before": "[?]", "after": "Olá"},
                    {"field": "reply_to", "before": None, "after": "3EB0"},
                    {"field": "media.seconds", "before": 3, "after": None},
                ]
            },
            [
                "message ID of Ana",
                '    content: "[?]" -> "Olá"',
                '    reply_to: nothing -> "3EB0"',
                "    media.seconds: 3 -> nothing",
            ],
        ),
        ("soup.changed", {}, ["soup.changed ID of Ana"]),
    ],
)
def test_a_difference_reads_like_a_sentence(
    what: str, fields: dict[str, Any], expected: list[str]
) -> None:
    assert lines(what, **fields) == expected


@given(st.text())
def test_nothing_of_a_stranger_moves_the_cursor_or_turns_a_line_around(text: str) -> None:
    """ANSI, line ends, RTL overrides; what a person can read is left alone."""
    assert printable(text).isprintable()
    if text.isprintable():
        assert printable(text) == text
    field = {"field": "content", "before": text, "after": text}
    for line in lines("message.changed", who=text, id=text, fields=[field]):
        assert line.isprintable()
