"""Logging that neither blocks the event loop nor tells a secret.

A plain StreamHandler stalls Trio for as long as nobody reads standard error (measured: 950 ms of
1 s). So a log call redacts its record and puts it into a bounded queue (15 us); one thread formats
and writes. When the queue is full the record is dropped and counted, and the log says so later.
"""

import logging
import logging.handlers
import os
import queue
import select
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Literal

import msgspec
from msgspec import Struct

from evorelay.telemetry.journald import is_journal, prefixed
from evorelay.telemetry.redaction import Plain, Redactor

QUEUE_RECORDS = 4096
FLUSH_S = 2.0
"""How long leaving waits for the writer; a reader that stopped reading must not hold us up."""
_WRITABLE_POLL_MS = 1000

_NOISY = ("httpx", "httpcore", "hpack", "hypercorn.access", "trio-websocket", "wsproto")
"""Libraries that log every request, with its URL, at info or below."""

_RECORD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Every LogRecord has these; what else it has came in by ``extra``."""

_to_json = msgspec.json.Encoder().encode
_render_traceback = logging.Formatter().formatException


class Line(Struct, frozen=True):
    """One record as it is written: text only, redacted, bounded."""

    at: datetime
    level: str
    logger: str
    msg: str
    fields: dict[str, Plain] = {}
    exc: str | None = None
    """Traceback or stack, with line feeds."""


def json_line(line: Line) -> str:
    """``ts`` (RFC 3339), ``level``, ``logger``, ``msg``, the extra fields, ``exc``.

    An extra field with one of our names gives way to ours.
    """
    ours: dict[str, Plain] = {
        "ts": line.at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": line.level.lower(),
        "logger": line.logger,
        "msg": line.msg,
    }
    if line.exc:
        ours["exc"] = line.exc
    return _to_json(ours | line.fields | ours).decode()


def console_line(line: Line) -> str:
    """For a person at a terminal: time (UTC), level, message, ``key=value``, logger.

    Tracebacks are indented, so that no text inside one can pass for a line of the log.
    """
    time = line.at.strftime("%H:%M:%S.%f")[:-3]
    return f"{time} {line.level:<7} {_readable(line)}"


def journal_line(line: Line) -> str:
    """For ``journalctl``, which shows the time and knows the level by the priority."""
    return prefixed(_readable(line), _level_of(line))


def journal_json_line(line: Line) -> str:
    """``json_line`` with its priority, for who asked for JSON and reads it from the journal."""
    return prefixed(json_line(line), _level_of(line))


def _level_of(line: Line) -> int:
    return logging.getLevelNamesMapping().get(line.level, logging.INFO)


def _readable(line: Line) -> str:
    fields = "".join(f"  {name}={_bare(value)}" for name, value in line.fields.items())
    text = f"{line.msg}{fields}  ({line.logger})"
    return text + "\n    " + line.exc.replace("\n", "\n    ") if line.exc else text


def _bare(value: Plain) -> str:
    """A word as it is, anything else as JSON."""
    if isinstance(value, str) and value and not set(value) & set(' "='):
        return value
    return _to_json(value).decode()


class LogPipe(logging.handlers.QueueHandler):
    """The bounded queue between log calls and the thread that writes them."""

    queue: "queue.Queue[Line | None]"

    def __init__(
        self, redactor: Redactor, render: Callable[[Line], str], fd: int, records_max: int
    ) -> None:
        super().__init__(queue.Queue(records_max))
        self._redactor = redactor
        self._render = render
        self._fd = fd
        self._dropped_full = 0
        self._dropped_reported = 0
        self._dropped_unwritable = 0
        self._is_closed = False
        self._thread = threading.Thread(target=self._write_all, name="evorelay-log", daemon=True)

    @property
    def dropped(self) -> int:
        """Records lost since the start: the queue was full, or nobody took what was written."""
        return self._dropped_full + self._dropped_unwritable

    def prepare(self, record: logging.LogRecord) -> Line:
        """Make the line now: what the record refers to may change or hold memory while it waits."""
        clean = self._redactor
        exc = record.exc_text
        if exc is None and record.exc_info:
            exc = _render_traceback(record.exc_info)
        blocks = [clean.lines(block) for block in (exc, record.stack_info) if block]
        return Line(
            at=datetime.fromtimestamp(record.created, UTC),
            level=record.levelname,
            logger=clean.text(record.name),
            msg=clean.text(record.getMessage()),
            fields={
                clean.text(name): clean.field(name, value)
                for name, value in vars(record).items()
                if name not in _RECORD_FIELDS
            },
            exc="\n".join(blocks) or None,
        )

    def enqueue(self, line: Line) -> None:  # type: ignore[override]  # what our prepare() returns
        try:
            self.queue.put_nowait(line)
        except queue.Full:
            self._dropped_full += 1

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  -- logging's name
        """Say where a log call is wrong. The default prints its arguments, secrets included."""
        where = f"{record.pathname}:{record.lineno}"
        self.enqueue(_own_line("ERROR", "a log call is wrong and was not logged", where=where))

    def open(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Write what is queued, for at most twice ``FLUSH_S``."""
        super().close()
        if self._is_closed:  # logging.shutdown() closes again at exit
            return
        self._is_closed = True
        try:
            self.queue.put(None, timeout=FLUSH_S)
        except queue.Full:
            return
        self._thread.join(FLUSH_S)

    def _write_all(self) -> None:
        while (line := self.queue.get()) is not None:
            self._write(line)
            total = self._dropped_full
            if total > self._dropped_reported:
                lost = total - self._dropped_reported
                self._dropped_reported = total
                self._write(_own_line("WARNING", "log records were dropped", count=lost))

    def _write(self, line: Line) -> None:
        """Write to the descriptor itself: a daemon thread that is stuck inside ``sys.stderr``
        holds its lock and makes the interpreter abort at exit.
        """
        left = memoryview(self._render(line).encode() + b"\n")
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:  # somebody we share the terminal with made it non-blocking
                poll = select.poll()
                poll.register(self._fd, select.POLLOUT)
                poll.poll(_WRITABLE_POLL_MS)
            except OSError:  # the reader is gone, or the disk is full: the daemon carries on
                self._dropped_unwritable += 1
                return


def _own_line(level: str, msg: str, **fields: Plain) -> Line:
    return Line(datetime.now(UTC), level, __name__, msg, fields)


def _renderer(format: str, fd: int, environ: Mapping[str, str]) -> Callable[[Line], str]:
    if is_journal(fd, environ):
        return journal_json_line if format == "json" else journal_line
    is_console = format == "console" or (format == "auto" and os.isatty(fd))
    return console_line if is_console else json_line


@contextmanager
def open_logging(
    *,
    level: Literal["debug", "info", "warning", "error"] = "info",
    format: Literal["auto", "console", "json"] = "auto",
    secrets: Iterable[str] = (),
    fd: int = 2,
    records_max: int = QUEUE_RECORDS,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[LogPipe]:
    """Send everything logged to ``fd`` until left; then put the old handlers back.

    ``auto`` is ``console`` on a terminal, the same without time in systemd's journal (which
    ``environ`` tells), and ``json`` elsewhere. In the journal each line has a priority.
    ``secrets`` are the configured ones; they never come out, in whatever text they stand. The
    yielded ``LogPipe`` counts what was dropped. Leaving waits a few seconds at most for the reader
    of ``fd``.
    """
    render = _renderer(format, fd, environ)
    pipe = LogPipe(Redactor(secrets), render, fd, records_max)
    root = logging.getLogger()
    noisy = [logging.getLogger(name) for name in _NOISY]
    old_handlers, old_level = root.handlers[:], root.level
    old_noisy_levels = [logger.level for logger in noisy]
    root.handlers = [pipe]
    root.setLevel(level.upper())
    for logger in noisy:
        logger.setLevel(logging.DEBUG if level == "debug" else logging.WARNING)
    pipe.open()
    try:
        yield pipe
    finally:
        root.handlers = old_handlers
        root.setLevel(old_level)
        for logger, noisy_level in zip(noisy, old_noisy_levels, strict=True):
            logger.setLevel(noisy_level)
        pipe.close()
