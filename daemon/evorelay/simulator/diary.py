"""One instance's days: who says and does what when, as webhooks, and what must be left of it.

Pure: no IO, no clock. Times are unambiguous on purpose, so that a day means the same in whatever
order its webhooks arrive: messages of a chat are 3 s apart, changes of a message ``GAP_S``.
"""

import random
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from evorelay.simulator.acts import Call, Receipt
from evorelay.simulator.aftermath import Shares, aftermath, told
from evorelay.simulator.book import Book
from evorelay.simulator.cast import Chat, Group, Instance, Message, Person, row_id
from evorelay.simulator.conversations import file_for
from evorelay.simulator.dialects import DIALECTS, KINDS, Webhook, envelope
from evorelay.simulator.mornings import morning
from evorelay.simulator.scripts import small_talk
from evorelay.simulator.stories import Story, address_at, answered, story_of

DESTINATION = "http://relay.example/hook/secret"
OPENS_S, CLOSES_S = 8 * 3600, 20 * 3600
TEXT_SHARE = 0.55
GROUP_SHARE = 0.1
MISTAKEN = 0.15
"""Share of messages in another customer's chat; 16-21 % were measured in quick succession."""
LOGOUT_SHARE = 0.1
"""Of days at whose end somebody unlinks the instance on the phone."""
MESSAGES_PER_PERSON = 6
"""In a day, about."""
EVENTFUL = Shares(failed=0.03, reacted=0.12, edited=0.1, revoked=0.04)


class Posted(NamedTuple):
    """A webhook at the moment when Evolution first posts it."""

    at_ms: int
    instance: str
    event: str
    body: bytes


class Diary:
    """Writes day after day of one instance. Memory grows with the truth in its ``book`` alone."""

    def __init__(self, instance: Instance, seed: int) -> None:
        self.instance = instance
        self.book = Book(instance)
        self.is_linked = False
        """To a phone, at the end of what was written."""
        self._dialect = DIALECTS[instance.dialect]
        self._rng = random.Random(f"diary {seed} {instance.name}")
        self._stories: dict[Person, Story] = {
            person: story_of(person, self._dialect, self._rng) for person in instance.people
        }
        self._deck: list[str] = []
        self._met: set[str] = set()
        self._page: list[Posted] = []

    def day(self, start_ms: int, *, messages: int, progress: tuple[float, float]) -> list[Posted]:
        """The webhooks of one day in order, with about that many messages.

        ``progress``: from where to where people's identities go today; 0 is the beginning of every
        story and 1 its end.
        """
        self._page = []
        self._morning(start_ms)
        for chat, count in self._chats_of_today(messages):
            self._talk(chat, count, start_ms, progress)
        self._evening(start_ms)
        return sorted(self._page, key=lambda posted: posted.at_ms)

    def _chats_of_today(self, messages: int) -> list[tuple[Chat, int]]:
        people, rng = self.instance.people, self._rng
        in_group = round(messages * GROUP_SHARE) if self._dialect.links_a_phone else 0
        chosen = rng.sample(people, min(len(people), max(1, messages // MESSAGES_PER_PERSON)))
        counts = Counter(rng.choices(chosen, k=messages - in_group))
        chats: list[tuple[Chat, int]] = [(person, counts[person]) for person in chosen]
        return [*chats, (self.instance.group, in_group)]

    def _talk(self, chat: Chat, count: int, start_ms: int, progress: tuple[float, float]) -> None:
        rng = self._rng
        moments = sorted(rng.randrange(OPENS_S, CLOSES_S - 4 * count) for _ in range(count))
        last: Message | None = None
        follow_up: list[str] = []
        for number, moment in enumerate(moments):
            sent_ms = start_ms + (moment + 4 * number) * 1000 + rng.randrange(1000)
            part = progress[0] + (progress[1] - progress[0]) * (number + 1) / (count + 1)
            message = self._message(chat, sent_ms, part, last, follow_up)
            self._say(message)
            if message.kind == "album" and not follow_up:
                follow_up, last = ["album child", "album child"], message
            elif message.kind != "album child":
                last = message
            else:
                follow_up = follow_up[1:]
        if isinstance(chat, Person) and rng.random() < 0.1:
            self._call(chat, start_ms + CLOSES_S * 1000 + rng.randrange(60_000), progress[1])

    def _message(
        self, chat: Chat, sent_ms: int, part: float, last: Message | None, follow_up: list[str]
    ) -> Message:
        rng = self._rng
        if follow_up and last is not None:
            kind, author, through_api = follow_up[0], last.author, False
        else:
            author = self._author(chat)
            through_api = author is None and (
                rng.random() < 0.65 or not self._dialect.links_a_phone
            )
            kind = self._kind(last, ours=author is None, through_api=through_api)
        about = KINDS[kind].is_about
        quotes = last if last and (about or rng.random() < 0.15) else None
        address = None
        if isinstance(chat, Person):
            address = address_at(self._stories[chat], part)
            address = address if author else answered(address)
        bare = address is not None and address.phone is None
        return Message(
            id=self._dialect.new_id(rng, chat, through_api=through_api),
            row_id=row_id(rng),
            chat=chat,
            author=author,
            sent_ms=sent_ms,
            text=_words(kind, rng),
            kind=kind,
            media=file_for(kind, rng, number=rng.randrange(10_000, 99_999)),
            quotes=quotes,
            through_api=through_api,
            address=address,
            mistaken_for=self._mistaken(author),
            sender_said=rng.choice(("own", "partner", "nobody")),
            is_nameless=bare and self._dialect.links_people and rng.random() < 0.5,
        )

    def _mistaken(self, author: Person | None) -> Person | None:
        if author is None or not self._dialect.mistakes_chats:
            return None
        return self._rng.choice(self.instance.people) if self._rng.random() < MISTAKEN else None

    def _author(self, chat: Chat) -> Person | None:
        if self._rng.random() < 0.42:
            return None
        return self._rng.choice(chat.members) if isinstance(chat, Group) else chat

    def _kind(self, last: Message | None, *, ours: bool, through_api: bool) -> str:
        """Mostly text; of the others each one in turn, so that a day long enough has them all."""
        if self._rng.random() < TEXT_SHARE:
            return "text"
        for _ in range(len(KINDS)):
            if not self._deck:
                self._deck = sorted(self._dialect.kinds - {"text", "album child"})
                self._rng.shuffle(self._deck)
            name = self._deck.pop()
            kind = KINDS[name]
            possible = kind.sendable if through_api else not (ours and kind.theirs_only)
            if possible and not (kind.is_about and last is None):
                return name
            self._deck.insert(0, name)
        return "text"

    def _say(self, message: Message) -> None:
        dialect, instance = self._dialect, self.instance
        if message.through_api:
            webhook = Webhook("send.message", dialect.send(instance, message))
        else:
            webhook = Webhook("messages.upsert", dialect.upsert(instance, message))
        at_ms = message.sent_ms + self._rng.randrange(40, 400)
        if message.author and self._rng.random() < 0.3:
            self._post(dialect.composing(message), at_ms - 30)
        self._post([webhook], at_ms)
        chat = message.named.primary if message.named else message.chat.jid
        beside = dialect.beside(instance, message, first=chat not in self._met)
        self._post(beside, at_ms + self._rng.choice((-5, 5)))
        self._met.add(chat)
        truth = self.book.enter(message, webhook.data["key"], quotes=dialect.quotes)
        status = webhook.data.get("status")
        if status and message.author is None:
            truth.advance(status)
        for change in aftermath(dialect, message, self._rng, EVENTFUL):
            told_of = told(dialect, instance, change)
            self._post(told_of, change.at_ms + self._rng.randrange(40, 400))
            self.book.change(change, told_of)
        if message.author and dialect.links_a_phone and self._rng.random() < 0.2:
            self._read_on_the_phone(message)

    def _morning(self, start_ms: int) -> None:
        """What comes before the shop opens: the connection, imports, and what is for nobody."""
        day = morning(
            self._dialect,
            self.instance,
            self._rng,
            start_ms,
            is_first=not self._met,
            is_paired=self.is_linked,
        )
        self.is_linked = self._dialect.links_a_phone
        for at_ms, webhooks in day.webhooks:
            self._post(webhooks, at_ms)
        self.book.enter_morning(day)

    def _evening(self, start_ms: int) -> None:
        if self.is_linked and self._rng.random() < LOGOUT_SHARE:
            at_ms = start_ms + CLOSES_S * 1000 + 3_600_000
            self._post(self._dialect.logged_out(self.instance, at_ms), at_ms)
            self.is_linked = False

    def _call(self, caller: Person, at_ms: int, part: float) -> None:
        rng = self._rng
        call = Call(
            id=f"{rng.getrandbits(64):016X}",
            caller=caller,
            is_video=rng.random() < 0.3,
            outcome=rng.choice(("timeout", "reject", "accept", "terminate")),
            address=answered(address_at(self._stories[caller], part)),
        )
        for status, after_ms in (("offer", 0), ("ringing", 400), (call.outcome, 15_000)):
            webhooks = self._dialect.call(self.instance, call, status, at_ms + after_ms)
            self._post(webhooks, at_ms + after_ms)
            if webhooks:
                self.book.enter_call(call, at_ms)

    def _read_on_the_phone(self, message: Message) -> None:
        """Somebody of the shop opened the chat on the phone; 1.8 does not tell."""
        if isinstance(message.chat, Group) or self._dialect.version < "2":
            return
        at_ms = message.sent_ms + self._rng.randrange(5_000, 60_000)
        receipt = Receipt(target=message, status="READ", at_ms=at_ms)
        self._post(told(self._dialect, self.instance, receipt), at_ms)

    def _post(self, webhooks: Iterable[Webhook], at_ms: int) -> None:
        for offset, webhook in enumerate(webhooks):
            body = envelope(
                self.instance,
                webhook,
                at_ms=at_ms + offset,
                destination=DESTINATION,
                linked=self._dialect.links_a_phone,
            )
            self._page.append(Posted(at_ms + offset, self.instance.name, webhook.event, body))


def _words(kind: str, rng: random.Random) -> str:
    """For the name of a thing one line; some files have no caption."""
    words = KINDS[kind].words
    if words == "none" or (words == "whole" and KINDS[kind].media and rng.random() < 0.4):
        return ""
    text = small_talk(rng)
    return text.replace("\n", " ") if words == "within" else text
