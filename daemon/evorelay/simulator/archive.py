"""The messages in the simulated Evolution's database: what ``chat/*`` finds.

Filters as in Evolution 2.3.6's source: of a time window both ends are needed, else it is no filter.
1.8.2 keeps messages in files and knows the filter ``key`` alone.
"""

from collections import OrderedDict
from datetime import datetime
from functools import cached_property
from typing import Any

import msgspec

from evorelay.simulator.emission import Emission
from evorelay.simulator.media import Media

Row = dict[str, Any]


class _Entry:
    def __init__(self, emission: Emission) -> None:
        self.first = emission
        self.later: list[Emission] = []
        """What ``messages.update`` said of it."""

    @cached_property
    def data(self) -> Row:
        """As it was posted. A row has no status, that is told by its updates, and no file."""
        data: Row = msgspec.json.decode(self.first.body)["data"]
        data.pop("status", None)
        data["message"].pop("base64", None)
        return data

    @property
    def row(self) -> Row:
        assert self.first.message is not None
        empty: Row = {"pushName": None, "contextInfo": None} if "instanceId" in self.data else {}
        updates = [{"status": later.status} for later in self.later]
        return {"id": self.first.message.row_id, **empty, **self.data, "MessageUpdate": updates}


class Archive:
    """Every message once it is due, whether or not its webhook reached anybody."""

    def __init__(self, messages_max: int) -> None:
        """0: nothing is kept, as where DATABASE_SAVE_DATA_NEW_MESSAGE is off."""
        self._messages_max = messages_max
        self._entries: OrderedDict[tuple[str, str], _Entry] = OrderedDict()

    def keep(self, emission: Emission) -> None:
        """Doing it again changes nothing."""
        if emission.message is None or emission.is_duplicate or not self._messages_max:
            return
        key = (emission.instance, emission.message.id)
        if emission.status is not None:
            if key in self._entries:
                self._entries[key].later.append(emission)
        elif key not in self._entries:
            self._entries[key] = _Entry(emission)
            if len(self._entries) > self._messages_max:
                self._entries.popitem(last=False)

    def find(self, instance: str, where: Row, *, by_time: bool = True) -> list[Row]:
        """Rows that match ``where``, the newest first. Raises ``ValueError`` for a bad time."""
        window = _window(where) if by_time else None
        found = [
            entry
            for entry in self._candidates(instance, where)
            if _matches(entry.data, where, window)
        ]
        found.sort(key=lambda entry: _seconds_of(entry.data), reverse=True)
        return [entry.row for entry in found]

    def updates(self, instance: str, message_id: str | None) -> list[Row]:
        """The data of ``messages.update``, as they came, of one message or of all."""
        return [
            msgspec.json.decode(later.body)["data"]
            for (name, id_), entry in self._entries.items()
            if name == instance and message_id in (None, id_)
            for later in entry.later
        ]

    def media(self, instance: str, message_id: str) -> tuple[Row, Media] | None:
        """A message's row and its file; None when there is no such message, or no file."""
        entry = self._entries.get((instance, message_id))
        if entry is None or entry.first.media is None:
            return None
        return entry.row, entry.first.media

    def _candidates(self, instance: str, where: Row) -> list[_Entry]:
        """Newest first; by id it is found without looking at every one."""
        id_ = (where.get("key") or {}).get("id")
        if isinstance(id_, str):
            entry = self._entries.get((instance, id_))
            return [entry] if entry else []
        return [entry for (name, _), entry in reversed(self._entries.items()) if name == instance]


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
