"""Evolution's list of messages, the oldest first, a stretch of some hundred rows at a time.

Evolution pages newest first and new rows push the old ones to later pages, so nothing is paged
deeply: a window of time with too many rows is cut into shorter ones. Evolution 1.x knows neither
windows nor pages: there the newest rows are asked for, more of them until they reach back far
enough (research/evolution.md §4.2).
"""

from collections.abc import Awaitable, Callable
from typing import Any

from evorelay.model.outcome import FoundPage, GatewayFault, MessageWindow
from evorelay.protocol.evolution.answers import RECORDS_MAX, TOO_LARGE
from evorelay.protocol.recovery import id_of_row, moment_of_row, spans

Row = dict[str, Any]
Ask = Callable[[MessageWindow, int, int], Awaitable[FoundPage]]
"""(window, page, rows per page); raises ``GatewayFault``."""

PAGE_ROWS = 100
STRETCH_PAGES = 5
"""Of one window: beyond it the window is cut. 500 rows are what is held in memory."""
SECOND_PAGES_MAX = 20
"""Of a window of one second, which cannot be cut."""
NEWEST_ROWS_MAX = RECORDS_MAX
"""Asked of Evolution 1.x, which answers with all of them in one piece."""


class Walk:
    """From ``since`` to ``until``, Unix seconds, both included; ``rows_max`` are looked at."""

    def __init__(self, ask: Ask, *, since: int, until: int, rows_max: int) -> None:
        self._ask = ask
        self._todo = [(since, until)]
        self._rows_max = rows_max
        self._page_rows = min(PAGE_ROWS, rows_max)
        self._has_begun = False
        self.looked_at = 0
        self.is_cut = False
        """Whether rows were left out: there were more than ``rows_max``."""

    async def stretch(self) -> list[Row] | None:
        """The next rows in order of time, none of them twice; None at the end.

        Raises ``GatewayFault``; what was not handed out is handed out by the next call.
        """
        while self._todo:
            first, last = self._todo[-1]
            try:
                rows = await self._window(first, last)
            except GatewayFault as fault:
                if fault.code != TOO_LARGE or self._page_rows == 1:
                    raise  # else its rows carry files
                self._page_rows = max(1, self._page_rows // 10)
                continue
            if rows is not None:
                self._todo.pop()
                self.looked_at += len(rows)
                return rows
        return None

    async def _window(self, first: int, last: int) -> list[Row] | None:
        """The rows of a window, or None when it was put off in favour of parts of it."""
        page = await self._page(first, last, 1)
        if not self._has_begun:
            if _is_unpaged(page, first, last, self._page_rows):
                return await self._newest(first, last)
            self._has_begun = True
            pages_max = self._rows_max // self._page_rows
            if page.pages > pages_max:
                self.is_cut = True
                self._todo[-1] = (await self._reaching_back(first, last, pages_max), last)
                return None
        if page.pages <= STRETCH_PAGES or first == last:
            return await self._whole(first, last, page)
        parts = list(spans(first, last, -(-page.pages // STRETCH_PAGES) + 1))
        self._todo[-1:] = reversed(parts)
        return None

    async def _whole(self, first: int, last: int, page: FoundPage) -> list[Row]:
        found = _by_id(page.records)
        if page.pages > SECOND_PAGES_MAX:
            self.is_cut = True
        for number in range(2, min(page.pages, SECOND_PAGES_MAX) + 1):
            found |= _by_id((await self._page(first, last, number)).records)
        return _in_order(found)

    async def _reaching_back(self, first: int, last: int, pages: int) -> int:
        """From which second on there are no more than so many pages."""
        page = await self._page(first, last, pages)
        moments = [moment // 1000 for row in page.records if (moment := moment_of_row(row))]
        return min(max(first, min(moments, default=first)), last)

    async def _newest(self, first: int, last: int) -> list[Row]:
        """Of a server that knows no windows: what is in ours of the newest rows."""
        most = min(NEWEST_ROWS_MAX, self._rows_max)
        size = self._page_rows
        while True:
            page = await self._ask(_between(first, last), 1, size)
            moments = [moment // 1000 for row in page.records if (moment := moment_of_row(row))]
            is_enough = len(page.records) < size or min(moments, default=last) < first
            if is_enough or size >= most:
                self.is_cut = not is_enough
                break
            size = min(size * 4, most)
        rows = _in_order(_by_id(page.records))
        return [row for row in rows if _is_inside(row, first, last)]

    async def _page(self, first: int, last: int, number: int) -> FoundPage:
        return await self._ask(_between(first, last), number, self._page_rows)


def _between(first: int, last: int) -> MessageWindow:
    return MessageWindow(since_ms=first * 1000, until_ms=last * 1000)


def _is_unpaged(page: FoundPage, first: int, last: int, size: int) -> bool:
    """Whether the answer is that of a server which knows neither windows nor pages."""
    if page.pages <= 1 and len(page.records) >= size:
        return True
    return any(not _is_inside(row, first - 1, last + 1) for row in page.records)


def _is_inside(row: Row, first: int, last: int) -> bool:
    moment = moment_of_row(row)
    return moment is None or first <= moment // 1000 <= last


def _by_id(records: list[Row]) -> dict[str, Row]:
    """Rows without an id of WhatsApp's are nothing we could ever tell apart."""
    return {id_: row for row in records if (id_ := id_of_row(row)) is not None}


def _in_order(found: dict[str, Row]) -> list[Row]:
    """Those of one second by Evolution's row id, a cuid, which grows with time; how it lists them
    itself is left to its database."""
    return sorted(found.values(), key=lambda row: (moment_of_row(row) or 0, str(row.get("id", ""))))
