"""The console's operator side in a real Chromium: figures, instances, outbox, quarantine (P8)."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from tests.interop.console_page import (
    address,
    ask,
    event,
    expect_it_fits,
    expect_state,
    go,
    no_trouble,
    post,
    send,
    ticket,
    until,
)
from tests.interop.test_browser import opened
from tests.support.daemon import Daemon, running
from tests.support.simulator import Evolution, with_evolution
from tests.support.webhooks import INSTANCE, text_message

DESKTOP: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
Office = tuple[Daemon, Evolution]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A daemon whose replies go to a simulated Evolution, and one customer who has written."""
    with with_evolution(tmp_path / "state", OUTBOX__MAX_ATTEMPTS="1") as (daemon, evolution):
        post(daemon, "ONE", "Bom dia!", instance=evolution.instance)
        until(lambda: ask(daemon, "GET", "/v1/tickets")["tickets"] != [])
        yield daemon, evolution


def painted(page: Page) -> list[int]:
    """How many pixels of each chart have the colour of its first line."""
    counts: list[int] = page.evaluate(
        """() => [...document.querySelectorAll("#view-overview figure")].map((figure) => {
            const line = getComputedStyle(figure.querySelector(".swatch-1")).borderTopColor;
            const [r, g, b] = line.match(/\\d+/g).map(Number);
            const canvas = figure.querySelector("canvas");
            if (!canvas) return 0;
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            const isLine = (at) => data[at] === r && data[at + 1] === g && data[at + 2] === b;
            let count = 0;
            for (let at = 0; at < data.length; at += 4) if (data[at + 3] && isLine(at)) count += 1;
            return count;
        })"""
    )
    return counts


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_figures_and_charts_come_alive(daemon: Daemon, size: ViewportSize) -> None:
    """P8: live numbers, drawn charts and health on one page, at every size."""
    with opened(address(daemon, "sonia", "supervisor")) as page, no_trouble(page):
        page.set_viewport_size(size)
        overview = go(page, "overview")
        tile = overview.locator("[data-tile=received] b")
        expect(tile).to_have_text("0")
        expect(overview.locator("[data-tile=connections] b")).to_have_text("1")
        for number in range(5):
            post(daemon, f"M{number}")
        expect(tile).to_have_text("5")
        expect(overview.locator("[data-tile=latency] b")).to_have_text(re.compile(r"^\d.* m?s$"))
        expect(overview.locator("[data-tile=gaps]")).to_contain_text("nothing was lost")
        expect(overview.locator("[data-tile=instances] b")).to_have_text("0 / 1")
        page.wait_for_function(
            """() => document.querySelector("#view-overview .canvas[role=img]")
                .getAttribute("aria-label").match(/in: now \\d+, highest [1-9]/)"""
        )
        counts = painted(page)
        assert len(counts) == 6
        assert counts[0] > 0
        writing = overview.locator("[data-check='journal:commit']")
        expect(writing).to_contain_text("Journal: writing")
        expect(writing).to_contain_text("pass")
        advice = overview.locator("[data-check='evolution:configured'] .advice")
        expect(advice).to_contain_text("set evolution.url")
        expect_it_fits(page)
        page.get_by_label("Time shown").select_option("1440")
        page.wait_for_function(
            """() => !document.querySelector("#view-overview .nothing").checkVisibility()"""
        )


def test_what_is_shown_says_since_when_it_is_stale(daemon: Daemon) -> None:
    """P8: killed, and back: nothing old is passed off as current."""
    post(daemon, "A")
    with opened(address(daemon, "sonia", "supervisor")) as page:
        overview = go(page, "overview")
        expect(overview.locator(".fresh")).to_contain_text("Updated")
        expect_state(page, "Live")
        page.evaluate(
            """() => {
                globalThis.states = [];
                const noted = () => states.push(document.getElementById("state").dataset.state);
                new MutationObserver(noted).observe(document.getElementById("state"), {
                    attributeFilter: ["data-state"],
                });
            }"""
        )
        daemon.kill()
        expect(overview.locator(".stale")).to_have_text(
            re.compile(r"^Stale since \d+:\d\d:\d\d .M: the daemon does not answer$")
        )
        expect(overview.locator(".fresh")).to_be_hidden()
        expect_state(page, re.compile("^Stale since"))
        daemon.start()
        expect(overview.locator(".stale")).to_be_hidden()
        expect(overview.locator(".fresh")).to_contain_text("Updated")
        expect_state(page, "Live")
        seen: list[str] = page.evaluate("states")
        assert [*dict.fromkeys(seen)] == ["stale", "catchingUp", "live"]


def test_a_dead_letter_is_found_and_sent_again(office: Office) -> None:
    """P4: it ends visibly, with its reason, and the operator can have it tried once more."""
    daemon, evolution = office
    (one,) = ask(daemon, "GET", "/v1/tickets")["tickets"]
    evolution.ask(lambda simulator: simulator.misbehave("not-on-whatsapp", count=4))
    path = f"/v1/tickets/{one['id']}/messages"
    lost = ask(daemon, "POST", path, {"content": "Oi?", "op_id": "1"})
    with opened(address(daemon, "sonia", "supervisor")) as page, no_trouble(page):
        page.set_viewport_size(PHONE)
        outbox = go(page, "outbox")
        expect(outbox).to_contain_text("Nothing waits to be sent.")
        outbox.get_by_role("link", name="Dead letters").click()
        row = outbox.locator(f"[data-message='{lost['id']}']")
        expect(row).to_contain_text("given up")
        expect(row.locator(".advice")).to_contain_text("This number is not on WhatsApp.")
        expect(row.locator(".words")).to_have_text(f"{one['contact']['name']}Oi?")
        page.locator("#language").click()
        expect(row.locator(".advice")).to_contain_text("Este número não está no WhatsApp.")
        expect(row.locator(".advice")).not_to_contain_text("This number")
        page.locator("#language").click()
        expect_it_fits(page)
        evolution.ask(lambda simulator: simulator.misbehave("not-on-whatsapp", count=0))
        row.get_by_role("button", name="Try again").click()
        expect(outbox).to_contain_text("No dead letters.")
        page.wait_for_function(
            """async (path) => {
                const token = sessionStorage.getItem("evorelay.token");
                const answer = await fetch(path, { headers: { Authorization: `Bearer ${token}` } });
                const { messages } = await answer.json();
                return ["sent", "delivered", "read"].includes(messages.at(-1).status);
            }""",
            arg=path,
        )
    assert evolution.ask(lambda simulator: [sent.text for sent in simulator.sent()]) == ["Oi?"]


def test_all_dead_letters_are_sent_again_when_asked_twice(office: Office) -> None:
    daemon, evolution = office
    (one,) = ask(daemon, "GET", "/v1/tickets")["tickets"]
    evolution.ask(lambda simulator: simulator.misbehave("not-on-whatsapp", count=9))
    for text in ("um", "dois"):
        path = f"/v1/tickets/{one['id']}/messages"
        ask(daemon, "POST", path, {"content": text, "op_id": text})
    with opened(address(daemon, "sonia", "supervisor")) as page:
        page.goto(f"{daemon.url}/console#/outbox/failed")
        outbox = page.locator("#view-outbox")
        expect(outbox.locator("[data-message]")).to_have_count(2)
        evolution.ask(lambda simulator: simulator.misbehave("not-on-whatsapp", count=0))
        outbox.get_by_role("button", name="Retry all shown").click()
        page.keyboard.press("Escape")  # means no
        expect(page.locator("#confirm")).to_be_hidden()
        expect(outbox.locator("[data-message]")).to_have_count(2)
        outbox.get_by_role("button", name="Retry all shown").click()
        page.locator("#confirm-do").click()
        expect(outbox).to_contain_text("2 of 2 are on their way again.")
        expect(outbox).to_contain_text("No dead letters.")


OLDER = """
from evorelay.model.fact import QuarantineFact
from evorelay.relay import reading
now = reading.normalise
def older(one, **options):
    facts = now(one, **options)
    return [QuarantineFact(reason="bad_data", detail="nobody knows this yet")] if facts else facts
reading.normalise = older
"""
"""A daemon of before an update, which did not understand a message."""


def test_quarantine_is_read_and_replayed(tmp_path: Path) -> None:
    """Nothing that was not understood is lost: after an update it is replayed."""
    older = tmp_path / "older"
    older.mkdir()
    (older / "sitecustomize.py").write_text(OLDER)
    path = {"PYTHONPATH": f"{older}:{Path(__file__).parents[2] / 'daemon'}"}
    with running(tmp_path / "state", path) as daemon:
        send(daemon, text_message("LATE", "Chegou meu pedido?"))
        with opened(address(daemon, "sonia", "supervisor")) as page, no_trouble(page):
            quarantine = go(page, "quarantine")
            row = quarantine.locator("[data-quarantine]")
            expect(row).to_contain_text("data that is not as expected")
            expect(row).to_contain_text("nobody knows this yet")
            row.get_by_role("button", name="Replay").click()
            expect(row).to_contain_text("Still not understood.")
        daemon.terminate()
        daemon.start()
        with opened(address(daemon, "sonia", "supervisor")) as page, no_trouble(page):
            row = go(page, "quarantine").locator("[data-quarantine]")
            row.get_by_role("button", name="Look").click()
            dialog = page.get_by_role("dialog")
            expect(dialog.locator("pre")).to_contain_text('"conversation": "Chegou meu pedido?"')
            dialog.get_by_role("button", name="Try").click()
            expect(dialog).to_contain_text("It would be understood: 3 changes.")
            expect(dialog).to_contain_text("New message")
            dialog.get_by_role("button", name="Replay").click()
            expect(dialog).to_contain_text("Understood now: 3 changes.")
            page.keyboard.press("Escape")
            expect(dialog).to_be_hidden()
            expect(page.locator("#view-quarantine")).to_contain_text("Nothing is in quarantine.")
            page.get_by_label("also what was replayed").check()
            expect(row).to_contain_text("replayed")
            page.locator("#views a[data-view=inbox]").click()
            expect(ticket(page).locator(".preview")).to_have_text("Chegou meu pedido?")


def test_long_lists_come_by_pages(daemon: Daemon) -> None:
    for number in range(60):
        send(daemon, event(f"brand.new.{number}", {}))
    with opened(address(daemon, "sonia", "supervisor")) as page:
        quarantine = go(page, "quarantine")
        rows = quarantine.locator("[data-quarantine]")
        expect(rows).to_have_count(50)
        expect(rows.first).to_contain_text("brand.new.59")
        quarantine.get_by_role("button", name="More").click()
        expect(rows).to_have_count(60)
        expect(rows.last).to_contain_text("brand.new.0")
        expect(quarantine.get_by_role("button", name="More")).to_be_hidden()


def test_an_instance_is_connected_again(office: Office) -> None:
    """One that works only when that was meant."""
    daemon, evolution = office
    with opened(address(daemon, "sonia", "supervisor")) as page, no_trouble(page):
        row = go(page, "instances").locator(f"[data-instance='{evolution.instance}']")
        expect(row.locator(".mark")).to_have_text("connected")
        expect(row).to_contain_text(re.compile("last heard .+ ago"))
        row.get_by_role("button", name="Reconnect").click()
        expect(page.get_by_role("dialog")).to_contain_text("Reconnect it anyway?")
        page.get_by_role("button", name="Cancel").click()
        expect(row.locator(".said")).to_have_count(0)
        row.get_by_role("button", name="Reconnect").click()
        page.locator("#confirm-do").click()
        expect(row.locator(".said")).to_contain_text("Evolution was told to connect it.")


def test_a_code_is_asked_for_and_shown(daemon: Daemon) -> None:
    """Without an Evolution there is none, and the page says so."""
    waiting = {"instance": INSTANCE, "state": "connecting", "statusReason": 200}
    send(daemon, event("connection.update", waiting))
    with opened(address(daemon, "sonia", "supervisor")) as page:
        row = go(page, "instances").locator("[data-instance]")
        row.get_by_role("button", name="QR code").click()
        expect(row.locator(".said")).to_have_text("There is no code to scan now.")
        row.get_by_role("button", name="Reconnect").click()
        expect(row.locator(".said")).to_contain_text("no Evolution is configured")
