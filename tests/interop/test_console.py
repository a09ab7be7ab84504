"""The console in a real Chromium: signed in by its address, live, honest about its freshness."""

import base64
import json
import re
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from evorelay.simulator.media import Media, invoice, photo, voice_note
from tests.interop.test_browser import PATIENCE_MS, opened
from tests.support.daemon import Daemon, running, token
from tests.support.webhooks import INSTANCE, PATH, as_body, text_message

expect.set_options(timeout=PATIENCE_MS)


def address(daemon: Daemon) -> str:
    """What ``evorelay urls`` prints: the token is in the fragment, which is sent to nobody."""
    return f"{daemon.url}/console#token={token()}"


def post(daemon: Daemon, whatsapp_id: str, text: str = "", **fields: Any) -> None:
    send(daemon, text_message(whatsapp_id, text or whatsapp_id, **fields))


def send(daemon: Daemon, webhook: dict[str, Any]) -> None:
    with urllib.request.urlopen(f"{daemon.url}{PATH}", as_body(webhook), timeout=10) as reply:
        assert json.load(reply)["received"] is True


def with_file(whatsapp_id: str, media: Media) -> dict[str, Any]:
    """A customer's message with a file inside the webhook, as ``webhookBase64`` has Evolution."""
    webhook = text_message(whatsapp_id, "")
    kind = f"{media.kind}Message"
    content = {"mimetype": media.mimetype, "fileName": media.filename}
    encoded = base64.b64encode(media.content).decode()
    webhook["data"].update(message={kind: content, "base64": encoded}, messageType=kind)
    return webhook


def ticket(page: Page, name: str = "Cliente 7777") -> Any:
    return page.locator("#ticket-list button", has_text=name)


def expect_state(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.locator("#state")).to_have_text(text)


def test_an_agent_reads_along_through_a_restart(daemon: Daemon) -> None:
    """P3 on the screen: nothing is missing or there twice after the daemon was killed."""
    post(daemon, "ONE", "Bom dia!")
    with opened(address(daemon)) as page:
        expect_state(page, "Live")
        assert "token" not in page.url
        expect(ticket(page).locator(".preview")).to_have_text("Bom dia!")
        ticket(page).click()
        shown = page.locator("#messages .text")
        expect(shown).to_have_text(["Bom dia!"])
        post(daemon, "TWO", "<b>Tem em azul?</b>")
        expect(shown).to_have_text(["Bom dia!", "<b>Tem em azul?</b>"])
        expect(ticket(page).locator(".preview")).to_have_text("<b>Tem em azul?</b>")
        daemon.kill()
        expect_state(page, re.compile("^Not connected. What you see is from"))
        daemon.start()
        post(daemon, "THREE", "Alô?")
        expect(shown).to_have_text(["Bom dia!", "<b>Tem em azul?</b>", "Alô?"])
        expect_state(page, "Live")
        page.reload()
        expect(ticket(page).locator(".preview")).to_have_text("Alô?")


def test_what_somebody_reads_is_unread_for_nobody(daemon: Daemon) -> None:
    post(daemon, "A")
    with opened(address(daemon)) as page:
        expect(ticket(page).locator(".unread")).to_have_text("1")
        post(daemon, "B")
        expect(ticket(page).locator(".unread")).to_have_text("2")
        with page.context.new_page() as other:
            other.goto(address(daemon))
            expect(ticket(other).locator(".unread")).to_have_text("2")
            ticket(other).click()
            expect(ticket(other).locator(".unread")).to_be_hidden()
            expect(ticket(page).locator(".unread")).to_be_hidden()
            post(daemon, "C", "while it is open")
            expect(other.locator("#messages .text").last).to_have_text("while it is open")
            expect(ticket(page).locator(".preview")).to_have_text("while it is open")
            expect(ticket(page).locator(".unread")).to_be_hidden()


def test_files_are_seen_heard_and_saved(daemon: Daemon, tmp_path: Path) -> None:
    """Fetched with the credential, shown under the strict policy (P7), let go when left."""
    document = invoice(7)
    for whatsapp_id, media in (("I", photo(9)), ("A", voice_note(2)), ("D", document)):
        send(daemon, with_file(whatsapp_id, media))
    with opened(address(daemon)) as page:
        troubles: list[str] = []
        page.on("console", lambda line: troubles.append(line.text))
        ticket(page).click()
        picture = page.locator("#messages img")
        expect(picture).to_have_attribute("src", re.compile("^blob:"))
        expect(picture).to_have_js_property("naturalWidth", 48)
        expect(page.locator("#messages audio")).to_have_js_property("readyState", 4)
        expect(page.locator("#messages .text")).to_have_count(0)
        with page.expect_download() as saved:
            page.locator("#messages .download").click()
        assert saved.value.suggested_filename == "nota-7.pdf"
        saved.value.save_as(tmp_path / "saved")
        assert (tmp_path / "saved").read_bytes() == document.content
        assert troubles == []
        url = picture.get_attribute("src")
        send(daemon, text_message("X", "other", phone="5531900001111"))
        ticket(page, "Cliente 1111").click()
        gone = page.evaluate("(url) => fetch(url).then(() => false, () => true)", url)
        assert gone is True


def test_a_group_and_another_year_can_be_told(daemon: Daemon) -> None:
    group = text_message("G", "Bom dia, grupo", sent_at=1_600_000_000)
    group["data"]["key"].update(
        remoteJid="120363041234567890@g.us", participant="5531988887777@s.whatsapp.net"
    )
    send(daemon, group)
    with opened(address(daemon)) as page:
        expect(ticket(page, "Group 1203…7890").locator("time")).to_contain_text("2020")
        page.get_by_role("button", name="Português").click()
        expect(ticket(page, "Grupo 1203…7890").locator("time")).to_contain_text("2020")


def test_a_few_instances_are_a_row_and_many_a_summary(daemon: Daemon) -> None:
    post(daemon, "M")
    with opened(address(daemon)) as page:
        listed = page.locator("#instances li")
        expect(listed).to_have_text([f"{INSTANCE} no state reported"])
        page.set_viewport_size({"width": 375, "height": 700})
        expect(listed).to_be_hidden()
        expect(page.locator("#instances-summary")).to_have_text("1 instance")
        for number in range(7):
            post(daemon, f"M{number}", instance=f"loja-{number}")
        closed = text_message("", "", instance="loja-3")
        closed |= {
            "event": "connection.update",
            "data": {"instance": "loja-3", "state": "close", "statusReason": 428},
        }
        send(daemon, closed)
        page.set_viewport_size({"width": 1280, "height": 800})
        page.reload()
        page.get_by_role("button", name="8 instances, 1 disconnected").click()
        expect(listed.first).to_have_text("loja-3 disconnected")
        expect(listed).to_have_count(8)
        page.keyboard.press("Escape")
        expect(listed.first).to_be_hidden()


def test_a_console_whose_address_is_not_allowed_says_so(tmp_path: Path) -> None:
    """A browser tells the page nothing but that it failed; the operator has to learn why."""
    with (
        running(tmp_path / "state", AUTH__ALLOWED_ORIGINS="https://desk.example") as daemon,
        opened(address(daemon)) as page,
    ):
        expect_state(page, re.compile(r"not in auth\.allowed_origins.*" + re.escape(daemon.url)))
