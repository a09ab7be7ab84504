"""Webhooks with one thing wrong: never an exception, never another customer's chat (P2, P5)."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evorelay.model.envelope import Envelope
from evorelay.model.fact import MessageFact
from evorelay.protocol.normalise import normalise
from tests.unit.test_normalise import FIXTURES, envelope_of

BODIES = {path.stem: json.loads(path.read_text())["body"] for path in FIXTURES}
TEXTS = sorted(
    stem for stem in BODIES if stem.split("-")[-1] == "text" or stem.endswith(("reply", "mention"))
)
assert len(TEXTS) >= 10
DEEP: Any = 1
for _ in range(60):
    DEEP = {"message": {"ephemeralMessage": DEEP}}
MISSING = object()
WRONG: list[Any] = [
    MISSING,
    None,
    True,
    0,
    -1,
    10**30,
    1.5,
    "",
    "x",
    "\ud800\0\u202e",
    "9" * 5000,
    [],
    [[1], {"a": 2}],
    {},
    {"low": "x", "high": 10**40},
    {"message": {"conversation": "?"}},
    DEEP,
]
Place = tuple[str | int, ...]


def places(value: Any, at: Place = ()) -> Iterator[Place]:
    """Every place in a document, index objects left out: they are alike."""
    items: Any = ()
    if isinstance(value, dict) and "0" not in value:
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield (*at, key)
        yield from places(inner, (*at, key))


def mutated(body: dict[str, Any], place: Place, wrong: Any) -> dict[str, Any]:
    body = deepcopy(body)
    holder: Any = body
    for step in place[:-1]:
        holder = holder[step]
    if wrong is MISSING:
        del holder[place[-1]]
    else:
        holder[place[-1]] = wrong
    return body


@pytest.mark.parametrize("stem", BODIES)
def test_one_wrong_value_anywhere_never_raises(stem: str) -> None:
    body = BODIES[stem]
    for place in places(body):
        for wrong in WRONG:
            for fact in normalise(envelope_of(mutated(body, place, wrong))):
                msgspec.json.encode(fact)  # raises on what a store could not take


@pytest.mark.parametrize("stem", TEXTS)
def test_one_wrong_value_outside_the_key_never_moves_a_text(stem: str) -> None:
    """The chat stays; at worst a changed ``sender`` hides one of its two names."""
    body = BODIES[stem]
    (original,) = normalise(envelope_of(body))
    assert isinstance(original, MessageFact)
    for place in places(body):
        if place in (("event",), ("instance",), ("data",)) or place[:2] == ("data", "key"):
            continue
        for wrong in (*WRONG, "5521977776666@s.whatsapp.net", {"remoteJid": "5521977776666"}):
            for fact in normalise(envelope_of(mutated(body, place, wrong))):
                if isinstance(fact, MessageFact):
                    assert original.chat.jid == fact.chat.jid
                    assert set(fact.chat.aliases) <= set(original.chat.aliases)
                    assert original.whatsapp_id == fact.whatsapp_id


@pytest.mark.parametrize("stem", TEXTS)
def test_a_wrong_value_beside_the_content_does_not_lose_the_text(stem: str) -> None:
    body = BODIES[stem]
    (original,) = normalise(envelope_of(body))
    assert isinstance(original, MessageFact)
    for name in body["data"].keys() - {"key", "message"}:
        for wrong in WRONG:
            (fact,) = normalise(envelope_of(mutated(body, ("data", name), wrong)))
            assert isinstance(fact, MessageFact)
            assert original.content == fact.content


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None), max_size=20)
    | st.sampled_from(
        ["5531988887777@s.whatsapp.net", "1@lid", "g@g.us", "conversation", "imageMessage", "blob:"]
    ),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("key", "id", "remoteJid", "remoteJidAlt", "fromMe", "participant"),
                    *("message", "messageType", "messageTimestamp", "pushName", "status"),
                    *("conversation", "imageMessage", "ephemeralMessage", "locationMessage"),
                    *("contactsArrayMessage", "contacts", "contextInfo", "stanzaId"),
                    *("low", "high", "0", "base64", "mediaUrl", "state", "keyId", "type"),
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)
EVENTS = ["messages.upsert", "send.message", "messages.update", "messages.edited"]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([*EVENTS, "connection.update", "status.instance", "logout.instance"]),
    json_values,
)
def test_any_data_under_any_event_makes_facts(event: str, data: Any) -> None:
    body = {"event": event, "instance": "a", "sender": data, "data": data}
    for fact in normalise(envelope_of(body)):
        msgspec.json.encode(fact)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(EVENTS), st.binary(max_size=200))
def test_any_bytes_make_facts(event: str, raw: bytes) -> None:
    assert normalise(Envelope(received_at=1, event=event, instance="a", body=raw))
