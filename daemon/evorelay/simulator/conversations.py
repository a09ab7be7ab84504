"""One conversation: a script being played with one person or group. No IO, no clock."""

import random

from evorelay.simulator.cast import Chat, Message, Person
from evorelay.simulator.media import Media, invoice, photo, voice_note
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
        """The next line of the script; there must be one (``is_over``)."""
        line = self._script[len(self._said)]
        through_api = line.who == AGENT
        message = Message(
            id=self.station.dialect.new_id(rng, through_api=through_api),
            row_id=row_id(rng),
            chat=self.chat,
            author=self._author(rng) if line.who == CLIENT else None,
            sent_ms=at_ms,
            text=line.text.format_map(self._facts),
            media=self._media(line.media, rng) if line.media else None,
            quotes=self._said[-line.quotes] if line.quotes else None,
            through_api=through_api,
        )
        self._said.append(message)
        return message

    def _author(self, rng: random.Random) -> Person:
        chat = self.chat
        return chat if isinstance(chat, Person) else rng.choice(chat.members)

    def _media(self, kind: str, rng: random.Random) -> Media:
        if kind == "image":
            return photo(rng.randrange(0, 256, 16))
        if kind == "audio":
            return voice_note(rng.randint(2, 9))
        return invoice(int(self._facts["pedido"]))


def row_id(rng: random.Random) -> str:
    """In the form of Prisma's row ids: ``c`` and 24 letters or digits."""
    return "c" + "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=24))
