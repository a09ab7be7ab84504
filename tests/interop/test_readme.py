"""What README.md tells front ends to write, run as it stands there; React in StrictMode."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Locator, Page, expect

from tests.interop.console_page import ask, post
from tests.interop.front.readme import snippet_with, snippets
from tests.interop.front.site import Line, line_to, served
from tests.interop.node import NODE_MODULES
from tests.interop.test_browser import opened
from tests.support.daemon import Daemon, free_port, token
from tests.support.simulator import Evolution, with_evolution

RELAY = "https://relay.example.com"
PHONE, ANOTHER_PHONE = "5531988887777", "5531988886666"
FAST = """(() => {
  const real = window.setTimeout;
  window.waits = [];
  window.setTimeout = (work, ms, ...rest) => {
    waits.push(ms);
    return real(work, ms / 20, ...rest);
  };
})()"""


def site_for(url: str) -> dict[str, str]:
    """The README's files, the address of the daemon put in."""
    found = snippets()
    assert f"'{RELAY}'" in found["relay.js"]
    found["relay.js"] = found["relay.js"].replace(RELAY, url)
    assert "EVERY_MS = 5000" in found["useConnection.js"]
    found["useConnection.js"] = found["useConnection.js"].replace("= 5000", "= 500")
    return {f"/{name}": code for name, code in found.items()}


class Desk:
    def __init__(self, daemon: Daemon, evolution: Evolution, line: Line) -> None:
        self.daemon = daemon
        self.evolution = evolution
        self.line = line

    def customer_says(self, text: str, phone: str = PHONE) -> None:
        post(self.daemon, text.replace(" ", "-"), text, phone=phone, instance=self.instance)

    @property
    def instance(self) -> str:
        return self.evolution.instance

    def ticket_of(self, phone: str = PHONE) -> str:
        tickets = ask(self.daemon, "GET", "/v1/tickets")["tickets"]
        [found] = [one["id"] for one in tickets if one["contact"]["phone"] == phone]
        return str(found)

    def arrived(self) -> list[str]:
        """Texts that reached WhatsApp."""
        return self.evolution.ask(lambda simulator: [sent.text for sent in simulator.sent()])


@contextmanager
def at_work(state_dir: Path) -> Iterator[tuple[Desk, Page]]:
    """A daemon with one customer, and a page that is connected and shows nothing yet."""
    files: dict[str, str] = {}
    with (
        served(files) as site,
        with_evolution(state_dir, AUTH__ALLOWED_ORIGINS=site) as (daemon, evolution),
        line_to(daemon) as line,
        opened("about:blank") as page,
    ):
        files |= site_for(line.url)
        desk = Desk(daemon, evolution, line)
        desk.customer_says("um")
        page.add_init_script(f"window.accessToken = {token()!r}")
        page.goto(f"{site}/hook.html")
        expect(status(page)).to_have_text("online")
        yield desk, page


def status(page: Page) -> Locator:
    return page.locator("#status")


def messages(page: Page) -> Locator:
    return page.locator("li")


def show(page: Page, ticket_id: str | None) -> None:
    page.evaluate("(id) => show(id)", ticket_id)


def expect_texts(page: Page, *texts: str) -> None:
    """Each once; WhatsApp's times are whole seconds, so in no order that a test could know."""
    expect(messages(page)).to_have_count(len(texts))
    assert sorted(messages(page).all_text_contents()) == sorted(texts)


def test_a_ticket_is_live_and_is_answered(tmp_path: Path) -> None:
    """Loaded, received, sent and followed to WhatsApp; each message once, in StrictMode, too."""
    with at_work(tmp_path / "state") as (desk, page):
        show(page, desk.ticket_of())
        expect_texts(page, "um")
        desk.customer_says("dois")
        expect_texts(page, "um", "dois")
        page.evaluate("send('resposta')")
        expect_texts(page, "um", "dois", "resposta")
        answer = page.locator("li", has_text="resposta")
        expect(answer).to_have_attribute("data-status", "sent")
        assert desk.arrived() == ["resposta"]
        assert page.evaluate("told") == ["connected"]


def test_what_happened_during_a_cut_and_a_crash_is_on_the_screen(tmp_path: Path) -> None:
    """P3 with the hook as it is; what is written meanwhile goes out once (P4)."""
    with at_work(tmp_path / "state") as (desk, page):
        show(page, desk.ticket_of())
        expect_texts(page, "um")
        desk.line.cut()
        expect(status(page)).not_to_have_text("online")
        page.evaluate("window.sending = send('escrita sem linha'); null")
        desk.customer_says("dois")
        desk.line.mend()
        expect_texts(page, "um", "dois", "escrita sem linha")
        page.evaluate("sending")
        desk.daemon.kill()
        expect(status(page)).to_have_text("server down")
        desk.daemon.start()
        desk.customer_says("tres")
        expect_texts(page, "um", "dois", "tres", "escrita sem linha")
        assert desk.arrived() == ["escrita sem linha"]
        assert [one for one in page.evaluate("told") if "ed" in one] == [
            "connected",
            "recovered",
            "recovered",
        ]


def test_another_ticket_shows_its_own_messages_and_none_leaves_nothing_behind(
    tmp_path: Path,
) -> None:
    with at_work(tmp_path / "state") as (desk, page):
        desk.customer_says("outra pessoa", ANOTHER_PHONE)
        show(page, desk.ticket_of())
        expect_texts(page, "um")
        listeners = "socket.listeners('new-message').length"
        assert page.evaluate(listeners) == 1
        show(page, desk.ticket_of(ANOTHER_PHONE))
        expect_texts(page, "outra pessoa")
        desk.customer_says("dois")
        desk.customer_says("outra vez", ANOTHER_PHONE)
        expect_texts(page, "outra pessoa", "outra vez")
        show(page, None)
        page.wait_for_function(f"{listeners} === 0")
        page.evaluate("(id) => socket.emitWithAck('typing', id)", desk.ticket_of())
        assert ask(desk.daemon, "GET", "/webhook/ws-stats")["activeTickets"] == 0


def test_a_refused_command_is_the_callers_to_show(tmp_path: Path) -> None:
    with at_work(tmp_path / "state") as (_, page):
        show(page, "no-such-ticket")
        page.wait_for_function("told.includes('there is no such ticket')")
        said = page.evaluate("send('para quem?').catch((error) => error.message)")
        assert said == "there is no such ticket"


def test_the_status_tells_whose_fault_it_is(tmp_path: Path) -> None:
    with at_work(tmp_path / "state") as (desk, page):
        desk.daemon.kill()
        expect(status(page)).to_have_text("server down")
        page.context.set_offline(True)
        expect(status(page)).to_have_text("offline")
        page.context.set_offline(False)
        desk.daemon.start()
        expect(status(page)).to_have_text("online")


def test_attempts_begin_after_a_second_and_grow_by_half() -> None:
    """The README's back-off, with 30 % of chance about each wait."""
    nobody = f"http://127.0.0.1:{free_port()}"
    with served(site_for(nobody)) as site, opened("about:blank") as page:
        page.add_init_script(FAST)
        page.goto(f"{site}/hook.html")
        expected = [min(1000 * 1.5**n, 30_000) for n in range(10)]
        # The library's other timers: 20 s for an attempt; React's and the hook's are shorter.
        taken = "waits.filter((ms) => ms >= 700 && ms !== 20000)"
        page.wait_for_function(f"{taken}.length >= {len(expected)}")
        waits = page.evaluate(taken)[: len(expected)]
        for waited, wanted in zip(waits, expected, strict=True):
            assert wanted * 0.69 <= waited <= min(wanted * 1.31, 30_000)


def test_a_refused_token_is_not_the_end(tmp_path: Path) -> None:
    """Every attempt asks for the session anew, and goes on by itself once there is a good one."""
    with at_work(tmp_path / "state") as (_, page):
        page.add_init_script(f"{FAST}; window.accessToken = {token(ttl=-60)!r}")
        page.reload()
        expect(status(page)).to_have_text("signed out")
        page.evaluate("(token) => { accessToken = token }", token())
        expect(status(page)).to_have_text("online")
        assert page.evaluate("told") == ["unauthorized", "connected"]
        assert page.evaluate("askedForSession") == 2
        assert page.evaluate("waits.includes(30000)")


def test_the_centrifuge_client_prints_what_is_there_and_what_comes(
    daemon: Daemon, tmp_path: Path
) -> None:
    """In Node, as its first line says."""
    post(daemon, "UM", "um")
    code = snippet_with("import { Centrifuge }")
    assert code.count("127.0.0.1:4000") == 1
    script = tmp_path / "watch.mjs"
    script.write_text(code.replace("127.0.0.1:4000", f"{daemon.host}:{daemon.port}"))
    (tmp_path / "node_modules").symlink_to(NODE_MODULES)
    with subprocess.Popen(["node", script, token()], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "Cliente 7777 | um\n"
            post(daemon, "DOIS", "dois")
            assert process.stdout.readline() == "Cliente 7777 > dois\n"
        finally:
            process.kill()
