"""The console's list of tickets: who waits, what this agent has not seen, who is one person."""

import re
from typing import Any

from playwright.sync_api import Page, expect

from tests.interop.console_page import (
    address,
    ago,
    ask,
    bubbles,
    event,
    expect_state,
    of_group,
    post,
    send,
    ticket,
)
from tests.interop.test_browser import opened
from tests.support.daemon import Daemon
from tests.support.webhooks import text_message

LID = "271828182845904@lid"
PHONE = "5531988887777@s.whatsapp.net"


def by_lid(whatsapp_id: str, **key: str) -> dict[str, Any]:
    """A message of Cliente 7777 under the privacy id alone, unless ``key`` says more."""
    webhook = text_message(whatsapp_id, whatsapp_id)
    webhook["data"]["key"].update(remoteJid=LID, addressingMode="lid", **key)
    webhook["data"]["pushName"] = "Só LID"
    return webhook


def test_unread_is_each_agents_own(daemon: Daemon) -> None:
    """Whatever colleagues read; but what an agent reads in one tab is read in all of them."""
    post(daemon, "A")
    with opened(address(daemon)) as page:
        expect(ticket(page).locator(".unread")).to_have_text("1")
        ticket(page).click()
        expect(ticket(page).locator(".unread")).to_be_hidden()
        page.goto(f"{daemon.url}/console")  # a reload would have the ticket open again
        post(daemon, "B")
        expect(ticket(page).locator(".unread")).to_have_text("1")
        with page.context.new_page() as colleague:
            colleague.goto(address(daemon, "bia"))
            ticket(colleague).click()
            expect(bubbles(colleague)).to_have_count(2)
            expect(ticket(colleague).locator(".unread")).to_be_hidden()
            post(daemon, "C")
            expect(ticket(page).locator(".unread")).to_have_text("2")
        with page.context.new_page() as other_tab:
            other_tab.goto(address(daemon))
            expect(ticket(other_tab).locator(".unread")).to_have_text("2")
            ticket(other_tab).click()
            expect(ticket(other_tab).locator(".unread")).to_be_hidden()
            expect(ticket(page).locator(".unread")).to_be_hidden()
            post(daemon, "D", "while it is open")
            expect(bubbles(other_tab).last).to_contain_text("while it is open")
            expect(ticket(page).locator(".preview")).to_have_text("while it is open")
            expect(ticket(page).locator(".unread")).to_be_hidden()


def test_what_is_read_on_another_device_is_read_here(daemon: Daemon) -> None:
    """A page nobody looks at reads nothing itself; by a colleague, nothing is read for us."""
    post(daemon, "A")
    with opened(address(daemon)) as page:
        page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true })")
        ticket(page).click()
        expect(bubbles(page)).to_have_count(1)
        unread = ticket(page).locator(".unread")
        expect(unread).to_have_text("1")
        path = f"/v1/tickets/{ask(daemon, 'GET', '/v1/tickets')['tickets'][0]['id']}/seen"
        ask(daemon, "POST", path, {}, sub="bia")
        post(daemon, "B")
        expect(unread).to_have_text("2")
        ask(daemon, "POST", path, {})
        expect(unread).to_be_hidden()


def test_a_message_counts_once_however_its_answer_crosses(daemon: Daemon) -> None:
    """A page of the list is held up while two messages come in: one is in it, one is not."""
    with opened(address(daemon)) as page:
        post(daemon, "OLD", sent_at=ago(60))
        expect(ticket(page).locator(".unread")).to_have_text("1")
        counted = page.evaluate(
            """async () => {
                const { Unread } = await import("/console/unread.js");
                const unread = new Unread({ user: "ana" }, () => {});
                const said = (id, created_at, extra) => unread.arrived({
                    id, ticket_id: "t", created_at, content: id, direction: "in",
                    metadata: {}, ...extra,
                });
                const answer = (count, last) => ({
                    id: "t", unread: count, last_message: last,
                    last_message_at: `2026-01-01T00:0${last}:00Z`,
                });
                const counts = [];
                await unread.counted(async () => {
                    said("1", "2026-01-01T00:01:00Z");  // is in the answer
                    said("3", "2026-01-01T00:03:00Z");  // is not
                    return answer(5, "2");
                });
                counts.push(unread.of("t"));
                said("2", "2026-01-01T00:02:00Z");  // was in it, told afterwards
                said("own", "2026-01-01T00:04:00Z", { direction: "out" });
                said("old", "2020-01-01T00:00:00Z", { metadata: { history: true } });
                counts.push(unread.of("t"));
                await unread.counted(async () => {
                    unread.seen("t");
                    said("5", "2026-01-01T00:05:00Z");
                    return answer(9, "2");  // asked before it was read
                });
                counts.push(unread.of("t"));
                unread.close();
                return counts;
            }"""
        )
        assert counted == [6, 6, 1]


def test_who_waits_is_seen_by_how_long(daemon: Daemon) -> None:
    post(daemon, "NOW")
    post(daemon, "SOON", phone="5531900001111", sent_at=ago(20 * 60))
    post(daemon, "LONG", phone="5531900002222", sent_at=ago(3 * 3600))
    with opened(address(daemon)) as page:
        for name, text, age in (
            ("Cliente 7777", "waiting 0 min", "short"),
            ("Cliente 1111", "waiting 20 min", "soon"),
            ("Cliente 2222", "waiting 3 h", "long"),
        ):
            waiting = ticket(page, name).locator(".wait")
            expect(waiting).to_have_text(text)
            expect(waiting).to_have_attribute("data-age", age)
        ticket(page, "Cliente 2222").click()
        expect(page.locator("#facts .wait")).to_have_text("waiting 3 h")
        reply = text_message("REPLY", "Já vejo!", phone="5531900002222", sent_at=ago(60))
        reply["data"]["key"]["fromMe"] = True
        send(daemon, reply)
        expect(ticket(page, "Cliente 2222").locator(".wait")).to_be_hidden()
        post(daemon, "AGAIN", phone="5531900002222")
        expect(ticket(page, "Cliente 2222").locator(".wait")).to_have_text("waiting 0 min")


def test_tickets_are_found_by_name_number_words_and_whose_they_are(daemon: Daemon) -> None:
    post(daemon, "A", "Quero um orçamento")
    post(daemon, "B", "Bom dia", phone="5531900001111")
    with opened(address(daemon)) as page:
        lines = page.locator("#ticket-list .name")
        expect(lines).to_have_text(["Cliente 1111", "Cliente 7777"])
        search = page.get_by_role("searchbox")
        for words, found in (
            ("orcamento", ["Cliente 7777"]),
            ("cliente 11", ["Cliente 1111"]),
            ("31900001111", ["Cliente 1111"]),
        ):
            search.fill(words)
            expect(lines).to_have_text(found)
        post(daemon, "C", "nada a ver")
        search.fill('"nowhere* -NEAR(')
        expect(page.locator("#no-tickets")).to_have_text(re.compile("^Nothing found"))
        search.fill("")
        expect(lines).to_have_text(["Cliente 7777", "Cliente 1111"])
        page.get_by_label("Whose").select_option("mine")
        expect(lines).to_have_count(0)
        first = ask(daemon, "GET", "/v1/tickets")["tickets"][0]
        ask(daemon, "PATCH", f"/v1/tickets/{first['id']}", {"assignee": "ana"})
        expect(lines).to_have_text(["Cliente 7777"])
        ask(daemon, "PATCH", f"/v1/tickets/{first['id']}", {"status": "pending"})
        expect(lines).to_have_count(0)
        page.get_by_label("Show").select_option("pending")
        expect(lines).to_have_text(["Cliente 7777"])


def expect_one_person(page: Page) -> None:
    expect(page.locator("#ticket-list .name")).to_have_count(1)
    expect(page.locator("#ticket-list [aria-current=true]")).to_have_count(1)
    expect(bubbles(page)).to_have_count(3)
    expect(page.locator("#notice")).not_to_be_empty()


def test_tickets_of_one_person_become_one_under_the_readers_eyes(daemon: Daemon) -> None:
    """Whichever of the two is open; nothing that was unread is lost from the count."""
    post(daemon, "BY PHONE")
    send(daemon, by_lid("BY LID"))
    with (
        opened(address(daemon)) as page,
        page.context.new_page() as other,
        page.context.new_page() as third,
    ):
        third.goto(address(daemon, "caio"))
        expect(third.locator("#ticket-list .unread")).to_have_text(["1", "1"])
        ticket(page, "Só LID").click()
        expect(bubbles(page)).to_have_count(1)
        other.goto(address(daemon, "bia"))
        ticket(other, "Cliente 7777").click()
        expect(bubbles(other)).to_have_count(1)
        send(daemon, by_lid("BY BOTH", remoteJidAlt=PHONE))
        expect_one_person(page)
        expect_one_person(other)
        expect(third.locator("#ticket-list .unread")).to_have_text(["3"])
        post(daemon, "AFTERWARDS")
        expect(bubbles(page)).to_have_count(4)
        expect(bubbles(other)).to_have_count(4)


def test_a_merge_is_not_missed_by_a_page_that_was_away(daemon: Daemon) -> None:
    post(daemon, "BY PHONE")
    send(daemon, by_lid("BY LID"))
    with opened(address(daemon)) as page:
        ticket(page, "Só LID").click()
        expect(bubbles(page)).to_have_count(1)
        daemon.kill()
        expect_state(page, re.compile("^Stale since"))
        daemon.start()
        send(daemon, by_lid("BY BOTH", remoteJidAlt=PHONE))
        expect_one_person(page)


def test_a_merge_that_is_undone_is_undone_under_the_readers_eyes(daemon: Daemon) -> None:
    post(daemon, "BY PHONE")
    send(daemon, by_lid("BY LID"))
    send(daemon, by_lid("BY BOTH", remoteJidAlt=PHONE))
    with opened(address(daemon)) as page:
        ticket(page, "Só LID").click()
        expect(bubbles(page)).to_have_count(3)
        (merge,) = ask(daemon, "GET", "/v1/merges", role="supervisor")["merges"]
        ask(daemon, "POST", f"/v1/merges/{merge['id']}/undo", role="supervisor")
        expect(bubbles(page)).to_have_count(2)
        expect(page.locator("#ticket-list .name")).to_have_count(2)


def test_a_groups_people_are_listed(daemon: Daemon) -> None:
    first, second = of_group(text_message("A", "Oi")), of_group(text_message("B", "Olá"))
    second["data"]["key"]["participant"] = "5531900001111@s.whatsapp.net"
    second["data"]["pushName"] = "Bia"
    send(daemon, first)
    send(daemon, second)
    members = [
        {"id": "5531988887777@s.whatsapp.net", "admin": "superadmin"},
        {"id": "5531900001111@s.whatsapp.net", "admin": None},
    ]
    group = {"id": "120363041234567890@g.us", "subject": "Turma", "participants": members}
    send(daemon, event("groups.upsert", [group]))
    with opened(address(daemon)) as page:
        ticket(page, "Turma").click()
        expect(page.locator("#messages .author")).to_have_text(["Cliente 7777", "Bia"])
        page.get_by_role("button", name="Participants").click()
        expect(page.locator("#people li")).to_have_text(
            ["Cliente 7777+5531988887777admin", "Bia+5531900001111"]
        )
        page.keyboard.press("Escape")
        expect(page.locator("#people")).to_be_hidden()


def test_a_ticket_is_opened_and_left_by_keyboard(daemon: Daemon) -> None:
    post(daemon, "A", "a")
    post(daemon, "B", "b", phone="5531900001111")
    with opened(address(daemon)) as page:
        ticket(page, "Cliente 1111").focus()
        page.keyboard.press("ArrowDown")
        expect(ticket(page)).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#who")).to_have_text("Cliente 7777")
        expect(page.locator("#scroll")).to_be_focused()
