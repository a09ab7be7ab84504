"""socket.io-client in a real Chromium, on a page of another origin, and what the README tells it.

P3 and P7 as a browser sees them: both transports, the upgrade, cuts, restarts, ``kill -9``.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.interop.front.site import Line, line_to, served
from tests.interop.test_browser import opened, post
from tests.support.daemon import Daemon, running, token
from tests.support.webhooks import INSTANCE

TRANSPORTS = [["polling"], ["websocket"], ["polling", "websocket"]]
Here = tuple[Daemon, Line, Page]


@pytest.fixture
def site() -> Iterator[str]:
    with served() as origin:
        yield origin


@pytest.fixture
def here(tmp_path: Path, site: str) -> Iterator[Here]:
    """A daemon, the line to it, and a page of an allowed origin that has connected to nothing."""
    with (
        running(tmp_path / "state", AUTH__ALLOWED_ORIGINS=site) as daemon,
        line_to(daemon) as line,
        opened(f"{site}/client.html") as page,
    ):
        yield daemon, line, page


def connect(page: Page, url: str, transports: list[str]) -> None:
    options = {"transports": transports, "auth": {"token": token()}}
    page.evaluate("([url, options]) => open(url, options)", [url, options])


def told(page: Page, name: str, count: int = 1) -> list[Any]:
    """Wait until the page was told an event so often, and return what they carried."""
    page.wait_for_function(
        "([name, count]) => told.filter((t) => t.name === name).length >= count",
        arg=[name, count],
    )
    found: list[Any] = page.evaluate(
        "(name) => JSON.parse(JSON.stringify(told.filter((t) => t.name === name)))", name
    )
    return [one.get("value") for one in found]


def ask(page: Page, name: str, value: Any) -> Any:
    return page.evaluate("([name, value]) => ask(name, value)", [name, value])


def heard(page: Page, count: int) -> list[str]:
    return [message["content"] for message in told(page, "new-message", count)]


@pytest.mark.parametrize("transports", TRANSPORTS, ids="-".join)
def test_a_page_of_an_allowed_origin_comes_back_to_what_it_missed(
    here: Here, transports: list[str]
) -> None:
    """P3 over both transports and the upgrade: a cut, a restart, a crash; each message once."""
    daemon, line, page = here
    connect(page, line.url, transports)
    assert ask(page, "join-inbox", INSTANCE)["ok"] is True
    if len(transports) == 2:
        assert told(page, "upgrade") == ["websocket"]
    assert page.evaluate("transport()") == transports[-1]
    post(daemon, "LIVE")
    heard(page, 1)
    line.cut()
    told(page, "disconnect", 1)
    post(daemon, "DURING-THE-CUT")
    line.mend()
    heard(page, 2)
    assert daemon.terminate() == 0
    told(page, "disconnect", 2)
    daemon.start()
    post(daemon, "AFTER-THE-RESTART")
    heard(page, 3)
    daemon.kill()
    told(page, "disconnect", 3)
    daemon.start()
    post(daemon, "AFTER-THE-CRASH")
    heard(page, 4)
    connects = told(page, "connect", 4)
    assert [one["recovered"] for one in connects] == [False, True, True, True]
    assert len({one["id"] for one in connects}) == 1
    assert ask(page, "join-inbox", INSTANCE)["ok"] is True
    assert heard(page, 4) == ["LIVE", "DURING-THE-CUT", "AFTER-THE-RESTART", "AFTER-THE-CRASH"]


@pytest.mark.parametrize("transports", TRANSPORTS[:2], ids="-".join)
def test_a_page_of_a_foreign_origin_is_told_of_an_error(
    daemon: Daemon, site: str, transports: list[str]
) -> None:
    """P7: without ``auth.allowed_origins`` no page but our own connects, whatever the token."""
    with opened(f"{site}/client.html") as page:
        connect(page, daemon.url, transports)
        told(page, "connect_error", 2)
        assert page.evaluate("told.filter((t) => t.name === 'connect')") == []
    assert "auth.allowed_origins" in daemon.log()
