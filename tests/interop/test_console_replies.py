"""The console writes: replies, notes, files, reactions, and what becomes of them (P4)."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from evorelay.simulator.media import photo
from tests.interop.console_page import (
    address,
    bubbles,
    expect_state,
    message,
    post,
    send,
    ticket,
)
from tests.interop.test_browser import opened
from tests.support.daemon import Daemon
from tests.support.simulator import Evolution, with_evolution

PHONE = "5531988887777"
Office = tuple[Daemon, Evolution]


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A daemon, its Evolution, and a customer who has just written."""
    with with_evolution(tmp_path / "state") as (daemon, evolution):
        post(daemon, "ONE", "Bom dia!", instance=evolution.instance)
        yield daemon, evolution


def write(page: Page, text: str) -> None:
    page.locator("#text").fill(text)
    page.locator("#text").press("Enter")


def own(page: Page) -> Locator:
    return page.locator("#messages > .out")


def texts_sent(evolution: Evolution) -> list[str]:
    return evolution.ask(lambda simulator: [sent.text for sent in simulator.sent()])


def test_a_reply_is_written_with_the_keyboard_and_followed_to_its_reader(office: Office) -> None:
    daemon, evolution = office
    with opened(address(daemon)) as page:
        troubles: list[str] = []
        page.on("console", lambda line: troubles.append(line.text))
        ticket(page).click()
        text = page.get_by_role("textbox", name="Write a reply")
        text.press_sequentially("Oi,")
        text.press("Shift+Enter")
        text.press_sequentially("<b>tudo</b> bem?")
        text.press("Enter")
        expect(text).to_have_value("")
        expect(text).to_be_focused()
        expect(own(page).locator(".text")).to_have_text("Oi,\n<b>tudo</b> bem?")
        expect(own(page).locator(".tick")).to_have_accessible_name(re.compile("delivered|read"))
        expect(page.locator("#facts .wait")).to_be_hidden()
        expect(page.locator("#unsent li")).to_have_count(0)
        text.press("Enter")
        expect(bubbles(page)).to_have_count(2)
        assert texts_sent(evolution) == ["Oi,\n<b>tudo</b> bem?"]
        assert troubles == []


def test_a_note_is_told_apart_and_stays_in_the_house(office: Office) -> None:
    daemon, evolution = office
    with opened(address(daemon)) as page:
        other = page.context.new_page()
        other.goto(address(daemon, "bia"))
        ticket(page).click()
        ticket(other).click()
        page.get_by_label("Internal note").check()
        expect(page.locator("#send")).to_have_text("Keep note")
        write(page, "Cliente difícil")
        for screen in (page, other):
            note = screen.locator("#messages > .internal")
            expect(note.locator(".text")).to_have_text("Cliente difícil")
            expect(note.locator("small")).to_contain_text("internal note")
            expect(note.locator(".tick")).to_have_count(0)
        page.get_by_label("Internal note").uncheck()
        write(page, "Já vejo")
        expect(own(other).locator(".text")).to_have_text("Já vejo")
        expect(own(page).locator(".tick")).not_to_have_accessible_name("waiting")
        assert texts_sent(evolution) == ["Já vejo"]


def test_what_failed_says_why_and_is_tried_again(office: Office) -> None:
    daemon, evolution = office
    with opened(address(daemon)) as page:
        ticket(page).click()
        evolution.ask(lambda simulator: simulator.misbehave("not-on-whatsapp", count=4))
        write(page, "Oi?")
        expect(own(page).locator(".error")).to_contain_text("Not delivered")
        expect(own(page).locator(".tick")).to_have_accessible_name("failed")
        evolution.ask(lambda simulator: simulator.misbehave("not-on-whatsapp", count=0))
        own(page).get_by_role("button", name="Try again").press("Enter")
        expect(own(page).locator(".tick")).to_have_accessible_name(
            re.compile("sent|delivered|read")
        )
        expect(own(page).locator(".error")).to_have_count(0)
        assert texts_sent(evolution) == ["Oi?"]


def test_what_is_written_while_the_daemon_is_away_is_sent_once_and_in_order(
    office: Office,
) -> None:
    """P4: the same ``op_id`` until it is acknowledged, however often it is sent."""
    daemon, evolution = office
    with opened(address(daemon)) as page:
        ticket(page).click()
        expect(bubbles(page)).to_have_count(1)
        daemon.kill()
        expect_state(page, re.compile("^Stale since"))
        for text in ("um", "dois", "três"):
            write(page, text)
        unsent = page.locator("#unsent li")
        expect(unsent).to_have_count(3)
        expect(unsent.first).to_contain_text("waits for the connection")
        daemon.start()
        expect(own(page).locator(".text")).to_have_text(["um", "dois", "três"])
        expect(unsent).to_have_count(0)
        expect(own(page).last.locator(".tick")).to_have_accessible_name(
            re.compile("sent|delivered|read")
        )
        assert texts_sent(evolution) == ["um", "dois", "três"]


def test_an_answer_quotes_and_a_reaction_shows(office: Office) -> None:
    daemon, evolution = office
    with opened(address(daemon)) as page:
        ticket(page).click()
        theirs = bubbles(page).first
        theirs.get_by_role("button", name="Answer").press("Enter")
        expect(page.locator("#text")).to_be_focused()
        expect(page.locator("#quoting")).to_contain_text("Bom dia!")
        page.locator("#text").press("Escape")
        expect(page.locator("#quoting")).to_be_hidden()
        theirs.get_by_role("button", name="Answer").click()
        write(page, "Bom dia para você")
        expect(own(page).locator(".quote")).to_contain_text("Bom dia!")
        expect(page.locator("#quoting")).to_be_hidden()
        theirs.get_by_role("button", name="React", exact=True).press("Enter")
        theirs.get_by_role("button", name="React with 👍").press("Enter")
        expect(theirs.locator(".reactions li")).to_have_text("👍")
        expect(own(page).locator(".tick")).to_have_accessible_name(
            re.compile("sent|delivered|read")
        )
        quotes = evolution.ask(lambda simulator: [sent.quotes for sent in simulator.sent()])
        assert quotes[0] == "ONE"


def test_a_file_is_handed_in_and_sent(office: Office) -> None:
    daemon, evolution = office
    with opened(address(daemon)) as page:
        ticket(page).click()
        page.locator("#file").set_input_files(
            {"name": "foto.jpg", "mimeType": "image/jpeg", "buffer": photo(9).content}
        )
        expect(page.locator("#attached")).to_contain_text("foto.jpg")
        expect(page.locator("#attached")).not_to_contain_text("being handed in")
        write(page, "Veja")
        expect(page.locator("#attached")).to_be_hidden()
        expect(own(page).locator("img")).to_have_js_property("naturalWidth", 48)
        expect(own(page).locator(".text")).to_have_text("Veja")
        expect(own(page).locator(".tick")).to_have_accessible_name(
            re.compile("sent|delivered|read")
        )
        types = evolution.ask(lambda simulator: [sent.type for sent in simulator.sent()])
        assert types == ["image"]


def test_a_draft_waits_in_its_ticket_and_a_closed_one_takes_notes(office: Office) -> None:
    daemon, evolution = office
    post(daemon, "TWO", "Eu também", phone="5531900001111", instance=evolution.instance)
    with opened(address(daemon)) as page:
        ticket(page).click()
        page.locator("#text").fill("quase")
        ticket(page, "Cliente 1111").click()
        expect(page.locator("#text")).to_have_value("")
        ticket(page).click()
        expect(page.locator("#text")).to_have_value("quase")
        page.evaluate(
            """async () => {
              const headers = {
                Authorization: `Bearer ${sessionStorage.getItem("evorelay.token")}`,
                "Content-Type": "application/json",
              };
              const { tickets } = await (await fetch("/v1/tickets?q=7777", { headers })).json();
              const body = JSON.stringify({ status: "closed" });
              await fetch(`/v1/tickets/${tickets[0].id}`, { method: "PATCH", headers, body });
            }"""
        )
        expect(page.locator("#send")).to_have_text("Keep note")
        expect(page.get_by_label("Internal note")).to_be_disabled()
        page.locator("#text").press("Enter")
        expect(page.locator("#messages > .internal .text")).to_have_text("quase")
        page.get_by_role("button", name="Reopen").click()
        expect(page.locator("#send")).to_have_text("Send")
        assert texts_sent(evolution) == []


def test_a_file_that_is_not_here_yet_says_so(office: Office) -> None:
    """Its webhook had no bytes; this Evolution has none either, so it is asked again and again."""
    daemon, evolution = office
    voice = {"mimetype": "audio/ogg", "ptt": True, "seconds": 3}
    send(daemon, message("A", "audioMessage", voice) | {"instance": evolution.instance})
    with opened(address(daemon)) as page:
        ticket(page).click()
        expect(bubbles(page).last.locator(".file")).to_have_text(
            re.compile("The file is being fetched|could not be fetched")
        )
