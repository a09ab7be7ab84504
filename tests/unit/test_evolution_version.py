"""Which dialect a server speaks, from whatever it says of itself."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.protocol.evolution.version import Server, corrected, server_of

ROOT_ANSWERS = sorted((Path(__file__).parents[3] / "shared/payloads/rest-live").glob("*root*.json"))


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("1.8.2", Server(1, takes_own_ids=False)),
        ("v1.7", Server(1, takes_own_ids=False)),
        ("2.3.6", Server(2, takes_own_ids=False)),
        ("2.4.0-rc2", Server(2, takes_own_ids=True)),
        ("2.10.0", Server(2, takes_own_ids=True)),
        ("3", Server(2, takes_own_ids=True)),
        ("latest", None),
        (None, None),
        (2, None),
    ],
)
def test_the_version_decides(version: object, expected: Server | None) -> None:
    assert server_of(json.dumps({"status": 200, "version": version}).encode()) == expected


@given(st.binary(max_size=200))
def test_any_root_page_is_survived(body: bytes) -> None:
    found = server_of(body)
    assert found is None or found.generation in (1, 2)


def test_captured_roots_are_read() -> None:
    for path in ROOT_ANSWERS:
        captured = json.loads(path.read_text())["body"]
        assert server_of(json.dumps(captured).encode()) == Server(2, takes_own_ids=False)


def test_a_refusal_in_the_other_dialect_corrects_the_guess() -> None:
    """Texts of payloads/rest-live/sendText.bad-body.v1-shape, v1.sendText.bad-body.v2-shape."""
    v1, v2 = Server(1, takes_own_ids=False), Server(2, takes_own_ids=True)
    assert corrected(v2, ['instance requires property "textMessage"']) == v1
    assert corrected(v1, ['instance requires property "text"']) == Server(2, takes_own_ids=False)
    assert corrected(v1, ['instance requires property "webhook"']) is not None
    assert corrected(v2, ['instance requires property "text"']) is None
    assert corrected(v2, ['instance requires property "number"']) is None
    assert corrected(v1, ["Text is required"]) is None


def test_a_text_that_merely_names_our_id_is_no_refusal_of_it() -> None:
    """P4: Prisma names its column ``messageId`` when it fails behind a send."""
    server = Server(2, takes_own_ids=True)
    prisma = "Invalid `prisma.media.create()`: Unique constraint failed on (`messageId`)"
    assert corrected(server, [prisma]) is None
    said = 'instance is not allowed to have the additional property "messageId"'
    assert corrected(server, [said]) == Server(2, takes_own_ids=False)
