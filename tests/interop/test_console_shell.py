"""What stands around the console's views: who may see which, languages, themes, the keyboard."""

import re
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Page, expect

from tests.interop.console_page import (
    address,
    bubbles,
    event,
    expect_it_fits,
    expect_state,
    go,
    no_trouble,
    post,
    send,
    ticket,
)
from tests.interop.test_browser import opened
from tests.support.daemon import Daemon, running, token
from tests.support.webhooks import INSTANCE

VIEWS = ["Inbox", "Overview", "Instances", "Outbox", "Quarantine", "Backups"]


def test_an_agent_has_the_inbox_and_nothing_else(daemon: Daemon) -> None:
    """P7: what a role may not do is not offered; the daemon would refuse it anyway."""
    post(daemon, "A")
    with opened(address(daemon)) as page, no_trouble(page):
        expect_state(page, "Live")
        expect(page.locator("#views")).to_be_hidden()
        page.goto(f"{daemon.url}/console#/quarantine")
        expect(ticket(page)).to_be_visible()
        expect(page.locator("#view-quarantine")).to_be_hidden()
        page.keyboard.press("g")
        page.keyboard.press("o")
        expect(ticket(page)).to_be_visible()


def test_a_supervisor_operates_and_only_an_admin_starts_backups(daemon: Daemon) -> None:
    with opened(address(daemon, "sonia", "supervisor")) as page:
        expect(page.locator("#views a > span")).to_have_text(VIEWS)
        expect(go(page, "backups").locator("h2")).to_be_focused()
        expect(page.locator("#view-backups .fresh")).to_contain_text("Updated")
        expect(page.get_by_role("button", name="Back up now")).to_be_hidden()


def test_who_has_no_role_is_told_so(daemon: Daemon) -> None:
    post(daemon, "A")
    with opened(address(daemon, "zoe", app_metadata={})) as page:
        expect(page.locator("#no-tickets")).to_contain_text("grants nothing here")
        expect(page.locator("#views")).to_be_hidden()


def test_who_signs_in_while_the_daemon_is_away_is_told_so(daemon: Daemon) -> None:
    post(daemon, "A")
    with opened(f"{daemon.url}/console") as page:
        page.get_by_label("Token").fill(token())
        daemon.kill()
        page.keyboard.press("Enter")
        expect(page.locator("#sign-in-problem")).to_contain_text("does not answer")
        daemon.start()
        expect(ticket(page)).to_be_visible()
        expect_state(page, "Live")


def test_where_no_token_is_asked_for_one_is_admin(tmp_path: Path) -> None:
    with (
        running(tmp_path / "state", AUTH__MODE="open") as daemon,
        opened(f"{daemon.url}/console") as page,
        no_trouble(page),
    ):
        expect_state(page, "Live")
        expect(page.locator("#sign-out")).to_be_hidden()
        expect(go(page, "backups").get_by_role("button", name="Back up now")).to_be_visible()


def test_a_right_that_was_taken_away_is_said_plainly(daemon: Daemon) -> None:
    """403 for one who had the view open."""
    with opened(address(daemon, "sonia", "supervisor")) as page:
        expect(go(page, "quarantine")).to_contain_text("Nothing is in quarantine.")
        agent = f"Bearer {token()}"
        page.route(
            "**/v1/quarantine?**",
            lambda route: route.continue_(
                headers={**route.request.headers, "authorization": agent}
            ),
        )
        page.get_by_label("also what was replayed").check()
        expect(page.locator("#view-quarantine .stale")).to_contain_text(
            "your role does not allow it"
        )


def test_a_token_that_expires_leads_back_to_the_door(daemon: Daemon) -> None:
    post(daemon, "A")
    with opened(address(daemon, "sonia", "supervisor", ttl=6)) as page:
        go(page, "overview")
        expect(page.locator("#sign-in-problem")).to_have_text(
            "Your token has expired. Sign in again."
        )
        expect(page.locator("#app")).to_be_hidden()
        expect(page.locator("#views")).to_be_hidden()
        page.reload()  # it was forgotten
        expect(page.get_by_label("Token")).to_be_focused()
        page.get_by_label("Token").fill(token("sonia", ttl=-60.0))
        page.keyboard.press("Enter")
        expect(page.locator("#sign-in-problem")).to_have_text(
            "Your token has expired. Sign in again."
        )
        page.get_by_label("Token").fill("nonsense")
        page.keyboard.press("Enter")
        expect(page.locator("#sign-in-problem")).to_have_text("This token does not work here.")
        page.get_by_label("Token").fill(token())
        page.keyboard.press("Enter")
        expect_state(page, "Live")
        expect(ticket(page)).to_be_visible()


def back(page: Page) -> str:
    colour: str = page.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour


def test_theme_and_language_are_chosen_and_kept(daemon: Daemon) -> None:
    post(daemon, "A")
    with opened(address(daemon, "sonia", "supervisor")) as page, no_trouble(page):
        go(page, "overview")
        light = back(page)
        page.emulate_media(color_scheme="dark")
        dark = back(page)
        assert light != dark
        page.get_by_role("button", name="Theme: as the system").click()
        page.get_by_role("button", name="Theme: dark").click()
        assert back(page) == light
        page.get_by_role("button", name="Português").click()
        expect(page.locator("#view-overview h2")).to_have_text("Visão geral")
        expect(page.locator("[data-check='journal:commit']")).to_contain_text("Diário: gravação")
        expect(page.locator("#views a[data-view=outbox] > span")).to_have_text("Envios")
        assert page.locator("html").get_attribute("lang") == "pt-BR"
        expect_it_fits(page)
        page.reload()
        expect(page.locator("#view-overview h2")).to_have_text("Visão geral")
        assert back(page) == light
        page.get_by_role("button", name="Tema: claro").click()
        assert back(page) == dark


READ_ON = {
    "ink": ("paper", "back", "out", "note"),
    "faint": ("paper", "back", "out", "note"),
    "brand": ("paper", "back", "out"),
    "good": ("paper", "back"),
    "busy": ("paper", "back"),
    "bad": ("paper", "back", "out"),
    "link": ("paper", "back", "out"),
    "paper": ("brand", "bad"),
    "chart-1": ("paper",),
    "chart-2": ("paper",),
}
"""Which colours are written in on which grounds."""


def light_of(rgb: list[int]) -> float:
    """Relative luminance, as WCAG 2 defines it."""
    parts = [value / 255 for value in rgb]
    linear = [one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(
    daemon: Daemon, scheme: Literal["light", "dark"]
) -> None:
    """WCAG AA, 4.5 to 1, in both themes."""
    with opened(f"{daemon.url}/console") as page:
        page.emulate_media(color_scheme=scheme)
        names = sorted(READ_ON.keys() | {one for grounds in READ_ON.values() for one in grounds})
        rgb: dict[str, list[int]] = page.evaluate(
            """(names) => Object.fromEntries(names.map((name) => {
                document.body.style.color = `var(--${name})`;
                return [name, getComputedStyle(document.body).color.match(/\\d+/g).map(Number)];
            }))""",
            names,
        )
        for text, grounds in READ_ON.items():
            for ground in grounds:
                dark, bright = sorted((light_of(rgb[text]), light_of(rgb[ground])))
                assert (bright + 0.05) / (dark + 0.05) >= 4.5, (text, ground)


def test_the_keyboard_is_enough(daemon: Daemon) -> None:
    """From the door to an answer and to every view, without a pointer."""
    post(daemon, "A", "primeiro", phone="5531900001111")
    post(daemon, "B", "segundo")
    with opened(f"{daemon.url}/console") as page, no_trouble(page):
        expect(page.get_by_label("Token")).to_be_focused()
        page.keyboard.type(token("sonia", role="supervisor"))
        page.keyboard.press("Enter")
        expect(ticket(page)).to_be_visible()
        page.reload()
        expect(ticket(page)).to_be_visible()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()
        assert page.url.endswith(("/console", "#/inbox"))
        ticket(page).focus()
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        page.keyboard.press("ArrowDown")
        expect(ticket(page, "Cliente 1111")).to_be_focused()
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert outline in ("solid", "none")  # a script's focus may be unmarked, a key's may not
        page.keyboard.press("Enter")
        expect(page.locator("#who")).to_have_text("Cliente 1111")
        page.keyboard.press("k")
        expect(page.locator("#who")).to_have_text("Cliente 7777")
        page.keyboard.press("c")
        expect(page.locator("#facts")).to_contain_text("sonia")
        page.keyboard.press("r")
        expect(page.locator("#text")).to_be_focused()
        page.keyboard.type("geco?")  # no key acts while one writes
        expect(page.locator("#text")).to_have_value("geco?")
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        expect(ticket(page)).to_be_focused()
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_contain_text("Keyboard shortcuts")
        expect(page.get_by_role("dialog")).to_contain_text("go to Quarantine")
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        for letter, view in zip("onbqk", VIEWS[1:], strict=True):
            page.keyboard.press("g")
            page.keyboard.press(letter)
            expect(page.get_by_role("heading", level=2, name=view)).to_be_focused()
        page.keyboard.press("g")
        page.keyboard.press("i")
        expect(page.locator("#who")).to_have_text("Cliente 7777")


def test_the_focus_stays_where_it_is_while_rows_change(daemon: Daemon) -> None:
    post(daemon, "A")
    with opened(address(daemon, "sonia", "supervisor")) as page:
        row = go(page, "instances").locator("[data-instance]")
        row.get_by_role("button", name="Reconnect").focus()
        state = {"instance": INSTANCE, "state": "close", "statusReason": 401}
        send(daemon, event("connection.update", state))
        expect(row).to_contain_text("the phone ended the session")
        expect(row.get_by_role("button", name="Reconnect")).to_be_focused()


def test_single_keys_can_be_turned_off(daemon: Daemon) -> None:
    with opened(address(daemon, "sonia", "supervisor")) as page:
        expect(page.locator("#views")).to_be_visible()
        page.get_by_role("button", name="Keyboard shortcuts").click()
        page.get_by_label("Single keys act").uncheck()
        page.get_by_role("button", name="Close", exact=True).click()
        page.keyboard.press("g")
        page.keyboard.press("o")
        expect(page.locator("#view-overview")).to_be_hidden()
        page.reload()
        expect(page.locator("#views")).to_be_visible()
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_hidden()


def test_the_address_leads_back_and_forth(daemon: Daemon) -> None:
    post(daemon, "A", phone="5531900001111")
    with opened(address(daemon, "sonia", "supervisor")) as page:
        page.set_viewport_size({"width": 390, "height": 844})
        ticket(page, "Cliente 1111").click()
        expect(bubbles(page)).to_have_count(1)
        at = page.url
        page.go_back()
        expect(ticket(page, "Cliente 1111")).to_be_visible()
        go(page, "instances")
        page.goto(at)
        expect(page.locator("#who")).to_have_text("Cliente 1111")
        page.reload()
        expect(bubbles(page)).to_have_count(1)
        page.get_by_role("button", name="Back to the tickets").click()
        expect(ticket(page, "Cliente 1111")).to_be_visible()


def test_colleagues_see_each_other_and_settle_whose_it_is(daemon: Daemon) -> None:
    post(daemon, "A")
    with opened(address(daemon, "ana", name="Ana")) as page:
        ticket(page).click()
        presence = page.locator("#presence")
        expect(presence).to_have_text("Only you are here")
        with page.context.new_page() as colleague:
            colleague.goto(address(daemon, "bia", name="Bia"))
            ticket(colleague).click()
            expect(presence).to_have_text(re.compile("^Also here: .Bia.$"))
            colleague.locator("#text").press_sequentially("Oi")
            expect(page.locator("#typing")).to_contain_text("Bia")
            page.get_by_role("button", name="Claim").click()
            expect(colleague.locator("#facts")).to_contain_text("ana")
            expect(colleague.get_by_role("button", name="Claim")).to_be_hidden()
            page.get_by_role("button", name="Release").click()
            colleague.get_by_role("button", name="Claim").click()
            expect(page.locator("#facts")).to_contain_text("bia")
        expect(presence).to_have_text("Only you are here")
        page.get_by_role("button", name="Set pending").click()
        expect(page.locator("#facts")).to_contain_text("pending")
        page.get_by_role("button", name="Close ticket").click()
        expect(page.locator("#closed")).to_contain_text("This ticket is closed.")
        expect(page.get_by_role("button", name="Claim")).to_have_count(0)


def test_a_ticket_behind_another_view_is_not_read(daemon: Daemon) -> None:
    """What comes while the operator looks at figures is unread until they look at it."""
    post(daemon, "A")
    with opened(address(daemon, "sonia", "supervisor")) as page:
        ticket(page).click()
        unread = ticket(page).locator(".unread")
        expect(unread).to_be_hidden()
        go(page, "overview")
        post(daemon, "B")
        expect(unread).to_have_text("1")
        page.locator("#views a[data-view=inbox]").click()
        expect(bubbles(page)).to_have_count(2)
        expect(unread).to_be_hidden()


def test_both_languages_have_every_word(daemon: Daemon) -> None:
    """The same names, and a function where the other language has one."""
    with opened(f"{daemon.url}/console") as page:
        english, portuguese = page.evaluate(
            """async () => {
                const flat = (words, path = "") => Object.entries(words).flatMap(([key, word]) =>
                    typeof word === "object"
                        ? flat(word, `${path}${key}.`)
                        : [[path + key, word.call ? word.length : "a text"].join()]);
                const load = async (name) =>
                    flat((await import(`/console/words-${name}.js`)).default);
                const all = async (language) =>
                    [...await load(language), ...await load(`${language}-operations`)].sort();
                return [await all("en"), await all("pt")];
            }"""
        )
    # What the daemon says in English itself is put into words only in Portuguese.
    ours = [
        word for word in portuguese if not word.startswith(("failures.", "refusals.", "advice."))
    ]
    assert english == ours
    assert len(english) > 250


def test_what_is_quarantined_is_laid_bare(daemon: Daemon) -> None:
    """P7: markup, terminal codes and direction marks of strangers are shown as what they are."""
    hostile = "<img src=x onerror=alert(1)>\x1b[31m \u202ederutrevni \u200b"
    send(daemon, event(f"new.{hostile[:28]}", {"text": hostile}, instance=f"loja {hostile[:28]}"))
    with opened(address(daemon, "sonia", "supervisor")) as page, no_trouble(page):
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 800})
            row = go(page, "quarantine").locator("[data-quarantine]")
            expect(row).to_contain_text("<img src=x onerror")
            expect_it_fits(page)
            row.get_by_role("button", name="Look").click()
            body = page.get_by_role("dialog").locator("pre")
            expect(body).to_contain_text("⟨202E⟩derutrevni ⟨200B⟩")
            expect(body).to_contain_text("\\u001b[31m")
            expect_it_fits(page)
            page.keyboard.press("Escape")
        assert page.locator("#view-quarantine img, dialog img[src]").count() == 0
