"""One person as all that is kept names them, and where that is."""

from msgspec import Struct


class Person(Struct, frozen=True, kw_only=True):
    """Everybody who is this person: a contact in each instance, and those merged into them."""

    contacts: tuple[str, ...]
    aliases: tuple[tuple[str, str], ...]
    """(instance, alias), as ``Chat.aliases`` has them."""
    marks: tuple[str, ...]
    """What betrays them in a text: their numbers in every spelling, their privacy ids."""


class ToldEvent(Struct, frozen=True, array_like=True):
    """A stored event that says something of the person."""

    id: int
    type: str
    ticket_id: str | None
    message_id: str | None


class Traces(Struct, kw_only=True):
    """Everything of a person that the store has. ``until`` of the search: older messages only."""

    tickets: list[tuple[str, str]] = []
    """(id, instance) of conversations with this person alone; they go whole."""
    messages: list[str] = []
    """In those, in groups, and history that no ticket has: said by the person, or to them."""
    whatsapp_ids: list[tuple[str, str]] = []
    """(instance, WhatsApp id) of those messages."""
    changed_tickets: list[str] = []
    """Others that some of the messages are on."""
    mentions: list[str] = []
    """Messages of others that name or quote the person, or to which they reacted: they stay,
    without that."""
    replies: list[str] = []
    """Commands of the outbox."""
    unfinished: int = 0
    """Of those, how many are not done with: then nothing can be erased yet."""
    quarantine: list[str] = []
    early: list[tuple[str, str]] = []
    """(instance, WhatsApp id) of changes whose message never came."""
    events: list[ToldEvent] = []
    blobs: list[str] = []
    """Files of the messages, and what quarantined webhooks name."""
    keeps_contact: bool = False
    """Somebody wrote after ``until``: the person stays, without what is older."""
    seen: tuple[int, int] = (0, 0)
    """The newest message's arrival and the newest event's id, as they were."""

    def join(self, newer: "Traces") -> None:
        """Add what was found later."""
        for name in self.__struct_fields__:
            mine = getattr(self, name)
            if isinstance(mine, list):
                mine += [one for one in getattr(newer, name) if one not in mine]
        self.unfinished = newer.unfinished
        self.keeps_contact |= newer.keeps_contact
        self.seen = newer.seen

    @property
    def is_empty(self) -> bool:
        rows = (self.tickets, self.messages, self.mentions, self.replies, self.events)
        return not any((*rows, self.quarantine, self.early))
