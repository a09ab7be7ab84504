"""What the console shows of messages: every kind, and what became of them."""

import re
from typing import Any

from playwright.sync_api import expect

from tests.interop.console_page import (
    JID,
    address,
    ago,
    bubbles,
    event,
    key,
    message,
    of_group,
    post,
    reaction,
    send,
    ticket,
)
from tests.interop.test_browser import opened
from tests.support.daemon import Daemon
from tests.support.webhooks import text_message


def edit(target: str, text: str) -> dict[str, Any]:
    data = {"key": key(target), "type": "MESSAGE_EDIT", "editedMessage": {"conversation": text}}
    return event("messages.edited", data)


def quoting(whatsapp_id: str, text: str, quoted: str) -> dict[str, Any]:
    context = {"stanzaId": quoted, "quotedMessage": {"conversation": "as it was quoted"}}
    return message(whatsapp_id, "conversation", text, contextInfo=context)


def test_what_becomes_of_a_message_is_seen_at_once(daemon: Daemon) -> None:
    """Reactions, edits and deletions, in the bubble and in the list."""
    post(daemon, "A", "Quanto custa?")
    with opened(address(daemon)) as page:
        ticket(page).click()
        bubble = bubbles(page).first
        preview = ticket(page).locator(".preview")
        send(daemon, reaction("A", "❤️", ago(30)))
        send(daemon, reaction("A", "❤️", ago(20), fromMe=True))
        chip = bubble.locator(".reactions li")
        expect(chip).to_have_text("❤️ 2")
        expect(chip).to_have_attribute("title", re.compile("Our side.*Cliente 7777"))
        send(daemon, reaction("A", "", ago(10), fromMe=True))
        expect(chip).to_have_text("❤️")
        send(daemon, edit("A", "Quanto custa o azul?"))
        expect(bubble.locator(".text")).to_have_text("Quanto custa o azul?")
        expect(bubble.locator("small")).to_contain_text("edited")
        expect(preview).to_have_text("Quanto custa o azul?")
        post(daemon, "B", "Alô?")
        expect(bubbles(page)).to_have_count(2)
        send(daemon, edit("A", "E o verde?"))
        expect(bubble.locator(".text")).to_have_text("E o verde?")
        expect(preview).to_have_text("Alô?")
        send(daemon, event("messages.edited", {"key": {"id": "B"}, "type": "REVOKE"}))
        expect(bubbles(page).last.locator(".removed")).to_have_text("Deleted for everyone")
        expect(preview).to_have_text("[Mensagem apagada]")
        page.reload()
        send(daemon, edit("A", "E o roxo?"))
        ticket(page).click()
        expect(bubbles(page).first.locator(".text")).to_have_text("E o roxo?")
        expect(preview).to_have_text("[Mensagem apagada]")


def test_a_quote_leads_to_what_it_quotes(daemon: Daemon) -> None:
    post(daemon, "FIRST", "the first", sent_at=ago(600))
    for number in range(60):
        post(daemon, f"N{number}", sent_at=ago(500 - number))
    send(daemon, quoting("NEAR", "see", "N50"))
    send(daemon, quoting("FAR", "see", "FIRST"))
    with opened(address(daemon)) as page:
        ticket(page).click()
        near, far = bubbles(page).nth(-2).locator(".quote"), bubbles(page).last.locator(".quote")
        expect(near).to_have_text("Cliente 7777N50")
        expect(far).to_have_text("as it was quoted")
        far.click()
        expect(page.locator("#notice")).to_contain_text("Load earlier messages first")
        page.get_by_role("button", name="Earlier messages").click()
        expect(bubbles(page)).to_have_count(63)
        far.press("Enter")
        pointed_out = page.locator("#messages .pointed-out")
        expect(pointed_out).to_contain_text("the first")
        expect(pointed_out).to_be_in_viewport()


def test_late_and_imported_messages_stand_where_they_belong(daemon: Daemon) -> None:
    post(daemon, "ONE", sent_at=ago(300))
    post(daemon, "THREE", sent_at=ago(100))
    with opened(address(daemon)) as page:
        ticket(page).click()
        expect(bubbles(page).locator(".text")).to_have_text(["ONE", "THREE"])
        post(daemon, "TWO", sent_at=ago(200))
        expect(bubbles(page).locator(".text")).to_have_text(["ONE", "TWO", "THREE"])
        expect(bubbles(page).nth(1).locator("small")).to_contain_text("arrived later")
        expect(ticket(page).locator(".preview")).to_have_text("THREE")
        old = text_message("OLD", "OLD", sent_at=ago(90_000))["data"]
        send(daemon, event("messages.set", [old]))
        post(daemon, "FOUR")
        expect(bubbles(page)).to_have_count(4)
        page.reload()
        ticket(page).click()
        expect(bubbles(page).first.locator("small")).to_contain_text("imported")
        expect(bubbles(page).locator(".text")).to_have_text(["OLD", "ONE", "TWO", "THREE", "FOUR"])


def test_a_reply_that_failed_says_why(daemon: Daemon) -> None:
    send(daemon, message("OUT", "conversation", "Olá!", key={"fromMe": True}))
    with opened(address(daemon)) as page:
        ticket(page, "+5531988887777").click()
        tick = bubbles(page).locator(".tick")
        expect(bubbles(page).locator("small")).to_contain_text("from the phone")
        update = {"keyId": "OUT", "remoteJid": JID, "fromMe": True}
        send(daemon, event("messages.update", update | {"status": "READ"}))
        expect(tick).to_have_accessible_name("read")
        send(
            daemon,
            message("BAD", "conversation", "Oi?", key={"fromMe": True}, status="PENDING"),
        )
        expect(bubbles(page)).to_have_count(2)
        send(daemon, event("messages.update", update | {"keyId": "BAD", "status": "ERROR"}))
        expect(tick.last).to_have_accessible_name("failed")
        expect(bubbles(page).locator(".error")).to_have_text(
            re.compile("^Not delivered: .*WhatsApp")
        )


def vote(poll: str, voter: str, at: int, *options: str) -> dict[str, Any]:
    content = {
        "pollCreationMessageKey": key(poll),
        "vote": {"selectedOptions": list(options)},
        "senderTimestampMs": at * 1000,
    }
    webhook = of_group(message(f"V{at}", "pollUpdateMessage", content, sent_at=at))
    webhook["data"]["key"]["participant"] = f"{voter}@s.whatsapp.net"
    webhook["data"]["pushName"] = f"Voter {voter[-1]}"
    return webhook


def test_a_polls_votes_are_counted_live(daemon: Daemon) -> None:
    options = [{"optionName": name} for name in ("Manhã", "<i>Tarde</i>")]
    poll = {"name": "Qual turno?", "options": options, "selectableOptionsCount": 1}
    send(daemon, of_group(message("POLL", "pollCreationMessageV3", poll, sent_at=ago(300))))
    with opened(address(daemon)) as page:
        ticket(page, "Grupo").click()
        expect(bubbles(page).locator(".text")).to_have_text("Qual turno?")
        lines = page.locator("#messages .poll li")
        expect(lines).to_have_text(["Manhã0 votes", "<i>Tarde</i>0 votes"])
        send(daemon, vote("POLL", "5531900000001", ago(200), "Manhã"))
        send(daemon, vote("POLL", "5531900000002", ago(100), "<i>Tarde</i>"))
        send(daemon, vote("POLL", "5531900000001", ago(50), "<i>Tarde</i>"))
        expect(lines).to_have_text(["Manhã0 votes", "<i>Tarde</i>2 votes"])
        expect(lines.last).to_have_attribute("title", re.compile("Voter 1.*Voter 2"))


KINDS: tuple[tuple[str, Any, dict[str, Any]], ...] = (
    (
        "locationMessage",
        {"degreesLatitude": -19.92, "degreesLongitude": -43.94, "name": "Praça Sete"},
        {},
    ),
    (
        "contactMessage",
        {
            "displayName": "<b>João</b>",
            "vcard": "BEGIN:VCARD\nFN:João\nTEL;waid=5521977770000:+55 21 97777-0000\nEND:VCARD",
        },
        {},
    ),
    ("conversation", "repassado", {"contextInfo": {"isForwarded": True, "forwardingScore": 6}}),
    ("viewOnceMessageV2", {"message": {"imageMessage": {"mimetype": "image/jpeg"}}}, {}),
    ("albumMessage", {"expectedImageCount": 3}, {}),
    ("audioMessage", {"mimetype": "audio/ogg", "ptt": True}, {}),
    ("listMessage", {"title": "Menu", "description": "Escolha", "buttonText": "Ver"}, {}),
    ("callLogMesssage", {"callOutcome": "MISSED", "isVideo": True}, {}),
    ("hologramMessage", {"text": "novidade"}, {}),
)


def test_every_kind_is_readable_and_nothing_is_fetched_from_elsewhere(daemon: Daemon) -> None:
    for number, (kind, content, extra) in enumerate(KINDS):
        webhook = message(f"K{number}", kind, content, sent_at=ago(100 - number), **extra)
        if kind == "audioMessage":
            webhook["data"]["message"]["speechToText"] = "[audio] quero remarcar"
        send(daemon, webhook)
    with opened(address(daemon)) as page:
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        ticket(page).click()
        shown = bubbles(page)
        for number, text in enumerate(
            (
                "Praça Sete",
                "<b>João</b>",
                "Forwarded many times",
                "View once",
                "3 fotos",
                "quero remarcar",
                "Ver",
                "[Ligação de vídeo perdida]",
                "novidade",
            )
        ):
            expect(shown.nth(number)).to_contain_text(text)
        coordinates = shown.nth(0).get_by_role("link", name="-19.92000, -43.94000")
        expect(coordinates).to_have_attribute("href", "geo:-19.92,-43.94?q=-19.92,-43.94")
        for link in shown.nth(0).get_by_role("link").all():
            expect(link).to_have_attribute("target", "_blank")
            expect(link).to_have_attribute("rel", "noopener noreferrer")
        expect(shown.nth(1).get_by_role("link")).to_have_attribute("href", "tel:5521977770000")
        assert [url for url in asked if not url.startswith((daemon.url, "blob:", "data:"))] == []
