"""The Centrifuge codec: what commands mean, and replies exactly as the SDK reads them."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol

from evorelay.model.event import ChannelEvent
from evorelay.protocol import centrifuge as wire
from evorelay.protocol.centrifuge import CentrifugeDialect, Command, Error, decode_commands


def said(frames: bytes) -> list[Any]:
    """The JSON objects in some frames, read by another WebSocket implementation."""
    parser = FrameProtocol(client=True, extensions=[])
    parser.receive_bytes(frames)
    text = "\n".join(str(frame.payload) for frame in parser.received_frames())
    return [json.loads(line) for line in text.split("\n")]


def test_commands_are_separated_by_newlines() -> None:
    commands = decode_commands('{"id":1,"connect":{"token":"T"}}\n{"id":2,"ping":{}}\n\n{}')
    assert commands == [
        Command(id=1, connect=wire.ConnectRequest(token="T")),
        Command(id=2, ping=wire.Empty()),
        Command(),
    ]


def test_requests_of_the_sdk_are_read_whole() -> None:
    subscribe, history, rpc = decode_commands(
        '{"id":1,"subscribe":{"channel":"inbox:a","recover":true,"epoch":"e","offset":7,'
        '"join_leave":true,"flag":1}}\n'
        '{"id":2,"history":{"channel":"c","limit":-1,"reverse":true,"since":{"offset":3,"epoch":"e"}}}'
        '\n{"id":3,"rpc":{"method":"tickets.get","data":{"ticket_id":"t","n":[1, 2]}}}'
    )
    assert subscribe.subscribe == wire.SubscribeRequest(
        "inbox:a", recover=True, epoch="e", offset=7, join_leave=True
    )
    assert history.history == wire.HistoryRequest(
        "c", -1, wire.StreamPosition(3, "e"), reverse=True
    )
    assert rpc.rpc is not None
    assert (rpc.rpc.method, bytes(rpc.rpc.data)) == ("tickets.get", b'{"ticket_id":"t","n":[1, 2]}')


@pytest.mark.parametrize(
    "message",
    [
        b"{}",
        "nonsense",
        "[]",
        "1",
        "null",
        '{"id":"1"}',
        '{"id":1,"subscribe":{}}',
        '{"id":1,"subscribe":{"channel":1}}',
        '{"id":1,"subscribe":{"channel":"c","offset":-1}}',
        '{"id":1,"subscribe":{"channel":"c","offset":99999999999999999999}}',
        '{"id":1,"history":{"channel":"c","since":{"offset":99999999999999999999}}}',
        '{"id":1,"connect":{}} {"id":2}',
        '{"id":1,"rpc":{"data":{"a":}}}',
        '{"id":1,"x":"\ud800"}',
        '{"id":1,"rpc":{"data":' + "[" * 100_000 + "]" * 100_000 + "}}",
        "\n".join(["{}"] * 257),
    ],
    ids=lambda message: repr(message)[:40],
)
def test_malformed_commands_are_refused(message: str | bytes) -> None:
    """P5: each is one client's own trouble, never an exception of another kind."""
    with pytest.raises(ValueError, match=r"command|binary"):
        decode_commands(message)


@given(st.text(max_size=200) | st.from_regex(r'\{"id":\d,"\w+":\{.{0,40}\}\}', fullmatch=True))
def test_any_text_is_commands_or_malformed(text: str) -> None:
    try:
        commands = decode_commands(text)
    except ValueError:
        return
    assert all(isinstance(command, Command) for command in commands)


def test_replies_carry_the_commands_id() -> None:
    result = wire.ConnectResult(client="c", version="v", expires=True, ttl=60, ping=25, pong=True)
    assert said(wire.encode_reply(7, "connect", result)) == [
        {
            "id": 7,
            "connect": {
                "client": "c",
                "version": "v",
                "expires": True,
                "ttl": 60,
                "ping": 25,
                "pong": True,
            },
        }
    ]
    assert said(wire.encode_reply(8, "ping", wire.Empty())) == [{"id": 8, "ping": {}}]


def test_a_subscription_answers_with_what_was_missed() -> None:
    missed = wire.publications(
        [ChannelEvent(8, b'{"a":1}'), ChannelEvent(9, '{"b":"ção"}'.encode())]
    )
    result = wire.SubscribeResult(
        recoverable=True,
        positioned=True,
        epoch="e",
        offset=9,
        was_recovering=True,
        recovered=True,
        publications=missed,
    )
    (reply,) = said(wire.encode_reply(2, "subscribe", result))
    assert reply["subscribe"]["publications"] == [
        {"offset": 8, "data": {"a": 1}},
        {"offset": 9, "data": {"b": "ção"}},
    ]
    assert (reply["subscribe"]["epoch"], reply["subscribe"]["offset"]) == ("e", 9)


def test_errors_are_centrifuges() -> None:
    assert said(wire.encode_error(3, Error.TOKEN_EXPIRED)) == [
        {"id": 3, "error": {"code": 109, "message": "token expired"}}
    ]
    assert said(wire.encode_error(3, Error.INTERNAL)) == [
        {"id": 3, "error": {"code": 100, "message": "internal server error", "temporary": True}}
    ]
    assert said(wire.encode_failure(3, 1009, "version_conflict: x")) == [
        {"id": 3, "error": {"code": 1009, "message": "version_conflict: x"}}
    ]
    assert [error.code for error in Error] == [100, 101, 103, 104, 105, 106, 107, 109, 112]


def test_a_run_is_one_frame_of_one_push_for_each_event() -> None:
    events = [ChannelEvent(offset, b'{"n":%d}' % offset) for offset in (4, 5, 6)]
    frame = CentrifugeDialect().encode_run('inbox:lo"ja\n', events)
    parser = FrameProtocol(client=True, extensions=[])
    parser.receive_bytes(frame)
    assert len(list(parser.received_frames())) == 1
    assert said(frame) == [
        {"push": {"channel": 'inbox:lo"ja\n', "pub": {"data": {"n": n}, "offset": n}}}
        for n in (4, 5, 6)
    ]


def test_other_pushes() -> None:
    info = wire.ClientInfo("ana", "c1", {"name": "Ana"})
    assert said(wire.encode_membership("inbox:a", "join", info)) == [
        {
            "push": {
                "channel": "inbox:a",
                "join": {"info": {"user": "ana", "client": "c1", "conn_info": {"name": "Ana"}}},
            }
        }
    ]
    assert said(wire.encode_unsubscribed("inbox:a", 2000, "permission denied")) == [
        {
            "push": {
                "channel": "inbox:a",
                "unsubscribe": {"code": 2000, "reason": "permission denied"},
            }
        }
    ]
    dialect = CentrifugeDialect()
    assert said(dialect.encode_transient("ticket:t", b'{"type":"typing"}')) == [
        {"push": {"channel": "ticket:t", "pub": {"data": {"type": "typing"}}}}
    ]
    assert said(dialect.ping_frame) == [{}]


@given(
    st.text(), st.lists(st.dictionaries(st.text(), st.text(), max_size=2), min_size=1, max_size=5)
)
def test_any_data_arrives_as_it_was(channel: str, data: list[dict[str, str]]) -> None:
    """Newlines separate pushes, so none may be inside one."""
    events = [ChannelEvent(n, msgspec.json.encode(one)) for n, one in enumerate(data, 1)]
    pushes = said(CentrifugeDialect().encode_run(channel, events))
    assert [push["push"]["pub"]["data"] for push in pushes] == data
    assert {push["push"]["channel"] for push in pushes} == {channel}
