"""What was emitted and what became of it, so that every message can be accounted for."""

from collections import Counter, OrderedDict

from msgspec import Struct

from evorelay.simulator.emission import Emission, MessageRef
from evorelay.simulator.retry import Verdict

MESSAGES_KEPT = 200_000
"""The ledger forgets its oldest messages beyond this; ``forgotten`` counts them."""


class Totals(Struct):
    """Counts of webhooks. ``emitted == accepted_2xx + lost_by_redirect + dropped + in_flight``."""

    emitted: int = 0
    """Handed to delivery, repetitions included."""
    unique_messages: int = 0
    """Messages, not webhooks: each counted once."""
    accepted_2xx: int = 0
    retried: int = 0
    """Attempts beyond the first of a webhook."""
    dropped: int = 0
    duplicates: int = 0
    """Of the emitted: the same body a second time."""
    lost_by_redirect: int = 0
    in_flight: int = 0
    """Being posted or waiting for the next attempt."""


class MessageLine(Struct):
    """One message's line in the ledger."""

    instance: str
    id: str
    event: str
    """``messages.upsert`` or ``send.message``."""
    emitted: int = 0
    accepted: int = 0
    """How often a receiver answered 2xx to it: 0 until then."""
    status: str | None = None
    """The furthest ``messages.update`` that was accepted; None when none was."""


class Ledger:
    def __init__(self) -> None:
        self.totals = Totals()
        self.by_event: Counter[str] = Counter()
        self.forgotten = 0
        self._messages: OrderedDict[MessageRef, MessageLine] = OrderedDict()

    def emitted(self, emission: Emission) -> None:
        totals = self.totals
        totals.emitted += 1
        totals.in_flight += 1
        totals.duplicates += emission.is_duplicate
        self.by_event[emission.event] += 1
        if emission.message is None or emission.status is not None:
            return
        line = self._messages.get(emission.message)
        if line is None:
            totals.unique_messages += 1
            line = MessageLine(emission.instance, emission.message.id, emission.event)
            self._messages[emission.message] = line
            if len(self._messages) > MESSAGES_KEPT:
                self._messages.popitem(last=False)
                self.forgotten += 1
        line.emitted += 1

    def retried(self) -> None:
        self.totals.retried += 1

    def settled(self, emission: Emission, verdict: Verdict) -> None:
        """The last word on a webhook; not for ``Verdict.AGAIN``."""
        totals = self.totals
        totals.in_flight -= 1
        if verdict is Verdict.DROPPED:
            totals.dropped += 1
        elif verdict is Verdict.LOST:
            totals.lost_by_redirect += 1
        else:
            totals.accepted_2xx += 1
            line = self._messages.get(emission.message) if emission.message else None
            if line is not None and emission.status is None:
                line.accepted += 1
            elif line is not None:
                line.status = _further(line.status, emission.status)

    def messages(self) -> list[MessageLine]:
        """Oldest first."""
        return list(self._messages.values())


_ORDER = (
    *("ERROR", "FAILED", "SENT", "SERVER_ACK"),
    *("DELIVERED", "DELIVERY_ACK", "READ", "PLAYED"),
)


def _further(known: str | None, said: str | None) -> str | None:
    return max((known, said), key=lambda status: _ORDER.index(status) if status else -1)
