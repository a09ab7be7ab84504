"""Ids, bounds and unwrapping of one message; shapes are in tests/fixtures/webhooks."""

import json
from typing import Any

import msgspec
import pytest

from evorelay.model.fact import Fact, IgnoredFact, MessageFact, QuarantineFact
from evorelay.protocol.normalise import Reason, normalise
from evorelay.protocol.normalise.content import WRAPPERS_MAX
from evorelay.protocol.normalise.kinds import CHANGES, KINDS, NOISE
from evorelay.protocol.normalise.metadata import METADATA_BYTES_MAX
from evorelay.protocol.normalise.values import TEXT_BYTES_MAX
from tests.unit.test_normalise import RECEIVED_AT, envelope_of


def read_all(
    message: Any, *, id_: Any = "3EB0AA", event: str = "messages.upsert", **row: Any
) -> list[Fact]:
    key = {"remoteJid": "5531988887777@s.whatsapp.net", "fromMe": False, "id": id_}
    data = {"key": key, "message": message, "messageTimestamp": 1_795_346_000, **row}
    return normalise(envelope_of({"event": event, "instance": "a", "data": data}))


def read(message: Any, **row: Any) -> Fact:
    (fact,) = read_all(message, **row)
    return fact


def read_message(message: Any, **row: Any) -> MessageFact:
    fact = read(message, **row)
    assert isinstance(fact, MessageFact)
    return fact


@pytest.mark.parametrize("missing", ["", None, {}, True, "x" * 1000])
def test_without_an_id_the_content_names_the_message(missing: Any) -> None:
    """A redelivery finds the same id (P2), other content another."""
    first = read_message({"conversation": "oi"}, id_=missing)
    again = read_message({"conversation": "oi"}, id_=missing, pushName="Ana", status="READ")
    other = read_message({"conversation": "oi!"}, id_=missing)
    later = read_message({"conversation": "oi"}, id_=missing, messageTimestamp=1_795_346_001)
    assert first.whatsapp_id == again.whatsapp_id
    assert first.whatsapp_id.startswith("h:")
    assert len({first.whatsapp_id, other.whatsapp_id, later.whatsapp_id}) == 3


def test_a_content_id_does_not_depend_on_the_arrival() -> None:
    """Without a timestamp too: the time of arrival differs between deliveries."""
    body = {"event": "messages.upsert", "instance": "a", "data": {
        "key": {"remoteJid": "5531988887777"}, "message": {"conversation": "oi"}}}  # fmt: skip
    envelope = envelope_of(body)
    (first,) = normalise(envelope)
    (again,) = normalise(msgspec.structs.replace(envelope, received_at=RECEIVED_AT + 5000))
    assert isinstance(first, MessageFact)
    assert isinstance(again, MessageFact)
    assert first.whatsapp_id == again.whatsapp_id


def test_a_long_text_is_cut_and_marked() -> None:
    fact = read_message({"conversation": "é" * TEXT_BYTES_MAX})
    assert len(fact.content.encode()) == TEXT_BYTES_MAX
    assert fact.metadata == {"content_cut": True}


def test_metadata_is_bounded_and_the_largest_goes() -> None:
    contacts = [{"displayName": f"C{number}", "vcard": "V" * 4000} for number in range(50)]
    fact = read_message({"contactsArrayMessage": {"displayName": "50", "contacts": contacts}})
    assert len(msgspec.json.encode(fact.metadata)) <= METADATA_BYTES_MAX
    assert fact.metadata["metadata_cut"] is True
    assert len(fact.metadata["contacts"]) == 50
    assert "vcards" not in fact.metadata


def test_wrappers_are_opened_up_to_a_cap() -> None:
    def wrapped(times: int) -> dict[str, Any]:
        message: dict[str, Any] = {"conversation": "por dentro"}
        for _ in range(times):
            message = {"ephemeralMessage": {"message": message}}
        return message

    assert read_message(wrapped(WRAPPERS_MAX)).content == "por dentro"
    assert read_message(wrapped(WRAPPERS_MAX + 1)).type == "unsupported"
    assert read_message(wrapped(300)).type == "unsupported"


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_reads_as_something_when_empty_or_wrong(name: str) -> None:
    values: tuple[Any, ...] = ({}, {"caption": 1, "text": [], "name": {}}, 0, [], False)
    for value in values:
        fact = read_message({name: value}, messageType=name)
        assert fact.type == KINDS[name].type
        assert fact.content


@pytest.mark.parametrize("name", sorted(CHANGES))
def test_changes_of_messages_are_never_messages(name: str) -> None:
    """Neither as the content, nor wrapped, nor under a wrong messageType."""
    wrapped = {"ephemeralMessage": {"message": {name: {"text": "x"}}}}
    messages: tuple[dict[str, Any], ...] = ({name: {}}, {name: "x"}, wrapped)
    for message in messages:
        for event in ("messages.upsert", "send.message", "messages.set"):
            for hint in (name, "conversation", "ephemeralMessage", None):
                facts = read_all(message, messageType=hint, event=event)
                assert not any(isinstance(fact, MessageFact) for fact in facts)


@pytest.mark.parametrize("name", sorted(NOISE))
def test_noise_alone_is_ignored(name: str) -> None:
    for hint in (name, "unknown", None, 7):
        assert read({name: {"a": 1}}, messageType=hint) == IgnoredFact(event="messages.upsert")


@pytest.mark.parametrize("message", ["texto solto", 7, [], True])
def test_content_that_is_no_object_goes_into_quarantine(message: Any) -> None:
    fact = read(message)
    assert isinstance(fact, QuarantineFact)
    assert fact.reason == Reason.BAD_DATA


def test_a_bare_text_where_an_object_belongs_is_still_read() -> None:
    fact = read_message({"extendedTextMessage": "oi"}, messageType="extendedTextMessage")
    assert fact.content == "oi"
    assert read_message({"conversation": 42}).content == "42"


def test_white_space_is_a_message() -> None:
    assert read_message({"conversation": "\u200e \n\t"}).content == "\u200e \n\t"


@pytest.mark.parametrize(
    ("written", "base64", "blob"),
    [
        ("AAAA", "AAAA", None),
        ("data:image/png;base64,AAAA", "AAAA", None),
        ("blob:" + "0f" * 32, None, "0f" * 32),
        ("blob:../../etc/passwd", None, None),
        ("blob-text:" + "0f" * 32, None, None),
        ("é", None, None),
        ({"0": 1}, None, None),
        ("", None, None),
    ],
)
def test_where_the_bytes_of_a_medium_are(
    written: Any, base64: str | None, blob: str | None
) -> None:
    fact = read_message({"imageMessage": {"mimetype": "image/png"}, "base64": written})
    assert fact.media is not None
    assert (base64, blob) == (fact.media.base64, fact.media.blob)


@pytest.mark.parametrize("url", ["javascript:alert(1)", "file:///etc/passwd", "x", 5, None])
def test_only_web_addresses_are_remote_urls(url: Any) -> None:
    fact = read_message({"imageMessage": {}, "mediaUrl": url})
    assert fact.media is not None
    assert fact.media.remote_url is None


def test_a_thumbnail_too_large_is_dropped() -> None:
    fact = read_message({"imageMessage": {"jpegThumbnail": "A" * 40_000}})
    assert fact.media is not None
    assert fact.media.thumbnail is None


def test_quarantine_quotes_nothing_of_the_message() -> None:
    """Details reach logs and lists; what people wrote stays in the body (P7)."""
    secret = "segredo 5531988887777"
    for fact in (
        read({"reactionMessage": {"text": secret}}, key={"remoteJid": "1@g.us"}),
        read({"protocolMessage": {"type": "REVOKE", "key": secret}}),
        read(secret),
        read({"conversation": secret}, key={"remoteJid": secret, "id": "A"}),
    ):
        assert isinstance(fact, QuarantineFact)
        assert "segredo" not in json.dumps(fact.detail)
        assert "5531988887777" not in fact.detail


@pytest.mark.parametrize("message", [None, {}])
@pytest.mark.parametrize("hint", [None, "conversation", "extendedTextMessage"])
def test_a_message_without_its_content_holds_the_place(message: Any, hint: str | None) -> None:
    """A later delivery of the same id brings the content."""
    fact = read_message(message, messageType=hint)
    assert (fact.type, fact.content) == ("unsupported", "[Mensagem sem conteúdo]")
    assert fact.metadata == {"placeholder": True}
    assert read(message, messageType="unknown") == IgnoredFact(event="messages.upsert")
    assert read(message, event="messages.set") == IgnoredFact(event="messages.set")


def test_a_quoted_message_is_shown_as_far_as_it_can_be_read() -> None:
    quoted: list[tuple[Any, Any]] = [
        ({"conversation": "oi"}, {"type": "text", "content": "oi"}),
        ({"conversation": "a" * 1000}, {"type": "text", "content": "a" * 299 + "…"}),
        (
            {"ephemeralMessage": {"message": {"locationMessage": {"name": "Sé"}}}},
            {"type": "location", "content": "[Localização] Sé"},
        ),
        ({}, None),
        ("oi", None),
        (None, None),
    ]
    for message, preview in quoted:
        context = {"stanzaId": "3EB0BB", "quotedMessage": message}
        fact = read_message({"conversation": "sim"}, contextInfo=context)
        assert fact.reply_to == "3EB0BB"
        assert fact.metadata.get("quoted") == preview


def test_only_a_message_that_came_in_is_moved_by_its_id() -> None:
    """What we sent, and where, is certain: Evolution was told the number."""
    id_ = "wamid.HBgNNTUyMTk3Nzc3NjY2NhUCABIYAA=="
    assert read_message({"conversation": "oi"}, id_=id_).metadata == {"chat_corrected": True}
    key = {"remoteJid": "5531988887777@s.whatsapp.net", "fromMe": True, "id": id_}
    sent = read_message({"conversation": "oi"}, key=key, event="send.message")
    assert sent.chat.phone == "5531988887777"
    key = {"remoteJid": "1@g.us", "fromMe": False, "id": id_}
    assert read_message({"conversation": "oi"}, key=key).chat.is_group
    key = {"remoteJid": None, "fromMe": False, "id": id_}
    assert read_message({"conversation": "oi"}, key=key).chat.phone == "5521977776666"


def test_every_part_is_said_once() -> None:
    """Lists repeat the title as the description."""
    fact = read_message({"listResponseMessage": {"title": "Sim", "description": "Sim"}})
    assert fact.content == "Sim"


def test_sizes_are_bounded_whatever_is_sent() -> None:
    huge, long = "é" * (TEXT_BYTES_MAX // 4), "é" * 500
    rows = [{"title": long, "optionName": long, "displayText": long, "vcard": long}] * 60
    for name in sorted(KINDS):
        value = dict.fromkeys(("text", "title", "description"), huge)
        lists = {"options": rows, "buttons": rows, "sections": [{"rows": rows}], "contacts": rows}
        names = {"name": long, "fileName": long, "displayName": long}
        fact = read_message({name: value | lists | names})
        assert len(fact.content.encode()) <= TEXT_BYTES_MAX
        assert len(msgspec.json.encode(fact.metadata)) <= METADATA_BYTES_MAX
