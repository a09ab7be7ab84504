"""Media that came inside webhooks."""

import base64
from pathlib import Path
from typing import Any

import pytest

from evorelay.model.fact import MediaFact, MessageFact
from evorelay.relay.attachments import Attachments
from evorelay.relay.blobs import BlobStore
from tests.engine.harness import message, open_blobs, status
from tests.support.files import ogg_opus, png


@pytest.fixture
async def blobs(tmp_path: Path) -> BlobStore:
    return await open_blobs(tmp_path)


async def kept(blobs: BlobStore, type_: str = "document", **media: Any) -> MediaFact:
    sent = message("A", type=type_, media=MediaFact(mimetype="x/y", **media))
    fact = await Attachments(blobs).keep(sent)
    assert isinstance(fact, MessageFact)
    assert fact.media is not None
    return fact.media


async def test_bytes_inside_a_webhook_become_a_blob(blobs: BlobStore) -> None:
    media = await kept(blobs, base64=base64.b64encode(b"pixels").decode(), size=999)
    assert (media.base64, media.size, media.mimetype) == (None, 6, "x/y")
    assert media.blob is not None
    assert blobs.path(media.blob).read_bytes() == b"pixels"


async def test_the_same_bytes_are_stored_once(blobs: BlobStore) -> None:
    """P2: a webhook posted again makes no second file."""
    text = base64.b64encode(b"pixels").decode()
    assert (await kept(blobs, base64=text)).blob == (await kept(blobs, base64=text)).blob


@pytest.mark.parametrize("text", ["A", "ção", "A" * 5])
async def test_undecodable_bytes_cost_the_file_and_not_the_message(
    blobs: BlobStore, text: str
) -> None:
    media = await kept(blobs, base64=text, filename="foto.jpg")
    assert (media.base64, media.blob, media.filename) == (None, None, "foto.jpg")


async def test_a_spilled_file_is_measured(blobs: BlobStore) -> None:
    """What the webhook says of the size may be anything."""
    blob = await blobs.put(b"pixels")
    assert (await kept(blobs, blob=blob, size=999)).size == 6


async def test_a_spilled_file_that_is_gone_has_no_size(blobs: BlobStore) -> None:
    assert (await kept(blobs, blob="0" * 64, size=999)).size is None


async def test_other_facts_are_left_alone(blobs: BlobStore) -> None:
    for fact in (message("A"), status("A", "read")):
        assert await Attachments(blobs).keep(fact) is fact


async def test_a_dry_run_names_the_file_and_stores_nothing(blobs: BlobStore) -> None:
    text = base64.b64encode(b"pixels").decode()
    dry = await Attachments(blobs, is_dry=True).keep(message("A", media=MediaFact(base64=text)))
    assert isinstance(dry, MessageFact)
    assert dry.media is not None
    assert dry.media.blob is not None
    assert (dry.media.base64, dry.media.size) == (None, 6)
    assert await blobs.size(dry.media.blob) is None
    assert (await kept(blobs, base64=text)).blob == dry.media.blob


async def test_what_the_webhook_does_not_say_is_read_from_the_file(blobs: BlobStore) -> None:
    """The Cloud API's webhooks name neither sizes nor lengths."""
    inside = await kept(blobs, "image", base64=base64.b64encode(png(64, 48)).decode())
    assert (inside.width, inside.height, inside.mimetype) == (64, 48, "x/y")
    beside = await kept(blobs, "audio", blob=await blobs.put(ogg_opus(7)))
    assert (beside.seconds, beside.width) == (7, None)


async def test_what_the_webhook_says_stays(blobs: BlobStore) -> None:
    media = await kept(blobs, "image", blob=await blobs.put(png(64, 48)), width=3, height=4)
    assert (media.width, media.height) == (3, 4)


async def test_a_damaged_file_says_nothing(blobs: BlobStore) -> None:
    media = await kept(blobs, "image", blob=await blobs.put(png(64, 48)[:20]))
    assert (media.width, media.height) == (None, None)
