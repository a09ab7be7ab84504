"""Each dialect has the shape that was captured from a running Evolution of its version."""

from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from evorelay.simulator.cast import Chat
from evorelay.simulator.dialects import DIALECTS, KINDS, Webhook, iso
from evorelay.simulator.dialects.protobuf import Choice, Form, Long, as_json
from evorelay.simulator.retry import RETRY_POLICIES
from tests.support.simulated import a_message, an_instance, as_posted, hidden

CAPTURES = Path(__file__).parents[3] / "shared" / "payloads" / "live"
NAMES = tuple(DIALECTS)


@pytest.mark.parametrize("dialect", NAMES)
def test_a_text_is_where_its_version_puts_it(dialect: str) -> None:
    instance = an_instance(dialect)
    data = DIALECTS[dialect].upsert(instance, a_message(instance))
    assert data["message"]["conversation"] == "Olá 😀"
    assert data["messageType"] == "conversation"
    assert int(data["messageTimestamp"]) == 1_795_346_000
    assert data["key"]["fromMe"] is False
    assert ("owner" in data) == dialect.startswith("1.8.2")
    assert ("instanceId" in data) != dialect.startswith("1.8.2")


@pytest.mark.parametrize("dialect", NAMES)
def test_a_file_stands_beside_its_description(dialect: str) -> None:
    instance = an_instance(dialect)
    data = DIALECTS[dialect].upsert(instance, a_message(instance, "voice"))
    assert data["messageType"] == "audioMessage"
    assert data["message"]["audioMessage"]["ptt"] is True
    assert data["message"]["base64"].startswith("T2dnUw")  # "OggS"


@pytest.mark.parametrize("dialect", NAMES)
def test_every_version_has_a_retry_policy(dialect: str) -> None:
    assert DIALECTS[dialect].version in RETRY_POLICIES


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        (Form.PROTOBUF, {"octets": "AQI=", "long": "1795346000123", "choice": "NAME"}),
        (
            Form.NUMBERS,
            {"octets": {"0": 1, "1": 2}, "long": 1_795_346_000_123, "choice": 3, "list": []},
        ),
        (
            Form.OBJECTS,
            {
                "octets": {"0": 1, "1": 2},
                "long": {"low": 49_670_395, "high": 418, "unsigned": False},
                "choice": 3,
                "list": [],
            },
        ),
    ],
)
def test_protobuf_values_take_the_form_of_the_version(form: Form, expected: object) -> None:
    value = {
        "octets": b"\1\2",
        "long": Long(1_795_346_000_123, unsigned=False),
        "choice": Choice(3, "NAME"),
        "list": [],
    }
    made = as_json(value, form)
    assert made == expected


def test_both_halves_of_a_long_are_signed_as_in_javascript() -> None:
    made = as_json(Long(1_790_812_800_000, unsigned=False), Form.OBJECTS)
    assert made["low"] < 0
    assert (made["high"] << 32) + (made["low"] & 0xFFFFFFFF) == 1_790_812_800_000


@pytest.mark.parametrize("version", ["2.2.3", "2.3.0", "2.3.2", "2.3.4", "2.3.6", "2.3.7"])
def test_a_captioned_document_is_taken_out_of_its_wrapper_since_2(version: str) -> None:
    instance = an_instance(f"{version} baileys")
    data = DIALECTS[instance.dialect].upsert(instance, a_message(instance, "captioned document"))
    assert data["messageType"] == "documentMessage"
    assert data["message"]["documentMessage"]["caption"] == "Olá 😀"


def test_1_8_2_sends_texts_as_extended_ones_with_a_raw_long() -> None:
    instance = an_instance("1.8.2 baileys")
    data = DIALECTS["1.8.2 baileys"].send(instance, a_message(instance, api=True))
    assert data["messageType"] == "extendedTextMessage"
    assert data["message"] == {"extendedTextMessage": {"text": "Olá 😀"}}
    assert data["messageTimestamp"] == {"low": 1_795_346_000, "high": 0, "unsigned": True}


@pytest.mark.parametrize("dialect", NAMES)
def test_the_rest_answer_and_the_webhook_name_the_same_message(dialect: str) -> None:
    instance = an_instance(dialect)
    message = a_message(instance, api=True)
    dialect_of = DIALECTS[dialect]
    answer = dialect_of.as_answer(dialect_of.send(instance, message))
    assert answer["key"]["id"] == DIALECTS[dialect].send(instance, message)["key"]["id"]


def test_history_says_how_far_it_is_since_2_3_7_and_that_it_is_done_since_2_4() -> None:
    fronts, events = {}, {}
    for version in ("2.3.6", "2.3.7", "2.4.0"):
        instance = an_instance(f"{version} baileys")
        webhooks = DIALECTS[instance.dialect].history(instance, [a_message(instance)])
        events[version] = [webhook.event for webhook in webhooks]
        fronts[version] = list(as_posted(instance, webhooks[1]))[:2]
    assert events["2.3.6"] == events["2.3.7"] == ["chats.set", "messages.set"]
    assert events["2.4.0"] == ["chats.set", "messages.set", "messaging-history.set"]
    assert fronts["2.3.6"] == ["event", "instance"]
    assert fronts["2.3.7"] == fronts["2.4.0"] == ["isLatest", "progress"]


def test_iso_is_javascripts() -> None:
    assert iso(1_795_346_000_007) == "2026-11-22T11:13:20.007Z"


class Captured(NamedTuple):
    """How to make ours of the same kind as a capture, and the fields that the capture has."""

    dialect: str
    event: str
    fields: str
    """Of ``data``."""
    content: str
    """Of the content, less what phones write in addition."""
    kind: str = "text"
    wanted: str = ""


_V2 = "instanceId key message messageTimestamp messageType pushName source status"
_V2_CONTENT = "contextInfo " + _V2
_V1 = "key message messageTimestamp messageType owner pushName source"
_CLOUD = "instanceId key message messageTimestamp messageType pushName source"
_FILE = "directPath fileEncSha256 fileLength fileSha256 mediaKey mediaKeyTimestamp mimetype"
_UPSERT, _SEND = "messages.upsert", "send.message"

CAPTURED = {
    "v2.3.6.baileys.messages.upsert.conversation.lid": Captured(
        "2.3.6 baileys", _UPSERT, _V2, "", wanted="hidden"
    ),
    "v2.3.6.baileys.messages.upsert.conversation.group": Captured(
        "2.3.6 baileys", _UPSERT, _V2, "", wanted="group"
    ),
    "v2.3.6.baileys.messages.upsert.audioMessage": Captured(
        "2.3.6 baileys", _UPSERT, _V2_CONTENT, _FILE + " ptt seconds url waveform", "voice"
    ),
    "v2.3.6.baileys.messages.upsert.imageMessage": Captured(
        *("2.3.6 baileys", _UPSERT, _V2_CONTENT),
        _FILE + " annotations caption height interactiveAnnotations jpegThumbnail scanLengths url"
        " width",
        "image",
    ),
    "v2.3.6.baileys.messages.upsert.documentMessage": Captured(
        "2.3.6 baileys", _UPSERT, _V2_CONTENT, _FILE + " fileName pageCount title url", "document"
    ),
    "v2.3.6.baileys.messages.upsert.stickerMessage": Captured(
        "2.3.6 baileys", _UPSERT, _V2_CONTENT, _FILE + " height isAnimated url width", "sticker"
    ),
    "v2.3.6.baileys.messages.upsert.contactMessage": Captured(
        "2.3.6 baileys", _UPSERT, _V2_CONTENT, "displayName vcard", "contact"
    ),
    "v2.3.6.baileys.messages.upsert.contactsArrayMessage": Captured(
        "2.3.6 baileys", _UPSERT, _V2_CONTENT, "contacts displayName", "contacts"
    ),
    "v2.3.6.baileys.messages.upsert.locationMessage": Captured(
        *("2.3.6 baileys", _UPSERT, _V2_CONTENT),
        "address degreesLatitude degreesLongitude jpegThumbnail name",
        "location",
    ),
    "v2.3.6.baileys.messages.upsert.ephemeralMessage": Captured(
        "2.3.6 baileys", _UPSERT, _V2, "message", "ephemeral"
    ),
    "v2.3.6.baileys.messages.upsert.viewOnceMessageV2": Captured(
        "2.3.6 baileys", _UPSERT, _V2, "message", "view once"
    ),
    "v2.3.6.baileys.messages.upsert.templateButtonReplyMessage.reply": Captured(
        *("2.3.6 baileys", _UPSERT, _V2_CONTENT),
        "contextInfo selectedDisplayText selectedId selectedIndex",
        "template reply",
    ),
    "v2.3.6.baileys.messages.upsert.interactiveResponseMessage.reply": Captured(
        *("2.3.6 baileys", _UPSERT, _V2_CONTENT),
        "body contextInfo nativeFlowResponseMessage",
        "flow reply",
    ),
    "v2.3.6.baileys.send.message.conversation": Captured(
        "2.3.6 baileys", _SEND, _V2_CONTENT, "", wanted="api"
    ),
    "v2.3.6.baileys.send.message.pollCreationMessageV3": Captured(
        "2.3.6 baileys", _SEND, _V2, "name options selectableOptionsCount", "poll", "api"
    ),
    "v2.3.6.business.messages.upsert.conversation": Captured("2.3.6 business", _UPSERT, _CLOUD, ""),
    "v2.3.6.business.messages.upsert.imageMessage.base64": Captured(
        "2.3.6 business", _UPSERT, _CLOUD, "caption id mime_type sha256", "image"
    ),
    "v2.3.6.business.messages.upsert.audioMessage.base64": Captured(
        "2.3.6 business", _UPSERT, _CLOUD, "id mime_type ptt sha256 voice", "voice"
    ),
    "v2.3.6.business.messages.upsert.stickerMessage": Captured(
        "2.3.6 business", _UPSERT, _CLOUD, "animated id mime_type sha256", "sticker"
    ),
    "v2.3.6.business.messages.upsert.documentMessage.base64": Captured(
        *("2.3.6 business", _UPSERT, _CLOUD),
        "caption filename id mime_type sha256",
        "captioned document",
    ),
    "v2.3.6.business.send.message.conversation": Captured(
        *("2.3.6 business", _SEND),
        "instanceId key message messageTimestamp messageType source status",
        "",
        wanted="api",
    ),
    "v2.3.6.evolution.messages.upsert.conversation.2": Captured(
        "2.3.6 evolution", _UPSERT, _CLOUD, ""
    ),
    "v2.3.6.evolution.messages.upsert.listResponseMessage": Captured(
        *("2.3.6 evolution", _UPSERT, _CLOUD),
        "listType singleSelectReply title",
        "list reply",
    ),
    "v2.3.6.evolution.send.message.conversation": Captured(
        *("2.3.6 evolution", _SEND),
        "instanceId key message messageTimestamp messageType source",
        "",
        wanted="api",
    ),
    "v1.8.2.baileys.messages.upsert.conversation": Captured("1.8.2 baileys", _UPSERT, _V1, ""),
    "v1.8.2.baileys.messages.upsert.listResponseMessage": Captured(
        *("1.8.2 baileys", _UPSERT, "contextInfo " + _V1),
        "listType singleSelectReply title",
        "list reply",
    ),
    "v1.8.2.baileys.send.message.extendedTextMessage": Captured(
        "1.8.2 baileys", _SEND, "contextInfo " + _V1, "text", wanted="api"
    ),
    "v1.8.2.business.messages.upsert.conversation": Captured(
        "1.8.2 business", _UPSERT, _V1.replace(" source", ""), ""
    ),
    "v1.8.2.business.messages.upsert.conversation-as-contactMessage": Captured(
        *("1.8.2 business", _UPSERT, _V1.replace(" source", "")),
        "displayName vcard",
        "contact",
    ),
}


def _like(kind: Captured) -> dict[str, Any]:
    instance = an_instance(kind.dialect)
    chats: dict[str, Chat] = {"hidden": hidden(instance), "group": instance.group}
    message = a_message(instance, kind.kind, api=kind.wanted == "api", chat=chats.get(kind.wanted))
    dialect = DIALECTS[kind.dialect]
    word = dialect.upsert if kind.event == _UPSERT else dialect.send
    return as_posted(instance, Webhook(kind.event, word(instance, message)))


def _content(data: dict[str, Any]) -> set[str]:
    [*found] = (
        value
        for name, value in data["message"].items()
        if isinstance(value, dict) and name != "messageContextInfo"
    )
    return set(found[0]) if found else set()


@pytest.mark.parametrize("name", CAPTURED)
def test_the_fields_are_those_of_the_live_capture(name: str) -> None:
    kind, ours = CAPTURED[name], _like(CAPTURED[name])
    assert set(kind.fields.split()) == set(ours["data"])
    assert set(kind.content.split()) == _content(ours["data"])
    for path in CAPTURES.glob(f"{name}.json"):
        captured = msgspec.json.decode(path.read_bytes())["body"]
        assert list(captured) == list(ours)
        assert list(captured["data"]) == list(ours["data"])
        assert captured["data"]["messageType"] == ours["data"]["messageType"]
        assert _content(captured["data"]) == _content(ours["data"])
        for field in ("messageTimestamp", "contextInfo"):
            if field != "contextInfo" or captured["data"].get(field) is None:
                assert type(captured["data"].get(field)) is type(ours["data"].get(field))


@pytest.mark.parametrize("dialect", NAMES)
def test_a_dialect_words_every_kind_that_it_carries(dialect: str) -> None:
    instance = an_instance(dialect)
    album = a_message(instance, "text")
    for name in sorted(DIALECTS[dialect].kinds):
        quotes = album if KINDS[name].is_about else None
        message = a_message(instance, name, quotes=quotes)
        data = as_posted(instance, Webhook(_UPSERT, DIALECTS[dialect].upsert(instance, message)))[
            "data"
        ]
        assert data["key"]["id"] == message.id
        text = msgspec.json.encode(data).decode()
        assert (message.text in text) or KINDS[name].words == "none"


def test_the_linked_phone_carries_every_kind() -> None:
    phones = {name: DIALECTS[name].kinds for name in NAMES if name.endswith("baileys")}
    assert set(KINDS) - phones.pop("1.8.2 baileys") == {"transcribed voice"}
    assert all(kinds == set(KINDS) for kinds in phones.values())
    assert {"text", "image", "voice", "contact"} <= DIALECTS["2.3.6 evolution"].kinds
    assert "poll" not in DIALECTS["2.3.6 business"].kinds
    assert "sticker" not in DIALECTS["1.8.2 business"].kinds
