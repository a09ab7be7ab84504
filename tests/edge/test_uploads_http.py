"""POST /v1/media: files handed in by agents (P5, P7)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from quart import Response

from tests.edge.http_world import UPLOAD_BYTES_MAX, World, error_of, open_world, token
from tests.support.files import ogg_opus, png, webm

PICTURE = png(640, 480)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path, allowed_origins=("https://crm.example",)) as opened:
        yield opened


def form(*parts: tuple[str, str | None, bytes], boundary: str = "XyZ") -> bytes:
    """(name, filename, data)"""
    body = b""
    for name, filename, data in parts:
        disposition = f'form-data; name="{name}"'
        if filename is not None:
            disposition += f'; filename="{filename}"\r\nContent-Type: image/png'
        body += f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
        body += data + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


async def upload(
    world: World, body: bytes, type_: str | None = "image/png", query: str = "", **options: Any
) -> Response:
    headers = {} if type_ is None else {"Content-Type": type_}
    options.setdefault("token", token())
    headers |= options.pop("headers", {})
    return await world.ask(
        f"/v1/media{query}", method="POST", body=body, headers=headers, **options
    )


async def test_a_file_is_handed_in_as_it_is(world: World) -> None:
    answer = await upload(world, PICTURE, query="?filename=foto%20da%20loja.png")
    assert answer.status_code == 201
    view = await answer.get_json()
    assert view.pop("id")
    assert view == {
        "mimetype": "image/png",
        "size": len(PICTURE),
        "filename": "foto da loja.png",
        "kind": "image",
        "seconds": None,
        "width": 640,
        "height": 480,
    }


async def test_a_form_carries_the_same_file(world: World) -> None:
    body = form(("file", "foto.png", PICTURE * 2000))
    answer = await upload(world, body, "multipart/form-data; boundary=XyZ")
    view = await answer.get_json()
    assert (answer.status_code, view["size"]) == (201, len(PICTURE) * 2000)
    assert (view["filename"], view["kind"]) == ("foto.png", "image")


@pytest.mark.parametrize("data", [webm(b"A_OPUS"), ogg_opus(3)])
async def test_what_browsers_record_is_audio(world: World, data: bytes) -> None:
    answer = await upload(world, data, "audio/webm;codecs=opus")
    assert (await answer.get_json())["kind"] == "audio"


async def test_an_upload_is_stored_once_and_named_by_nobody_else(world: World) -> None:
    """P7: the bytes cannot be had by their hash before they are in a message."""
    ids = {(await (await upload(world, PICTURE)).get_json())["id"] for _ in range(2)}
    assert len(ids) == 2
    found = await world.reads(lambda reader: reader.upload(ids.pop()))
    assert found is not None
    assert found.agent == "ana"
    assert (await world.ask(f"/media/{found.media['blob']}", token=token())).status_code == 404


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"token": None}, 401, "unauthorized"),
        ({"token": "x.y.z"}, 401, "unauthorized"),
        ({"token": token(role=None)}, 403, "forbidden"),
    ],
)
async def test_who_may_not(world: World, options: Any, status: int, code: str) -> None:
    assert await error_of(await upload(world, PICTURE, **options)) == (status, code)


@pytest.mark.parametrize(
    ("body", "type_", "status", "code"),
    [
        (b"", "image/png", 400, "bad_request"),
        (b"no picture", "image/png", 415, "media_type"),
        (b"a=1", "application/x-www-form-urlencoded", 415, "media_type"),
        (bytes(UPLOAD_BYTES_MAX + 1), "application/pdf", 413, "too_large"),
        (b"x", "multipart/form-data", 400, "bad_request"),
        (b"x", "multipart/form-data; boundary=XyZ", 400, "bad_request"),
        (form(("file", "a.png", PICTURE))[:-20], None, 400, "bad_request"),
        (form(("other", "a.png", PICTURE)), None, 400, "bad_request"),
        (form(("file", None, PICTURE)), None, 400, "bad_request"),
        (form(("file", "a.png", PICTURE), ("file", "b.png", PICTURE)), None, 400, "bad_request"),
        (form(("file", "a.png", b"")), None, 400, "bad_request"),
        (form(("file", "a.png", bytes(UPLOAD_BYTES_MAX + 1))), None, 413, "too_large"),
        (b"--XyZ\r\n" + b"X: y\r\n" * 30_000, None, 400, "bad_request"),
        (b"\r\n" * 100_000, None, 400, "bad_request"),
        (form(), None, 400, "bad_request"),
    ],
)
async def test_what_is_refused(
    tmp_path: Path, world: World, body: bytes, type_: str | None, status: int, code: str
) -> None:
    answer = await upload(world, body, type_ or "multipart/form-data; boundary=XyZ")
    assert await error_of(answer) == (status, code)
    assert not list((tmp_path / "blobs" / "tmp").iterdir())


async def test_a_full_disk_takes_nothing(world: World) -> None:
    """P5"""
    world.free_bytes = 0
    world.journal.check_disk()
    answer = await upload(world, PICTURE)
    assert await error_of(answer) == (503, "unavailable")
    assert answer.headers["Retry-After"]


async def test_pages_of_other_origins_may_ask(world: World) -> None:
    origin = {"Origin": "https://crm.example"}
    asked = await world.ask(
        "/v1/media", method="OPTIONS", headers={**origin, "Access-Control-Request-Method": "POST"}
    )
    assert asked.status_code == 204
    for answer in (asked, await upload(world, PICTURE, headers=origin)):
        assert answer.headers["Access-Control-Allow-Origin"] == "https://crm.example"
    stranger = await upload(world, PICTURE, headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in stranger.headers


async def test_other_methods_are_not_for_this_address(world: World) -> None:
    answer = await world.ask("/v1/media", token=token())
    assert answer.status_code == 405
    assert "POST" in answer.headers["Allow"]
