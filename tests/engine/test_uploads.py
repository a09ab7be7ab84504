"""Files that can be sent: handed in, out of a message, from an address (issue 4, point 1)."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from evorelay.edge.downloads import Downloads, Reach
from evorelay.model.errors import Code, JournalUnavailable
from evorelay.model.fact import MediaFact
from evorelay.relay.commands import SendMedia
from evorelay.relay.uploads import AT_ONCE_MAX, Uploads, UploadView
from tests.engine.harness import World, message
from tests.engine.office import ANA, BIA, NOBODY, STRANGER, office, refused
from tests.support.files import mp4, ogg_opus, png, wav
from tests.support.files_server import FilesServer, answer, files_server

PICTURE = png(64, 48)
BYTES_MAX = 100_000


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with office(tmp_path) as opened:
        yield opened


@pytest.fixture
async def server() -> AsyncIterator[FilesServer]:
    async with files_server() as running:
        yield running


def anywhere(host: str, port: int, address: str) -> bool:
    return True


def uploads(world: World, may_reach: Reach = anywhere) -> Uploads:
    tls = ssl.create_default_context()
    return Uploads(
        world.blobs,
        world.ledger,
        world.reads,
        Downloads(world.blobs, bytes_max=BYTES_MAX, may_reach=may_reach, tls=tls),
        media_of=world.desk.media_of,
        refusal=lambda: world.journal.refusal,
        bytes_max=BYTES_MAX,
    )


async def pieces(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def handed_in(world: World, data: bytes, **said: Any) -> UploadView:
    said = {"filename": None, "mimetype": None, **said}
    return await uploads(world).take(ANA, pieces(data), **said)


async def test_an_upload_can_be_sent_by_whoever_handed_it_in(world: World) -> None:
    """P7: to a colleague it does not exist, whatever instances they share."""
    view = await handed_in(world, PICTURE, filename="../foto.png", mimetype="text/plain")
    assert (view.mimetype, view.kind, view.filename) == ("image/png", "image", "foto.png")
    media = await uploads(world).media(ANA, SendMedia(id=view.id))
    assert world.blobs.path(media.blob).read_bytes() == PICTURE
    assert (media.mimetype, media.size, media.width, media.height) == (
        "image/png",
        len(PICTURE),
        64,
        48,
    )
    for other in (BIA, STRANGER):
        code, text = await refused(uploads(world).media(other, SendMedia(id=view.id)))
        assert code is Code.NOT_FOUND
        assert (code, text) == await refused(uploads(world).media(other, SendMedia(id="unknown")))


@pytest.mark.parametrize(
    ("data", "said", "mimetype", "kind"),
    [
        (ogg_opus(3), {}, "audio/ogg", "audio"),
        (mp4(3, b"vide"), {"mimetype": "application/octet-stream"}, "video/mp4", "video"),
        (mp4(3, b"soun"), {"mimetype": "video/mp4"}, "audio/mp4", "audio"),
        (b"%PDF-1.7", {"filename": "a.txt"}, "application/pdf", "document"),
        (b"oi", {"filename": "a.txt"}, "text/plain", "document"),
        (b"<script>", {"mimetype": "text/html"}, "text/html", "document"),
        (b"MZ", {}, "application/octet-stream", "document"),
    ],
)
async def test_the_bytes_say_what_it_is(
    world: World, data: bytes, said: Any, mimetype: str, kind: str
) -> None:
    view = await handed_in(world, data, **said)
    assert (view.mimetype, view.kind) == (mimetype, kind)


async def test_what_cannot_be_taken_is_refused(world: World, tmp_path: Path) -> None:
    for data, said, code in (
        (b"", {}, Code.BAD_REQUEST),
        (b"no picture", {"mimetype": "image/jpeg"}, Code.MEDIA_TYPE),
        (b"no picture", {"filename": "foto.jpg"}, Code.MEDIA_TYPE),
        (bytes(BYTES_MAX + 1), {}, Code.TOO_LARGE),
    ):
        assert (await refused(handed_in(world, data, **said)))[0] is code
    assert not list((tmp_path / "blobs" / "tmp").iterdir())
    assert (await handed_in(world, bytes(BYTES_MAX))).size == BYTES_MAX


async def test_who_has_no_role_hands_nothing_in(world: World) -> None:
    take = uploads(world).take(NOBODY, pieces(PICTURE), filename=None, mimetype=None)
    assert (await refused(take))[0] is Code.FORBIDDEN
    media = uploads(world).media(NOBODY, SendMedia(url="http://a.example/"))
    assert (await refused(media))[0] is Code.FORBIDDEN


async def test_a_full_disk_takes_nothing(world: World, server: FilesServer) -> None:
    """P5"""
    world.free_bytes = 0
    world.journal.check_disk()
    with pytest.raises(JournalUnavailable):
        await handed_in(world, PICTURE)
    with pytest.raises(JournalUnavailable):
        await uploads(world).media(ANA, SendMedia(url=server.url("/a.png")))
    assert server.paths == []


async def test_too_many_at_once_are_refused(world: World) -> None:
    """P5"""
    files = uploads(world)
    began = 0

    async def slow() -> AsyncIterator[bytes]:
        nonlocal began
        began += 1
        yield b"x"
        await trio.sleep_forever()

    async def hand_in() -> None:
        await files.take(ANA, slow(), filename=None, mimetype=None)

    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE_MAX):
            nursery.start_soon(hand_in)
        while began < AT_ONCE_MAX:
            await trio.sleep(0)
        code, _ = await refused(files.take(ANA, pieces(b"x"), filename=None, mimetype=None))
        assert code is Code.UNAVAILABLE
        nursery.cancel_scope.cancel()
    assert await files.take(ANA, pieces(b"x"), filename=None, mimetype=None)


async def test_the_file_of_a_message_can_be_sent_on(world: World) -> None:
    """P7: by whoever may see the message."""
    blob = await world.blobs.put(ogg_opus(3))
    voice = MediaFact(blob=blob, mimetype="audio/ogg; codecs=opus", waveform=[1, 2], is_voice=True)
    await world.apply(message("V", type="audio", media=voice))
    media = await uploads(world).media(ANA, SendMedia(id=blob, is_voice=True))
    assert (media.blob, media.mimetype, media.seconds) == (blob, "audio/ogg", 3)
    assert (media.waveform, media.is_voice) == ([1, 2], True)
    as_file = await uploads(world).media(ANA, SendMedia(id=blob, filename="a/recado.ogg"))
    assert (as_file.waveform, as_file.is_voice, as_file.filename) == (None, False, "recado.ogg")
    assert (await refused(uploads(world).media(STRANGER, SendMedia(id=blob))))[0] is Code.NOT_FOUND
    world.blobs.path(blob).unlink()
    gone = await refused(uploads(world).media(ANA, SendMedia(id=blob)))
    assert gone[0] is Code.MEDIA_UNAVAILABLE


async def test_a_file_is_fetched_from_its_address(world: World, server: FilesServer) -> None:
    server.answers["/foto"] = answer(PICTURE, "Content-Type: application/octet-stream")
    media = await uploads(world).media(ANA, SendMedia(url=server.url("/foto"), filename="a.png"))
    assert (media.mimetype, media.filename, media.size) == ("image/png", "a.png", len(PICTURE))


async def test_a_large_answer_is_refused_as_too_large(world: World, server: FilesServer) -> None:
    server.answers["/large"] = answer(bytes(BYTES_MAX + 1))
    wanted = SendMedia(url=server.url("/large"))
    assert (await refused(uploads(world).media(ANA, wanted)))[0] is Code.TOO_LARGE


async def test_a_voice_note_is_audio(world: World) -> None:
    picture = await handed_in(world, PICTURE)
    code, text = await refused(uploads(world).media(ANA, SendMedia(id=picture.id, is_voice=True)))
    assert (code, "image/png" in text) == (Code.MEDIA_TYPE, True)
    sound = await handed_in(world, wav(1))
    assert (await uploads(world).media(ANA, SendMedia(id=sound.id, is_voice=True))).is_voice


@pytest.mark.parametrize("wanted", [SendMedia(), SendMedia(id="a", url="http://a.example/")])
async def test_one_source_is_named(world: World, wanted: SendMedia) -> None:
    assert (await refused(uploads(world).media(ANA, wanted)))[0] is Code.BAD_REQUEST
