"""The console, shown whatever anybody can send: it says it as text, and keeps its shape."""

import json
from pathlib import Path

from playwright.sync_api import expect

from tests.interop.console_page import (
    address,
    ago,
    bubbles,
    expect_it_fits,
    expect_state,
    of_group,
    reaction,
    send,
    ticket,
)
from tests.interop.test_browser import opened
from tests.support.daemon import Daemon
from tests.support.webhooks import INSTANCE, text_message

FIXTURES = sorted((Path(__file__).parents[1] / "fixtures" / "webhooks").glob("*.json"))
TURNED = "\u202eoirartnoc oa"
"""What follows this in a careless page is written from right to left."""


def test_every_body_ever_captured_is_shown_without_a_fault(daemon: Daemon) -> None:
    for fixture in FIXTURES:
        send(daemon, json.loads(fixture.read_text())["body"])
    with opened(address(daemon)) as page:
        troubles: list[str] = []
        page.on("console", lambda line: troubles.append(line.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.get_by_label("Show").select_option("")
        lines = page.locator("#ticket-list button")
        expect(lines.nth(3)).to_be_visible()
        for line in lines.all():
            line.click()
            expect(line).to_have_attribute("aria-current", "true")
            expect_state(page, "Live")
            expect(bubbles(page).first).to_be_attached()
            expect_it_fits(page)
        assert troubles == []


def test_hostile_names_and_texts_stay_what_they_are(daemon: Daemon) -> None:
    """P7: text, not markup; nothing beside it is turned around; the layout holds on a phone."""
    markup = '<img src=x onerror="document.title=1">'
    people = {
        "5531900000001": f"{markup}{TURNED}",
        "5531900000002": "😀" * 10_000,
        "5531900000003": "a" * 10_000,
    }
    for phone, name in people.items():
        webhook = text_message(phone, f"{name[:9000]} {TURNED}\nfim", phone=phone)
        webhook["data"]["pushName"] = name
        send(daemon, webhook)
        group = of_group(text_message("G" + phone, name))
        group["data"]["key"]["participant"] = f"{phone}@s.whatsapp.net"
        group["data"]["pushName"] = name
        send(daemon, group)
        send(daemon, reaction(phone, name[:500], ago(1), remoteJid=f"{phone}@s.whatsapp.net"))
    with opened(address(daemon)) as page:
        troubles: list[str] = []
        page.on("console", lambda line: troubles.append(line.text))
        for width in (1280, 375):
            page.set_viewport_size({"width": width, "height": 700})
            for name in ("<img src=x", "😀😀😀", "aaaa", "Grupo"):
                if page.locator("#back").is_visible():
                    page.locator("#back").click()
                expect(page.locator("#ticket-list .name")).to_have_count(4)
                expect_it_fits(page)
                ticket(page, name).first.click()
                expect(bubbles(page).first).to_be_visible()
                expect_it_fits(page)
                about = page.locator("#about").bounding_box()
                assert about is not None
                assert about["height"] < 200
        assert page.title() == "EvoRelay"
        assert troubles == []
        shown = ticket(page, "<img src=x").locator(".name")
        expect(shown).to_contain_text(markup)
        expect(shown).to_have_css("display", "block")
        assert page.locator("#messages img, #ticket-list img").count() == 0
        expect(page.locator("#instances")).to_contain_text(INSTANCE)
