"""Media that came inside webhooks, and bodies that were too large for the journal."""

import base64
from pathlib import Path
from typing import Any

import pytest

from evorelay.model.envelope import Envelope
from evorelay.model.fact import MediaFact, MessageFact
from evorelay.relay.attachments import Attachments
from evorelay.relay.blobs import BlobStore
from tests.engine.harness import T0, message, open_blobs, status


@pytest.fixture
async def blobs(tmp_path: Path) -> BlobStore:
    return await open_blobs(tmp_path)


async def kept(blobs: BlobStore, **media: Any) -> MediaFact:
    fact = await Attachments(blobs).keep(message("A", media=MediaFact(mimetype="x/y", **media)))
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


async def test_a_spilled_body_is_read_back(blobs: BlobStore) -> None:
    envelope = Envelope(
        received_at=T0, event="e", instance="i", body=b"", body_blob=await blobs.put(b"{}")
    )
    restored = await Attachments(blobs).restore_body(envelope)
    assert restored is not None
    assert (restored.body, restored.body_blob, restored.event) == (b"{}", None, "e")


async def test_a_spilled_body_that_is_gone_is_empty(blobs: BlobStore) -> None:
    envelope = Envelope(received_at=T0, event="e", instance="i", body=b"", body_blob="0" * 64)
    restored = await Attachments(blobs).restore_body(envelope)
    assert restored is not None
    assert restored.body == b""
