"""Log lines about what is refused: loud enough to be seen, too few to drown anything else."""

import logging

import trio

log = logging.getLogger(__name__)

REPEATED_AFTER_S = 60.0
REASONS_MAX = 64
"""Pairs of reason and peer remembered; beyond it the oldest may be told again early."""


class RefusalLog:
    """Tells the first refusal of each reason and peer, then once a minute how many more."""

    def __init__(self, subject: str) -> None:
        """``subject`` is what is refused: ``webhook``, ``connection``."""
        self._subject = subject
        self._told: dict[tuple[str, str | None], tuple[float, int]] = {}

    def note(self, level: int, reason: str, *, peer: str | None, advice: str) -> None:
        """Count one refusal; ``reason`` and ``advice`` are for the operator and hold no secret."""
        now = trio.current_time()
        key = (reason, peer)
        told_at, untold = self._told.get(key, (-REPEATED_AFTER_S, 0))
        if now - told_at < REPEATED_AFTER_S:
            self._told[key] = (told_at, untold + 1)
            return
        if key not in self._told and len(self._told) >= REASONS_MAX:
            del self._told[next(iter(self._told))]
        self._told[key] = (now, 0)
        log.log(
            level,
            "%s refused: %s; %s",
            self._subject,
            reason,
            advice,
            extra={"peer": peer, "more_since_last_line": untold},
        )
