"""What must be left of a simulated day, whatever the order and number of its webhooks.

Who is who is known here and nowhere in a webhook. An alias is one name of a person in one instance:
``phone:558580000003`` (a Brazilian number without its ninth digit), ``lid:100000000000001@lid``;
``group:120363…@g.us`` is one of a group. Two aliases of a person can be known to be one when some
webhook shows them side by side, and not otherwise.
"""

from collections.abc import Iterable

from msgspec import Struct

from evorelay.simulator.cast import PHONE_DOMAIN, Instance, Person

MessageKey = tuple[str, str]
"""(instance, WhatsApp id)"""

_STATUS = {
    "ERROR": "failed",
    "FAILED": "failed",
    "PENDING": "pending",
    "SERVER_ACK": "sent",
    "SENT": "sent",
    "DELIVERY_ACK": "delivered",
    "DELIVERED": "delivered",
    "READ": "read",
    "PLAYED": "played",
}
_FURTHER = ("pending", "failed", "sent", "delivered", "read", "played")


class MessageTruth(Struct, kw_only=True):
    """One message that must be in the store, once."""

    instance: str
    whatsapp_id: str
    chat: str
    """The alias under which it came; its ticket is that of ``Truth.identity(instance, chat)``."""
    person: str | None
    """Phone digits of the customer, a name for tests; None in a group."""
    author: str | None
    """In a group: an alias of who wrote it, None for our side."""
    from_me: bool
    origin: str | None
    """Of ours: ``phone`` or ``api``."""
    sent_s: int
    """Unix seconds; Evolution says no finer time of a message. Of a call: when it rang first."""
    kind: str
    """A key of ``dialects.KINDS``, or ``call``."""
    stored_as: str
    """The type in the contract."""
    text: str | None
    """What must be read, exactly, after all edits; None: a label. May be blanked when deleted."""
    within: str | None
    """Words that must be part of what is read, a poll's question for instance."""
    transcription: str | None = None
    quotes: str | None = None
    """WhatsApp id."""
    status: str | None = None
    """Of ours: the furthest that any webhook said, in the contract's words."""
    deleted: bool = False
    edited: bool = False
    reactions: dict[str, str] = {}
    """Who → emoji, the last ones that were not taken back; who is ``me``, ``them``, or an alias
    in a group."""
    votes: dict[str, tuple[str, ...]] = {}
    """Who → options of a poll."""
    is_history: bool = False

    def advance(self, word: str) -> None:
        """A receipt in Evolution's words; an earlier step than the known one says nothing."""
        said = _STATUS[word]
        self.status = max((self.status or said, said), key=_FURTHER.index)


class PersonTruth(Struct, kw_only=True):
    """A person who took part, as far as one instance can know them."""

    instance: str
    name: str
    phone: str
    """Alias, used or not."""
    lid: str
    identities: tuple[frozenset[str], ...]
    """Aliases that were used, those that are known to be one together. More than one identity:
    nothing tells that they are the same person, and they must stay apart."""

    @property
    def is_linked(self) -> bool:
        return any({self.phone, self.lid} <= identity for identity in self.identities)


class Truth(Struct, kw_only=True):
    persons: list[PersonTruth]
    messages: dict[MessageKey, MessageTruth]
    never: set[MessageKey]
    """Ids that webhooks carry and that must be no message: reactions, keys, status posts …"""
    calls: dict[MessageKey, str]
    """Call id → how it ended. Each is among the ``messages`` too, of kind ``call``."""
    groups: dict[str, str]
    """Alias → subject."""
    connections: dict[str, str]
    """Instance that links a phone → ``open`` or ``close``, at the end. No webhook says when."""
    identities: dict[tuple[str, str], frozenset[str]]

    def identity(self, instance: str, alias: str) -> frozenset[str]:
        """All aliases known to be the same as this one, itself too."""
        return self.identities.get((instance, alias), frozenset((alias,)))

    def expected(self) -> dict[MessageKey, MessageTruth]:
        """The messages that must be stored: history opens no ticket, so of people of whom nothing
        else is known it may be left out."""
        met = {
            (message.instance, self.identity(message.instance, message.chat))
            for message in self.messages.values()
            if not message.is_history
        }
        return {
            key: message
            for key, message in self.messages.items()
            if (message.instance, self.identity(message.instance, message.chat)) in met
        }


class Witness:
    """Reads who is who out of the JIDs that stand together in webhooks of one instance."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._known: dict[str, tuple[Person, str]] = {}
        self._identities: dict[Person, list[set[str]]] = {}
        for person in instance.people:
            phone = phone_alias(person)
            for jid in (person.jid, person.respelt_jid):
                self._known[jid] = self._known[jid.removesuffix(PHONE_DOMAIN)] = (person, phone)
            self._known[person.lid] = (person, "lid:" + person.lid)

    def see(self, jids: Iterable[object]) -> str | None:
        """Take note that these values stand side by side; an alias of the person they name.

        Values that are no JID of a customer, our own too, mean nothing.
        """
        found = [
            known
            for jid in jids
            if isinstance(jid, str) and (known := self._known.get(_without_device(jid)))
        ]
        if not found:
            return None
        person = found[0][0]
        together = {alias for other, alias in found if other is person}
        apart = []
        for identity in self._identities.get(person, []):
            if identity & together:
                together |= identity
            else:
                apart.append(identity)
        self._identities[person] = [*apart, together]
        return found[0][1]

    def persons(self) -> list[PersonTruth]:
        return [
            PersonTruth(
                instance=self._instance.name,
                name=person.name,
                phone=phone_alias(person),
                lid="lid:" + person.lid,
                identities=tuple(sorted(map(frozenset, identities), key=sorted)),
            )
            for person, identities in self._identities.items()
        ]


def phone_alias(person: Person) -> str:
    return "phone:" + min(person.phone, person.respelt_jid.removesuffix(PHONE_DOMAIN), key=len)


def _without_device(jid: str) -> str:
    user, _, domain = jid.partition("@")
    plain = user.partition(":")[0]
    return f"{plain}@{domain}" if domain else plain
