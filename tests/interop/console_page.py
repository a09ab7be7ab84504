"""What the tests of the console share: the way in, webhooks to look at, and where things are."""

import base64
import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Locator, Page, expect

from evorelay.simulator.media import Media
from tests.interop.test_browser import PATIENCE_MS
from tests.support.daemon import Daemon, token
from tests.support.webhooks import PATH, as_body, text_message

JID = "5531988887777@s.whatsapp.net"
"""Of the customer who writes, unless a test says otherwise."""

expect.set_options(timeout=PATIENCE_MS)


def address(daemon: Daemon, sub: str = "ana", role: str = "agent", **claims: Any) -> str:
    """What ``evorelay urls`` prints: the token is in the fragment, which is sent to nobody."""
    return f"{daemon.url}/console#token={token(sub, role=role, **claims)}"


def go(page: Page, view: str) -> Locator:
    """Open another view by the navigation, as an operator does; returns it."""
    page.locator(f"#views a[data-view={view}]").click()
    shown = page.locator(f"#view-{view}")
    expect(shown).to_be_visible()
    return shown


@contextmanager
def no_trouble(page: Page) -> Iterator[None]:
    """Nothing the browser complains about happens meanwhile: no error, no breach of the policy."""
    troubles: list[str] = []
    page.on("console", lambda line: troubles.append(line.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.evaluate(
        """() => addEventListener("securitypolicyviolation", (event) =>
            console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`))"""
    )
    yield
    assert troubles == [], troubles


def expect_it_fits(page: Page) -> None:
    """Nothing is wider than the screen, and nothing outside of what was written is turned."""
    wide = page.evaluate(
        """() => [...document.querySelectorAll("body *")].filter((one) =>
            one.getBoundingClientRect().right > innerWidth + 1 && one.checkVisibility()
        ).map((one) => one.outerHTML.slice(0, 200))"""
    )
    assert wide == [], wide


def post(daemon: Daemon, whatsapp_id: str, text: str = "", **fields: Any) -> None:
    send(daemon, text_message(whatsapp_id, text or whatsapp_id, **fields))


def send(daemon: Daemon, webhook: dict[str, Any]) -> None:
    with urllib.request.urlopen(f"{daemon.url}{PATH}", as_body(webhook), timeout=30) as reply:
        assert json.load(reply)["received"] is True


def ask(
    daemon: Daemon,
    method: str,
    path: str,
    body: Any = None,
    *,
    sub: str = "ana",
    role: str = "agent",
) -> Any:
    """One request to the REST API, as an agent."""
    request = urllib.request.Request(
        f"{daemon.url}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {token(sub, role=role)}",
            "Content-Type": "application/json",
        },
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return json.load(reply)


def event(name: str, data: Any, **extra: Any) -> dict[str, Any]:
    """A webhook of another event, from the same instance."""
    return text_message("", "") | {"event": name, "data": data} | extra


def message(whatsapp_id: str, kind: str, content: Any, **extra: Any) -> dict[str, Any]:
    """``messages.upsert`` of any kind; ``extra`` goes into ``data``, ``key`` into the key."""
    webhook = text_message(whatsapp_id, "", sent_at=extra.pop("sent_at", None))
    webhook["data"]["key"].update(extra.pop("key", {}))
    webhook["data"].update(message={kind: content}, messageType=kind, **extra)
    return webhook


def key(whatsapp_id: str, **fields: Any) -> dict[str, Any]:
    """How WhatsApp names a message of that customer."""
    return {"remoteJid": JID, "fromMe": False, "id": whatsapp_id} | fields


def reaction(target: str, emoji: str, at: int, **fields: Any) -> dict[str, Any]:
    content = {"key": key(target), "text": emoji, "senderTimestampMs": str(at * 1000)}
    return message(f"R{at}", "reactionMessage", content, sent_at=at, key=fields)


def of_group(webhook: dict[str, Any]) -> dict[str, Any]:
    webhook["data"]["key"].update(
        remoteJid="120363041234567890@g.us", participant="5531988887777@s.whatsapp.net"
    )
    return webhook


def with_file(whatsapp_id: str, media: Media) -> dict[str, Any]:
    """A customer's message with a file inside the webhook, as ``webhookBase64`` has Evolution."""
    kind = f"{media.kind}Message"
    webhook = message(whatsapp_id, kind, {"mimetype": media.mimetype, "fileName": media.filename})
    webhook["data"]["message"]["base64"] = base64.b64encode(media.content).decode()
    return webhook


def until(holds: Callable[[], bool]) -> None:
    """Wait for what the daemon does by itself."""
    deadline = time.monotonic() + PATIENCE_MS / 1000
    while not holds():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.05)


def ago(seconds: int) -> int:
    """Unix seconds, as WhatsApp's timestamps."""
    return int(time.time()) - seconds


def ticket(page: Page, name: str = "Cliente 7777") -> Locator:
    return page.locator("#ticket-list button", has_text=name)


def bubbles(page: Page) -> Locator:
    return page.locator("#messages > li:not(.day)")


def expect_state(page: Page, text: str | re.Pattern[str]) -> None:
    expect(page.locator("#state")).to_have_text(text)
