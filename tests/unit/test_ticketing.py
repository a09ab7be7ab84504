"""Which ticket a message goes to, by the person's latest one and WhatsApp's clock."""

from typing import Any

import pytest

from evorelay.model.records import TicketRecord
from evorelay.protocol.ticketing import Placement, place

CLOSED_AT = 1_795_000_000_400
"""In the middle of a second, as our clock has it; WhatsApp's has whole ones."""
DAY = 86_400_000


def ticket(status: str, closed_at: int | None = None) -> TicketRecord:
    fields: dict[str, Any] = dict.fromkeys(TicketRecord.__struct_fields__)
    return TicketRecord(**{**fields, "status": status, "closed_at": closed_at})


def placed(
    latest: TicketRecord | None, sent_at: int, within: int = DAY, *, is_inbound: bool = True
) -> Placement:
    return place(latest, sent_at=sent_at, is_inbound=is_inbound, reopen_within_ms=within)


def test_the_first_message_of_a_person_makes_a_ticket() -> None:
    assert placed(None, 0) is Placement.NEW


@pytest.mark.parametrize("status", ["open", "pending"])
@pytest.mark.parametrize("sent_at", [0, CLOSED_AT, CLOSED_AT + 100 * DAY])
def test_a_ticket_that_is_not_closed_takes_everything(status: str, sent_at: int) -> None:
    assert placed(ticket(status), sent_at) is Placement.USE


@pytest.mark.parametrize(
    ("sent_at", "expected"),
    [
        (CLOSED_AT - DAY - 1_400, Placement.USE),
        (CLOSED_AT - DAY, Placement.REOPEN),
        (CLOSED_AT - 400, Placement.REOPEN),
        (CLOSED_AT, Placement.REOPEN),
        (CLOSED_AT + 600, Placement.REOPEN),
        (CLOSED_AT + DAY, Placement.REOPEN),
        (CLOSED_AT + DAY + 1, Placement.NEW),
    ],
)
def test_a_closed_ticket_takes_what_was_late_and_reopens_for_a_while(
    sent_at: int, expected: Placement
) -> None:
    """What nobody had seen at the closing must not vanish in a closed ticket."""
    assert placed(ticket("closed", CLOSED_AT), sent_at) is expected


@pytest.mark.parametrize(
    ("sent_at", "expected"),
    [(CLOSED_AT - 1_400, Placement.USE), (CLOSED_AT - 400, Placement.REOPEN)],
)
def test_what_we_wrote_before_the_closing_reopens_nothing(
    sent_at: int, expected: Placement
) -> None:
    assert placed(ticket("closed", CLOSED_AT), sent_at, is_inbound=False) is expected


def test_without_a_reopening_window_every_later_message_is_a_new_ticket() -> None:
    assert placed(ticket("closed", CLOSED_AT), CLOSED_AT + 1000, within=0) is Placement.NEW


def test_a_ticket_closed_at_no_known_time_was_closed_long_ago() -> None:
    assert placed(ticket("closed"), CLOSED_AT) is Placement.NEW
