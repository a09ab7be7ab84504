"""An existing front end's chat store, run as it was written (``front/chat_store.js``).

It emits and calls the send endpoint for the same text, takes no acks, shows what it sends at once
under an id of its own, and loads everything again whenever it connects.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.interop.console_page import ask, event, post, send
from tests.interop.front.site import Line, line_to, served
from tests.interop.test_browser import opened
from tests.support.daemon import Daemon, token
from tests.support.simulator import Evolution, with_evolution

PHONE = "5531988887777"
SENT_TO_WHATSAPP = "sent"
ACCESS = pytest.mark.parametrize("mode", ["jwt", "open"])
TRANSPORTS = pytest.mark.parametrize(
    "transports", [["websocket", "polling"], ["polling", "websocket"], ["polling"]], ids="-".join
)


class Team:
    """A daemon with one customer, and what it takes to open an agent's screen."""

    def __init__(
        self, daemon: Daemon, evolution: Evolution, line: Line, site: str, mode: str
    ) -> None:
        self.daemon = daemon
        self.evolution = evolution
        self.line = line
        self.site = site
        self._mode = mode
        self._numbers = count(1)

    def customer_says(self, text: str) -> None:
        name = f"C{next(self._numbers)}"
        post(self.daemon, name, text, phone=PHONE, instance=self.evolution.instance)

    @property
    def ticket_id(self) -> str:
        [ticket] = ask(self.daemon, "GET", "/v1/tickets")["tickets"]
        return str(ticket["id"])

    def arrived(self) -> list[str]:
        """Texts that reached WhatsApp."""
        return self.evolution.ask(lambda simulator: [sent.text for sent in simulator.sent()])

    def look(self, page: Page, sub: str, transports: list[str]) -> None:
        """Show an agent the customer's ticket."""
        page.goto(f"{self.site}/chat.html")
        options = {
            "url": self.line.url,
            "token": token(sub, name=sub.title()) if self._mode == "jwt" else None,
            "instance": self.evolution.instance,
            "transports": transports,
        }
        page.evaluate("(options) => start(options)", options)
        page.wait_for_function("store.getState().isConnected")
        page.evaluate("(id) => store.getState().join(id)", self.ticket_id)
        page.wait_for_function("!store.getState().isLoading")

    def write(self, page: Page, text: str, *, is_internal: bool = False) -> None:
        page.evaluate(
            "(args) => store.getState().send(...args)",
            [self.ticket_id, PHONE, text, is_internal],
        )


@contextmanager
def working(state_dir: Path, site: str, mode: str) -> Iterator[Team]:
    settings = {"AUTH__ALLOWED_ORIGINS": site, "AUTH__MODE": mode}
    with with_evolution(state_dir, **settings) as (daemon, evolution), line_to(daemon) as line:
        team = Team(daemon, evolution, line, site, mode)
        team.customer_says("Bom dia!")
        yield team


@pytest.fixture
def site() -> Iterator[str]:
    with served() as origin:
        yield origin


def shown(page: Page) -> Locator:
    return page.locator("#messages > li")


def expect_exactly(page: Page, texts: list[str]) -> None:
    """Each once; WhatsApp's times are whole seconds, so in no order that a test could know."""
    expect(shown(page)).to_have_count(len(texts))
    assert sorted(shown(page).all_text_contents()) == sorted(texts)


def state(page: Page, name: str) -> Any:
    return page.evaluate("(name) => store.getState()[name]", name)


@ACCESS
@TRANSPORTS
def test_a_conversation_looks_the_same_on_every_screen(
    tmp_path: Path, site: str, mode: str, transports: list[str]
) -> None:
    """P2 on the screen: loaded, received, sent, noted; by two paths and once everywhere."""
    with working(tmp_path / "state", site, mode) as team, opened(site) as mine:
        team.look(mine, "ana", transports)
        others = mine.context.new_page()
        team.look(others, "ana", transports)
        customer = "Cliente 7777"
        me = "Ana" if mode == "jwt" else "Atendente"
        expect(shown(mine)).to_have_text([f"{customer}: Bom dia!"])
        team.customer_says("Chegou?")
        expect(shown(others)).to_have_text([f"{customer}: Bom dia!", f"{customer}: Chegou?"])
        team.write(mine, "Chegou sim!")
        team.write(mine, "Cliente antigo", is_internal=True)
        said = [f"{customer}: Bom dia!", f"{customer}: Chegou?"]
        expect(shown(others)).to_have_text(
            [*said, f"{me}: Chegou sim!", f"{me}: Cliente antigo (interna)"]
        )
        expect(shown(mine)).to_have_text(
            [*said, "Atendente: Chegou sim!", "Atendente: Cliente antigo (interna)"]
        )
        expect(shown(mine).nth(2)).to_have_attribute("data-status", SENT_TO_WHATSAPP)
        assert team.arrived() == ["Chegou sim!"]
        assert state(mine, "joinedTickets") == [team.ticket_id]
        assert (state(mine, "unread"), state(others, "unread")) == (1, 1)
        assert (state(mine, "error"), state(others, "error")) == (None, None)


@ACCESS
def test_a_screen_survives_cuts_and_crashes(tmp_path: Path, site: str, mode: str) -> None:
    """P3 on the screen: what was sent and received before, during and after is there, once."""
    with working(tmp_path / "state", site, mode) as team, opened(site) as page:
        team.look(page, "ana", ["websocket", "polling"])
        team.write(page, "Bom dia, tudo bem?")
        team.line.cut()
        page.wait_for_function("!store.getState().isConnected")
        team.customer_says("Tudo!")
        team.line.mend()
        customer, me = "Cliente 7777", "Ana" if mode == "jwt" else "Atendente"
        said = [f"{customer}: Bom dia!", f"{me}: Bom dia, tudo bem?", f"{customer}: Tudo!"]
        expect_exactly(page, said)
        team.daemon.kill()
        page.wait_for_function("!store.getState().isConnected")
        team.daemon.start()
        team.customer_says("E o pedido?")
        expect_exactly(page, [*said, f"{customer}: E o pedido?"])
        page.wait_for_function("!store.getState().isLoading")
        team.write(page, "Saiu hoje")
        expect_exactly(page, [*said, f"{customer}: E o pedido?", "Atendente: Saiu hoje"])
        assert team.arrived() == ["Bom dia, tudo bem?", "Saiu hoje"]


def test_how_the_instance_is_and_what_went_wrong_is_shown(tmp_path: Path, site: str) -> None:
    """``connection-update`` without joining anything, and ``error`` where there is no ack."""
    with working(tmp_path / "state", site, "jwt") as team, opened(site) as page:
        team.look(page, "ana", ["websocket", "polling"])
        instance = team.evolution.instance
        data = {"instance": instance, "state": "connecting", "statusReason": 200}
        send(team.daemon, event("connection.update", data, instance=instance))
        page.wait_for_function("store.getState().instanceState")
        assert state(page, "instanceState") == f"{instance} connecting"
        page.evaluate("store.getState().join('no-such-ticket')")
        page.wait_for_function("store.getState().error")
        assert state(page, "error") == "there is no such ticket"


def test_a_screen_without_a_credential_says_so(tmp_path: Path, site: str) -> None:
    """P7: the old front end, before ``auth`` was added, is let in nowhere but in ``open`` mode."""
    with working(tmp_path / "state", site, "jwt") as team, opened(f"{site}/chat.html") as page:
        page.evaluate("(url) => start({ url })", team.line.url)
        page.wait_for_function("store.getState().error")
        assert (state(page, "error"), state(page, "isConnected")) == ("unauthorized", False)
