"""The messages in the simulated Evolution's database: what ``chat/*`` finds.

Filters as in Evolution 2.3.6's source: of a time window both ends are needed, else it is no filter.
1.8.2 keeps messages in files and knows the filter ``key`` alone.
"""

from collections import OrderedDict
from datetime import datetime
from typing import Any

import msgspec

from evorelay.simulator.emission import Emission
from evorelay.simulator.media import Media

Row = dict[str, Any]


class Archive:
    """Every message once it is due, whether or not its webhook reached anybody."""

    def __init__(self, messages_max: int) -> None:
        """0: nothing is kept, as where DATABASE_SAVE_DATA_NEW_MESSAGE is off."""
        self._messages_max = messages_max
        self._emissions: OrderedDict[tuple[str, str], list[Emission]] = OrderedDict()

    def keep(self, emission: Emission) -> None:
        """Doing it again changes nothing."""
        if emission.message is None or emission.is_duplicate or not self._messages_max:
            return
        key = (emission.instance, emission.message.id)
        if emission.status is not None:
            if key in self._emissions:
                self._emissions[key].append(emission)
        elif key not in self._emissions:
            self._emissions[key] = [emission]
            if len(self._emissions) > self._messages_max:
                self._emissions.popitem(last=False)

    def find(self, instance: str, where: Row, *, by_time: bool = True) -> list[Row]:
        """Rows that match ``where``, the newest first. Raises ``ValueError`` for a bad time."""
        window = _window(where) if by_time else None
        rows = (
            _row(emissions)
            for (name, _), emissions in reversed(self._emissions.items())
            if name == instance
        )
        found = [row for row in rows if _matches(row, where, window)]
        return sorted(found, key=_seconds_of, reverse=True)

    def updates(self, instance: str, message_id: str | None) -> list[Row]:
        """The data of ``messages.update``, as they came, of one message or of all."""
        return [
            msgspec.json.decode(later.body)["data"]
            for (name, id_), emissions in self._emissions.items()
            if name == instance and message_id in (None, id_)
            for later in emissions[1:]
        ]

    def media(self, instance: str, message_id: str) -> tuple[Row, Media] | None:
        """A message's row and its file; None when there is no such message, or no file."""
        emissions = self._emissions.get((instance, message_id))
        if not emissions or emissions[0].media is None:
            return None
        return _row(emissions), emissions[0].media


def _row(emissions: list[Emission]) -> Row:
    first = emissions[0]
    assert first.message is not None
    row: Row = msgspec.json.decode(first.body)["data"]
    row.pop("status", None)  # a row has none; it is told by its updates
    row["message"].pop("base64", None)
    updates = [{"status": later.status} for later in emissions[1:]]
    empty: Row = {"pushName": None, "contextInfo": None} if "instanceId" in row else {}
    return {"id": first.message.row_id, **empty, **row, "MessageUpdate": updates}


def _matches(row: Row, where: Row, window: tuple[float, float] | None) -> bool:
    wanted = where.get("key") or {}
    if any(row["key"].get(name) != value for name, value in wanted.items()):
        return False
    return window is None or window[0] <= _seconds_of(row) <= window[1]


def _seconds_of(row: Row) -> int:
    seconds = row["messageTimestamp"]
    return int(seconds["low"] if isinstance(seconds, dict) else seconds)  # 1.8.2's Long


def _window(where: Row) -> tuple[float, float] | None:
    window = where.get("messageTimestamp") or {}
    since, until = window.get("gte"), window.get("lte")
    if not since or not until:
        return None
    return _seconds(since), _seconds(until)


def _seconds(iso: str) -> float:
    """Whole seconds, as rows have them. Raises ``ValueError`` for what is no RFC 3339 time."""
    return datetime.fromisoformat(iso).timestamp() // 1
