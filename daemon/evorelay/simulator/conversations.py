"""One conversation: a script being played with one person or group. No IO, no clock."""

import random

from evorelay.simulator.cast import Chat, Message, Person, row_id
from evorelay.simulator.dialects import KINDS
from evorelay.simulator.media import Media, clip, invoice, photo, sticker, voice_note
from evorelay.simulator.scripts import AGENT, CLIENT, Line, facts
from evorelay.simulator.station import Station


class Conversation:
    def __init__(
        self, station: Station, chat: Chat, script: tuple[Line, ...], rng: random.Random
    ) -> None:
        self.station = station
        self.chat = chat
        self._script = script
        self._said: list[Message] = []
        self._facts = facts(chat.name if isinstance(chat, Person) else "pessoal", rng)

    @property
    def is_over(self) -> bool:
        return len(self._said) == len(self._script)

    def say_next(self, at_ms: int, rng: random.Random) -> Message:
        """The next line of the script; there must be one (``is_over``).

        A line of a kind that the channel does not carry is said in plain text.
        """
        line = self._script[len(self._said)]
        through_api = line.who == AGENT
        kind = line.kind if line.kind in self.station.dialect.kinds else "text"
        author = self._author(rng) if line.who == CLIENT else None
        message = Message(
            id=self.station.dialect.new_id(rng, self.chat, through_api=through_api),
            row_id=row_id(rng),
            chat=self.chat,
            author=author,
            sent_ms=at_ms,
            text=line.text.format_map(self._facts),
            kind=kind,
            media=file_for(kind, rng, number=int(self._facts["pedido"])),
            quotes=self._said[-line.quotes] if line.quotes else None,
            through_api=through_api,
            address=self.station.address_of(author or self.chat),
        )
        self._said.append(message)
        return message

    def _author(self, rng: random.Random) -> Person:
        chat = self.chat
        return chat if isinstance(chat, Person) else rng.choice(chat.members)


def file_for(kind: str, rng: random.Random, *, number: int) -> Media | None:
    """A file for a message of that kind, None if it needs none; ``number`` names documents."""
    needed = KINDS[kind].media
    if needed == "image":
        return photo(rng.randrange(0, 256, 16))
    if needed == "audio":
        return voice_note(rng.randint(2, 9))
    if needed == "document":
        return invoice(number)
    if needed == "video":
        return clip(rng.randint(3, 40))
    return sticker() if needed == "sticker" else None
