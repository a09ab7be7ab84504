"""Who a batch is about: contacts by every id they go by, and two that are one made one.

Everything a batch says about ids is put together before its first message is placed, so no merge
happens between two messages and the order within a batch does not matter.
"""

import logging
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from evorelay.model.fact import Chat, NameRank, phone_key
from evorelay.model.records import AliasRecord, ContactRecord
from evorelay.protocol.people import (
    NUMBERS_MAX,
    Groups,
    address_of,
    learn_ids,
    made_up_name,
    takes_name,
)
from evorelay.relay.draft import Draft
from evorelay.relay.merging import merge_contacts
from evorelay.storage.ports import AliasKey

log = logging.getLogger(__name__)

Persons = Iterable[tuple[str, Chat]]
"""(instance, as some webhook names them)"""


class People:
    def __init__(
        self, draft: Draft, persons: Persons, own_phones: Mapping[str, str | None]
    ) -> None:
        """``own_phones``: by instance, its own number, which is nobody else's."""
        self._draft = draft
        self._own = {instance: phone_key(phone) for instance, phone in own_phones.items() if phone}
        self._contacts: dict[AliasKey, ContactRecord] = {}
        aliases: set[AliasKey] = set()
        same: Groups[AliasKey] = Groups()
        self._as_written: dict[AliasKey, str] = {}
        """Phone numbers, by the alias that all their spellings share."""
        for instance, named in persons:
            chat = self.believable(instance, named)
            keys = _keys(instance, chat)
            aliases.update(keys)
            if len(keys) > 1:
                same.join(keys)
                self._as_written.setdefault(keys[0], chat.phone or "")
        self._contacts = draft.tx.contacts_by_alias(aliases)
        self._learned: list[ContactRecord] = []
        self._siblings: dict[AliasKey, list[AliasKey]] = {}
        for group in same.sets():
            self._unite(group)

    def known_ids(self) -> set[str]:
        """Of the contacts that were there before this batch."""
        return {contact.id for contact in self._contacts.values()}

    def take_learned(self) -> list[ContactRecord]:
        """Contacts that were known before and about whom clients see something new; once each."""
        learned = {contact.id: contact for contact in self._learned}
        self._learned = []
        return list(learned.values())

    def contact(
        self,
        instance: str,
        chat: Chat,
        *,
        name: str | None = None,
        rank: NameRank = NameRank.NONE,
        at: int = 0,
    ) -> ContactRecord:
        """The person or group behind a chat, made at first sight, better known every time."""
        chat = self.believable(instance, chat)
        keys = _keys(instance, chat)
        contact = next((self._contacts[key] for key in keys if key in self._contacts), None)
        if contact is None:
            contact = self._make(instance, chat)
            for key in dict.fromkeys([*keys, *self._siblings.get(keys[0], ())]):
                self._give(key, contact)
        else:
            self._learn_ids(contact, chat.phone, chat.lid)
        if takes_name(contact, name, rank, at):
            is_other = contact.name != name
            contact.name, contact.name_rank, contact.name_at = str(name), int(rank), at
            self._draft.change_contact(contact)
            if is_other:
                self._learned.append(contact)
        return contact

    def believable(self, instance: str, chat: Chat) -> Chat:
        """A chat without what is not this person's, though the webhook names both in one breath.

        That is our own number beside somebody's privacy id, an error of Evolution's (research:
        JIDs; where the webhook names our number, identity.py has seen to it before), and the
        id of somebody who is kept apart: then the chat's own id says whose it is.
        """
        if chat.phone is None or chat.lid is None:
            return chat
        if phone_key(chat.phone) == self._own.get(instance):
            return Chat(jid=chat.lid, lid=chat.lid)
        owners = {row.id for key in _keys(instance, chat) if (row := self._contacts.get(key))}
        if len(owners) < 2:
            return chat
        return replace(chat, phone=None) if chat.jid == chat.lid else replace(chat, lid=None)

    def _unite(self, keys: list[AliasKey]) -> None:
        """Have all these ids lead to one contact: they were named in one breath."""
        owners = {row.id: row for key in keys if (row := self._contacts.get(key)) is not None}
        if not owners:
            for key in keys:
                self._siblings[key] = keys
            return
        contacts = list(owners.values())
        if self._are_too_many(contacts, keys):
            log.warning(
                "contacts are not merged: one person would have more than %d phone numbers",
                NUMBERS_MAX,
                extra={"instance": keys[0][0], "contacts": sorted(owners)},
            )
            return
        kept = contacts[0]
        if len(contacts) > 1:
            united = merge_contacts(self._draft, contacts)
            if united is None:
                return
            kept = united
            for alias, row in self._contacts.items():
                if row.id in owners:
                    self._contacts[alias] = kept
        for key in keys:
            if key not in self._contacts:
                self._give(key, kept)
        self._learn_ids(kept, *self._named(keys))

    def _are_too_many(self, contacts: list[ContactRecord], keys: list[AliasKey]) -> bool:
        """Looked at only where ids are put together that were not yet, which is rare."""
        if len(contacts) == 1 and all(key in self._contacts for key in keys):
            return False
        known = self._draft.tx.aliases([contact.id for contact in contacts])
        names = {alias for _, alias in keys} | {row.alias for row in known}
        return sum(name.startswith("phone:") for name in names) > NUMBERS_MAX

    def _make(self, instance: str, chat: Chat) -> ContactRecord:
        phone, lid = self._named(self._siblings.get(_keys(instance, chat)[0], ()))
        whole = replace(chat, phone=chat.phone or phone, lid=chat.lid or lid)
        contact = ContactRecord(
            id=self._draft.new_id(),
            instance=instance,
            name=made_up_name(whole),
            phone=whole.phone,
            jid=address_of(whole),
            lid=whole.lid,
            avatar_url=None,
            is_group=whole.is_group,
            created_at=self._draft.now,
        )
        self._draft.add_contact(contact)
        return contact

    def _named(self, keys: Iterable[AliasKey]) -> tuple[str | None, str | None]:
        """(phone, privacy id) among these ids."""
        phones = (self._as_written.get(key) for key in keys)
        lids = (alias[4:] for _, alias in keys if alias.startswith("lid:"))
        return next(filter(None, phones), None), next(lids, None)

    def _learn_ids(self, contact: ContactRecord, phone: str | None, lid: str | None) -> None:
        if learn_ids(contact, phone, lid):
            self._draft.change_contact(contact)
            self._learned.append(contact)

    def _give(self, key: AliasKey, contact: ContactRecord) -> None:
        if key not in self._contacts:
            self._contacts[key] = contact
            self._draft.plan.aliases.append(
                AliasRecord(instance=key[0], alias=key[1], contact_id=contact.id)
            )


def _keys(instance: str, chat: Chat) -> list[AliasKey]:
    return [(instance, alias) for alias in chat.aliases]
