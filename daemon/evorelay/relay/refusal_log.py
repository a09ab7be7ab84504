"""Log lines about what is refused: loud enough to be seen, too few to drown anything else."""

import logging

import trio

log = logging.getLogger(__name__)

REPEATED_AFTER_S = 60.0
REASONS_MAX = 64
"""Pairs of reason and peer that are told of in that time; whoever comes then is one of many."""
MANY = "many others"
_PEER_CHARS_MAX = 100
"""Of what a client may have made up."""


class RefusalLog:
    """Tells the first refusal of each reason and peer, then once a minute how many more."""

    def __init__(self, subject: str) -> None:
        """``subject`` is what is refused: ``webhook``, ``connection``."""
        self._subject = subject
        self._told: dict[tuple[str, str | None], tuple[float, int]] = {}

    def note(self, level: int, reason: str, *, peer: str | None, advice: str) -> None:
        """Count one refusal; ``reason`` and ``advice`` are for the operator and hold no secret."""
        now = trio.current_time()
        key = (reason, peer and peer[:_PEER_CHARS_MAX])
        if key not in self._told and len(self._told) >= REASONS_MAX:
            oldest = next(iter(self._told))
            if now - self._told[oldest][0] < REPEATED_AFTER_S:
                key = (reason, MANY)
            else:
                del self._told[oldest]
        told_at, untold = self._told.get(key, (-REPEATED_AFTER_S, 0))
        if now - told_at < REPEATED_AFTER_S:
            self._told[key] = (told_at, untold + 1)
            return
        self._told.pop(key, None)  # the longest told stays first
        self._told[key] = (now, 0)
        log.log(
            level,
            "%s refused: %s; %s",
            self._subject,
            reason,
            advice,
            extra={"peer": key[1], "more_since_last_line": untold},
        )
