"""A day, or a month, of webhooks with the truth beside them: for tests, without IO and clock.

    made = day(7, instances=6, messages=600)
    for at_ms, instance, event, body in made.webhooks: ...
    made.truth.messages[instance, whatsapp_id].text

The webhooks are in the order in which Evolution posts them when nothing goes wrong; ``disturb``
(emission.py) or any shuffle gives the rest. A receiver should take ``at_ms`` for the moment of
arrival: it refuses times that lie in its future. What must be left is the same in every order.
"""

import heapq
from collections.abc import Iterator

from msgspec import Struct

from evorelay.simulator.cast import make_instances
from evorelay.simulator.dialects import DIALECTS
from evorelay.simulator.diary import Diary, Posted
from evorelay.simulator.truth import Truth

START_MS = 1_790_812_800_000
"""2026-10-01T00:00:00Z."""
DAY_MS = 24 * 3600 * 1000


class Day(Struct, kw_only=True):
    webhooks: list[Posted]
    """In order of ``at_ms``."""
    truth: Truth


class Month:
    """Some days on end. ``webhooks`` is made while it is read; ``truth`` is about what was read."""

    def __init__(self, diaries: list[Diary], *, days: int, messages_per_day: int) -> None:
        self._diaries = diaries
        self._days = days
        self._messages = _shared(messages_per_day, len(diaries))

    def webhooks(self) -> Iterator[Posted]:
        """In order of ``at_ms``; holds one day at a time. To be read once."""
        for number in range(self._days):
            progress = (number / self._days, (number + 1) / self._days)
            pages = [
                diary.day(START_MS + number * DAY_MS, messages=count, progress=progress)
                for diary, count in zip(self._diaries, self._messages, strict=True)
            ]
            yield from heapq.merge(*pages, key=lambda posted: posted.at_ms)

    def truth(self) -> Truth:
        books = [diary.book for diary in self._diaries]
        persons = [person for book in books for person in book.persons()]
        return Truth(
            persons=persons,
            messages={key: truth for book in books for key, truth in book.messages.items()},
            never={key for book in books for key in book.never},
            calls={key: outcome for book in books for key, outcome in book.calls.items()},
            groups={
                "group:" + diary.instance.group.jid: diary.instance.group.subject
                for diary in self._diaries
            },
            connections={
                diary.instance.name: "open" if diary.is_linked else "close"
                for diary in self._diaries
                if DIALECTS[diary.instance.dialect].links_a_phone
            },
            identities={
                (person.instance, alias): identity
                for person in persons
                for identity in person.identities
                for alias in identity
            },
        )


def day(
    seed: int,
    *,
    instances: int = len(DIALECTS),
    people: int = 16,
    messages: int = 1000,
    dialects: tuple[str, ...] = tuple(DIALECTS),
) -> Day:
    """One day in which every person's names go their whole way.

    ``people`` is per instance, from 6 to 1,000; ``messages`` in all; the instances speak the
    ``dialects`` in turn. The same arguments give the same day.
    """
    whole = month(
        seed,
        instances=instances,
        people=people,
        messages_per_day=messages,
        dialects=dialects,
        days=1,
    )
    return Day(webhooks=list(whole.webhooks()), truth=whole.truth())


def month(
    seed: int,
    *,
    instances: int = len(DIALECTS),
    people: int = 16,
    messages_per_day: int = 200,
    dialects: tuple[str, ...] = tuple(DIALECTS),
    days: int = 30,
) -> Month:
    """Days on end, over which people's names change. Arguments as for ``day``."""
    cast = make_instances(instances, seed, dialects, people=people)
    diaries = [Diary(instance, seed) for instance in cast]
    return Month(diaries, days=days, messages_per_day=messages_per_day)


def _shared(total: int, parts: int) -> list[int]:
    return [total // parts + (index < total % parts) for index in range(parts)]
