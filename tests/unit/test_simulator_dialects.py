"""Each dialect has the shape that was captured from a running Evolution of its version."""

import random
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from evorelay.simulator.cast import Chat, Instance, Message, make_instances
from evorelay.simulator.dialects import DIALECTS, envelope, iso
from evorelay.simulator.media import Media, photo, voice_note

CAPTURES = Path(__file__).parents[3] / "shared" / "payloads" / "live"
NAMES = tuple(DIALECTS)


def _instance(dialect: str) -> Instance:
    [instance] = make_instances(1, 1, (dialect,))
    return instance


def _message(
    instance: Instance,
    *,
    ours: bool = False,
    api: bool = False,
    chat: Chat | None = None,
    media: Media | None = None,
    quotes: Message | None = None,
) -> Message:
    to = chat or _visible(instance)
    author = instance.people[0] if to is instance.group else to
    return Message(
        id=DIALECTS[instance.dialect].new_id(random.Random(1), through_api=api),
        row_id="c" + "0" * 24,
        chat=to,
        author=None if ours or api else author,  # type: ignore[arg-type]  # a group has no pen
        sent_ms=1_795_346_000_123,
        text="" if media else "Olá 😀",
        media=media,
        quotes=quotes,
        through_api=api,
    )


def _visible(instance: Instance) -> Chat:
    return next(person for person in instance.people if not person.hides_phone)


def _hidden(instance: Instance) -> Chat:
    return next(person for person in instance.people if person.hides_phone)


@pytest.mark.parametrize("dialect", NAMES)
def test_a_text_is_where_its_version_puts_it(dialect: str) -> None:
    instance = _instance(dialect)
    data = DIALECTS[dialect].upsert(instance, _message(instance))
    assert data["message"]["conversation"] == "Olá 😀"
    assert data["messageType"] == "conversation"
    assert data["messageTimestamp"] == 1_795_346_000
    assert data["key"]["fromMe"] is False
    assert ("owner" in data) == (dialect == "1.8.2 baileys")
    assert ("instanceId" in data) != (dialect == "1.8.2 baileys")


@pytest.mark.parametrize("dialect", NAMES)
def test_media_stands_beside_its_description(dialect: str) -> None:
    instance = _instance(dialect)
    data = DIALECTS[dialect].upsert(instance, _message(instance, media=voice_note(2)))
    assert data["messageType"] == "audioMessage"
    assert data["message"]["audioMessage"]["ptt"] is True
    assert data["message"]["base64"].startswith("T2dnUw")  # "OggS"


def test_bytes_and_longs_take_the_form_of_the_version() -> None:
    forms = {}
    for dialect in ("1.8.2 baileys", "2.2.3 baileys", "2.3.6 baileys"):
        instance = _instance(dialect)
        image = DIALECTS[dialect].upsert(instance, _message(instance, media=photo(0)))
        inner = image["message"]["imageMessage"]
        forms[dialect] = (type(inner["fileSha256"]), type(inner["fileLength"]))
    assert forms == {
        "1.8.2 baileys": (str, str),
        "2.2.3 baileys": (str, str),
        "2.3.6 baileys": (dict, dict),
    }


def test_2_3_6_says_the_privacy_id_with_the_phone_beside_it() -> None:
    instance = _instance("2.3.6 baileys")
    person = _hidden(instance)
    key = DIALECTS["2.3.6 baileys"].upsert(instance, _message(instance, chat=person))["key"]
    assert key["remoteJid"].endswith("@lid")
    assert key["remoteJidAlt"] == person.jid
    assert key["addressingMode"] == "lid"


def test_2_3_6_gives_our_own_number_as_the_other_one_of_what_we_typed() -> None:
    """The trap: taken for the customer's it would move the chat to ourselves."""
    instance = _instance("2.3.6 baileys")
    message = _message(instance, chat=_hidden(instance), ours=True)
    key = DIALECTS["2.3.6 baileys"].upsert(instance, message)["key"]
    assert key["remoteJid"].endswith("@lid")
    assert key["remoteJidAlt"] == instance.jid


def test_2_3_6_sends_to_the_phone_but_reports_status_of_the_privacy_id() -> None:
    instance = _instance("2.3.6 baileys")
    person, dialect = _hidden(instance), DIALECTS["2.3.6 baileys"]
    message = _message(instance, chat=person, api=True)
    assert dialect.send(instance, message)["key"]["remoteJid"] == person.jid
    status = dialect.status(instance, message, "READ", 0)
    assert status["remoteJid"].endswith("@lid")
    assert status["keyId"] == message.id


def test_1_8_2_sends_texts_as_extended_ones_with_a_raw_long() -> None:
    instance = _instance("1.8.2 baileys")
    data = DIALECTS["1.8.2 baileys"].send(instance, _message(instance, api=True))
    assert data["messageType"] == "extendedTextMessage"
    assert data["message"] == {"extendedTextMessage": {"text": "Olá 😀"}}
    assert data["messageTimestamp"] == {"low": 1_795_346_000, "high": 0, "unsigned": True}


@pytest.mark.parametrize("dialect", NAMES)
def test_the_rest_answer_and_the_webhook_name_the_same_message(dialect: str) -> None:
    instance = _instance(dialect)
    message = _message(instance, api=True)
    answer = DIALECTS[dialect].rest_answer(instance, message)
    assert answer["key"]["id"] == DIALECTS[dialect].send(instance, message)["key"]["id"]


def test_iso_is_javascripts() -> None:
    assert iso(1_795_346_000_007) == "2026-11-22T11:13:20.007Z"


class Kind(NamedTuple):
    """How to make ours of the same kind as a capture, and the fields that the capture has."""

    dialect: str
    event: str
    data_fields: str
    key_fields: str
    wanted: dict[str, Any]


CAPTURED = {
    "v2.3.6.baileys.messages.upsert.conversation.lid": Kind(
        "2.3.6 baileys",
        "messages.upsert",
        "instanceId key message messageTimestamp messageType pushName source status",
        "addressingMode fromMe id participant remoteJid remoteJidAlt",
        {"hidden": True},
    ),
    "v2.3.6.baileys.messages.upsert.audioMessage": Kind(
        "2.3.6 baileys",
        "messages.upsert",
        "contextInfo instanceId key message messageTimestamp messageType pushName source status",
        "fromMe id remoteJid",
        {"media": voice_note(2)},
    ),
    "v2.3.6.baileys.messages.upsert.conversation.group": Kind(
        "2.3.6 baileys",
        "messages.upsert",
        "instanceId key message messageTimestamp messageType pushName source status",
        "addressingMode fromMe id participant participantAlt remoteJid",
        {"group": True},
    ),
    "v2.3.6.baileys.messages.update.READ": Kind(
        "2.3.6 baileys",
        "messages.update",
        "fromMe instanceId keyId messageId remoteJid status",
        "",
        {},
    ),
    "v2.3.6.business.messages.upsert.conversation": Kind(
        "2.3.6 business",
        "messages.upsert",
        "instanceId key message messageTimestamp messageType pushName source",
        "fromMe id remoteJid",
        {},
    ),
    "v2.3.6.business.messages.upsert.imageMessage.base64": Kind(
        "2.3.6 business",
        "messages.upsert",
        "instanceId key message messageTimestamp messageType pushName source",
        "fromMe id remoteJid",
        {"media": photo(0)},
    ),
    "v2.3.6.business.messages.update.SENT": Kind(
        "2.3.6 business",
        "messages.update",
        "fromMe instanceId keyId messageId participant remoteJid status",
        "",
        {},
    ),
    "v2.3.6.business.send.message.conversation": Kind(
        "2.3.6 business",
        "send.message",
        "instanceId key message messageTimestamp messageType source status",
        "fromMe id remoteJid",
        {"api": True},
    ),
    "v2.3.6.evolution.messages.upsert.conversation.2": Kind(
        "2.3.6 evolution",
        "messages.upsert",
        "instanceId key message messageTimestamp messageType pushName source",
        "fromMe id remoteJid",
        {},
    ),
    "v2.3.6.evolution.send.message.conversation": Kind(
        "2.3.6 evolution",
        "send.message",
        "instanceId key message messageTimestamp messageType source",
        "fromMe id remoteJid",
        {"api": True},
    ),
    "v1.8.2.baileys.messages.upsert.conversation": Kind(
        "1.8.2 baileys",
        "messages.upsert",
        "key message messageTimestamp messageType owner pushName source",
        "fromMe id remoteJid",
        {},
    ),
    "v1.8.2.baileys.messages.upsert.audioMessage": Kind(
        "1.8.2 baileys",
        "messages.upsert",
        "contextInfo key message messageTimestamp messageType owner pushName source",
        "fromMe id remoteJid",
        {"media": voice_note(2)},
    ),
    "v1.8.2.baileys.messages.update.READ": Kind(
        "1.8.2 baileys",
        "messages.update",
        "datetime fromMe id owner remoteJid status",
        "",
        {},
    ),
}


def _ours_like(kind: Kind) -> dict[str, Any]:
    dialect, instance = DIALECTS[kind.dialect], _instance(kind.dialect)
    wanted = dict(kind.wanted)
    if wanted.pop("hidden", False):
        wanted["chat"] = _hidden(instance)
    if wanted.pop("group", False):
        wanted["chat"] = instance.group
    message = _message(instance, **wanted)
    if kind.event == "messages.upsert":
        data = dialect.upsert(instance, message)
    elif kind.event == "send.message":
        data = dialect.send(instance, message)
    else:
        data = dialect.status(instance, message, "READ", 1)
    linked = dialect.links_a_phone
    body = envelope(instance, kind.event, data, at_ms=0, destination="", linked=linked)
    return msgspec.json.decode(body, type=dict[str, Any])


@pytest.mark.parametrize("name", CAPTURED)
def test_the_fields_are_those_of_the_live_capture(name: str) -> None:
    ours = _ours_like(CAPTURED[name])
    assert CAPTURED[name].data_fields == " ".join(sorted(ours["data"]))
    assert CAPTURED[name].key_fields == " ".join(sorted(ours["data"].get("key", ())))
    for path in CAPTURES.glob(f"{name}.json"):
        captured = msgspec.json.decode(path.read_bytes())["body"]
        assert list(captured) == list(ours)
        assert set(captured["data"]) == set(ours["data"])
        captured_at = captured["data"].get("messageTimestamp")
        assert type(captured_at) is type(ours["data"].get("messageTimestamp"))
