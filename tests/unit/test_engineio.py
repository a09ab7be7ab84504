"""Engine.IO's packets and payloads, beside python-engineio's, and whose fault a request is."""

import json

import pytest
from engineio.packet import Packet as TheirPacket
from engineio.payload import Payload as TheirPayload
from hypothesis import given
from hypothesis import strategies as st

from evorelay.protocol.engineio import (
    PACKETS_MAX,
    PING,
    PROBED,
    Fault,
    Kind,
    Opening,
    Packet,
    Query,
    TransportName,
    decode_packet,
    decode_payload,
    find_fault,
    message_frame,
    payload_of,
    read_query,
)
from evorelay.protocol.frame import binary_frame, text_frame

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\x1e"))
MESSAGES = st.lists(st.one_of(TEXT, st.binary()), min_size=1, max_size=16)


def their_payload(messages: list[str | bytes]) -> str:
    encoded = TheirPayload([TheirPacket(4, message) for message in messages]).encode()
    assert isinstance(encoded, str)
    return encoded


@given(MESSAGES)
def test_a_payload_is_the_one_the_oracle_writes(messages: list[str | bytes]) -> None:
    frames = [
        binary_frame(one) if isinstance(one, bytes) else message_frame(one.encode())
        for one in messages
    ]
    assert payload_of(frames).decode() == their_payload(messages)
    assert payload_of([b"".join(frames)]) == payload_of(frames)


@given(MESSAGES)
def test_the_oracles_payloads_are_read(messages: list[str | bytes]) -> None:
    packets = decode_payload(their_payload(messages).encode())
    assert packets == [Packet(Kind.MESSAGE, message) for message in messages]


@given(st.sampled_from(Kind), TEXT)
def test_a_packet_is_read_as_the_oracle_wrote_it(kind: Kind, data: str) -> None:
    assert decode_packet(TheirPacket(int(kind.value), data).encode()) == Packet(kind, data)


@given(st.one_of(st.text(), st.binary()))
def test_whatever_comes_is_a_packet_or_a_value_error(message: str | bytes) -> None:
    try:
        packet = decode_packet(message)
    except ValueError:
        assert isinstance(message, str)
        return
    if isinstance(message, bytes):
        assert packet == Packet(Kind.MESSAGE, message)
    elif message[0] != "b":
        assert packet.kind.value + str(packet.data) == message


@given(st.binary())
def test_whatever_is_posted_is_packets_or_a_value_error(body: bytes) -> None:
    try:
        packets = decode_payload(body)
    except ValueError:
        return
    assert len(packets) == body.count(b"\x1e") + 1


@pytest.mark.parametrize("body", [b"", b"abc", b"7", b"4a\x1e", b"4\xff", b"b=", b"bAQ", b"b\xc3"])
def test_a_payload_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whoever calls it needs no more than the type
        decode_payload(body)


def test_a_payload_of_very_many_packets_is_refused() -> None:
    """P5: a million empty packets fit into a body of the allowed size."""
    assert len(decode_payload(b"\x1e".join([b"6"] * PACKETS_MAX))) == PACKETS_MAX
    with pytest.raises(ValueError, match="more than"):
        decode_payload(b"\x1e".join([b"6"] * (PACKETS_MAX + 1)))


def test_frames_of_every_length_are_taken_apart() -> None:
    sizes = (0, 1, 124, 125, 126, 65_534, 65_535, 65_536)
    frames = b"".join(message_frame(b"x" * size) for size in sizes)
    parts = payload_of([frames, PING, PROBED, text_frame(b"")]).split(b"\x1e")
    assert [len(part) - 1 for part in parts[: len(sizes)]] == list(sizes)
    assert parts[len(sizes) :] == [b"2", b"3probe", b""]


def test_the_opening_says_what_the_protocol_names() -> None:
    packet = Opening("abc", ("websocket",), 25_000, 20_000, 1_000_000).packet
    assert packet[:1] == b"0"
    assert json.loads(packet[1:]) == {
        "sid": "abc",
        "upgrades": ["websocket"],
        "pingInterval": 25_000,
        "pingTimeout": 20_000,
        "maxPayload": 1_000_000,
    }


@pytest.mark.parametrize(
    ("target", "query"),
    [
        ("/socket.io/", Query("", "", "")),
        ("/socket.io/?EIO=4&transport=polling&t=abc", Query("4", "polling", "")),
        ("/socket.io?transport=websocket&sid=a-_9&EIO=3", Query("3", "websocket", "a-_9")),
        ("/socket.io/?EIO&transport=%70olling&sid=", Query("", "polling", "")),
    ],
)
def test_the_query_is_read(target: str, query: Query) -> None:
    assert read_query(target) == query


@pytest.mark.parametrize(
    "target", ["/socket.io/?sid=a&sid=b", "/?EIO=4&EIO=4", "/?" + "&".join("abcdefgh" * 5)]
)
def test_a_query_that_two_might_read_differently_is_refused(target: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whoever calls it needs no more than the type
        read_query(target)


@pytest.mark.parametrize(
    ("query", "method", "is_upgrade", "current", "fault"),
    [
        (Query("4", "polling", ""), "GET", False, None, None),
        (Query("4", "websocket", ""), "GET", True, None, None),
        (Query("4", "polling", "a"), "GET", False, "polling", None),
        (Query("4", "polling", "a"), "POST", False, "polling", None),
        (Query("4", "websocket", "a"), "GET", True, "polling", None),
        (Query("4", "websocket", "a"), "GET", True, "websocket", None),
        (Query("4", "", ""), "GET", False, None, Fault.UNKNOWN_TRANSPORT),
        (Query("4", "constructor", ""), "GET", False, None, Fault.UNKNOWN_TRANSPORT),
        (Query("4", "abc", ""), "GET", True, None, Fault.UNKNOWN_TRANSPORT),
        (Query("4", "polling", "a"), "GET", False, None, Fault.UNKNOWN_SID),
        (Query("4", "websocket", "a"), "GET", True, None, Fault.UNKNOWN_SID),
        (Query("4", "polling", ""), "POST", False, None, Fault.BAD_METHOD),
        (Query("4", "polling", ""), "PUT", False, None, Fault.BAD_METHOD),
        (Query("4", "polling", ""), "HEAD", False, None, Fault.BAD_METHOD),
        (Query("4", "websocket", ""), "GET", False, None, Fault.BAD_REQUEST),
        (Query("4", "polling", ""), "GET", True, None, Fault.BAD_REQUEST),
        (Query("4", "polling", "a"), "DELETE", False, "polling", Fault.BAD_REQUEST),
        (Query("4", "polling", "a"), "GET", False, "websocket", Fault.BAD_REQUEST),
        (Query("4", "websocket", "a"), "GET", False, "websocket", Fault.BAD_REQUEST),
        (Query("", "polling", ""), "GET", False, None, Fault.UNSUPPORTED_VERSION),
        (Query("3", "polling", ""), "GET", False, None, Fault.UNSUPPORTED_VERSION),
        (Query("abc", "websocket", ""), "GET", True, None, Fault.UNSUPPORTED_VERSION),
        (Query("", "polling", "a"), "POST", False, "polling", Fault.UNSUPPORTED_VERSION),
    ],
)
def test_whose_fault_a_request_is(
    query: Query,
    method: str,
    is_upgrade: bool,
    current: TransportName | None,
    fault: Fault | None,
) -> None:
    assert find_fault(query, method, is_upgrade=is_upgrade, current=current) is fault


def test_a_fault_is_told_in_the_words_of_the_reference() -> None:
    told = {fault.code: (fault.status, json.loads(fault.body)["message"]) for fault in Fault}
    assert told == {
        0: (400, "Transport unknown"),
        1: (400, "Session ID unknown"),
        2: (400, "Bad handshake method"),
        3: (400, "Bad request"),
        4: (403, "Forbidden"),
        5: (400, "Unsupported protocol version"),
    }
