"""The SDK in a real Chromium: the Origin header, live events, and a restart of the daemon."""

import json
import shutil
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.interop.node import NODE_MODULES
from tests.support.daemon import Daemon, free_port, running, token
from tests.support.webhooks import INSTANCE, PATH, as_body, text_message

CHROMIUM = shutil.which("chromium")
"""Debian's; where there is none, the browser that playwright installed."""
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
HERE = Path(__file__).parent
PATIENCE_MS = 40_000
FILES = {
    "/": HERE / "page.html",
    "/page.js": HERE / "page.js",
    "/centrifuge.js": NODE_MODULES / "centrifuge" / "dist" / "centrifuge.js",
}


class Pages(SimpleHTTPRequestHandler):
    """Serves the page of the team's own front end, which lives on an origin of its own."""

    def translate_path(self, path: str) -> str:
        return str(FILES.get(path, HERE / "no-such-file"))

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def front_end() -> Iterator[str]:
    """The origin the page is served from."""
    with ThreadingHTTPServer(("127.0.0.1", free_port()), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class OneChromium:
    """Started for the first page of a test file and ended behind its last (conftest.py)."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._browser: Browser | None = None

    def get(self) -> Browser:
        if self._browser is None or not self._browser.is_connected():
            self.end()
            playwright = self._stack.enter_context(sync_playwright())
            self._browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=[*ARGUMENTS], headless=True
            )
            self._stack.callback(self._browser.close)
        return self._browser

    def end(self) -> None:
        self._browser = None
        self._stack.close()


ONE_CHROMIUM = OneChromium()


@contextmanager
def opened(url: str) -> Iterator[Page]:
    """A page of a profile of its own, with whatever it stores; gone afterwards."""
    context = ONE_CHROMIUM.get().new_context()
    try:
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.goto(url)
        yield page
    finally:
        context.close()


def watch(page: Page, daemon: Daemon) -> None:
    """Have the page connect and subscribe."""
    page.evaluate(
        "(options) => watch(options)",
        {"url": daemon.websocket_url, "token": token(), "channel": f"inbox:{INSTANCE}"},
    )


def told(page: Page, event: str, count: int) -> list[dict[str, Any]]:
    """Wait until the SDK told the page an event so often, and return them."""
    page.wait_for_function(
        "([event, count]) => told.filter((t) => t.event === event).length >= count",
        arg=[event, count],
    )
    found: list[dict[str, Any]] = page.evaluate(
        "(event) => JSON.parse(JSON.stringify(told.filter((t) => t.event === event)))", event
    )
    return found


def post(daemon: Daemon, whatsapp_id: str) -> None:
    body = as_body(text_message(whatsapp_id, whatsapp_id))
    with urllib.request.urlopen(f"{daemon.url}{PATH}", body, timeout=30) as reply:
        assert json.load(reply)["received"] is True


def test_a_browser_is_live_and_recovers_from_a_restart(tmp_path: Path, front_end: str) -> None:
    """P3 on the screen: what was posted while the daemon was killed and started again arrives."""
    with (
        running(tmp_path / "state", AUTH__ALLOWED_ORIGINS=front_end) as daemon,
        opened(front_end) as page,
    ):
        watch(page, daemon)
        told(page, "subscribed", 1)
        post(daemon, "LIVE")
        told(page, "publication", 2)
        daemon.kill()
        daemon.start()
        post(daemon, "MISSED-1")
        post(daemon, "MISSED-2")
        again = told(page, "subscribed", 2)[-1]
        assert again["recovered"] is True
        publications = told(page, "publication", 4)
        assert [p["offset"] for p in publications] == [1, 2, 3, 4]
        texts = [
            p["data"]["message"]["content"]
            for p in publications
            if p["data"]["type"] == "message.created"
        ]
        assert texts == ["LIVE", "MISSED-1", "MISSED-2"]


def test_a_page_of_a_foreign_origin_is_refused(daemon: Daemon, front_end: str) -> None:
    """P7: without ``auth.allowed_origins`` only our own origin connects, whatever the token."""
    with opened(front_end) as page:
        with page.expect_event("websocket") as opening:
            watch(page, daemon)
        trouble = opening.value.wait_for_event("socketerror", timeout=PATIENCE_MS)
        assert "403" in trouble
        assert page.evaluate("told.filter((t) => t.event === 'connected')") == []
