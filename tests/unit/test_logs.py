"""The log pipe: what a line looks like, and that logging never blocks, breaks or tells."""

import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.telemetry import logs
from evorelay.telemetry.logs import LogPipe, open_logging

log = logging.getLogger("evorelay.test")


class LogFile:
    """Where a test's log goes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text().splitlines()]


@pytest.fixture
def file(tmp_path: Path) -> Iterator[LogFile]:
    log_file = LogFile(tmp_path / "log")
    yield log_file
    os.close(log_file.fd)


def test_a_json_line_has_time_level_logger_message_and_fields(file: LogFile) -> None:
    with open_logging(fd=file.fd):
        log.info("accepted %d of %s", 2, "vendas", extra={"seq": 7, "instance": "vendas"})
    (line,) = file.lines()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("ts"))
    assert line == {
        "level": "info",
        "logger": "evorelay.test",
        "msg": "accepted 2 of vendas",
        "seq": 7,
        "instance": "vendas",
    }


def test_a_console_line_reads_well(file: LogFile) -> None:
    with open_logging(fd=file.fd, format="console"):
        log.warning("parked", extra={"instance": "vendas", "reason": "two words", "tries": 3})
    assert re.fullmatch(
        r'\d\d:\d\d:\d\d\.\d{3} WARNING parked  instance=vendas  reason="two words"  tries=3'
        r"  \(evorelay\.test\)\n",
        file.path.read_text(),
    )


def stream_of(file: LogFile) -> dict[str, str]:
    """The environment by which systemd says that this file is the journal."""
    found = os.fstat(file.fd)
    return {"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}


def test_in_the_journal_each_line_has_its_priority_and_no_time_of_its_own(file: LogFile) -> None:
    """P8: ``journalctl -p err`` shows errors, all lines of a traceback with them."""
    with open_logging(fd=file.fd, environ=stream_of(file), level="debug"):
        log.debug("d")
        log.info("accepted", extra={"seq": 7})
        log.warning("w")
        try:
            raise ValueError("no")
        except ValueError:
            log.exception("failed")
        log.critical("c")
        log.log(35, "of a level without a name")
    lines = file.path.read_text().splitlines()
    assert lines[:4] == [
        "<7>d  (evorelay.test)",
        "<6>accepted  seq=7  (evorelay.test)",
        "<4>w  (evorelay.test)",
        "<3>failed  (evorelay.test)",
    ]
    assert lines[-3:] == [
        "<3>    ValueError: no",
        "<2>c  (evorelay.test)",
        "<6>of a level without a name  (evorelay.test)",
    ]
    assert all(line.startswith("<3>    ") for line in lines[4:-2])


def test_json_in_the_journal_has_its_priority_too(file: LogFile) -> None:
    with open_logging(fd=file.fd, environ=stream_of(file), format="json"):
        log.error("failed")
    prefix, line = file.path.read_text()[:3], file.path.read_text()[3:]
    assert prefix == "<3>"
    assert json.loads(line)["msg"] == "failed"


@pytest.mark.parametrize("stream", ["1:2", "", "x", "3"])
def test_a_journal_that_is_not_our_stderr_changes_nothing(file: LogFile, stream: str) -> None:
    """Whoever is started from a service inherits its JOURNAL_STREAM."""
    with open_logging(fd=file.fd, environ={"JOURNAL_STREAM": stream}):
        log.info("as ever")
    assert file.lines()[0]["msg"] == "as ever"


def test_a_traceback_is_one_json_field_without_secrets(file: LogFile) -> None:
    """P7: exception text is redacted too."""
    with open_logging(fd=file.fd, secrets=["hush-hush-hush"]):
        try:
            raise ValueError("no: hush-hush-hush, apikey=B6D711FC, 5511987654321")
        except ValueError:
            log.exception("failed for %s", "hush-hush-hush")
    (line,) = file.lines()
    assert line["msg"] == "failed for [redacted]"
    assert "ValueError: no: [redacted], apikey=[redacted], 5511…21" in line["exc"].splitlines()


def test_a_traceback_cannot_pass_for_a_line_of_the_console(file: LogFile) -> None:
    with open_logging(fd=file.fd, format="console"):
        try:
            raise ValueError("x\n12:00:00.000 INFO    all is well")
        except ValueError:
            log.exception("failed")
    first, *rest = file.path.read_text().splitlines()
    assert "failed" in first
    assert all(line.startswith("    ") for line in rest)


def test_an_extra_field_cannot_replace_ours(file: LogFile) -> None:
    with open_logging(fd=file.fd):
        log.info("true", extra={"level": "error", "ts": "never", "logger": "root"})
    (line,) = file.lines()
    assert (line["level"], line["logger"], line["msg"]) == ("info", "evorelay.test", "true")
    assert line["ts"] != "never"


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.text(), anything, st.text(), st.text())
def test_whatever_is_logged_is_one_line_of_json_without_the_secret(
    message: str, value: Any, before: str, after: str
) -> None:
    """P7, through the same door every log call uses."""
    secret = "QWXYZ-planted-QWXYZ"
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as read_end:
        try:
            with open_logging(fd=writer, secrets=[secret]):
                extra = {"value": [value, {before + secret + after: before + secret}]}
                log.info("%s%s", message + secret, value, extra=extra)
        finally:
            os.close(writer)
        raw = read_end.read()
    assert secret.encode() not in raw
    assert raw.endswith(b"\n")
    assert raw.count(b"\n") == 1
    assert json.loads(raw)["level"] == "info"


def test_a_wrong_log_call_is_reported_without_its_arguments(
    file: LogFile, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_logging(fd=file.fd):
        log.info("%d", "hush-hush-hush")
    (line,) = file.lines()
    assert line["level"] == "error"
    assert line["where"].startswith(__file__)
    assert "hush" not in file.path.read_text()
    assert capsys.readouterr().err == ""


def test_levels_and_loud_libraries(file: LogFile) -> None:
    with open_logging(fd=file.fd, level="info"):
        log.debug("hidden")
        logging.getLogger("httpx").info("GET https://host/?apikey=x")
        logging.getLogger("httpx").warning("shown")
    assert [line["msg"] for line in file.lines()] == ["shown"]


def test_leaving_puts_everything_back(file: LogFile) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.getLogger("httpx").level
    with open_logging(fd=file.fd, level="debug"):
        assert root.handlers != before[0]
    assert (root.handlers, root.level, logging.getLogger("httpx").level) == before


def test_an_unread_pipe_blocks_no_log_call_and_drops_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P5 and P8: a reader that stopped reading costs records, never the event loop."""
    monkeypatch.setattr(logs, "FLUSH_S", 0.05)
    reader, writer = os.pipe()
    pipe: LogPipe
    with open_logging(fd=writer, records_max=10) as pipe:
        for _ in range(500):
            log.info("x" * 1000)  # 500 kB into a pipe of 64 KiB and a queue of 10
        assert pipe.dropped > 300
    # The reader comes back: the rest arrives, and with it the news of what was lost.
    pieces: list[bytes] = []
    done = threading.Event()

    def read() -> None:
        while b"dropped" not in b"".join(pieces[-2:]):
            pieces.append(os.read(reader, 65536))
        done.set()

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    assert done.wait(10)
    thread.join(10)
    os.close(reader)
    os.close(writer)


def test_a_closed_pipe_is_counted_and_harms_nobody() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open_logging(fd=writer) as pipe:
        log.info("nobody reads this")
    assert pipe.dropped == 1
    os.close(writer)


STUCK = """
import logging, os
from evorelay.telemetry import logs
logs.FLUSH_S = 0.05
with logs.open_logging(fd=2):
    for _ in range(200):
        logging.info("x" * 1000)
"""


def test_a_process_with_an_unread_stderr_still_exits_cleanly() -> None:
    reader, writer = os.pipe()
    try:
        child = subprocess.run(
            [sys.executable, "-c", STUCK], stderr=writer, timeout=30, check=False
        )
    finally:
        os.close(writer)
        os.close(reader)
    assert child.returncode == 0
