"""Files that are to be fetched: which messages lack one, and what becomes of the wish.

Decided in the transaction of the message itself, so that a file that is promised ("pending") is
fetched even if we are killed in the next moment. The fetching is ``fetching``'s.
"""

from collections.abc import Callable
from typing import Any

import trio

from evorelay.model.records import FetchRecord, MessageRecord
from evorelay.relay.draft import Draft

FILE_TYPES = frozenset({"image", "video", "audio", "document", "sticker"})
PENDING = "pending"
FAILED = "failed"


class Fetches:
    """The wishes as the pipeline sees them: which instances have any, and a bell."""

    def __init__(self, is_on: Callable[[str], bool]) -> None:
        """``is_on``: whether files of this instance's messages can be fetched at all. Called in
        the ledger's thread."""
        self._is_on = is_on
        self._bell = trio.Event()

    def enqueue(self, draft: Draft, message: MessageRecord) -> bool:
        """Wish for the file if the message lacks one; whether it does.

        Call it before the message is told, and tell the draft that it changed. Imported history is
        left alone: there may be 100,000 of them, and Evolution has no files of most.
        """
        if not (wants_fetch(message) and self._is_on(message.instance)):
            return False
        assert message.media is not None
        message.media = {**message.media, "state": PENDING}
        draft.plan.fetches.append(
            FetchRecord(
                message_id=message.id,
                instance=message.instance,
                attempts=0,
                due_at=draft.now,
                at=draft.now,
            )
        )
        return True

    def ring(self) -> None:
        """There are new wishes, committed by now."""
        self._bell.set()

    async def rung(self) -> None:
        """Wait until somebody rings, or has rung since the last time."""
        await self._bell.wait()
        self._bell = trio.Event()


def wants_fetch(message: MessageRecord) -> bool:
    """Whether a message that has just been understood has a file and we have not."""
    return (
        message.type in FILE_TYPES
        and message.media is not None
        and message.media.get("id") is None
        and message.media.get("state") is None
        and message.whatsapp_id is not None
        and message.deleted_at is None
        and "history" not in message.metadata
    )


def still_wanted(message: MessageRecord | None) -> bool:
    """Whether a wish stands: the file may have come in another webhook, or been deleted."""
    return (
        message is not None
        and message.media is not None
        and message.media.get("id") is None
        and message.media.get("state") == PENDING
        and message.deleted_at is None
    )


def settle(draft: Draft, message_id: str, found: dict[str, Any] | None) -> bool:
    """The file is here (``found``: what is known of it now), or never will be (None).

    Returns whether anybody had still waited for it.
    """
    draft.plan.settled_fetches.append(message_id)
    message = draft.tx.messages_by_id([message_id]).get(message_id)
    if message is None or message.media is None or not still_wanted(message):
        return False
    if found is None:
        message.media = {**message.media, "state": FAILED}
    else:
        said = {name: value for name, value in message.media.items() if value is not None}
        del said["state"]
        # What the webhook says of the file stays, but for its size: that is counted now.
        message.media = {**dict.fromkeys(message.media), **found, **said, "size": found["size"]}
        del message.media["state"]
    draft.change_message(message)
    draft.tell_message("message.updated", message)
    return True
