"""What is learned about the WhatsApp instances themselves, told to clients at a bearable rate.

Evolution repeats itself: 112 ``connection.update`` in a second were measured. The row always says
what is; clients are told at once when they have heard nothing for a while, else a moment later.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import trio

from evorelay.model.envelope import Envelope
from evorelay.model.errors import RelayError
from evorelay.model.fact import InstanceFact, QrCodeFact
from evorelay.model.records import InstanceRecord
from evorelay.protocol.connection import cause_of
from evorelay.protocol.normalise.recovered import RECOVERED_EVENT
from evorelay.relay.draft import Draft
from evorelay.relay.instance_signals import InstanceSignals
from evorelay.relay.ledger import Ledger

log = logging.getLogger(__name__)

TELL_EVERY_MS = 1000
QR_CODE_MS = 60_000
"""A code lives for less than that."""
NOT_LOADED = "not_loaded"
"""Why an instance is not open that Evolution knows of and has not started."""


class Instances:
    """The instances of one draft, one object each."""

    def __init__(self, draft: Draft, names: Iterable[str]) -> None:
        self._draft = draft
        self._rows = draft.tx.instances(names)
        self._news: set[str] = set()

    def phones(self) -> dict[str, str | None]:
        """Each instance's own number, as far as known."""
        return {name: row.phone for name, row in self._rows.items()}

    def touch(self, envelope: Envelope) -> None:
        """Know every instance that posts, and when it was heard of last.

        What was recovered nobody posted: it must not hide that an instance is silent.
        """
        if envelope.instance and envelope.event != RECOVERED_EVENT:
            row = self._row(envelope.instance, envelope.received_at)
            row.last_event_at = max(row.last_event_at, envelope.received_at)
            self._draft.put_instance(row)

    def connection(self, fact: InstanceFact, at: int) -> None:
        row = self._row(fact.instance, at)
        self._draft.put_instance(row)
        row.phone = fact.phone or row.phone
        row.profile_name = fact.profile_name or row.profile_name
        row.reason = fact.reason
        cause = cause_of(fact.state, fact.reason, is_removed=fact.is_removed)
        if (row.state, row.cause) != (fact.state, cause):
            if row.state != fact.state:
                row.state_since = at
            row.state, row.cause = fact.state, cause
            self._news.add(row.name)
        if row.qrcode is not None and fact.state in ("open", "close"):
            row.qrcode = None
            self._news.add(row.name)

    def qrcode(self, fact: QrCodeFact, at: int) -> None:
        row = self._row(fact.instance, at)
        if row.state == "open" and at - row.state_since < QR_CODE_MS:
            return  # scanned already: this webhook was overtaken
        self._draft.put_instance(row)
        if fact.code is None and fact.image is None and fact.pairing_code is None:
            row.qrcode = None
        else:
            row.qrcode = {
                "code": fact.code,
                "pairing_code": fact.pairing_code,
                "image": fact.image,
                "at": at,
            }
        self._news.add(row.name)

    def polled(self, name: str, found: str | None, *, asked_at: int) -> None:
        """Evolution was asked how an instance is; None: it has not loaded it.

        A webhook that came after the question knows better.
        """
        row = self._row(name, asked_at)
        row.polled_at = self._draft.now
        self._draft.put_instance(row)
        state = found if found in ("open", "connecting") else "close"
        if row.state == state or (row.state != "unknown" and row.state_since >= asked_at):
            return
        row.state, row.state_since, row.reason = state, asked_at, None
        row.cause = NOT_LOADED if found is None else None
        if state == "open":
            row.qrcode = None
        self._news.add(name)

    def doubt(self, name: str, suspicion: str | None) -> None:
        """Say why what an instance tells of itself is not believed; None: it is."""
        row = self._row(name, self._draft.now)
        if row.suspicion != suspicion:
            row.suspicion = suspicion
            self._draft.put_instance(row)
            self._news.add(name)

    def registered(self, name: str, registration: dict[str, Any]) -> None:
        """How our webhook stands at Evolution (``InstanceRecord.registration``)."""
        row = self._row(name, self._draft.now)
        before = row.registration or {}
        row.registration = registration
        self._draft.put_instance(row)
        if any(before.get(key) != registration[key] for key in ("state", "detail")):
            self._news.add(name)

    def reconnecting(self, name: str) -> None:
        """Somebody has it connect again, now."""
        row = self._row(name, self._draft.now)
        row.reconnected_at = self._draft.now
        self._draft.put_instance(row)

    def states(self) -> dict[str, str]:
        """Of each instance, as it is now."""
        return {name: row.state for name, row in self._rows.items()}

    def __getitem__(self, name: str) -> InstanceRecord:
        return self._rows[name]

    def settle(self) -> bool:
        """Tell the news, once for the batch; return whether some has to wait for its moment."""
        for name in sorted(self._news):
            row = self._rows[name]
            row.is_untold = True
            if self._draft.now - row.told_at >= TELL_EVERY_MS:
                tell(self._draft, row)
        return any(self._rows[name].is_untold for name in self._news)

    def _row(self, name: str, at: int) -> InstanceRecord:
        row = self._rows.get(name)
        if row is None:
            row = self._rows[name] = InstanceRecord(
                name=name,
                state="unknown",
                state_since=at,
                reason=None,
                phone=None,
                profile_name=None,
                last_event_at=at,
                created_at=at,
            )
        return row


def tell(draft: Draft, row: InstanceRecord) -> None:
    """Tell clients how the instance is now."""
    row.told_at, row.is_untold = draft.now, False
    draft.put_instance(row)
    draft.tell_instance(row)


class InstanceNews:
    """What was learned, once it is committed: told inside at once, to clients when it is time."""

    def __init__(self, ledger: Ledger, signals: InstanceSignals) -> None:
        self._ledger = ledger
        self._signals = signals
        self.is_waiting = True
        """True from the start: a crash may have left something untold."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled. What is untold then is told after the next start."""
        task_status.started()
        while True:
            await trio.sleep(TELL_EVERY_MS / 1000)
            try:
                await self.tell()
            except RelayError as error:
                log.warning("the state of instances could not be told: %s", error)
                self.is_waiting = True

    def learned(self, states: Mapping[str, str], *, has_untold: bool) -> None:
        """Of a draft that was committed: ``Instances.states``, and what ``settle`` returned."""
        self.is_waiting |= has_untold
        for name, state in states.items():
            self._signals.note(name, state)

    async def tell(self) -> None:
        """Tell what waits, if anything does."""
        if self.is_waiting:
            self.is_waiting = False
            await self._ledger.change(_tell_untold)


def _tell_untold(draft: Draft) -> None:
    for row in draft.tx.untold_instances():
        tell(draft, row)
