"""The console in a real Chromium: signed in by its address, live, honest about its freshness."""

import re
from base64 import b64encode
from pathlib import Path
from typing import Any

from playwright.sync_api import expect

from evorelay.simulator.media import invoice, photo, voice_note
from tests.interop.console_page import (
    address,
    event,
    expect_state,
    of_group,
    post,
    send,
    ticket,
    with_file,
)
from tests.interop.test_browser import opened
from tests.support.daemon import Daemon, running
from tests.support.webhooks import INSTANCE, text_message


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
        expect_state(page, re.compile("^Stale since .+ Reconnecting…$"))
        daemon.start()
        post(daemon, "THREE", "Alô?")
        expect(shown).to_have_text(["Bom dia!", "<b>Tem em azul?</b>", "Alô?"])
        expect_state(page, "Live")
        page.reload()
        expect(ticket(page).locator(".preview")).to_have_text("Alô?")


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
    send(daemon, of_group(text_message("G", "Bom dia, grupo", sent_at=1_600_000_000)))
    with opened(address(daemon)) as page:
        expect(ticket(page, "Grupo …7890").locator("time")).to_contain_text("2020")
        page.get_by_role("button", name="Português").click()
        expect(ticket(page, "Grupo …7890").locator(".wait")).to_contain_text("esperando há")


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
        state = {"instance": "loja-3", "state": "close", "statusReason": 401}
        send(daemon, event("connection.update", state, instance="loja-3"))
        page.set_viewport_size({"width": 1280, "height": 800})
        page.reload()
        page.get_by_role("button", name="8 instances, 1 disconnected").click()
        expect(listed.first).to_have_text(
            re.compile("^loja-3 disconnected since .+: the phone ended the session$")
        )
        expect(listed).to_have_count(8)
        page.keyboard.press("Escape")
        expect(listed.first).to_be_hidden()


def test_an_instance_is_linked_to_a_phone(daemon: Daemon) -> None:
    """Its code is a picture under the strict policy (P7), renewed in place, gone when linked."""
    codes = [
        f"data:image/png;base64,{b64encode(photo(shade).content).decode()}" for shade in (0, 64)
    ]
    waiting = {"instance": INSTANCE, "state": "connecting", "statusReason": 200}
    send(daemon, event("connection.update", waiting))
    with opened(address(daemon)) as page:
        listed = page.locator("#instances li")
        expect(listed).to_contain_text("connecting since")
        send(daemon, qrcode(codes[0]))
        page.get_by_role("button", name="QR code").click()
        picture = page.get_by_role("dialog").locator("img")
        expect(picture).to_have_attribute("src", codes[0])
        expect(picture).to_have_js_property("naturalWidth", 48)
        expect(page.get_by_role("dialog")).to_contain_text("ABCD1234")
        send(daemon, qrcode(codes[1]))
        expect(picture).to_have_attribute("src", codes[1])
        send(daemon, event("connection.update", waiting | {"state": "open"}))
        expect(page.get_by_role("dialog")).to_be_hidden()
        expect(listed).to_contain_text("connected since")
        expect(page.get_by_role("button", name="QR code")).to_be_hidden()


def qrcode(image: str) -> dict[str, Any]:
    code = {"instance": INSTANCE, "pairingCode": "ABCD1234", "code": "2@X", "base64": image}
    return event("qrcode.updated", {"qrcode": code})


def test_a_console_whose_address_is_not_allowed_says_so(tmp_path: Path) -> None:
    """A browser tells the page nothing but that it failed; the operator has to learn why."""
    with (
        running(tmp_path / "state", AUTH__ALLOWED_ORIGINS="https://desk.example") as daemon,
        opened(address(daemon)) as page,
    ):
        expect_state(page, re.compile(r"not in auth\.allowed_origins.*" + re.escape(daemon.url)))
