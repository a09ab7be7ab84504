"""Webhooks with one thing wrong: never an exception, never another customer's chat (P2, P5).

What is mutated is every fixture and, where the corpus of captures is at hand, each of its bodies;
where it is not, the fixtures have to do for it.
"""

import json
import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evorelay.model.envelope import Envelope
from evorelay.model.fact import Fact, MessageFact
from evorelay.protocol.normalise import normalise
from evorelay.protocol.normalise.metadata import METADATA_BYTES_MAX
from evorelay.protocol.normalise.values import TEXT_BYTES_MAX
from evorelay.protocol.normalise.webhook import READERS
from tests.unit.test_normalise import CORPUS, FIXTURES, envelope_of

BODIES: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text())["body"] for path in FIXTURES
}
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
HUGE: list[Any] = ["😀" * 2000, [{"a": 1}] * 500, dict.fromkeys(map(str, range(500)), 1)]
Place = tuple[str | int, ...]


def captures() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in CORPUS:
        document = json.loads(path.read_text())
        body = (
            document.get("body") if isinstance(document, dict) and "path" in document else document
        )
        # A rehearsal of nesting alone, of which there is enough here, and a megabyte of one letter.
        if isinstance(body, dict) and "data" in body and path.stat().st_size < 200_000:
            yield f"{path.parent.name}/{path.stem}", body


CAPTURES = {
    name: body for name, body in captures() if "deep" not in name and not name.startswith("rest")
}

SAMPLED = CAPTURES or BODIES


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


def checked(facts: list[Fact]) -> list[MessageFact]:
    """The messages among facts that are all in order: of our kinds, storable, of bounded size."""
    assert facts
    messages = []
    for fact in facts:
        assert isinstance(fact, get_args(Fact))
        msgspec.json.encode(fact)  # raises on what a store could not take
        if isinstance(fact, MessageFact):
            assert len(fact.content.encode()) <= TEXT_BYTES_MAX
            assert len(msgspec.json.encode(fact.metadata)) <= METADATA_BYTES_MAX
            assert fact.whatsapp_id
            assert fact.content or fact.type == "text"
            assert fact.author is None or (fact.chat.is_group and not fact.from_me)
            messages.append(fact)
    return messages


@pytest.mark.parametrize("stem", BODIES)
def test_one_wrong_value_anywhere_never_raises(stem: str) -> None:
    body = BODIES[stem]
    for place in places(body):
        for wrong in WRONG:
            checked(normalise(envelope_of(mutated(body, place, wrong))))


@pytest.mark.parametrize("stem", BODIES)
def test_one_huge_value_anywhere_stays_within_bounds(stem: str) -> None:
    body = BODIES[stem]
    for place in places(body.get("data"), ("data",)):
        wrong = HUGE[len(place) % len(HUGE)]
        checked(normalise(envelope_of(mutated(body, place, wrong))))


@pytest.mark.parametrize("name", SAMPLED)
def test_captures_with_one_wrong_value_never_raise(name: str) -> None:
    """Some of all that could be wrong; which is random, and the same every time."""
    body = SAMPLED[name]
    chosen = random.Random(name)
    everywhere = list(places(body))
    for place in chosen.sample(everywhere, min(12, len(everywhere))):
        checked(normalise(envelope_of(mutated(body, place, chosen.choice([*WRONG, *HUGE])))))


def test_data_of_any_event_under_any_other_makes_facts() -> None:
    """Every pair of an event and a shape that is another one's."""
    events = sorted({body["event"] for body in BODIES.values()} | READERS.keys())
    for body in (*BODIES.values(), *CAPTURES.values()):
        for event in events:
            checked(normalise(envelope_of({**body, "event": event})))


def test_parts_swapped_between_two_webhooks_never_raise() -> None:
    """A key, a message, a context from somewhere else."""
    chosen = random.Random(0)
    bodies = [body for body in (*BODIES.values(), *CAPTURES.values()) if body.get("data")]
    for body in bodies:
        for other in chosen.sample(bodies, 10):
            mine, theirs = list(places(body["data"])), list(places(other["data"]))
            if not mine or not theirs:
                continue
            taken: Any = other["data"]
            for step in chosen.choice(theirs):
                taken = taken[step]
            swapped = mutated(body, ("data", *chosen.choice(mine)), deepcopy(taken))
            checked(normalise(envelope_of(swapped)))


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
                    assert original.from_me == fact.from_me


@pytest.mark.parametrize("stem", BODIES)
def test_a_chat_is_never_another_while_its_jid_is_there(stem: str) -> None:
    """Whatever else is wrong, messages stay under an id of their own chat; ours stay ours."""
    body = BODIES[stem]
    messages = checked(normalise(envelope_of(body)))[:1]
    if not messages or not isinstance(body["data"], dict) or "key" not in body["data"]:
        return
    known = {alias for message in messages for alias in message.chat.aliases}
    for place in places(body):
        if place in (("event",), ("data",)) or place[:2] == ("data", "key"):
            continue
        for wrong in (*WRONG, "5521977776666@s.whatsapp.net"):
            for fact in normalise(envelope_of(mutated(body, place, wrong))):
                if isinstance(fact, MessageFact):
                    assert known & set(fact.chat.aliases)
                    assert fact.from_me == messages[0].from_me


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


@pytest.mark.parametrize("stem", BODIES)
def test_an_odd_element_does_not_touch_its_neighbours(stem: str) -> None:
    body = BODIES[stem]
    data = body.get("data")
    rows = data if isinstance(data, list) else [data]
    alone = normalise(envelope_of({**body, "data": rows}))
    odd = [7, None, [], {"key": {}}, DEEP, {"key": {"remoteJid": 1}, "message": "x"}]
    among = normalise(envelope_of({**body, "data": [*odd[:3], *rows, *odd[3:]]}))
    for fact in alone:
        if type(fact).__name__ not in ("IgnoredFact", "QuarantineFact"):
            assert fact in among


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
                    *("contactsArrayMessage", "contacts", "contextInfo", "stanzaId", "vcard"),
                    *("low", "high", "0", "base64", "mediaUrl", "state", "keyId", "type"),
                    *("protocolMessage", "editedMessage", "reactionMessage", "text"),
                    *("pollUpdateMessage", "pollCreationMessageKey", "vote", "selectedOptions"),
                    *("pollUpdates", "voters", "name", "quotedMessage", "participants", "action"),
                    *("interactiveMessage", "nativeFlowMessage", "buttons", "buttonParamsJson"),
                    *("subject", "admin", "phoneNumber", "lid", "qrcode", "code", "date", "from"),
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=30,
)


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(sorted(READERS)), json_values)
def test_any_data_under_any_event_makes_facts(event: str, data: Any) -> None:
    body = {"event": event, "instance": "a", "sender": data, "data": data}
    checked(normalise(envelope_of(body), store_status_posts=True))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(READERS)), st.binary(max_size=200))
def test_any_bytes_make_facts(event: str, raw: bytes) -> None:
    assert normalise(Envelope(received_at=1, event=event, instance="a", body=raw))
