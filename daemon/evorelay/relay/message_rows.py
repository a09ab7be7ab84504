"""A message's row, from what its webhook says."""

from typing import Any

from evorelay.model.fact import MediaFact, MessageFact
from evorelay.model.records import MessageRecord
from evorelay.protocol.delivery import OUTBOUND


def message_row(
    id_: str, fact: MessageFact, *, contact_id: str, received_at: int, seq: int | None
) -> MessageRecord:
    """The row, on no ticket yet."""
    metadata = dict(fact.metadata)
    if fact.origin is not None:
        metadata["origin"] = fact.origin
    if fact.is_history:
        metadata["history"] = True
    status = "received"
    if fact.from_me:
        status = fact.status if fact.status in OUTBOUND else "sent"
        if status != fact.status:
            # That there is a webhook says that it was sent; protocol/changes.py knows better later.
            metadata["unconfirmed"] = True
    return MessageRecord(
        id=id_,
        ticket_id=None,
        contact_id=contact_id,
        instance=fact.instance,
        direction="out" if fact.from_me else "in",
        sender="agent" if fact.from_me else "client",
        sender_id=fact.sender_id,
        sender_name=fact.sender_name,
        type=fact.type,
        content=fact.content,
        status=status,
        is_internal=False,
        created_at=fact.sent_at,
        received_at=received_at,
        whatsapp_id=fact.whatsapp_id,
        reply_to=fact.reply_to,
        reactions=[],
        edited_at=None,
        deleted_at=None,
        media=None if fact.media is None else media_row(fact.media),
        error=None,
        metadata=metadata,
        journal_seq=seq,
    )


def media_row(media: MediaFact) -> dict[str, Any]:
    """``MessageRecord.media``, of files that come in and of ours."""
    return {
        "id": media.blob,
        "url": f"/media/{media.blob}" if media.blob else None,
        "mimetype": media.mimetype,
        "size": media.size,
        "filename": media.filename,
        "seconds": media.seconds,
        "width": media.width,
        "height": media.height,
        "thumbnail": media.thumbnail,
        "is_voice": media.is_voice,
        "is_animated": media.is_animated,
        "remote_url": media.remote_url,
        "waveform": media.waveform,
    }
