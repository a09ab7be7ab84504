"""What the console says while the daemon cannot pass on what it has taken (P8)."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from playwright.sync_api import expect

from tests.interop.console_page import address, bubbles, expect_state, post, ticket
from tests.interop.test_browser import opened
from tests.interop.test_console_replies import own, write
from tests.support.daemon import running


@contextmanager
def locked(store: Path) -> Iterator[None]:
    """Another program holds the store: webhooks are journaled, and nothing else happens."""
    with closing(sqlite3.connect(store, isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_a_store_that_is_locked_is_not_called_live(tmp_path: Path) -> None:
    """A message waits for all that time; nothing is lost, and the reply is sent once (P4)."""
    limits = {"HEALTH__PIPELINE_WARN": "1s", "HEALTH__PIPELINE_FAIL": "3s"}
    state = tmp_path / "state"
    with running(state, **limits) as daemon:
        post(daemon, "ONE", "Bom dia!")
        with opened(address(daemon)) as page:
            ticket(page).click()
            expect_state(page, "Live")
            with locked(state / "store.db"):
                post(daemon, "TWO", "Alô?")
                expect_state(page, "Delayed: new messages are waiting")
                expect(page.locator("#state")).to_have_attribute("title", re.compile("late"))
                page.get_by_role("button", name="Português").click()
                expect_state(page, "Atrasado: mensagens novas esperam")
                page.get_by_role("button", name="English").click()
                write(page, "Um momento")
                unsent = page.locator("#unsent li")
                expect(unsent).to_contain_text("not confirmed by the server yet")
                expect(unsent).not_to_contain_text("connection")
            expect(bubbles(page)).to_have_count(3)
            expect(own(page).locator(".text")).to_have_text(["Um momento"])
            expect_state(page, "Live")
