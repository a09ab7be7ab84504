"""The readable part of an export: one page of HTML without a script, a font or an address."""

from datetime import tzinfo
from html import escape

from evorelay.model.clock import utc
from evorelay.model.records import MessageRecord

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem;
  color: #1c2024; background: #fff; }
h2 { font-size: 1rem; margin: 2rem 0 .5rem; color: #555; }
p { margin: .5rem 0; padding: .5rem .75rem; border-radius: .5rem; background: #f1f3f5;
  overflow-wrap: anywhere; white-space: pre-wrap; }
p.out { background: #e3f2e6; margin-left: 3rem; } p.in { margin-right: 3rem; }
p.note { background: #fdf6dd; }
small { display: block; color: #667; white-space: normal; }
"""


class Page:
    def __init__(self, name: str, zone: tzinfo) -> None:
        self._name = name
        self._zone = zone
        self._day = ""
        self._ticket: str | None = ""

    def head(self) -> str:
        return (
            "<!doctype html><html><head><meta charset='utf-8'>"
            "<meta http-equiv='Content-Security-Policy'"
            " content=\"default-src 'none'; style-src 'unsafe-inline'; img-src 'self'\">"
            f"<title>{escape(self._name)}</title><style>{_STYLE}</style></head><body>"
            f"<h1>{escape(self._name)}</h1>\n"
        )

    def message(self, row: MessageRecord, file: str | None) -> str:
        """``file``: the message's file, relative to the page."""
        at = utc(row.created_at).astimezone(self._zone)
        day = f"{at:%Y-%m-%d}"
        parts = []
        if (day, row.ticket_id) != (self._day, self._ticket):
            self._day, self._ticket = day, row.ticket_id
            where = f"{row.instance}, ticket {row.ticket_id}" if row.ticket_id else row.instance
            parts.append(f"<h2>{day} · {escape(where)}</h2>\n")
        who = row.sender_name or (self._name if row.direction == "in" else row.sender_id) or "?"
        about = [f"{at:%H:%M:%S}", who]
        if row.direction == "out":
            about.append(row.status)
        if row.is_internal:
            about.append("internal note, never sent")
        if row.edited_at is not None:
            about.append("edited")
        if row.deleted_at is not None:
            about.append("deleted by its author; this is what is kept of it")
        kind = "note" if row.is_internal else row.direction
        parts.append(f"<p class='{kind}'><small>{escape(' · '.join(about))}</small>")
        parts.append(escape(row.content))
        parts.append(self._file(row, file))
        parts.append("</p>\n")
        return "".join(parts)

    def _file(self, row: MessageRecord, file: str | None) -> str:
        if row.media is None:
            return ""
        name = row.media.get("filename") or row.media.get("mimetype") or row.type
        if file is None:
            return f"<small>{escape(str(name))}: this file is not kept (any more)</small>"
        return f"<small><a href='{escape(file)}'>{escape(str(name))}</a></small>"

    def foot(self) -> str:
        return "</body></html>\n"
