"""An instance's own life: its connection, the code to pair it with a phone, its end."""

import re
from typing import Any

from evorelay.model.fact import Fact, InstanceFact, QrCodeFact
from evorelay.protocol.normalise.identity import parse_jid
from evorelay.protocol.normalise.names import person_name
from evorelay.protocol.normalise.reason import Reason, quarantined
from evorelay.protocol.normalise.source import Source
from evorelay.protocol.normalise.values import KIB, integer_of, short_text

QR_IMAGE_CHARS_MAX = 64 * KIB
_QR_IMAGE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}", re.ASCII)
_PAIRING_CODE_CHARS_MAX = 32
_CONNECTION = {"open": "open", "connecting": "connecting", "close": "close", "refused": "close"}
_NO_REASON = 200  # Evolution writes it where nothing went wrong
_LOGGED_OUT = 401
_CLOSED = ("closed", "close")


def connection_facts(source: Source, row: Any) -> list[Fact]:
    """``connection.update``. 1.8 sends no ``wuid``, there the envelope's number stands in."""
    if not isinstance(row, dict):
        return [quarantined(Reason.BAD_DATA, "the update is not an object")]
    said = row.get("state")
    state = _CONNECTION.get(said) if isinstance(said, str) else None
    if state is None:
        return [quarantined(Reason.UNKNOWN_STATE, "the connection state is unknown")]
    wuid = parse_jid(row.get("wuid"))
    is_open = state == "open"
    return [
        InstanceFact(
            instance=source.instance,
            state=state,
            reason=_reason(row.get("statusReason")),
            phone=((wuid and wuid.phone) or source.own_phone) if is_open else None,
            profile_name=person_name(row.get("profileName")) if is_open else None,
        )
    ]


def status_facts(source: Source, row: Any) -> list[Fact]:
    """``status.instance``, of which only ``closed`` is news."""
    if not isinstance(row, dict) or row.get("status") not in _CLOSED:
        return []
    reason = _reason(row.get("disconnectionReasonCode"))
    return [InstanceFact(instance=source.instance, state="close", reason=reason)]


def logout_facts(source: Source, row: Any) -> list[Fact]:
    """``logout.instance``, whose data is null: somebody asked for it."""
    fields = row if isinstance(row, dict) else {}
    reason = _reason(fields.get("disconnectionReasonCode")) or _LOGGED_OUT
    return [InstanceFact(instance=source.instance, state="close", reason=reason)]


def removal_facts(source: Source, row: Any) -> list[Fact]:
    """``remove.instance`` and ``instance.delete``."""
    return [InstanceFact(instance=source.instance, state="close", is_removed=True)]


def qrcode_facts(source: Source, row: Any) -> list[Fact]:
    """``qrcode.updated``: a code, or ``{message, statusCode: 500}`` after the last one."""
    if not isinstance(row, dict):
        return [quarantined(Reason.BAD_DATA, "the update is not an object")]
    said = row.get("qrcode")
    if not isinstance(said, dict):
        if "statusCode" in row:
            return [QrCodeFact(instance=source.instance)]
        return [quarantined(Reason.BAD_DATA, "the update has neither a code nor an error")]
    image = said.get("base64")
    if not isinstance(image, str) or len(image) > QR_IMAGE_CHARS_MAX:
        image = None
    return [
        QrCodeFact(
            instance=source.instance,
            code=short_text(said.get("code")),
            pairing_code=short_text(said.get("pairingCode"), _PAIRING_CODE_CHARS_MAX),
            image=image if image and _QR_IMAGE.fullmatch(image) else None,
        )
    ]


def _reason(value: Any) -> int | None:
    number = integer_of(value)
    return number if number is not None and 0 < number < 1000 and number != _NO_REASON else None
