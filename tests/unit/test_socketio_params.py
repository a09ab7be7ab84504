"""What an event's arguments say, however a front end puts it; anything else is refused in words."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from evorelay.edge.socketio.params import (
    InboxParams,
    JoinInbox,
    JoinTicket,
    RefreshParams,
    RequestMessages,
    RpcParams,
    SendMessage,
    TicketParams,
    TypingParams,
    read_params,
    text_of,
)
from evorelay.model.errors import Code, Refusal
from tests.unit.test_socketio import JSON

KINDS: list[type[Struct]] = [
    *(InboxParams, JoinInbox, JoinTicket, RefreshParams, RequestMessages, RpcParams),
    *(SendMessage, TicketParams, TypingParams),
]


@pytest.mark.parametrize(
    ("args", "params"),
    [
        (["t1"], JoinTicket("t1")),
        ([7], JoinTicket(7)),
        (["t1", "user", 5], JoinTicket("t1")),
        ([{"ticketId": "t1"}], JoinTicket("t1")),
        ([{"ticketId": "t1", "userId": 5, "x": [None]}], JoinTicket("t1")),
        ([{"ticketId": 7, "since": 0, "epoch": "e"}], JoinTicket(7, 0, "e")),
        ([{"ticketId": "t1", "since": None, "epoch": None}, "more"], JoinTicket("t1")),
    ],
)
def test_what_is_known_is_read_and_the_rest_is_not(args: list[Any], params: JoinTicket) -> None:
    assert read_params(JoinTicket, args) == params


def test_further_values_may_come_as_arguments_where_that_is_meant() -> None:
    assert read_params(RpcParams, ["m", {"a": 1}], positional=2) == RpcParams("m", {"a": 1})
    assert read_params(RpcParams, ["m"], positional=2) == RpcParams("m")
    assert read_params(RpcParams, [{"method": "m"}, {"a": 1}], positional=2) == RpcParams("m")


@pytest.mark.parametrize(
    "args",
    [
        [],
        [None],
        [True],
        [[]],
        [b"t"],
        ["x" * 201],
        [1 << 63],
        [{}],
        [{"ticketId": {}}],
        [{"ticket_id": "t1"}],
        [{"ticketId": "t1", "since": -1}],
        [{"ticketId": "t1", "since": 1.5}],
        [{"ticketId": "t1", "since": "1"}],
        [{"ticketId": "t1", "since": 1 << 63}],
        [{"ticketId": "t1", "epoch": 5}],
    ],
    ids=str,
)
def test_anything_else_is_refused(args: list[Any]) -> None:
    with pytest.raises(Refusal) as refused:
        read_params(JoinTicket, args)
    assert refused.value.code is Code.BAD_REQUEST


@given(st.sampled_from(KINDS), st.lists(JSON | st.binary(max_size=3), max_size=3))
def test_reading_ends_in_params_or_a_refusal(kind: type[Struct], args: list[Any]) -> None:
    with suppress(Refusal):
        assert isinstance(read_params(kind, args), kind)


@pytest.mark.parametrize(
    ("value", "text"), [("t", "t"), (0, "0"), (1732312000123, "1732312000123"), (0.5, "0.5")]
)
def test_a_number_is_written_as_javascript_would(value: str | float, text: str) -> None:
    assert text_of(value) == text
