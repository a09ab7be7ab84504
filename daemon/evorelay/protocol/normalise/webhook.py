"""Which event goes where: the entry of the normaliser."""

import json
from collections.abc import Callable
from typing import Any

import msgspec

from evorelay.model.envelope import Envelope
from evorelay.model.fact import Fact, IgnoredFact
from evorelay.protocol.normalise.identity import parse_jid
from evorelay.protocol.normalise.message import SEND_EVENT, Source, message_fact, protocol_fact
from evorelay.protocol.normalise.reason import Reason, quarantined
from evorelay.protocol.normalise.states import closed_fact, connection_fact, status_fact

_decode = msgspec.json.Decoder().decode

# Names as Envelope has them: lower case, every separator a dot.
_READERS: dict[str, Callable[[Source, Any], Fact]] = {
    "messages.upsert": message_fact,
    SEND_EVENT: message_fact,
    "messages.update": lambda source, row: status_fact(source.event, source.instance, row),
    "messages.edited": lambda source, row: protocol_fact(source.event, row),
    "send.message.update": lambda source, row: protocol_fact(source.event, row),
    "connection.update": lambda source, row: connection_fact(
        source.instance, source.own_phone, row
    ),
    "status.instance": lambda source, row: closed_fact(source.event, source.instance, row),
    "logout.instance": lambda source, row: closed_fact(source.event, source.instance, row),
    "remove.instance": lambda source, row: closed_fact(source.event, source.instance, row),
}

# Of no consequence to any ticket: names, or the first word of a family.
_IGNORED = frozenset(
    (
        "application.startup",
        "chama.ai.action",
        "error",
        "instance.create",
        "instance.delete",
        "messaging.history.set",  # 2.4: only says that an import is done, and how large it was
        "new.jwt",
        "qrcode.updated",
    )
)
_IGNORED_FAMILIES = frozenset(("chats", "contacts", "groups", "labels", "presence", "typebot"))

_NOT_YET = {
    "messages.delete": "a deletion",
    "messages.set": "imported history",
    "call": "a call",
    "group.participants.update": "a change of a group's members",
}


# One path for all shapes, and fast enough that a second, typed one is not worth its words. Measured
# on one shared core: 13 µs for a text of 2.3.6, 9 µs for one of 1.8, 21 µs for an image, by
#   python -m timeit -s "import json; from evorelay.model.envelope import Envelope
#   from evorelay.protocol.normalise import normalise
#   body = json.load(open('tests/fixtures/webhooks/v2.3-text.json'))['body']
#   raw = json.dumps(body).encode()
#   e = Envelope(received_at=0, event='messages.upsert', instance='a', body=raw)" "normalise(e)"


def normalise(envelope: Envelope) -> list[Fact]:
    """Return what a webhook says: one fact, or one per element where ``data`` is a list.

    Never raises. ``body`` must hold the JSON: a body that was spilled is read back first. What
    cannot be understood is a QuarantineFact with a ``Reason``; a bad element of a list does not
    touch its neighbours.
    """
    event = envelope.event.replace("-", ".").replace("_", ".")
    if event in _IGNORED or event.partition(".")[0] in _IGNORED_FAMILIES:
        return [IgnoredFact(event=event)]
    if event in _NOT_YET:
        return [quarantined(Reason.NOT_YET_SUPPORTED, _NOT_YET[event])]
    reader = _READERS.get(event)
    if reader is None:
        return [quarantined(Reason.UNKNOWN_EVENT, "no event of this name is known")]
    if not envelope.instance:
        return [quarantined(Reason.NO_INSTANCE, "the webhook names no instance")]
    try:
        body = _decode_leniently(envelope.body)
    except RecursionError:
        return [quarantined(Reason.TOO_DEEP, "the body is nested too deeply to be read")]
    except ValueError:
        return [quarantined(Reason.NOT_JSON, "the body is not JSON")]
    if not isinstance(body, dict):
        return [quarantined(Reason.NOT_JSON, "the body is not a JSON object")]
    own = parse_jid(body.get("sender"))
    source = Source(
        event=event,
        instance=envelope.instance,
        received_at=envelope.received_at,
        own_phone=own.phone if own else None,
    )
    data = body.get("data")
    if not isinstance(data, list):
        return [reader(source, data)]
    return [reader(source, row) for row in data] or [IgnoredFact(event=event)]


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
