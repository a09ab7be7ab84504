"""What Evolution posts besides messages: contacts, chats, groups, calls, connections, and noise."""

import base64
from typing import Any

from evorelay.simulator.acts import Call, Membership
from evorelay.simulator.cast import Group, Instance, Message
from evorelay.simulator.dialects.envelope import Webhook, iso
from evorelay.simulator.dialects.keys import reported_jid
from evorelay.simulator.dialects.traits import Traits
from evorelay.simulator.media import photo

Data = dict[str, Any]

QR_LIMIT = {"message": "QR code limit reached, please login again", "statusCode": 500}


def contact(traits: Traits, instance: Instance, jid: str, name: str | None) -> Data:
    """A row of ``contacts.*``; without a name when ``name`` is None."""
    named = {} if name is None else {"pushName": name}
    if traits.is_v1:
        return {"id": jid} | named | {"profilePictureUrl": None, "owner": instance.name}
    return {"remoteJid": jid} | named | {"profilePicUrl": None, "instanceId": instance.id}


def chat(traits: Traits, instance: Instance, jid: str) -> Data:
    """A row of ``chats.*``."""
    if traits.is_v1:
        return {"id": jid, "owner": instance.name}
    return {"remoteJid": jid, "instanceId": instance.id}


def beside_message(
    traits: Traits, instance: Instance, message: Message, *, first: bool
) -> list[Webhook]:
    """``contacts.*`` and ``chats.*`` of a message; ``first``: the first of its chat.

    Two untruths, as captured: a group is named after whoever wrote last, and what we write makes
    the customer's name empty.
    """
    jid = reported_jid(traits, message)
    name = message.author.name if message.author else ""
    if message.is_nameless:
        name = jid.partition("@")[0]
    row = contact(traits, instance, jid, name)
    chats = [chat(traits, instance, jid)]
    if traits.is_v1:
        if not first:
            return [Webhook("contacts.update", row)]
        pictured = row | {"profilePictureUrl": "https://pps.whatsapp.net/v/simulated.jpg"}
        return [Webhook("contacts.upsert", row), Webhook("contacts.upsert", pictured)]
    if first:
        unread = [chats[0] | {"name": name, "unreadMessages": 1}]
        return [Webhook("contacts.upsert", row), Webhook("chats.upsert", unread)]
    return [Webhook("contacts.update", row), Webhook("chats.update", chats)]


def address_book(traits: Traits, instance: Instance) -> Webhook:
    """``contacts.upsert`` in bulk, after pairing: names where the phone knows them, else digits."""
    rows = [
        contact(traits, instance, person.jid, person.phone if index % 3 else person.name)
        for index, person in enumerate(instance.people)
    ]
    return Webhook("contacts.upsert", rows)


def presence(traits: Traits, message: Message, state: str) -> Webhook:
    jid = reported_jid(traits, message)
    return Webhook("presence.update", {"id": jid, "presences": {jid: {"lastKnownPresence": state}}})


def connection(traits: Traits, instance: Instance, state: str, reason: int) -> Data:
    data: Data = {"instance": instance.name}
    if state == "open" and not traits.is_v1:
        data |= {"wuid": instance.jid, "profileName": instance.profile, "profilePictureUrl": None}
    return data | {"state": state, "statusReason": reason}


def qr_code(instance: Instance, number: int) -> Webhook:
    image = base64.b64encode(photo(number * 16 % 256).content).decode()
    code = {
        "instance": instance.name,
        "pairingCode": None,
        "code": f"2@simulated-{number},noise-key,identity-key,secret",
        "base64": "data:image/png;base64," + image,
    }
    return Webhook("qrcode.updated", {"qrcode": code})


def logged_out(traits: Traits, instance: Instance, at_ms: int) -> list[Webhook]:
    """The phone removed us from its linked devices."""
    closed = Webhook("connection.update", connection(traits, instance, "close", 401))
    if traits.is_v1:
        return [closed]
    status = {
        "instance": instance.name,
        "status": "closed",
        "disconnectionAt": iso(at_ms),
        "disconnectionReasonCode": 401,
        "disconnectionObject": '{"error":{"output":{"statusCode":401}}}',
    }
    return [closed, Webhook("status.instance", status), Webhook("logout.instance", None)]


def call(act: Call, status: str, at_ms: int) -> Webhook:
    data = {
        "chatId": act.address.primary,
        "from": act.address.primary,
        "id": act.id,
        "date": iso(at_ms // 1000 * 1000),
        "offline": False,
        "status": status,
        "isVideo": act.is_video,
        "isGroup": False,
    }
    return Webhook("call", data)


def group_snapshot(traits: Traits, group: Group) -> Webhook:
    """``groups.upsert``: members by privacy id with the phone beside it, since 2.3.0."""
    owner = group.members[0]
    by_lid = traits.other_name is not None
    beside, suffix = ("jid", "Jid") if traits.members == "strings" else ("phoneNumber", "Pn")
    members = []
    for person in group.members:
        ids = {"id": person.lid, beside: person.jid} if by_lid else {"id": person.jid}
        members.append({**ids, "admin": "superadmin" if person is owner else None})
    row: Data = {"id": group.jid, "subject": group.subject}
    if by_lid:
        row |= {"subjectOwner": owner.lid, f"subjectOwner{suffix}": owner.jid}
        row |= {"owner": owner.lid, f"owner{suffix}": owner.jid}
    else:
        row |= {"owner": owner.jid}
    row |= {"creation": 1_759_000_000, "participants": members}
    return Webhook("groups.upsert", [row])


def group_change(traits: Traits, act: Membership) -> Webhook:
    by_lid = traits.other_name is not None
    author, person = act.author, act.person
    data: Data = {"id": act.group.jid, "author": author.lid if by_lid else author.jid}
    jid = person.lid if by_lid else person.jid
    if traits.members == "strings":
        return Webhook(
            "group-participants.update", data | {"participants": [jid], "action": act.action}
        )
    member = {"id": person.lid, "phoneNumber": person.jid, "admin": None}
    data |= {"participants": [member], "action": act.action}
    if traits.members == "objects and data":
        data["participantsData"] = [{"jid": member, "phoneNumber": "[object Object]"}]
    return Webhook("group-participants.update", data)


def label(instance: Instance, chat_jid: str) -> list[Webhook]:
    shown = {"id": "7", "name": "Cliente VIP", "color": 2, "deleted": False, "predefinedId": "7"}
    tie = {"instance": instance.name, "type": "add", "chatId": chat_jid, "labelId": "7"}
    return [
        Webhook("labels.edit", shown | {"instance": instance.name}),
        Webhook("labels.association", tie),
    ]


def protocol_noise(traits: Traits, instance: Instance) -> list[Webhook]:
    """What WhatsApp's devices tell each other, some of it secret, none of it to be read."""
    if not traits.protocol_events:
        return []
    share = {
        "type": "APP_STATE_SYNC_KEY_SHARE",
        "appStateSyncKeyShare": {
            "keys": [{"keyId": {"keyId": "AAAAAAAA"}, "keyData": {"keyData": "c2VjcmV0"}}]
        },
    }
    setting = {
        "key": {"remoteJid": instance.people[0].jid, "fromMe": False, "id": "EPHEMERAL0000000001"},
        "type": "EPHEMERAL_SETTING",
        "ephemeralExpiration": 604_800,
        "ephemeralSettingTimestamp": "1795300000",
    }
    return [Webhook("messages.edited", share), Webhook("messages.edited", setting)]
