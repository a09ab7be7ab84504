"""A webhook about to be posted, and the disorder in which Evolution posts its webhooks.

Measured: without any failure a few of a hundred messages arrive late, overtaken by later ones,
and some arrive twice (research/evolution-live.md, "Order, concurrency, duplicates").
"""

import heapq
import random
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from evorelay.simulator.media import Media

SHUFFLE_MAX_S = 3.0
DUPLICATE_AFTER_S = (0.05, 10.0)


class MessageRef(NamedTuple):
    """The message an emission is about."""

    instance: str
    id: str
    row_id: str
    """In Evolution's database."""


class Emission(Struct, frozen=True, kw_only=True):
    due_s: float
    """Seconds since the start of the run."""
    instance: str
    version: str
    """Of the Evolution that posts it."""
    event: str
    body: bytes
    message: MessageRef | None = None
    status: str | None = None
    """What a ``messages.update`` says."""
    is_duplicate: bool = False
    is_lost: bool = False
    """It happens, and nobody is told."""
    media: Media | None = None
    """The file of the message, whether or not the body has it."""


def disturb(
    emissions: Iterable[Emission], *, duplicates: float, shuffle: float, rng: random.Random
) -> Iterator[Emission]:
    """Repeat some and hold back some; the result is in order of ``due_s`` again.

    ``emissions`` must be in that order. Bodies stay as they are, so a late webhook says when it
    was emitted. What is held back is bounded by ``DUPLICATE_AFTER_S`` of emissions.
    """
    held: list[tuple[float, int, Emission]] = []
    serial = 0
    for emission in emissions:
        while held and held[0][0] <= emission.due_s:
            yield heapq.heappop(held)[2]
        extra = []
        if rng.random() < duplicates:
            at = emission.due_s + rng.uniform(*DUPLICATE_AFTER_S)
            extra.append(replace(emission, due_s=at, is_duplicate=True))
        if rng.random() < shuffle:
            late = emission.due_s + rng.uniform(0, SHUFFLE_MAX_S)
            extra.append(replace(emission, due_s=late))
        else:
            yield emission
        for late_one in extra:
            serial += 1
            heapq.heappush(held, (late_one.due_s, serial, late_one))
    while held:
        yield heapq.heappop(held)[2]
