"""The messages in the simulated Evolution's database: what ``chat/findMessages`` finds."""

from collections import OrderedDict
from datetime import datetime
from typing import Any

import msgspec

from evorelay.simulator.emission import Emission

Row = dict[str, Any]


class Archive:
    """Every message once it is due, whether or not its webhook reached anybody."""

    def __init__(self, messages_max: int) -> None:
        self._messages_max = messages_max
        self._emissions: OrderedDict[tuple[str, str], list[Emission]] = OrderedDict()

    def keep(self, emission: Emission) -> None:
        if emission.message is None or emission.is_duplicate or not self._messages_max:
            return
        key = (emission.instance, emission.message.id)
        if emission.status is None:
            self._emissions[key] = [emission]
            if len(self._emissions) > self._messages_max:
                self._emissions.popitem(last=False)
        elif key in self._emissions:
            self._emissions[key].append(emission)

    def find(self, instance: str, where: Row) -> list[Row]:
        """Rows that match ``where`` as Evolution understands it, the newest first."""
        rows = (
            _row(emissions)
            for (name, _), emissions in reversed(self._emissions.items())
            if name == instance
        )
        return [row for row in rows if _matches(row, where)]


def _row(emissions: list[Emission]) -> Row:
    first = emissions[0]
    assert first.message is not None
    row: Row = msgspec.json.decode(first.body)["data"]
    row.pop("status", None)  # a row has none; it is told by its updates
    row["message"].pop("base64", None)
    updates = [{"status": later.status} for later in emissions[1:]]
    return {"id": first.message.row_id, **row, "MessageUpdate": updates}


def _matches(row: Row, where: Row) -> bool:
    wanted = where.get("key") or {}
    if any(row["key"].get(name) != value for name, value in wanted.items()):
        return False
    window = where.get("messageTimestamp") or {}
    seconds = row["messageTimestamp"]
    if isinstance(seconds, dict):  # 1.8.2's Long
        seconds = seconds["low"]
    since, until = window.get("gte"), window.get("lte")
    return (since is None or _seconds(since) <= seconds) and (
        until is None or seconds <= _seconds(until)
    )


def _seconds(iso: str) -> float:
    """Raises ``ValueError`` for what is no RFC 3339 time."""
    return datetime.fromisoformat(iso).timestamp()
