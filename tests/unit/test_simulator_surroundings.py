"""Contacts, chats, groups, calls and connections have the fields of the live captures."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from evorelay.simulator.acts import Call, Membership
from evorelay.simulator.cast import Instance
from evorelay.simulator.dialects import DIALECTS, Webhook
from tests.support.simulated import SENT_MS, a_message, an_instance, hidden, visible

CAPTURES = Path(__file__).parents[3] / "shared" / "payloads" / "live"
V1, V2 = "1.8.2 baileys", "2.3.6 baileys"


def _made(dialect: str) -> dict[str, Any]:
    """Event → data, one of each that comes with messages and connections."""
    instance = an_instance(dialect)
    words = DIALECTS[dialect]
    webhooks = [
        Webhook("connection.update", words.connection(instance, "open", 200)),
        *words.beside(instance, a_message(instance), first=False),
        *words.beside(instance, a_message(instance), first=True)[:1],
        *words.composing(a_message(instance)),
        *words.call(instance, _call(instance), "offer", SENT_MS),
        *words.qr_code(instance, 1),
        *words.noise(instance),
    ]
    return {webhook.event: webhook.data for webhook in reversed(webhooks)}


def _call(instance: Instance) -> Call:
    caller = visible(instance)
    return Call(id="C", caller=caller, is_video=False, outcome="reject", address=caller.address)


@pytest.mark.parametrize(
    ("capture", "dialect", "event", "fields"),
    [
        (
            "v1.8.2.baileys.connection.update.open",
            *(V1, "connection.update", "instance state statusReason"),
        ),
        (
            "v2.3.6.baileys.connection.update.open.by-events.jwt-key",
            *(V2, "connection.update"),
            "instance wuid profileName profilePictureUrl state statusReason",
        ),
        (
            "v1.8.2.baileys.contacts.update",
            *(V1, "contacts.update", "id pushName profilePictureUrl owner"),
        ),
        (
            "v2.3.6.baileys.contacts.update",
            *(V2, "contacts.update", "remoteJid pushName profilePicUrl instanceId"),
        ),
        ("v1.8.2.baileys.presence.update", V1, "presence.update", "id presences"),
        (
            "v2.3.6.baileys.call",
            *(V2, "call", "chatId from id date offline status isVideo isGroup"),
        ),
        ("v2.3.6.baileys.qrcode.updated", V2, "qrcode.updated", "qrcode"),
        (
            "v2.3.6.baileys.labels.edit",
            *(V2, "labels.edit", "id name color deleted predefinedId instance"),
        ),
        (
            "v2.3.6.business.contacts.upsert",
            *("2.3.6 business", "contacts.upsert", "pushName instanceId"),
        ),
        ("v1.8.2.business.contacts.upsert", "1.8.2 business", "contacts.upsert", "pushName owner"),
        (
            "v2.3.6.evolution.contacts.upsert.2",
            *("2.3.6 evolution", "contacts.upsert", "remoteJid pushName instanceId"),
        ),
    ],
)
def test_the_fields_are_those_of_the_capture(
    capture: str, dialect: str, event: str, fields: str
) -> None:
    data = _made(dialect)[event]
    assert fields.split() == list(data)
    for path in CAPTURES.glob(f"{capture}.json"):
        captured = msgspec.json.decode(path.read_bytes())["body"]["data"]
        assert list(captured) == list(data)


@pytest.mark.parametrize(
    ("version", "members"),
    [
        ("1.8.2", {"id", "admin"}),
        ("2.3.0", {"id", "jid", "admin"}),
        ("2.3.6", {"id", "phoneNumber", "admin"}),
    ],
)
def test_a_group_lists_its_members_in_the_versions_way(version: str, members: set[str]) -> None:
    instance = an_instance(f"{version} baileys")
    [webhook] = DIALECTS[instance.dialect].group(instance.group)
    [row] = webhook.data
    assert row["subject"] == instance.group.subject
    assert all(set(member) == members for member in row["participants"])


@pytest.mark.parametrize(
    ("version", "form"), [("1.8.2", str), ("2.3.4", str), ("2.3.6", dict), ("2.3.7", dict)]
)
def test_a_change_of_members_names_them_as_strings_or_objects(version: str, form: type) -> None:
    instance = an_instance(f"{version} baileys")
    owner, other, *_ = instance.group.members
    act = Membership(group=instance.group, person=other, action="add", author=owner)
    [webhook] = DIALECTS[instance.dialect].membership(act)
    assert all(type(member) is form for member in webhook.data["participants"])
    assert ("participantsData" in webhook.data) == (version == "2.3.7")


def test_what_we_write_empties_the_customers_name() -> None:
    instance = an_instance(V2)
    ours = a_message(instance, ours=True)
    [contact, _] = DIALECTS[V2].beside(instance, ours, first=False)
    assert contact.data["pushName"] == ""


def test_a_group_is_named_after_whoever_wrote_last() -> None:
    instance = an_instance(V2)
    message = a_message(instance, chat=instance.group)
    [contact, _] = DIALECTS[V2].beside(instance, message, first=False)
    assert contact.data["remoteJid"] == instance.group.jid
    assert message.author is not None
    assert contact.data["pushName"] == message.author.name


def test_the_address_book_knows_some_people_by_their_digits_only() -> None:
    instance = an_instance(V2)
    book = next(w for w in DIALECTS[V2].noise(instance) if w.event == "contacts.upsert")
    names = [row["pushName"] for row in book.data]
    assert sum(name.isdigit() for name in names) > sum(not name.isdigit() for name in names) > 0


def test_a_nameless_customer_has_no_name_but_digits() -> None:
    instance = an_instance(V2)
    message = a_message(instance, chat=hidden(instance), is_nameless=True)
    assert DIALECTS[V2].upsert(instance, message)["pushName"] is None


def test_a_post_to_many_is_under_their_address() -> None:
    instance = an_instance(V2)
    message = a_message(instance)
    [webhook] = DIALECTS[V2].post(instance, message, "status@broadcast")
    assert webhook.data["key"]["remoteJid"] == "status@broadcast"
    assert webhook.data["key"]["participant"] == visible(instance).jid


@pytest.mark.parametrize(("dialect", "type_"), [(V1, None), (V2, "unknown")])
def test_keys_for_a_group_are_no_content(dialect: str, type_: str | None) -> None:
    instance = an_instance(dialect)
    message = a_message(instance, chat=instance.group)
    [webhook] = DIALECTS[dialect].key_exchange(instance, message)
    assert webhook.data.get("messageType") == type_
    assert "senderKeyDistributionMessage" in webhook.data["message"]


def test_a_logout_is_told_by_three_webhooks_since_2() -> None:
    told = [w.event for w in DIALECTS[V2].logged_out(an_instance(V2), SENT_MS)]
    assert told == ["connection.update", "status.instance", "logout.instance"]
    told = [w.event for w in DIALECTS[V1].logged_out(an_instance(V1), SENT_MS)]
    assert told == ["connection.update"]


@pytest.mark.parametrize(("version", "forwarded"), [("2.3.0", False), ("2.3.2", True)])
def test_key_shares_are_forwarded_since_2_3_1(version: str, forwarded: bool) -> None:
    instance = an_instance(f"{version} baileys")
    kinds = [str(w.data.get("type")) for w in DIALECTS[instance.dialect].noise(instance)
             if isinstance(w.data, dict)]  # fmt: skip
    assert ("APP_STATE_SYNC_KEY_SHARE" in kinds) == forwarded
