"""Whether the daemon does its work: what feeds systemd's watchdog."""

import trio

from evorelay.relay.journal import Journal
from evorelay.relay.pipeline import Pipeline
from evorelay.relay.progress import Stall

STUCK_S = 30.0
"""Work waiting and none begun for this long: the watchdog starves and systemd starts us anew."""


class Moves:
    """Asks less than health: a store that refuses is tried again and again, and a new process could
    do no better. A thread that hangs in a dead disk is no work."""

    def __init__(self, journal: Journal, pipeline: Pipeline) -> None:
        self._journal = journal
        self._pipeline = pipeline
        self._stall = Stall()

    def __call__(self) -> bool:
        """Quick; asked every few seconds."""
        now = trio.current_time()
        since = self._journal.waiting_since
        self._stall.observe(self._pipeline.lag > 0, self._pipeline.last_attempt_at, now)
        return (since is None or now - since < STUCK_S) and self._stall.seconds(now) < STUCK_S
