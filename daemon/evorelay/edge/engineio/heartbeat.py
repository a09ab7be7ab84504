"""When a client is pinged, and when it has been silent for too long. Times are Trio's clock."""

_NEVER = float("inf")


class Heartbeat:
    """Ping at every interval; the answer counts, nothing else (Engine.IO 4, "Heartbeat")."""

    def __init__(self, now: float, interval_s: float, timeout_s: float) -> None:
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._ping_due_at = now + interval_s
        self._pong_due_at = _NEVER
        self.due_at = self._ping_due_at
        """Before this moment there is nothing to do."""

    def is_ping_due(self, now: float) -> bool:
        return self._pong_due_at == _NEVER and now >= self._ping_due_at

    def is_late(self, now: float) -> bool:
        return now >= self._pong_due_at

    def is_unpinged(self, now: float, progressed_at: float) -> bool:
        """Whether a ping could not even be said in the time an answer has, for a client that took
        nothing meanwhile."""
        return now >= max(self._ping_due_at, progressed_at) + self._timeout_s

    def pinged(self, now: float) -> None:
        """A ping is on its way. If we were a little late with it, that is the client's loss; it
        does not pay for a long pause of ours."""
        began = max(self._ping_due_at, now - self._timeout_s / 2)
        self._pong_due_at = self.due_at = began + self._timeout_s

    def ponged(self, now: float) -> None:
        self._pong_due_at = _NEVER
        self._ping_due_at = self.due_at = now + self._interval_s

    def excuse(self, seconds: float) -> None:
        """For so long we did not listen: that time does not count."""
        if self._pong_due_at != _NEVER:
            self._pong_due_at += seconds
            self.due_at = self._pong_due_at
