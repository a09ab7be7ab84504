"""A disk that is really full (P1, P5, P8): nothing accepted is lost, and it recovers by itself."""

import json
from base64 import b64encode
from pathlib import Path

import trio

from tests.support.agent import signed_in
from tests.support.daemon import Daemon, token
from tests.support.http import Reply, ask
from tests.support.posting import get, handled, messages_of, post_text, ticket_of
from tests.support.small_disk import on_a_small_disk
from tests.support.waiting import eventually
from tests.support.webhooks import PATH, as_body, text_message

MIB = 1024 * 1024


async def post(daemon: Daemon, whatsapp_id: str, text: str = "oi") -> Reply:
    return await ask(daemon, "POST", PATH, as_body(text_message(whatsapp_id, text)))


async def reply_to(daemon: Daemon, ticket: str, text: str) -> Reply:
    body = json.dumps({"content": text, "op_id": text}).encode()
    return await ask(
        daemon,
        "POST",
        f"/v1/tickets/{ticket}/messages",
        body,
        Authorization=f"Bearer {token()}",
        **{"Content-Type": "application/json"},
    )


async def until_accepted(daemon: Daemon, whatsapp_id: str) -> None:
    async def accepted() -> bool:
        return (await post(daemon, whatsapp_id)).status == 200

    await eventually(accepted, what="a webhook is accepted", within_s=30)


async def test_below_the_watermark_only_webhooks_are_refused(tmp_path: Path) -> None:
    """Reading, live events, claiming, replying, the console go on; health and readiness say it."""
    settings = {"WEBHOOK__MIN_FREE_BYTES": str(16 * MIB)}
    with on_a_small_disk(tmp_path, 64 * MIB, **settings) as (daemon, disk):
        await post_text(daemon, "FIRST", "oi")
        ticket = await ticket_of(daemon)
        async with signed_in(daemon) as agent:
            await agent.ask(subscribe={"channel": f"ticket:{ticket}"})
            disk.fill(leave_bytes=12 * MIB)

            async def refused() -> bool:
                return (await post(daemon, "REFUSED")).status == 503

            await eventually(refused, what="the watermark is noticed", within_s=30)
            answer = await post(daemon, "REFUSED")
            assert int(answer.headers["retry-after"]) >= 1
            assert (await ask(daemon, "GET", "/readyz")).status == 503
            health = await ask(daemon, "GET", "/health", Authorization=f"Bearer {token()}")
            assert (health.status, health.json["status"]) == (503, "fail")
            assert "disk" in json.dumps(health.json["checks"])
            assert len(await messages_of(daemon, ticket)) >= 1
            taken = await reply_to(daemon, ticket, "ainda respondemos")
            assert taken.status == 202, taken
            with trio.fail_after(30):
                told = await agent.event()
            assert told.data["type"] in ("message.created", "ticket.updated")
            claimed = await agent.rpc("tickets.claim", ticket_id=ticket)
            assert claimed["assignee"] == "ana"
            assert (await ask(daemon, "GET", "/console")).status in (200, 301, 302, 308)
            disk.make_room()
            await until_accepted(daemon, "LATER")
        await handled(daemon)
        found = {row["whatsapp_id"] for row in await messages_of(daemon, ticket)}
        assert {"FIRST", "LATER"} <= found
        assert (await ask(daemon, "GET", "/readyz")).status == 200
        assert "the disk is almost full" in disk.log()
        assert "there is room on the disk again" in disk.log()


async def test_a_disk_without_a_byte_left_loses_nothing(tmp_path: Path) -> None:
    """P1: every write fails at once: journal, store, files, even the log."""
    settings = {"WEBHOOK__MIN_FREE_BYTES": "0"}
    with on_a_small_disk(tmp_path, 48 * MIB, **settings) as (daemon, disk):
        accepted = {"FIRST"}
        await post_text(daemon, "FIRST", "oi")
        ticket = await ticket_of(daemon)
        await handled(daemon)
        disk.fill()
        refused: set[str] = set()
        for number in range(60):
            answer = await post(daemon, f"W{number}", "x" * 20_000)
            assert answer.status in (200, 503), answer
            (accepted if answer.status == 200 else refused).add(f"W{number}")
        assert refused, "the disk was never full"
        photo = text_message("PHOTO", "")
        image = {"imageMessage": {"mimetype": "image/png"}}
        photo["data"]["message"] = {**image, "base64": b64encode(b"p" * 3 * MIB).decode()}
        assert (await ask(daemon, "POST", PATH, as_body(photo))).status == 503
        assert (await ask(daemon, "GET", "/livez")).status == 200
        assert len((await get(daemon, "/v1/tickets"))["tickets"]) == 1
        unsaved = await reply_to(daemon, ticket, "cheio")
        assert unsaved.status in (202, 503), unsaved
        disk.make_room()
        for whatsapp_id in sorted(refused):  # as Evolution does
            await until_accepted(daemon, whatsapp_id)
        assert (await ask(daemon, "POST", PATH, as_body(photo))).status == 200
        await handled(daemon)
        rows = await messages_of(daemon, ticket)
        found = [row["whatsapp_id"] for row in rows if row["direction"] == "in"]
        assert sorted(found) == sorted({*accepted, *refused, "PHOTO"})
        if unsaved.status == 202:
            assert "cheio" in [row["content"] for row in rows]
        assert (await reply_to(daemon, ticket, "de novo")).status == 202
