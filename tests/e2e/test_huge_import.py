"""An import of history that is larger than what may be held in memory, in the real process."""

from pathlib import Path

from tests.support.daemon import running, token
from tests.support.http import ask
from tests.support.posting import handled, messages_of, metric, post_text, ticket_of
from tests.support.webhooks import INSTANCE, PATH, as_body, text_message

MESSAGES = 20_000
WARM_UP = 2_000
GROWTH_MIB = 30.0
"""As objects these 24 MB take 220 MB. Measured: 13 MiB, and 25 MiB for 150 MB."""


def history(first: int, count: int) -> bytes:
    """``messages.set`` as 1.8 and 2.x post it, 1.5 KB a message."""
    extra = {"messageContextInfo": {"messageSecret": {str(n): n for n in range(64)}}}
    rows = []
    for number in range(first, first + count):
        phone = f"5531{90000000 + number % 500}"
        row = text_message(f"H{number:05d}", "oi " * 80, phone=phone, sent_at=1_780_000_000)["data"]
        rows.append(row | {"message": row["message"] | extra})
    return as_body({"event": "messages.set", "instance": INSTANCE, "data": rows})


async def test_a_huge_import_costs_little_memory_and_loses_nothing(tmp_path: Path) -> None:
    """P2, P5: it is counted once however often it comes, and joins the ticket there is."""
    with running(tmp_path / "state") as daemon:
        await post_text(daemon, "LIVE", "bom dia", phone="553190000007")
        ticket = await ticket_of(daemon, "553190000007")
        assert (await ask(daemon, "POST", PATH, history(MESSAGES, WARM_UP))).status == 200
        await handled(daemon)
        body = history(0, MESSAGES)
        assert len(body) > 20 * 1024 * 1024
        before = daemon.rss_mib()
        assert (await ask(daemon, "POST", PATH, body)).status == 200
        daemon.reset_peak_rss()  # the body as a file, of which the kernel may take back any page
        await handled(daemon)
        assert daemon.peak_rss_mib() - before < GROWTH_MIB
        received = 'messages_total{status="received",type="text"}'
        assert await metric(daemon, received) == MESSAGES + WARM_UP + 1
        assert (await ask(daemon, "POST", PATH, body)).status == 200
        await handled(daemon)
        assert await metric(daemon, received) == MESSAGES + WARM_UP + 1
        found = await messages_of(daemon, ticket)
        assert [m["whatsapp_id"] for m in found if not m["metadata"].get("history")] == ["LIVE"]
        assert len(found) == 1 + (MESSAGES + WARM_UP) // 500
        supervisor = f"Bearer {token(role='supervisor')}"
        quarantine = await ask(daemon, "GET", "/v1/quarantine", Authorization=supervisor)
        assert quarantine.json["quarantine"] == []


async def test_a_restart_does_not_wait_for_a_huge_import(tmp_path: Path) -> None:
    """P1, P2: it stops between two parts and goes on at the next start, nothing twice."""
    with running(tmp_path / "state") as daemon:
        await post_text(daemon, "LIVE", "bom dia", phone="553190000007")
        ticket = await ticket_of(daemon, "553190000007")
        assert (await ask(daemon, "POST", PATH, history(0, MESSAGES))).status == 200
        assert daemon.terminate() == 0
        daemon.start()
        await handled(daemon)
        assert len(await messages_of(daemon, ticket)) == 1 + MESSAGES // 500
