"""What is being written, or waits, in the console survives refusals, merges and failed uploads."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import FilePayload, Page, WebSocketRoute, expect

from evorelay.simulator.media import photo
from tests.interop.console_page import address, ask, bubbles, expect_state, post, send, ticket
from tests.interop.test_browser import opened
from tests.interop.test_console_replies import own, write
from tests.interop.test_console_tickets import PHONE, by_lid, expect_one_person
from tests.support.daemon import Daemon, running
from tests.support.webhooks import INSTANCE

JPEG: FilePayload = {
    "name": "foto.jpg",
    "mimeType": "image/jpeg",
    "buffer": photo(9).content,
}
SILENCE = b"\xff\xfb\x90\x00" + b"\x00" * 413
"""A frame of MP3."""


def test_a_refused_reply_holds_up_no_other_ticket(tmp_path: Path) -> None:
    """One instance's outbox is full: its reply becomes a visible problem, other instances go on."""
    with running(tmp_path / "state", OUTBOX__MAX_QUEUED="1") as daemon:
        post(daemon, "FULL")
        post(daemon, "FREE", phone="5531900001111", instance="outra")
        with opened(address(daemon)) as page:
            ticket(page).click()
            write(page, "um")
            expect(own(page).locator(".text")).to_have_text(["um"])
            write(page, "dois")
            ticket(page, "Cliente 1111").click()
            write(page, "outra coisa")
            expect(own(page).locator(".text")).to_have_text(["outra coisa"], timeout=15_000)
            ticket(page).click()
            refused = page.locator("#unsent li")
            expect(refused).to_contain_text("too many replies of")
            refused.get_by_role("button", name="Discard").click()
            expect(refused).to_have_count(0)
            expect(own(page)).to_have_count(1)


def test_a_merge_takes_along_what_is_being_written(daemon: Daemon) -> None:
    """Text, quote and file, of the ticket that is open and of one that is not."""
    post(daemon, "BY PHONE")
    send(daemon, by_lid("BY LID"))
    with opened(address(daemon)) as page:
        ticket(page, "Cliente 7777").click()
        page.locator("#text").fill("begun elsewhere")
        ticket(page, "Só LID").click()
        expect(page.locator("#text")).to_have_value("")
        bubbles(page).first.get_by_role("button", name="Answer").click()
        page.locator("#file").set_input_files(JPEG)
        page.locator("#text").fill("half a sentence")
        send(daemon, by_lid("BY BOTH", remoteJidAlt=PHONE))
        expect_one_person(page)
        expect(page.locator("#text")).to_have_value(
            re.compile("^(begun elsewhere\nhalf a sentence|half a sentence\nbegun elsewhere)$")
        )
        expect(page.locator("#text")).to_be_focused()
        expect(page.locator("#quoting")).to_contain_text("BY LID")
        expect(page.locator("#attached")).to_contain_text("foto.jpg")
        page.locator("#text").press("Enter")
        expect(own(page).locator(".quote")).to_contain_text("BY LID")
        expect(own(page).locator("img")).to_have_js_property("naturalWidth", 48)


def test_a_merge_takes_along_what_waits_to_be_sent(daemon: Daemon) -> None:
    """P4: what was taken before the merge is not sent again after it."""
    post(daemon, "BY PHONE")
    send(daemon, by_lid("BY LID"))
    over: list[bool] = []
    with opened(address(daemon)) as page:
        swallow_answers(page, until=lambda: bool(over))
        page.reload()
        ticket(page, "Só LID").click()
        expect(bubbles(page)).to_have_count(1)
        write(page, "um")
        expect(own(page).locator(".text")).to_have_text(["um"])
        expect(page.locator("#unsent li")).to_have_count(1)  # its answer never came
        daemon.kill()
        expect_state(page, re.compile("^Stale since"))
        write(page, "dois")
        expect(page.locator("#unsent li")).to_have_count(2)
        over.append(True)
        daemon.start()
        send(daemon, by_lid("BY BOTH", remoteJidAlt=PHONE))
        expect(own(page).locator(".text")).to_have_text(["um", "dois"])
        expect(page.locator("#unsent li")).to_have_count(0)
        (kept,) = ask(daemon, "GET", "/v1/tickets")["tickets"]
        messages = ask(daemon, "GET", f"/v1/tickets/{kept['id']}/messages")["messages"]
        assert sorted(m["content"] for m in messages if m["direction"] == "out") == ["dois", "um"]


def swallow_answers(
    page: Page, method: str = "messages.send", *, until: Callable[[], bool]
) -> None:
    """No answer to that method comes back on the connections the page opens from now on."""

    def route(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        sends: set[int] = set()

        def forward(frame: str | bytes) -> None:
            for line in str(frame).splitlines():
                command = json.loads(line)
                if command.get("rpc", {}).get("method") == method:
                    sends.add(command["id"])
            server.send(frame)

        def back(frame: str | bytes) -> None:
            lines = str(frame).splitlines()
            kept = [one for one in lines if until() or json.loads(one).get("id") not in sends]
            if kept:
                socket.send("\n".join(kept))

        socket.on_message(forward)
        server.on_message(back)

    page.route_web_socket(re.compile("/connection/websocket"), route)


def test_what_is_written_for_a_file_is_not_sent_without_it(daemon: Daemon) -> None:
    post(daemon, "ONE")
    with opened(address(daemon)) as page:
        page.route("**/v1/media?*", lambda route: route.abort())
        ticket(page).click()
        page.locator("#file").set_input_files(JPEG)
        expect(page.locator("#attached")).to_contain_text("could not be handed in")
        write(page, "Veja a foto")
        expect(page.locator("#text")).to_have_value("Veja a foto")
        expect(page.locator("#attached")).to_be_visible()
        page.locator("#detach").click()
        page.locator("#text").press("Enter")
        expect(own(page).locator(".text")).to_have_text(["Veja a foto"])


def test_words_for_a_sound_follow_as_a_message_of_their_own(daemon: Daemon) -> None:
    """WhatsApp has no captions for sounds and stickers, and the daemon refuses them."""
    post(daemon, "ONE")
    with opened(address(daemon)) as page:
        ticket(page).click()
        sound: FilePayload = {
            "name": "som.mp3",
            "mimeType": "audio/mpeg",
            "buffer": SILENCE * 4,
        }
        page.locator("#file").set_input_files(sound)
        expect(page.locator("#attached")).to_contain_text("follows as a message")
        write(page, "Ouça\0 isto")
        expect(own(page)).to_have_count(2)
        expect(own(page).first.locator(".file, audio")).not_to_have_count(0)
        expect(own(page).last.locator(".text")).to_have_text("Ouça isto")


def test_a_message_that_was_anothers_double_leaves_the_screen(daemon: Daemon) -> None:
    """``message.removed``; a quote of it becomes one of the message that stays."""
    post(daemon, "STAYS")
    post(daemon, "DOUBLE")
    with opened(address(daemon)) as page:
        sockets: list[WebSocketRoute] = []

        def route(socket: WebSocketRoute) -> None:
            socket.connect_to_server()
            sockets.append(socket)

        page.route_web_socket(re.compile("/connection/websocket"), route)
        page.reload()
        ticket(page).click()
        expect(bubbles(page)).to_have_count(2)
        bubbles(page).last.get_by_role("button", name="Answer").click()
        (known,) = ask(daemon, "GET", "/v1/tickets")["tickets"]
        ids: dict[str, Any] = {
            message["content"]: message["id"]
            for message in ask(daemon, "GET", f"/v1/tickets/{known['id']}/messages")["messages"]
        }
        event = {
            "type": "message.removed",
            "ticket_id": known["id"],
            "message_id": ids["DOUBLE"],
            "replaced_by": ids["STAYS"],
        }
        for channel in (f"ticket:{known['id']}", f"inbox:{INSTANCE}"):
            push = {"push": {"channel": channel, "pub": {"data": event}}}
            sockets[-1].send(json.dumps(push))
        expect(bubbles(page).locator(".text")).to_have_text(["STAYS"])
        expect(page.locator("#quoting")).to_contain_text("STAYS")


def test_what_was_asked_for_when_the_connection_went_is_asked_again(daemon: Daemon) -> None:
    """P3: a conversation whose page never came is not left empty; and the state stays honest."""
    post(daemon, "ONE", "Bom dia!")
    over: list[bool] = []
    with opened(address(daemon)) as page:
        swallow_answers(page, "messages.list", until=lambda: bool(over))
        page.reload()
        ticket(page).click()
        expect(page.locator("#who")).to_have_text("Cliente 7777")
        expect_state(page, "Catching up…")
        daemon.kill()
        expect_state(page, re.compile("^Stale since"))
        over.append(True)
        daemon.start()
        expect(bubbles(page)).to_have_count(1)
        expect_state(page, "Live")
