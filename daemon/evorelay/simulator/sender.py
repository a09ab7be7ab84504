"""What the REST API has sent: to WhatsApp, into the database, and out as webhooks."""

import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from msgspec import Struct
from msgspec.structs import replace

from evorelay.simulator.acts import Edit, Reaction, Revoke
from evorelay.simulator.aftermath import QUIET, Shares, told
from evorelay.simulator.archive import Archive
from evorelay.simulator.cast import Card, Chat, Group, Message, Place, row_id
from evorelay.simulator.dialects import Webhook
from evorelay.simulator.emission import Emission
from evorelay.simulator.media import Media
from evorelay.simulator.misbehaviour import Misbehaviour
from evorelay.simulator.scenario import Scenario
from evorelay.simulator.station import Station

SENT_KEPT = 100_000
DELAY_MAX_MS = 60_000
RACE_S = 0.006
"""Between the webhook and the REST answer, either of which may be first: -4 to +6 ms measured."""

Emit = Callable[[Emission], Awaitable[None]]


class Draft(Struct, frozen=True, kw_only=True):
    """A message as it was asked for."""

    kind: str
    """A key of ``dialects.KINDS``, or ``reaction``."""
    text: str = ""
    """Or the caption, or a reaction's emoji."""
    media: Media | None = None
    place: Place | None = None
    cards: tuple[Card, ...] = ()
    options: tuple[str, ...] = ()
    target: Message | None = None
    """What it quotes or reacts to."""
    own_id: str | None = None
    """2.4 gives the message the id that was asked for."""
    delay_ms: int = 0


class Sent(Struct, frozen=True, kw_only=True):
    """One message that reached WhatsApp, as the recipient has it."""

    instance: str
    recipient: str
    """Digits of a person, whatever name of theirs it was sent to; the JID of a group."""
    type: str
    """``text``, ``image``, ``voice`` … or ``reaction``: a key of ``dialects.KINDS``."""
    text: str
    id: str
    at_s: float
    """Since the start of the run."""
    quotes: str | None = None
    media: Media | None = None


class Sender:
    """``emit`` hands a webhook to delivery, ``post`` delivers one and returns when it is settled;
    ``now_s`` is the time since the start of the run."""

    def __init__(
        self,
        scenario: Scenario,
        archive: Archive,
        *,
        seed: int,
        emit: Emit,
        post: Emit,
        now_s: Callable[[], float],
    ) -> None:
        self._scenario = scenario
        self._archive = archive
        self._emit = emit
        self._post = post
        self._now_s = now_s
        self._rng = random.Random(f"sender {seed} {scenario.start_ms}")
        self._sent: deque[Sent] = deque(maxlen=SENT_KEPT)

    def sent(self) -> list[Sent]:
        """In the order in which they went out; the latest ``SENT_KEPT``."""
        return list(self._sent)

    def counts(self) -> Counter[tuple[str, str]]:
        """How often each (recipient, text) went out."""
        return Counter((sent.recipient, sent.text) for sent in self._sent)

    async def send(
        self, station: Station, to: Chat, draft: Draft, odd: Misbehaviour | None = None
    ) -> dict[str, Any]:
        """Returns what the API answers, after the delay; the webhooks follow or are on their way.

        A linked phone types for ``delay_ms``; the Cloud API ignores it (measured).
        """
        if station.dialect.links_a_phone and draft.delay_ms > 0:
            await trio.sleep(min(draft.delay_ms, DELAY_MAX_MS) / 1000)
        at_s = self._now_s()
        message = self._message(station, to, draft, at_s)
        self._sent.append(_line(station, message, draft, at_s))
        if draft.kind == "reaction":
            data, emissions = self._reaction(station, message, draft, at_s)
        else:
            data = station.dialect.send(station.instance, message)
            shares = QUIET
            if odd is not None and odd.kind == "undelivered":
                shares = Shares(failed=1.0)
            emissions = self._scenario.webhooks_of(station, message, at_s, self._rng, shares)
        self._archive.keep(emissions[0])  # in the database before anybody is told
        if station.is_silent:  # now, however soon it ends
            emissions[0] = replace(emissions[0], is_lost=True)
        await self._tell(emissions, odd)
        return station.dialect.as_answer(data)

    async def change(self, station: Station, change: Edit | Revoke) -> None:
        """An edit or deletion of a message of ours, as the dialect tells it."""
        at_s = self._now_s()
        at_ms = self._scenario.start_ms + round(at_s * 1000)
        if isinstance(change, Edit):
            new_id = station.dialect.new_id(self._rng, change.target.chat, through_api=True)
            change = replace(change, id=new_id)
        change = replace(change, at_ms=at_ms, through_api=True)
        for webhook in told(station.dialect, station.instance, change):
            await self._emit(
                station.emission(webhook, due_s=at_s, start_ms=self._scenario.start_ms)
            )

    def _message(self, station: Station, to: Chat, draft: Draft, at_s: float) -> Message:
        own_id = draft.own_id if station.dialect.version >= "2.4" else None
        return Message(
            id=own_id or station.dialect.new_id(self._rng, to, through_api=True),
            row_id=row_id(self._rng),
            chat=to,
            author=None,
            sent_ms=self._scenario.start_ms + round(at_s * 1000),
            text=draft.text,
            kind="text" if draft.kind == "reaction" else draft.kind,
            media=draft.media,
            place=draft.place,
            cards=draft.cards,
            options=draft.options,
            quotes=None if draft.kind == "reaction" else draft.target,
            through_api=True,
            address=station.address_of(to),
        )

    def _reaction(
        self, station: Station, carrier: Message, draft: Draft, at_s: float
    ) -> tuple[dict[str, Any], list[Emission]]:
        assert draft.target is not None
        act = Reaction(
            id=carrier.id,
            target=draft.target,
            author=None,
            emoji=draft.text,
            at_ms=carrier.sent_ms,
            through_api=True,
        )
        data = station.dialect.react(station.instance, act)
        webhook = Webhook("send.message", data)
        return data, [self._scenario.emission_of(station, carrier, webhook, at_s)]

    async def _tell(self, emissions: list[Emission], odd: Misbehaviour | None) -> None:
        echo, *receipts = emissions
        kind = odd.kind if odd else None
        if kind == "receipts-lost":
            receipts = [replace(receipt, is_lost=True) for receipt in receipts]
        answer_first = kind is None and self._rng.random() < 0.5
        if kind == "webhook-before":
            await self._post(echo)
        elif kind == "webhook-lost":
            await self._emit(replace(echo, is_lost=True))
        elif kind == "webhook-late" and odd is not None:
            await self._emit(replace(echo, due_s=echo.due_s + odd.delay_s))
        elif answer_first:
            await self._emit(replace(echo, due_s=echo.due_s + RACE_S))
        else:
            await self._emit(echo)
        if kind == "webhook-twice":
            again_s = echo.due_s + self._rng.uniform(0.05, 1.0)
            await self._emit(replace(echo, due_s=again_s, is_duplicate=True))
        for receipt in receipts:
            await self._emit(receipt)
        if not answer_first:
            await trio.sleep(RACE_S)


def _line(station: Station, message: Message, draft: Draft, at_s: float) -> Sent:
    to = message.chat
    return Sent(
        instance=station.instance.name,
        recipient=to.jid if isinstance(to, Group) else to.phone,
        type=draft.kind,
        text=draft.text,
        id=message.id,
        at_s=at_s,
        quotes=draft.target.id if draft.target else None,
        media=draft.media,
    )
