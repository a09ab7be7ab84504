"""The key of a message: whose chat it is, in a version's way of telling it.

A person has a phone and a privacy id, and which of them stands where is what the versions of
Evolution differ in most (research/evolution.md §0, §3.7). Three of them lie: for what was typed
on our own phone the "other id" is the sender's, that is our own.
"""

from typing import Any

from evorelay.simulator.cast import Address, Group, Instance, Message
from evorelay.simulator.dialects.traits import Traits

Data = dict[str, Any]


def message_key(traits: Traits, instance: Instance, message: Message) -> Data:
    """``data.key`` of an upsert."""
    key: Data = {"fromMe": message.author is None, "id": message.id}
    if isinstance(message.chat, Group):
        return _group_key(traits, message, {"remoteJid": message.chat.jid, **key})
    address = message.named
    assert address is not None
    other = _other(traits, instance, message)
    if traits.other_name is None:
        return {"remoteJid": address.primary, **key}
    if traits.other_name == "sender":
        if not other:
            return {"remoteJid": address.primary, **key}
        if not address.by_lid:
            return {"remoteJid": address.primary, **key, "senderLid": other}
        if not traits.phone_over_lid:
            return {"remoteJid": address.primary, **key, "senderPn": other}
        key |= {"senderPn": other, "previousRemoteJid": address.primary}
        return {"remoteJid": other, **key}
    over = traits.phone_over_lid and address.by_lid and other
    named = {"remoteJid": other if over else address.primary}
    if other:
        named["remoteJidAlt"] = other
    return named | key | _end(traits, by_lid=address.by_lid)


def sent_key(message: Message) -> Data:
    """``data.key`` of ``send.message``: the chat as it was asked for, the phone where known."""
    address = message.named
    jid = message.chat.jid
    if address is not None and not isinstance(message.chat, Group):
        jid = address.phone or address.primary
    return {"remoteJid": jid, "fromMe": True, "id": message.id}


def reported_jid(traits: Traits, message: Message) -> str:
    """The chat in what WhatsApp reports of a message: the privacy id, whatever the key said."""
    address = message.named
    if isinstance(message.chat, Group) or address is None:
        return message.chat.jid
    return address.primary


def _other(traits: Traits, instance: Instance, message: Message) -> str | None:
    address = message.named
    assert address is not None
    if message.author is not None:
        return address.other
    if message.sender_said == "partner":
        # Seen of a phone alone; a privacy id here could as well be ours, so it would link nobody.
        return address.other if address.by_lid else None
    if message.sender_said == "nobody" or (traits.phone_over_lid and not traits.keeps_previous):
        return None  # with our own number over it nobody could tell whose chat it is
    return instance.jid if address.by_lid else instance.lid


def _end(traits: Traits, *, by_lid: bool) -> Data:
    end: Data = {"participant": ""} if traits.empty_participant else {}
    return end | {"addressingMode": "lid" if by_lid else "pn"}


def _group_key(traits: Traits, message: Message, key: Data) -> Data:
    has_alt = traits.other_name == "alt"
    author = message.author
    if author is None:
        return key | ({"addressingMode": "lid"} if has_alt else {})
    address = message.address or (
        Address(author.jid, author.lid, by_lid=True) if has_alt else author.address
    )
    if not has_alt:
        return key | {"participant": address.primary}
    key["participant"] = address.primary
    if address.other:
        key["participantAlt"] = address.other
    return key | {"addressingMode": "lid" if address.by_lid else "pn"}
