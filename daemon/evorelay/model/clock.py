"""Wall time as the integer milliseconds every record stores, and as the RFC 3339 clients read."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

NowMs = Callable[[], int]


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def utc(unix_ms: int) -> datetime:
    """The datetime msgspec writes as RFC 3339 with a ``Z``."""
    return datetime.fromtimestamp(unix_ms / 1000, UTC)
