"""What the console can prove: one message's way, and backups that were restored (P8, P9)."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import ViewportSize, expect

from tests.interop.console_page import (
    address,
    ask,
    bubbles,
    expect_it_fits,
    go,
    no_trouble,
    post,
    ticket,
    until,
)
from tests.interop.test_browser import opened
from tests.interop.test_console_operations import DESKTOP, PHONE
from tests.support.daemon import Daemon, running
from tests.support.simulator import with_evolution

SIZES = pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])


@SIZES
def test_a_message_is_traced_from_webhook_to_ticks(tmp_path: Path, size: ViewportSize) -> None:
    """P8: both ways; an agent may ask for what they may read."""
    with with_evolution(tmp_path / "state") as (daemon, evolution):
        post(daemon, "ONE", "Bom dia!", instance=evolution.instance)
        until(lambda: ask(daemon, "GET", "/v1/tickets")["tickets"] != [])
        (one,) = ask(daemon, "GET", "/v1/tickets")["tickets"]
        path = f"/v1/tickets/{one['id']}/messages"
        ask(daemon, "POST", path, {"content": "Oi!", "op_id": "1"})
        with opened(address(daemon)) as page, no_trouble(page):
            page.set_viewport_size(size)
            ticket(page).click()
            tick = bubbles(page).last.locator(".tick")
            expect(tick).to_have_accessible_name(re.compile("delivered|read"))
            bubbles(page).first.hover()
            bubbles(page).first.get_by_role("button", name="Trace").click()
            dialog = page.get_by_role("dialog")
            names = dialog.locator("#trace-steps b")
            expect(names).to_have_text(
                [
                    "Written, says WhatsApp",
                    "Webhook came",
                    "Safe on disk",
                    "Stored",
                    re.compile("Told"),
                ]
            )
            expect_it_fits(page)
            page.keyboard.press("Escape")
            bubbles(page).last.hover()
            bubbles(page).last.get_by_role("button", name="Trace").click()
            for step in ("queued", "attempted", "accepted", "delivered"):
                expect(dialog.locator(f"[data-step={step}]")).to_be_visible()
            expect(dialog.locator("[data-step=queued] time")).to_have_attribute(
                "title", re.compile("20")
            )
            page.keyboard.press("Escape")
            expect(dialog).to_be_hidden()
            if size is DESKTOP:
                page.get_by_role("button", name="Português").click()
                bubbles(page).last.get_by_role("button", name="Trajeto").click()
                expect(dialog).to_contain_text("Aceita pela Evolution")


@SIZES
def test_an_admin_backs_up_and_sees_it_verified(daemon: Daemon, size: ViewportSize) -> None:
    """P9: done at a click, verified by being restored, and said when."""
    post(daemon, "ONE", "Bom dia!")
    until(lambda: ask(daemon, "GET", "/v1/tickets")["tickets"] != [])
    with opened(address(daemon, "alda", "admin")) as page, no_trouble(page):
        page.set_viewport_size(size)
        backups = go(page, "backups")
        expect(backups).to_contain_text("0 2 * * *")
        expect(backups).to_contain_text("America/Sao_Paulo")
        rows = backups.locator("[data-backup]")
        before = rows.count()
        backups.get_by_role("button", name="Back up now").click()
        expect(rows).to_have_count(before + 1)
        expect(rows.first).to_contain_text("verified")
        expect(rows.first).to_contain_text("messages 1")
        expect(backups.locator(".summary")).to_contain_text("Last verified")
        expect(backups.get_by_role("button", name="Back up now")).to_be_enabled()
        expect_it_fits(page)


def test_a_damaged_backup_is_told_with_its_problem(tmp_path: Path) -> None:
    with running(tmp_path / "state") as daemon:
        post(daemon, "ONE", "Bom dia!")
        until(lambda: ask(daemon, "GET", "/v1/tickets")["tickets"] != [])
        ask(daemon, "POST", "/v1/backups", {}, sub="alda", role="admin")

        def newest() -> str:
            page = ask(daemon, "GET", "/v1/backups", sub="alda", role="admin")
            return page["backups"][0]["state"] if page["backups"] and not page["is_running"] else ""

        until(lambda: newest() == "verified")
        with opened(address(daemon, "alda", "admin")) as page:
            row = go(page, "backups").locator("[data-backup]")
            expect(row).to_contain_text("verified")
            (manifest,) = (tmp_path / "state" / "backups").rglob("manifest.json")
            manifest.write_bytes(manifest.read_bytes().replace(b'"message": 1', b'"message": 2'))
            expect(row.locator(".mark")).to_have_text("damaged")
            expect(row.locator(".advice")).not_to_be_empty()
            expect(page.locator("#view-backups .summary")).to_contain_text("No backup is verified")
