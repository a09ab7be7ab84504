"""GET /media/{id}: a message's file, for whoever may see the message (P7)."""

import base64
from pathlib import Path
from typing import Any

from tests.edge.http_world import World, error_of, open_world, token

ANA = "5511988880001"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


async def file_of_a_message(
    world: World, kind: str, mimetype: str, data: bytes, filename: str | None = None
) -> dict[str, Any]:
    """Post a message with a file; the message's ``media``."""
    content: dict[str, Any] = {"mimetype": mimetype}
    if filename is not None:
        content["fileName"] = filename
    await world.webhook(
        {
            "event": "messages.upsert",
            "instance": "loja",
            "data": {
                "key": {
                    "remoteJid": f"{ANA}@s.whatsapp.net",
                    "fromMe": False,
                    "id": f"MEDIA{hash(data)}",
                },
                "message": {kind: content, "base64": base64.b64encode(data).decode()},
                "messageType": kind,
                "messageTimestamp": 1_795_346_130,
            },
        }
    )
    tickets = (await world.get("/v1/tickets", token()))["tickets"]
    page = await world.get(f"/v1/tickets/{tickets[0]['id']}/messages", token())
    media: dict[str, Any] = page["messages"][-1]["media"]
    return media


async def test_the_url_of_a_message_leads_to_its_bytes(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        media = await file_of_a_message(world, "imageMessage", "image/png", PNG)
        assert media["size"] == len(PNG)
        answer = await world.ask(media["url"], token=token())
        assert answer.status_code == 200
        assert await answer.get_data() == PNG
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["Content-Disposition"].startswith("inline")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]


async def test_a_part_of_a_file_can_be_asked_for(tmp_path: Path) -> None:
    """Players seek in audio and video."""
    async with open_world(tmp_path) as world:
        data = bytes(range(256)) * 40
        media = await file_of_a_message(world, "audioMessage", "audio/ogg; codecs=opus", data)
        answer = await world.ask(media["url"], token=token(), headers={"Range": "bytes=300-309"})
        assert answer.status_code == 206
        assert await answer.get_data() == data[300:310]
        assert answer.headers["Content-Range"] == f"bytes 300-309/{len(data)}"
        beyond = await world.ask(media["url"], token=token(), headers={"Range": "bytes=99999-"})
        assert (beyond.status_code, beyond.headers["Content-Range"]) == (
            416,
            f"bytes */{len(data)}",
        )


async def test_a_file_that_could_run_is_only_offered_for_download(tmp_path: Path) -> None:
    """P7: what a customer sends never becomes a page of ours."""
    async with open_world(tmp_path) as world:
        page = b"<script>alert(1)</script>"
        for kind, mimetype in (("documentMessage", "text/html"), ("imageMessage", "image/svg+xml")):
            media = await file_of_a_message(
                world, kind, mimetype, page + kind.encode(), "../../etc/ola \r\nX: y.html"
            )
            answer = await world.ask(media["url"], token=token())
            assert answer.status_code == 200
            assert answer.headers["Content-Type"] == "application/octet-stream"
            disposition = answer.headers["Content-Disposition"]
            assert disposition.startswith("attachment")
            assert "/" not in disposition.partition("filename")[2].replace("UTF-8''", "")
            assert "X" not in answer.headers


async def test_a_file_is_kept_from_whoever_may_not_see_the_message(tmp_path: Path) -> None:
    """P7: knowing the hash of a file is not a right to it."""
    async with open_world(tmp_path) as world:
        media = await file_of_a_message(world, "imageMessage", "image/png", PNG)
        answer = await world.ask(media["url"])
        assert answer.status_code == 401
        foreign = await world.ask(media["url"], token=token(instances=["outra"], role="agent"))
        unknown = await world.ask(f"/media/{'0' * 64}", token=token())
        nonsense = await world.ask("/media/..%2f..%2fsecrets.json", token=token())
        for refused in (foreign, unknown, nonsense):
            assert refused.status_code == 404
        assert await error_of(foreign) == await error_of(unknown)


async def test_a_file_that_was_removed_is_gone_and_not_unknown(tmp_path: Path) -> None:
    """410, and only to whoever may see the message; the message says so, too."""
    async with open_world(tmp_path) as world:
        media = await file_of_a_message(world, "imageMessage", "image/png", PNG)
        world.storage.maintenance.age_media(1 << 45, 10)
        answer = await world.ask(media["url"], token=token())
        assert await error_of(answer) == (410, "media_removed")
        foreign = await world.ask(media["url"], token=token(instances=["outra"], role="agent"))
        assert await error_of(foreign) == (404, "not_found")
        (ticket,) = (await world.get("/v1/tickets", token()))["tickets"]
        (message,) = (await world.get(f"/v1/tickets/{ticket['id']}/messages", token()))["messages"]
        said = message["media"]
        assert (said["state"], said["id"], said["url"]) == ("removed", None, None)
        assert said["mimetype"] == "image/png"


async def test_a_file_that_is_missing_on_the_disk_is_gone(tmp_path: Path) -> None:
    async with open_world(tmp_path) as world:
        media = await file_of_a_message(world, "imageMessage", "image/png", PNG)
        world.blobs.path(media["id"]).unlink()
        answer = await world.ask(media["url"], token=token())
        assert await error_of(answer) == (410, "media_removed")
