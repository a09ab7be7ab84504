"""Why an instance is not connected, in a word, from WhatsApp's status code."""

_CAUSES = {
    401: "logged_out",
    402: "account_restricted",
    403: "banned",
    406: "account_restricted",
    408: "connection_lost",
    411: "linked_devices_mismatch",
    428: "connection_closed",
    440: "replaced",
    500: "bad_session",
    503: "whatsapp_unavailable",
    515: "restart_required",
}
"""Baileys' ``DisconnectReason`` (research/evolution.md §3.6)."""


def cause_of(state: str, reason: int | None, *, is_removed: bool = False) -> str | None:
    """``removed``, a word of the table, or None: it is open, or nobody says why it is not."""
    if is_removed:
        return "removed"
    if state == "open" or reason is None:
        return None
    return _CAUSES.get(reason, f"code_{reason}")
