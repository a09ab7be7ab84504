"""Files through the real daemon: handed in over a real socket, fetched from a real server."""

import base64
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.support.daemon import WEBHOOK_SECRET, Daemon, token
from tests.support.files import png
from tests.support.files_server import FilesServer, answer, files_server
from tests.support.http import Reply, ask, connected, request
from tests.support.posting import get
from tests.support.waiting import eventually

PICTURE = png(64, 48)
BEARER = {"Authorization": f"Bearer {token()}"}
MIB = 1024 * 1024


@pytest.fixture
async def evolution() -> AsyncIterator[FilesServer]:
    async with files_server() as running:
        yield running


@pytest.fixture
def daemon(tmp_path: Path, evolution: FilesServer) -> Iterator[Daemon]:
    settings = {
        "EVOLUTION__URL": evolution.url(""),
        "EVOLUTION__API_KEY": "key-of-the-files-server",
        "EVOLUTION__POLL_EVERY": "600",
        "MEDIA__MAX_BYTES": "8MiB",
    }
    running = Daemon(tmp_path / "state", settings)
    yield running
    running.kill()


async def started(daemon: Daemon) -> None:
    await trio.to_thread.run_sync(daemon.start)


async def post_picture(daemon: Daemon, whatsapp_id: str, **message: Any) -> None:
    body = {
        "event": "messages.upsert",
        "instance": "loja",
        "data": {
            "key": {
                "remoteJid": "5531988887777@s.whatsapp.net",
                "fromMe": False,
                "id": whatsapp_id,
            },
            "message": {"imageMessage": {"mimetype": "image/png"}, **message},
            "messageType": "imageMessage",
            "messageTimestamp": 1_795_346_130,
        },
    }
    reply = await ask(
        daemon,
        "POST",
        f"/hook/{WEBHOOK_SECRET}",
        json.dumps(body).encode(),
        Content_Type="application/json",
    )
    assert reply.status == 200


async def media_of(daemon: Daemon, whatsapp_id: str) -> dict[str, Any] | None:
    """Of a message, once nobody waits for its file any more."""
    for ticket in (await get(daemon, "/v1/tickets"))["tickets"]:
        page = await get(daemon, f"/v1/tickets/{ticket['id']}/messages")
        for message in page["messages"]:
            if message["whatsapp_id"] == whatsapp_id and message["media"]["state"] != "pending":
                media: dict[str, Any] = message["media"]
                return media
    return None


async def test_files_that_were_not_in_the_webhook_are_fetched(
    daemon: Daemon, evolution: FilesServer
) -> None:
    evolution.answers["/bucket/b.png"] = answer(PICTURE, "Content-Type: image/png")
    found = {
        "mediaType": "imageMessage",
        "fileName": "A.png",
        "mimetype": "image/png",
        "base64": base64.b64encode(PICTURE).decode(),
        "buffer": None,
    }
    evolution.answers["/chat/getBase64FromMediaMessage/loja"] = answer(
        json.dumps(found).encode(), "Content-Type: application/json", status="201 Created"
    )
    await started(daemon)
    await post_picture(daemon, "A")
    await post_picture(daemon, "B", mediaUrl=evolution.url("/bucket/b.png"))
    elsewhere = f"http://127.0.0.1:{daemon.port}/metrics"
    await post_picture(daemon, "C", mediaUrl=elsewhere)
    for whatsapp_id in "ABC":
        media = await eventually(lambda: media_of(daemon, whatsapp_id), what="file")  # noqa: B023  # is called in this round
        assert (media["state"], media["width"], media["height"]) == ("here", 64, 48)
        there = await ask(daemon, "GET", media["url"], b"", **BEARER)
        assert there.body == PICTURE
    assert evolution.paths.count("/bucket/b.png") == 1
    assert evolution.paths.count("/chat/getBase64FromMediaMessage/loja") == 2
    assert "key-of-the-files-server" not in daemon.log()
    await trio.to_thread.run_sync(daemon.terminate)


async def upload(daemon: Daemon, body: bytes, **headers: str) -> Reply:
    return await ask(daemon, "POST", "/v1/media?filename=a.pdf", body, **{**BEARER, **headers})


async def test_files_are_handed_in_over_a_socket(daemon: Daemon) -> None:
    await started(daemon)
    whole = await upload(daemon, b"%PDF-1.7" + bytes(5 * MIB), Content_Type="application/pdf")
    assert (whole.status, whole.json["size"]) == (201, 5 * MIB + 8)
    async with connected(daemon) as connection:
        head = request(
            "POST", "/v1/media", headers={**BEARER, "Transfer-Encoding": "chunked"}
        ).replace(b"Content-Length: 0\r\n", b"")
        await connection.send(head)
        for _ in range(100):
            await connection.send(b"400\r\n" + bytes(1024) + b"\r\n")
        await connection.send(b"0\r\n\r\n")
        chunked = await connection.read_reply()
        assert chunked is not None
        assert (chunked.status, chunked.json["size"]) == (201, 102_400)
        again = await connection.ask("POST", "/v1/media", PICTURE, **BEARER)
        assert (again.status, again.json["kind"]) == (201, "image")


async def test_what_is_refused_is_refused_before_it_is_sent(daemon: Daemon) -> None:
    """P5: the head says enough."""
    await started(daemon)
    size = {"Content-Length": str(9 * MIB)}
    for headers, status in (({**BEARER, **size}, 413), (size, 401)):
        async with connected(daemon) as connection:
            head = request("POST", "/v1/media", headers=headers)
            await connection.send(head.replace(b"Content-Length: 0\r\n", b""))
            with trio.fail_after(30):
                reply = await connection.read_reply()
            assert reply is not None
            assert reply.status == status
            assert await connection.is_closed()


async def test_a_body_that_grows_too_large_is_cut_off(daemon: Daemon) -> None:
    await started(daemon)
    async with connected(daemon) as connection, trio.open_nursery() as nursery:
        head = request(
            "POST", "/v1/media", headers={**BEARER, "Transfer-Encoding": "chunked"}
        ).replace(b"Content-Length: 0\r\n", b"")
        await connection.send(head)

        async def endless() -> None:
            with suppress(trio.BrokenResourceError):
                while True:
                    await connection.send(b"10000\r\n" + bytes(65536) + b"\r\n")

        nursery.start_soon(endless)
        with trio.fail_after(30):
            reply = await connection.read_reply()
        assert reply is not None
        assert (reply.status, reply.json["error"]["code"]) == (413, "too_large")
    await nothing_is_left(daemon)


async def test_a_sender_that_leaves_leaves_nothing(daemon: Daemon) -> None:
    await started(daemon)
    async with connected(daemon) as connection:
        head = request("POST", "/v1/media", headers={**BEARER, "Content-Length": str(2 * MIB)})
        await connection.send(head.replace(b"Content-Length: 0\r\n", b"") + bytes(MIB))
    assert (await upload(daemon, b"%PDF-1.7")).status == 201
    await nothing_is_left(daemon)


async def nothing_is_left(daemon: Daemon) -> None:
    tmp = daemon.state_dir / "blobs" / "tmp"

    async def is_empty() -> bool:
        return not list(tmp.iterdir())

    await eventually(is_empty, what="tidy blob store")
    lines = [json.loads(line) for line in daemon.log().splitlines() if line.startswith("{")]
    assert [line for line in lines if line.get("level") in ("error", "ERROR")] == []
