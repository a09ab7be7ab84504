"""Who is who, as pure decisions: which ids are one person, who keeps a ticket, what a name is."""

from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

from evorelay.model.fact import Chat, NameRank, phone_key
from evorelay.model.records import ContactRecord, TicketRecord

K = TypeVar("K", bound=Hashable)

NUMBERS_MAX = 3
"""Phone numbers one person may come to have. People change theirs now and then; a gateway that
puts one wrong id on everybody would chain all customers into one, and stops here."""


class Groups(Generic[K]):
    """Keys that are known to mean the same, whatever order that was learned in (union-find)."""

    def __init__(self) -> None:
        self._parent: dict[K, K] = {}

    def join(self, keys: Iterable[K]) -> None:
        first, *rest = keys
        root = self.root(first)
        self._parent.setdefault(root, root)
        for key in rest:
            self._parent[self.root(key)] = root

    def root(self, key: K) -> K:
        path = []
        while (parent := self._parent.get(key, key)) != key:
            path.append(key)
            key = parent
        for passed in path:
            self._parent[passed] = key
        return key

    def sets(self) -> list[list[K]]:
        """Every group of at least two keys."""
        members: dict[K, list[K]] = {}
        for key in self._parent:
            members.setdefault(self.root(key), []).append(key)
        return [group for group in members.values() if len(group) > 1]


def keeps(contact: ContactRecord, open_ticket: TicketRecord | None) -> tuple[bool, bool, str]:
    """Sorts first whoever stays when contacts are merged: the one whose ticket somebody has, then
    one with an open ticket, then the one that was known first."""
    is_assigned = open_ticket is not None and open_ticket.assignee is not None
    opened = open_ticket.id if open_ticket is not None else contact.id
    return (not is_assigned, open_ticket is None, opened)


def takes_name(contact: ContactRecord, name: str | None, rank: NameRank, at: int) -> bool:
    """Whether a name replaces the contact's: the better source, then the later (never nothing)."""
    if not name or rank == NameRank.NONE:
        return False
    return (int(rank), at, name) > (contact.name_rank, contact.name_at, contact.name)


def made_up_name(chat: Chat) -> str:
    """What stands in a list for somebody who has told no name."""
    if chat.is_group:
        user, _, domain = chat.jid.partition("@")
        return f"{'Lista' if domain == 'broadcast' else 'Grupo'} …{user[-4:]}"
    if chat.phone:
        return "+" + chat.phone
    return f"Contato …{(chat.lid or chat.jid).partition('@')[0][-4:]}"


def address_of(chat: Chat) -> str:
    """The JID to write to: by phone number where it is known, whichever webhook came first."""
    if chat.phone is not None and not chat.is_group:
        return f"{chat.phone}@s.whatsapp.net"
    return chat.jid


def learn_ids(contact: ContactRecord, phone: str | None, lid: str | None) -> bool:
    """Take over a phone number or privacy id that was not known; return whether there was one.

    Of two spellings of one number the longer is shown: in Brazil it is the one people know.
    """
    if contact.is_group:
        return False
    before = (contact.phone, contact.lid)
    if phone and _is_better(phone, contact):
        contact.phone = phone
        if not contact.address_at:  # else a message of theirs has said how it is spelt
            contact.jid = address_of(Chat(jid=contact.jid, phone=phone))
    contact.lid = max(contact.lid or "", lid or "") or None  # of two the same one in any order
    if before == (contact.phone, contact.lid):
        return False
    _rename(contact)
    return True


def move_to(contact: ContactRecord, chat: Chat, at: int) -> bool:
    """The person wrote from here at that moment: another number, or the same one spelt otherwise.

    The latest counts. Return whether clients see a difference.
    """
    if contact.is_group or chat.phone is None:
        return False  # a privacy id alone does not say where they are
    if (at, address_of(chat)) < (contact.address_at, contact.jid):
        return False
    before = (contact.phone, contact.jid)
    contact.address_at = at
    if contact.phone is None or phone_key(chat.phone) != phone_key(contact.phone):
        contact.phone = chat.phone
    contact.jid = address_of(chat)
    _rename(contact)
    return before != (contact.phone, contact.jid)


def become_one(kept: ContactRecord, other: ContactRecord) -> None:
    """Give the kept contact of a merge what the other one knows better."""
    learn_ids(kept, other.phone, other.lid)
    if other.address_at:
        written = other.jid.partition("@")[0] if other.phone else None  # as WhatsApp spells it
        move_to(kept, Chat(jid=other.jid, phone=written, lid=other.lid), other.address_at)
        learn_ids(kept, other.phone, None)
    if takes_name(kept, other.name, NameRank(other.name_rank), other.name_at):
        kept.name, kept.name_rank, kept.name_at = other.name, other.name_rank, other.name_at
    kept.avatar_url = kept.avatar_url or other.avatar_url


def _rename(contact: ContactRecord) -> None:
    if contact.name_rank == NameRank.NONE:
        contact.name = made_up_name(Chat(jid=contact.jid, phone=contact.phone, lid=contact.lid))


def _is_better(phone: str, contact: ContactRecord) -> bool:
    """A longer spelling; or another number as long as no message says which one is theirs now."""
    known = contact.phone
    if known is None:
        return True
    if phone_key(phone) == phone_key(known):
        return len(phone) > len(known)
    return not contact.address_at and phone_key(phone) > phone_key(known)
