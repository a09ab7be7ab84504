"""Reads of the log: events by channel, their one order, and who was told (``StoreReader``)."""

from collections.abc import Iterable
from typing import Any

import apsw
import msgspec

from evorelay.model.event import ENDLESS, ChannelEvent, Places
from evorelay.model.records import SocketRecord
from evorelay.storage.ports import PAGE_BYTES_MAX, ChannelPage
from evorelay.storage.sqlite.connection import snapshot, translated_errors
from evorelay.storage.sqlite.transaction import LOG, SOCKETS

_places = msgspec.json.Decoder(Places).decode


class LogReads:
    """That part of ``SqliteReader``."""

    _db: apsw.Connection

    def first_received_at(self) -> int | None:
        with translated_errors(self._db.filename):
            at: int | None = self._db.execute(
                "SELECT received_at FROM messages ORDER BY arrival LIMIT 1"
            ).get
        return at

    def position(self) -> int:
        with translated_errors(self._db.filename):
            return self._head(LOG)

    def _head(self, channel: str) -> int:
        found = self._db.execute("SELECT head FROM channels WHERE name = ?", (channel,)).get
        return int(found or 0)

    def events_after(
        self, channel: str, offset: int, limit: int, *, until: int = ENDLESS
    ) -> ChannelPage:
        return self._page(channel, 'p."offset" > ? ORDER BY p."offset"', offset, limit, until)

    def events_before(self, channel: str, offset: int, limit: int) -> ChannelPage:
        return self._page(
            channel, 'p."offset" < ? ORDER BY p."offset" DESC', offset, limit, ENDLESS
        )

    def _page(
        self, channel: str, range_sql: str, offset: int, limit: int, until: int
    ) -> ChannelPage:
        db = self._db
        with snapshot(db):
            head = self._head(channel)
            floor = db.execute(
                'SELECT min("offset") FROM positions WHERE channel = ?', (channel,)
            ).get
            rows = db.execute(
                'SELECT p."offset", e.data, e.id, e.positions, e.origin'  # noqa: S608 -- two literals above
                " FROM positions AS p CROSS JOIN events AS e ON e.id = p.event_id"
                f" WHERE p.channel = ? AND {range_sql} LIMIT ?",
                (channel, offset, limit),
            )
            events = _that_fit(rows, until)
            rows.close()
        return ChannelPage(
            head=head,
            floor=head + 1 if floor is None else floor,
            events=events,
        )

    def offset_at(self, channel: str, event_id: int, steps: int) -> int | None:
        db = self._db
        with snapshot(db):
            log_head = self._head(LOG)
            if event_id > log_head:
                return None
            # The newest positions as a co-routine: no more of them are read than are newer.
            latest = (
                'SELECT "offset", event_id FROM positions WHERE channel = ?'
                ' ORDER BY "offset" DESC LIMIT ?'
            )
            found = db.execute(
                f'SELECT "offset" FROM ({latest}) WHERE event_id <= ? LIMIT 1',  # noqa: S608 -- a literal above
                (channel, steps + 1, event_id),
            ).get
            if found is not None:
                return int(found)
            newer, oldest = db.execute(
                f'SELECT count(*), min("offset") FROM ({latest})',  # noqa: S608 -- a literal above
                (channel, steps + 1),
            ).fetchone()  # type: ignore[misc]  # an aggregate always has a row
            if newer > steps:
                return None
            offset = oldest - 1 if newer else self._head(channel)
            floor = db.execute("SELECT min(id) FROM events").get or log_head + 1
        # What retention took was told before ``event_id``, if that is no older than all we have.
        return offset if floor <= event_id + 1 else None

    def socket(self, pid: str) -> SocketRecord | None:
        with translated_errors(self._db.filename):
            rows = SOCKETS.select(self._db, "WHERE t.pid = ?", (pid,))
        return rows[0] if rows else None


def _that_fit(rows: Iterable[tuple[Any, ...]], until: int) -> list[ChannelEvent]:
    """The first events within ``PAGE_BYTES_MAX``, at least one; the rest is not even read."""
    events: list[ChannelEvent] = []
    size = 0
    for offset, data, id_, positions, origin in rows:
        event = ChannelEvent(offset, data.encode(), id_, _places(positions), origin)
        size += len(event.data)
        if size > PAGE_BYTES_MAX and events:
            break
        events.append(event)
        if id_ > until:
            break
    return events
