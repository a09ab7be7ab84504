"""Which event goes where: the entries of the normaliser."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from evorelay.model.envelope import Envelope
from evorelay.model.fact import Fact, IgnoredFact
from evorelay.protocol.normalise.calls import call_facts
from evorelay.protocol.normalise.changes import deleted_facts, edited_facts
from evorelay.protocol.normalise.groups import group_facts, participant_facts
from evorelay.protocol.normalise.identity import parse_jid
from evorelay.protocol.normalise.instances import (
    connection_facts,
    logout_facts,
    qrcode_facts,
    removal_facts,
    status_facts,
)
from evorelay.protocol.normalise.message import SEND_EVENT, message_facts
from evorelay.protocol.normalise.people import chat_facts, contact_facts
from evorelay.protocol.normalise.reason import Reason, quarantined
from evorelay.protocol.normalise.recovered import RECOVERED_EVENT, recovered_facts
from evorelay.protocol.normalise.source import Source
from evorelay.protocol.normalise.updates import update_facts
from evorelay.protocol.normalise.values import short_text

Reader = Callable[[Source, Any], list[Fact]]
"""Reads one element of ``data``; the list is empty where that says nothing to us."""

_decode = msgspec.json.Decoder().decode


def _history_facts(source: Source, row: Any) -> list[Fact]:
    """An element of imported history: a message, or an object that holds lists of things.

    2.4's ``messaging-history.set`` only says how many there were.
    """
    if not isinstance(row, dict) or "key" in row:
        return message_facts(source, row)
    return [
        fact
        for name, reader in _HISTORY.items()
        if isinstance(rows := row.get(name), list)
        for one in rows
        for fact in reader(source, one)
    ]


_HISTORY: dict[str, Reader] = {
    "contacts": contact_facts,
    "chats": chat_facts,
    "messages": message_facts,
}

# Names as ``_event_key`` spells them: every separator a dot.
READERS: dict[str, Reader] = {
    "messages.upsert": message_facts,
    SEND_EVENT: message_facts,
    RECOVERED_EVENT: recovered_facts,
    "messages.set": _history_facts,
    "messaging.history.set": _history_facts,
    "messages.update": update_facts,
    "messages.edited": edited_facts,
    "send.message.update": edited_facts,
    "messages.delete": deleted_facts,
    "call": call_facts,
    "contacts.upsert": contact_facts,
    "contacts.update": contact_facts,
    "chats.upsert": chat_facts,
    "chats.update": chat_facts,
    "chats.set": chat_facts,
    "groups.upsert": group_facts,
    "groups.update": group_facts,
    "group.update": group_facts,
    "group.participants.update": participant_facts,
    "connection.update": connection_facts,
    "status.instance": status_facts,
    "logout.instance": logout_facts,
    "remove.instance": removal_facts,
    "instance.delete": removal_facts,
    "qrcode.updated": qrcode_facts,
}

# Of no consequence to anybody here: names, or the first word of a family.
_IGNORED = frozenset(
    (
        "application.startup",
        "chama.ai.action",
        "chats.delete",
        "contacts.set",
        "erased",  # ours, in place of a webhook that named somebody who was erased since
        "error",
        "instance.create",
        "new.jwt",
    )
)
_IGNORED_FAMILIES = frozenset(("labels", "presence", "typebot"))


# One path for all shapes, and fast enough that a second, typed one is not worth its words. Measured
# on one shared core: 15 µs for a text of 2.3.6, 11 µs for one of 1.8, 26 µs for an image, by
#   python -m timeit -s "import json; from evorelay.model.envelope import Envelope
#   from evorelay.protocol.normalise import normalise
#   body = json.load(open('tests/fixtures/webhooks/v2.3-text.json'))['body']
#   raw = json.dumps(body).encode()
#   e = Envelope(received_at=0, event='messages.upsert', instance='a', body=raw)" "normalise(e)"


def normalise(envelope: Envelope, *, store_status_posts: bool = False) -> list[Fact]:
    """Return what a webhook says: one fact, several, or that it says nothing (``IgnoredFact``).

    Never raises. ``body`` must hold the JSON: a body that was spilled is read back first. What
    cannot be understood is a QuarantineFact with a ``Reason``; a bad element of a list does not
    touch its neighbours. ``store_status_posts`` makes history of other people's status posts.
    """
    event = _event_key(envelope)
    reader = READERS.get(event)
    if reader is None:
        return [_unread(event)]
    try:
        body = _decode_leniently(envelope.body)
    except RecursionError:
        return [quarantined(Reason.TOO_DEEP, "the body is nested too deeply to be read")]
    except ValueError:
        return [quarantined(Reason.NOT_JSON, "the body is not JSON")]
    if not isinstance(body, dict):
        return [quarantined(Reason.NOT_JSON, "the body is not a JSON object")]
    source = _source(envelope, event, body, store_status_posts=store_status_posts)
    if not source.instance:
        return [quarantined(Reason.NO_INSTANCE, "the webhook names no instance")]
    data = body.get("data")
    if isinstance(data, list):
        facts = [fact for row in data for fact in reader(source, row)]
    else:
        facts = reader(source, data)
    return facts or [IgnoredFact(event=event)]


def normalise_row(
    envelope: Envelope,
    outer: Mapping[str, Any],
    row: bytes,
    *,
    store_status_posts: bool = False,
) -> list[Fact]:
    """Return what one element of a ``data`` list says, for bodies too large to be read at once.

    ``envelope`` is as in ``normalise``, its ``body`` unused; ``outer`` is the decoded body without
    ``data``; ``row`` is the element's JSON. Never raises. The list is empty where the element says
    nothing, so that an import of contacts without names makes no facts at all.
    """
    event = _event_key(envelope)
    reader = READERS.get(event)
    if reader is None:
        return [_unread(event)]
    source = _source(envelope, event, outer, store_status_posts=store_status_posts)
    if not source.instance:
        return [quarantined(Reason.NO_INSTANCE, "the webhook names no instance")]
    try:
        decoded = _decode_leniently(row)
    except RecursionError:
        return [quarantined(Reason.TOO_DEEP, "an element is nested too deeply to be read")]
    except ValueError:
        return [quarantined(Reason.NOT_JSON, "an element is not JSON")]
    return reader(source, decoded)


def _event_key(envelope: Envelope) -> str:
    return envelope.event.replace("-", ".").replace("_", ".")


def _unread(event: str) -> Fact:
    if event in _IGNORED or event.partition(".")[0] in _IGNORED_FAMILIES:
        return IgnoredFact(event=event)
    return quarantined(Reason.UNKNOWN_EVENT, "no event of this name is known")


def _source(
    envelope: Envelope, event: str, body: Mapping[str, Any], *, store_status_posts: bool
) -> Source:
    own = parse_jid(body.get("sender"))
    return Source(
        event=event,
        instance=envelope.instance or _named_in(body.get("data")),
        received_at=envelope.received_at,
        own_phone=own.phone if own else None,
        store_status_posts=store_status_posts,
    )


def _named_in(data: Any) -> str:
    """The instance that ``instance.delete`` and ``connection.update`` name once more inside."""
    if not isinstance(data, dict):
        return ""
    name = short_text(data.get("instanceName"), 128) or short_text(data.get("instance"), 128)
    return name or ""


def _decode_leniently(body: bytes) -> Any:
    """Decode JSON; also what is not quite JSON but was written by some JavaScript.

    msgspec refuses lone surrogates, NaN, raw control characters and bad UTF-8, any of which a
    customer's phone can put into one unimportant field. Raises ValueError and RecursionError.
    """
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = body.decode(errors="replace")
        return json.loads(text, strict=False, parse_int=_bounded_int)


def _bounded_int(digits: str) -> int | None:
    """Python refuses to read more than 4,300 digits; nothing we read has more than 20."""
    return int(digits) if len(digits) <= 40 else None
