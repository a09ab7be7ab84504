"""Waiting for a condition with a deadline, instead of sleeping for luck."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

T = TypeVar("T")
POLL_S = 0.02


async def eventually(
    probe: Callable[[], Awaitable[T | None]], *, what: str, within_s: float = 30.0
) -> T:
    """The first result of ``probe`` that is neither None nor False."""
    with trio.move_on_after(within_s):
        while True:
            found = await probe()
            if found is not None and found is not False:
                return found
            await trio.sleep(POLL_S)
    raise AssertionError(f"within {within_s} s there was no {what}")
