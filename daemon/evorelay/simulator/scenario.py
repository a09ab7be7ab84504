"""The scenario: who says what when, as an endless stream of webhooks. No IO, no clock.

Time is seconds since the start, given in; chance is one seeded generator. So the same seed and
start give the same webhooks, and everything about them can be tested without waiting.
"""

import heapq
import math
import random
from collections.abc import Iterator, Mapping

from evorelay.simulator.acts import Call, Receipt
from evorelay.simulator.aftermath import Shares, aftermath, told
from evorelay.simulator.cast import Message, Person
from evorelay.simulator.conversations import Conversation
from evorelay.simulator.dialects import Webhook
from evorelay.simulator.emission import Emission
from evorelay.simulator.scripts import CONVERSATIONS, GROUP_CONVERSATION
from evorelay.simulator.station import State, Station

FIRST_MESSAGE_S = 0.5
OPENING_MESSAGES = 12
"""Come at once, over and above the rate, so that whoever looks on sees life."""
CONVERSATIONS_PER_STATION = 4
GROUP_SHARE = 0.1
BURST_SHARE = 0.03
BURST_MESSAGES = (4, 12)
RECONNECT_SHARE = 0.004
"""Of messages after which the instance loses its connection for a moment."""
CALL_SHARE = 0.004
LIVELY = Shares(failed=0.005, reacted=0.06, edited=0.02, revoked=0.01)


class Scenario:
    """Conversations going on at some stations at once, ``rate_per_minute`` messages in all; at 0
    nobody says anything by themselves."""

    def __init__(
        self,
        stations: Mapping[str, Station],
        *,
        seed: int,
        start_ms: int,
        rate_per_minute: float,
    ) -> None:
        self._stations = stations
        self.start_ms = start_ms
        self._mean_gap_s = 60 / rate_per_minute if rate_per_minute else math.inf
        self._rng = random.Random(f"scenario {seed} {start_ms}")
        self._due: list[tuple[float, int, Emission]] = []
        self._serial = 0
        self._known_chats: set[tuple[str, str]] = set()
        self._burst_left = OPENING_MESSAGES
        self._debt_s = 0.0 if self._is_quiet else -OPENING_MESSAGES * self._mean_gap_s
        self._conversations: list[Conversation] = []
        for station in stations.values():
            for _ in range(CONVERSATIONS_PER_STATION):
                self._conversations.append(self._new_conversation(station))

    def emissions(self) -> Iterator[Emission]:
        """In order of ``due_s``, made only as far ahead as the next message; endless, or of the
        connections alone where nobody talks."""
        for index, station in enumerate(self._stations.values()):
            self._connect(station, FIRST_MESSAGE_S / 5 * index / len(self._stations))
            for webhook in station.dialect.group(station.instance.group):
                self._push_webhook(station, webhook, due_s=FIRST_MESSAGE_S)
        talk_s = FIRST_MESSAGE_S
        while True:
            while self._due and (self._is_quiet or self._due[0][0] <= talk_s):
                yield heapq.heappop(self._due)[2]
            if self._is_quiet:
                return
            self._talk(talk_s)
            talk_s += self._gap_s()

    @property
    def _is_quiet(self) -> bool:
        return self._mean_gap_s == math.inf

    def _gap_s(self) -> float:
        """Until the next message. A burst borrows the time that the pause after it pays back."""
        if self._burst_left:
            self._burst_left -= 1
            gap_s = min(self._rng.uniform(0.02, 0.15), self._mean_gap_s)
            self._debt_s += self._mean_gap_s - gap_s
            return gap_s
        if self._rng.random() < BURST_SHARE:
            self._burst_left = self._rng.randint(*BURST_MESSAGES)
        gap_s = max(0.0, self._rng.expovariate(1 / self._mean_gap_s) + self._debt_s)
        self._debt_s = 0.0
        return gap_s

    def _talk(self, at_s: float) -> None:
        """Somebody somewhere says the next line of a conversation."""
        index = self._rng.randrange(len(self._conversations))
        conversation = self._conversations[index]
        message = conversation.say_next(self.start_ms + round(at_s * 1000), self._rng)
        station = conversation.station
        if conversation.is_over:
            self._conversations[index] = self._new_conversation(station)
        if message.author is not None:
            self._announce(station, message, at_s)
            at_s += 0.01
        for emission in self.webhooks_of(station, message, at_s, self._rng, LIVELY):
            self._push(emission)
        if isinstance(message.chat, Person) and self._rng.random() < CALL_SHARE:
            self._call(station, message.chat, at_s + 2)
        if station.dialect.links_a_phone and self._rng.random() < RECONNECT_SHARE:
            self._connect(station, at_s + 1)

    def _announce(self, station: Station, message: Message, at_s: float) -> None:
        """What comes along with a message of a customer."""
        dialect, instance = station.dialect, station.instance
        if self._rng.random() < 0.3:
            for webhook in dialect.composing(message):
                self._push_webhook(station, webhook, due_s=at_s)
        first = (instance.name, message.chat.jid) not in self._known_chats
        self._known_chats.add((instance.name, message.chat.jid))
        for webhook in dialect.beside(instance, message, first=first):
            # Now and then a contact overtakes the message that made it known.
            lead_s = self._rng.choice((0.0, 0.01, 0.02))
            self._push_webhook(station, webhook, due_s=at_s + lead_s)

    def webhooks_of(
        self, station: Station, message: Message, at_s: float, rng: random.Random, shares: Shares
    ) -> list[Emission]:
        """The message itself, then what becomes of it."""
        dialect, instance = station.dialect, station.instance
        if message.through_api:
            webhook = Webhook("send.message", dialect.send(instance, message))
        else:
            webhook = Webhook("messages.upsert", dialect.upsert(instance, message))
        emissions = [self.emission_of(station, message, webhook, at_s)]
        for change in aftermath(dialect, message, rng, shares):
            due_s = max(at_s, (change.at_ms - self.start_ms) / 1000)
            status = change.status if isinstance(change, Receipt) else None
            emissions += [
                self.emission_of(
                    station, None if status is None else message, told_of, due_s, status=status
                )
                for told_of in told(dialect, instance, change)
            ]
        return emissions

    def _call(self, station: Station, caller: Person, at_s: float) -> None:
        """Somebody rings and nobody answers."""
        call = Call(
            id=f"{self._rng.getrandbits(64):016X}",
            caller=caller,
            is_video=False,
            outcome="timeout",
            address=station.address_of(caller) or caller.address,
        )
        for status, after_s in (("offer", 0.0), ("ringing", 0.4), (call.outcome, 20.0)):
            at_ms = self.start_ms + round((at_s + after_s) * 1000)
            for webhook in station.dialect.call(station.instance, call, status, at_ms):
                self._push_webhook(station, webhook, due_s=at_s + after_s)

    def _connect(self, station: Station, at_s: float) -> None:
        if not station.dialect.links_a_phone:
            return
        steps: tuple[tuple[State, float], ...] = (
            ("connecting", 0.0),
            ("open", FIRST_MESSAGE_S / 2),
        )
        for state, after_s in steps:
            station.state = state
            station.was_open = station.was_open or state == "open"
            data = station.dialect.connection(station.instance, state, 200)
            self._push_webhook(station, Webhook("connection.update", data), due_s=at_s + after_s)

    def _new_conversation(self, station: Station) -> Conversation:
        """With somebody who is in no conversation yet, so that no two scripts mix in one chat."""
        instance, rng = station.instance, self._rng
        busy = {other.chat for other in self._conversations if other.station is station}
        groups = station.dialect.links_a_phone and instance.group not in busy
        if groups and rng.random() < GROUP_SHARE:
            return Conversation(station, instance.group, GROUP_CONVERSATION, rng)
        person = rng.choice([person for person in instance.people if person not in busy])
        return Conversation(station, person, rng.choice(CONVERSATIONS), rng)

    def _push_webhook(self, station: Station, webhook: Webhook, *, due_s: float) -> None:
        self._push(station.emission(webhook, due_s=due_s, start_ms=self.start_ms))

    def emission_of(
        self,
        station: Station,
        message: Message | None,
        webhook: Webhook,
        due_s: float,
        *,
        status: str | None = None,
    ) -> Emission:
        return station.emission(
            webhook, due_s=due_s, start_ms=self.start_ms, message=message, status=status
        )

    def _push(self, emission: Emission) -> None:
        self._serial += 1
        heapq.heappush(self._due, (emission.due_s, self._serial, emission))
