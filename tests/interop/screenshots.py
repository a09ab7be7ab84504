"""The README's pictures of the console, made anew: ``python -m tests.interop.screenshots``.

The demo runs for some minutes, so that the charts have something to say, and one conversation,
always the same, is held in it. The pictures go to ``docs/``; pngquant makes them small.
"""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.interop.console_page import address, ask, send, ticket, until
from tests.interop.test_browser import ARGUMENTS, CHROMIUM
from tests.support.daemon import Daemon
from tests.support.webhooks import text_message

DOCS = Path(__file__).parents[2] / "docs"
LIVELY_S = 240
BYTES_MAX = 150_000
PHONE = "5511987650001"
NAME = "Helena Prado"
SAID = (
    ("in", "Oi! Comprei a poltrona Noronha e queria saber da entrega 🙂"),
    ("out", "Oi, Helena! Já olho para você. Qual é o número do pedido?"),
    ("in", "É o 73621"),
    ("out", "Achei: saiu hoje cedo do depósito e chega amanhã, entre 8h e 12h."),
    ("in", "Perfeito! Dá para avisar quando o caminhão estiver perto?"),
    ("note", "Cliente antiga: vale oferecer a montagem sem custo."),
    ("out", "Claro! Você recebe uma mensagem uns 30 minutos antes. 🚚"),
)


def converse(daemon: Daemon, instance: str) -> str:
    """Hold the conversation; returns the ticket's id."""
    for number, (way, text) in enumerate(SAID):
        if way == "in":
            webhook = text_message(f"SHOT{number}", text, phone=PHONE, instance=instance)
            webhook["data"]["pushName"] = NAME
            send(daemon, webhook)
        else:
            path = f"/v1/tickets/{the_ticket(daemon)['id']}/messages"
            said = {"content": text, "op_id": f"shot-{number}", "is_internal": way == "note"}
            ask(daemon, "POST", path, said)
        until(partial(has, daemon, number + 1))
        time.sleep(1.1)  # WhatsApp tells whole seconds; what is said later is to be shown later
    found = the_ticket(daemon)
    ask(daemon, "PATCH", f"/v1/tickets/{found['id']}", {"assignee": "ana"})
    until(lambda: messages(daemon)[-1]["status"] in ("delivered", "read"))
    ticket_id: str = found["id"]
    return ticket_id


def the_ticket(daemon: Daemon) -> Any:
    (found,) = ask(daemon, "GET", f"/v1/tickets?q={PHONE}")["tickets"]
    return found


def messages(daemon: Daemon) -> Any:
    return ask(daemon, "GET", f"/v1/tickets/{the_ticket(daemon)['id']}/messages")["messages"]


def has(daemon: Daemon, count: int) -> bool:
    """Whether that many messages of the conversation are there."""
    found = ask(daemon, "GET", f"/v1/tickets?q={PHONE}")["tickets"]
    return bool(found) and len(messages(daemon)) >= count


def keep(page: Page, name: str) -> None:
    path = DOCS / f"{name}.png"
    page.screenshot(path=path)
    quantise = shutil.which("pngquant")
    if quantise:
        subprocess.run([quantise, "--force", "--strip", "--output", path, "128", path], check=True)
    size = path.stat().st_size
    if size > BYTES_MAX:
        sys.exit(f"{path} has {size} bytes, more than {BYTES_MAX}: install pngquant")
    print(f"{path.relative_to(DOCS.parent)}: {size} bytes")


def shoot(browser: Browser, daemon: Daemon, ticket_id: str) -> None:
    def page(scheme: Any, width: int, height: int, scale: int, language: str) -> Page:
        context = browser.new_context(
            color_scheme=scheme,
            viewport={"width": width, "height": height},
            device_scale_factor=scale,
            locale=language,
            timezone_id="America/Sao_Paulo",
        )
        opened = context.new_page()
        opened.goto(address(daemon, "ana", "admin", name="Ana"))
        expect(opened.locator("#views a").first).to_be_visible()
        return opened

    desktop = page("light", 1280, 800, 1, "en-US")
    desktop.goto(f"{daemon.url}/console#/overview")
    expect(desktop.locator("[data-tile=received] b")).not_to_have_text("–")
    desktop.wait_for_function(
        "() => document.querySelectorAll('#view-overview canvas').length === 6"
    )
    keep(desktop, "console-overview")
    desktop.goto(f"{daemon.url}/console#/inbox/{ticket_id}")
    expect(desktop.locator("#messages > .out .tick.read, .tick.delivered").last).to_be_visible()
    expect(ticket(desktop, NAME).locator(".unread")).to_be_hidden()
    keep(desktop, "console-conversation")
    phone = page("dark", 390, 760, 2, "pt-BR")
    phone.goto(f"{daemon.url}/console#/inbox/{ticket_id}")
    expect(phone.locator("#messages > .out").last).to_be_visible()
    keep(phone, "console-phone")


def main() -> None:
    DOCS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="evorelay-shots-") as folder:
        daemon = Daemon(Path(folder) / "state")
        command = [sys.executable, "-m", "evorelay", "serve", "--demo", "--json"]
        with subprocess.Popen(
            command, env=daemon.environ(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            try:
                assert process.stdout is not None
                json.loads(process.stdout.readline())  # it is ready
                print(f"the demo runs for {LIVELY_S} s")
                time.sleep(LIVELY_S)
                instance = ask(daemon, "GET", "/v1/instances")["instances"][0]["name"]
                ticket_id = converse(daemon, instance)
                with sync_playwright() as playwright:
                    browser = playwright.chromium.launch(
                        executable_path=CHROMIUM, args=[*ARGUMENTS], headless=True
                    )
                    shoot(browser, daemon, ticket_id)
                    browser.close()
            finally:
                process.terminate()


if __name__ == "__main__":
    main()
