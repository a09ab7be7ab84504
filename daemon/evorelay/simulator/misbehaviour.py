"""What goes wrong with calls: the next N in a chosen way, or any by chance. No IO, no clock."""

import random
from collections import deque
from typing import Annotated, Literal

from msgspec import Meta, Struct

from evorelay.model.errors import ConfigError

Manner = Literal[
    "hang",
    "reset",
    "cut",
    "half-json",
    "drip",
    "html-502",
    "html-503",
    "html-504",
    "busy",
    "429",
    "redirect-301",
    "redirect-307",
    "huge",
    "slow",
    "webhook-before",
    "webhook-lost",
    "webhook-late",
    "webhook-twice",
    "receipts-lost",
    "undelivered",
    "wrong-size",
]
"""No answer or not a whole one; another's answer than Evolution's (``busy``: 503 with
``Retry-After``); or the usual answer, and something odd about the webhooks that belong to it
(``undelivered``: a receipt of failure), or about a file (``wrong-size``: half of it is there)."""
Refusal = Literal[
    "500",
    "connection-closed",
    "connection-closed-500",
    "not-connected",
    "timed-out",
    "not-on-whatsapp",
    "not-loaded",
    "swallowed",
    "aggregate-error",
    "upload-failed",
    "bad-media",
    "call-stack",
    "empty-text",
    "wrong-body",
    "number-not-string",
    "not-json",
    "unsupported",
    "upstream-broken",
    "unauthorized",
    "instance-missing",
    "licence",
    "meta-24h-window",
    "meta-rate-limit",
    "meta-token-expired",
    "meta-500",
]
"""Evolution's own; ``rest/oddities.py`` has their words."""
Kind = Literal[Manner, Refusal]

_TRUTHFUL = frozenset(
    (
        *("slow", "webhook-before", "webhook-lost", "webhook-late", "webhook-twice"),
        *("receipts-lost", "undelivered", "wrong-size"),
    )
)
_PROCESSED = _TRUTHFUL | {"cut", "half-json", "drip"}


class Misbehaviour(Struct, frozen=True, forbid_unknown_fields=True):
    kind: Kind
    count: Annotated[int, Meta(ge=0, le=10_000)] = 1
    """So many calls; 0 calls off everything asked for so far."""
    sent: bool | None = None
    """Whether the message goes out (the call is processed) all the same, whatever the client is
    told; None: as the kind suggests. Where the truth is answered it always is."""
    delay_s: Annotated[float, Meta(ge=0, le=3600)] = 0.0
    """Before anything happens; for ``webhook-late``: how late the webhook is."""
    retry_after_s: Annotated[int, Meta(ge=0)] = 2
    call: str = "message/"
    """What the call's path begins with, without the slash in front: ``chat/findMessages``."""
    instance: str | None = None
    number: str | None = None
    """As the body has it."""

    @property
    def is_processed(self) -> bool:
        if self.sent is None or self.kind in _TRUTHFUL:
            return self.kind in _PROCESSED
        return self.sent

    def concerns(self, call: str, instance: str, number: str) -> bool:
        return (
            call.startswith(self.call)
            and self.instance in (None, instance)
            and self.number in (None, number)
        )


class Chances(Struct, frozen=True, forbid_unknown_fields=True):
    """Shares of sends that go wrong by chance, for soak tests. Together at most 1."""

    drop_before: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """The connection is reset and nothing is sent."""
    drop_answer: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """The message is sent and the connection is reset."""
    delay: Annotated[float, Meta(ge=0, le=1)] = 0.0
    """Held up for up to ``delay_max_s`` first."""
    delay_max_s: float = 3.0
    duplicate_webhook: Annotated[float, Meta(ge=0, le=1)] = 0.0

    def __post_init__(self) -> None:
        shares = (self.drop_before, self.drop_answer, self.delay, self.duplicate_webhook)
        if min(shares) < 0 or sum(shares) > 1:
            raise ConfigError("chance: give shares from 0 to 1 that are at most 1 together")

    def draw(self, rng: random.Random) -> Misbehaviour | None:
        at = rng.random()
        outcomes: tuple[tuple[float, Misbehaviour], ...] = (
            (self.drop_before, Misbehaviour("reset", sent=False)),
            (self.drop_answer, Misbehaviour("reset", sent=True)),
            (self.delay, Misbehaviour("slow", delay_s=rng.uniform(0, self.delay_max_s))),
            (self.duplicate_webhook, Misbehaviour("webhook-twice")),
        )
        for share, misbehaviour in outcomes:
            if at < share:
                return misbehaviour
            at -= share
        return None


class Trouble:
    """The failures still to come, in the order they were asked for; chance after them."""

    def __init__(self, chances: Chances, rng: random.Random) -> None:
        self.chances = chances
        self._rng = rng
        self._ahead: deque[Misbehaviour] = deque(maxlen=10_000)

    def ask_for(self, misbehaviour: Misbehaviour) -> None:
        if misbehaviour.count == 0:
            self._ahead.clear()
        self._ahead.extend([misbehaviour] * misbehaviour.count)

    def next(self, call: str, instance: str, number: str) -> Misbehaviour | None:
        """What happens to this call; None: it goes well."""
        for index, asked in enumerate(self._ahead):
            if asked.concerns(call, instance, number):
                del self._ahead[index]
                return asked
        return self.chances.draw(self._rng) if call.startswith("message/") else None
