"""How a message's delivery status may move: forward only (P2).

WhatsApp's receipts come late, twice, out of order and with steps missing. ``failed`` wins over
``pending`` alone: a message some device acknowledged was sent, whatever an older error says
(research/evolution.md §3.2).
"""

RANK = {"pending": 1, "failed": 2, "sent": 3, "delivered": 4, "read": 5, "played": 6}

OUTBOUND = frozenset(RANK)
"""The statuses a message of ours may have."""


def advance(current: str, reported: str) -> str:
    """The status after a report; ``current`` when the report says nothing new.

    A status outside the table (``received``, of inbound messages) never moves.
    """
    if current not in RANK or reported not in RANK:
        return current
    return max(current, reported, key=RANK.__getitem__)
