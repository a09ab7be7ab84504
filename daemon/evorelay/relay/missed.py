"""What a client in several rooms missed, read from the store within the bounds of one answer."""

from collections.abc import Iterable, Mapping, Sequence

from evorelay.model.event import ChannelEvent
from evorelay.relay.merged_feed import in_order
from evorelay.relay.session import RECOVER_BYTES_MAX, RECOVER_EVENTS_MAX
from evorelay.storage.ports import StoreReader


def heads_of(reader: StoreReader, channels: Iterable[str]) -> dict[str, int]:
    return {channel: reader.events_after(channel, 0, 0).head for channel in channels}


def offsets_at(reader: StoreReader, channels: Iterable[str], event_id: int) -> dict[str, int]:
    """Where channels are right after an event that was just published: what was committed since
    is not published yet, so a head would be too far."""
    offsets = heads_of(reader, channels)
    for channel in offsets:
        offset = reader.offset_at(channel, event_id, RECOVER_EVENTS_MAX)
        if offset is not None:  # else it is not just now any more
            offsets[channel] = offset
    return offsets


def missed_in(
    reader: StoreReader, joined: Mapping[str, int], since: int, until: int
) -> tuple[list[ChannelEvent], dict[str, int]] | None:
    """Everything after the event ``since`` and up to ``until`` in rooms joined at these offsets.

    With the offset each room is at then; None when it is too much, or not all here.
    """
    if since > until:
        return None  # it heard what nobody said here
    pages: list[list[ChannelEvent]] = []
    cursors: dict[str, int] = {}
    # Twice, because an event of a ticket is one of its inbox, too.
    left, bytes_left = 2 * RECOVER_EVENTS_MAX, 2 * RECOVER_BYTES_MAX
    for channel, offset_then in joined.items():
        offset = reader.offset_at(channel, since, left)
        # Too long ago to be found; but it may have joined since, and what came then be all here.
        start = offset_then if offset is None else max(offset, offset_then)
        page = reader.events_after(channel, start, left)
        if page.head > start and (page.floor > start + 1 or page.head - start > len(page.events)):
            return None
        events = [event for event in page.events if event.id <= until]
        pages.append(events)
        cursors[channel] = events[-1].offset if events else start
        left -= len(page.events)
        bytes_left -= size_of(page.events)
        if bytes_left < 0:
            return None
    missed = in_order(pages)
    is_too_much = len(missed) > RECOVER_EVENTS_MAX or size_of(missed) > RECOVER_BYTES_MAX
    return None if is_too_much else (missed, cursors)


def size_of(events: Sequence[ChannelEvent]) -> int:
    return sum(len(event.data) for event in events)
