"""The Socket.IO codec: packets as the protocol document has them, and as python-socketio reads."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw
from socketio.packet import Packet as OraclePacket
from wsproto.frame_protocol import FrameProtocol

from evorelay.protocol import socketio as wire
from evorelay.protocol.socketio import (
    ATTACHMENT_BYTES_MAX,
    MENDED_CHARS_MAX,
    Assembler,
    Kind,
    Packet,
    decode,
    offset_text,
    read_offset,
)


def messages(frames: bytes) -> list[str | bytes]:
    """Engine.IO messages in some frames, read by another WebSocket implementation."""
    parser = FrameProtocol(client=True, extensions=[])
    parser.receive_bytes(frames)
    found: list[str | bytes] = []
    for frame in parser.received_frames():
        if isinstance(frame.payload, str):
            assert frame.payload[0] == "4"
            found.append(frame.payload[1:])
        else:
            found.append(bytes(frame.payload))  # type: ignore[arg-type]  # no close frames here
    return found


def assembled(*parts: str | bytes) -> Packet:
    assembler = Assembler()
    *first, last = [assembler.take(part) for part in parts]
    assert not any(first)
    assert last is not None
    return last


@pytest.mark.parametrize(
    ("text", "packet"),
    [
        ("0", Packet(Kind.CONNECT, data={})),
        ('0{"token":"123"}', Packet(Kind.CONNECT, data={"token": "123"})),
        ("0/custom", Packet(Kind.CONNECT, "/custom", data={})),
        ("0/custom,", Packet(Kind.CONNECT, "/custom", data={})),
        ('0/admin,{"sid":"x,y"}', Packet(Kind.CONNECT, "/admin", data={"sid": "x,y"})),
        ("1", Packet(Kind.DISCONNECT)),
        ("1/admin,", Packet(Kind.DISCONNECT, "/admin")),
        ('2["foo"]', Packet(Kind.EVENT, data=["foo"])),
        ('2/admin,["bar"]', Packet(Kind.EVENT, "/admin", data=["bar"])),
        ('212["foo"]', Packet(Kind.EVENT, id=12, data=["foo"])),
        ('2/a,0["foo",1,{"3":[true]}]', Packet(Kind.EVENT, "/a", 0, ["foo", 1, {"3": [True]}])),
        ("2[1]", Packet(Kind.EVENT, data=[1])),
        ("312[]", Packet(Kind.ACK, id=12, data=[])),
        ('3/admin,13["bar"]', Packet(Kind.ACK, "/admin", 13, ["bar"])),
        ('4{"message":"no"}', Packet(Kind.CONNECT_ERROR, data={"message": "no"})),
        ('4"no"', Packet(Kind.CONNECT_ERROR, data="no")),
        (
            '51-["baz",{"_placeholder":true,"num":0}]',
            Packet(Kind.BINARY_EVENT, "/", None, ["baz", {"_placeholder": True, "num": 0}], 1),
        ),
        (
            '61-15["bar",{"_placeholder":true,"num":0}]',
            Packet(Kind.BINARY_ACK, "/", 15, ["bar", {"_placeholder": True, "num": 0}], 1),
        ),
    ],
)  # fmt: skip
def test_packets_of_the_protocol_document_are_read(text: str, packet: Packet) -> None:
    assert decode(text) == packet


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "7",
        "9[]",
        "²",
        "0[]",
        "0null",
        '0"x"',
        '0{"a":1',
        "1{}",
        "1[]",
        "2",
        "2{}",
        "2[]",
        "2null",
        '2"foo"',
        "2[null]",
        "2[true]",
        '2[{"a":1}]',
        '2["connect"]',
        '2["connect_error"]',
        '2["disconnect"]',
        '2["disconnecting"]',
        '2["newListener"]',
        '2["removeListener"]',
        '2abc["foo"]',
        '2-1["foo"]',
        '21-["foo"]',
        '2٣["foo"]',
        '29007199254740992["foo"]',
        '212345678901234567["foo"]',
        '2["foo"]x',
        '2 x["foo"]',
        "2[NaN]",
        '2["\x01"]',
        "3",
        "31",
        "31{}",
        "3[]",
        "4",
        "4[]",
        '5["foo"]',
        '50-["foo"]',
        '5-["foo"]',
        '511-["foo"]',
        '5999999999999-["foo"]',
        "51-[]",
        '51-["connect"]',
        "61-[]",
        '2/a\x1eb,["foo"]',
        "2" + "[" * 100_000,
        '2["a",' * 5_000,
        "0/" + "x" * 200,
    ],
    ids=lambda text: ascii(text[:30]) or "nothing",
)
def test_anything_else_is_malformed(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(text)


@given(st.text() | st.from_regex(r"[0-6](1-)?(/a,)?[0-9]*[\[{].*", fullmatch=True))
def test_reading_ends_in_a_packet_or_a_value_error(text: str) -> None:
    try:
        packet = decode(text)
    except ValueError:
        return
    assert packet.kind in Kind
    if packet.kind in (Kind.EVENT, Kind.BINARY_EVENT):
        assert packet.data[0] not in wire.RESERVED


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text().filter(lambda key: key != "_placeholder"), inner, max_size=4)
    ),
    max_leaves=12,
)
NAMES = st.text(min_size=1).filter(lambda name: name not in wire.RESERVED)
NAMESPACES = st.sampled_from(["/", "/admin", "/a/b", "/ção"])
IDS = st.integers(0, 2**53 - 1)


def with_bytes(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    parts = leaves | st.binary(max_size=200)
    return parts | st.lists(parts, max_size=3) | st.dictionaries(st.just("file"), parts)


ARGS = st.lists(with_bytes(JSON), max_size=3)


class TestAgainstPythonSocketio:
    @given(NAMES, ARGS, NAMESPACES, st.none() | IDS)
    def test_events_we_write_are_read_there(
        self, name: str, args: list[Any], namespace: str, id_: int | None
    ) -> None:
        head, *attachments = messages(wire.encode_event(name, *args, namespace=namespace, id_=id_))
        oracle = OraclePacket(encoded_packet=head)
        for attachment in attachments:
            oracle.add_attachment(attachment)
        assert oracle.packet_type == (5 if attachments else 2)
        assert oracle.attachment_count == len(attachments)
        assert (oracle.namespace or "/", oracle.id) == (namespace, id_)
        assert oracle.data == [name, *args]

    @given(IDS, ARGS, NAMESPACES)
    def test_acks_we_write_are_read_there(self, id_: int, args: list[Any], namespace: str) -> None:
        head, *attachments = messages(wire.encode_ack(id_, *args, namespace=namespace))
        oracle = OraclePacket(encoded_packet=head)
        for attachment in attachments:
            oracle.add_attachment(attachment)
        assert oracle.packet_type == (6 if attachments else 3)
        assert (oracle.namespace or "/", oracle.id, oracle.data) == (namespace, id_, args)

    @given(st.sampled_from([Kind.EVENT, Kind.ACK]), NAMES, ARGS, NAMESPACES, IDS)
    def test_what_is_written_there_is_read_here(
        self, kind: Kind, name: str, args: list[Any], namespace: str, id_: int
    ) -> None:
        data = [name, *args]
        encoded = OraclePacket(kind, data, namespace, id_).encode()
        parts = encoded if isinstance(encoded, list) else [encoded]
        if len(parts) > 11:
            with pytest.raises(ValueError, match="attachments"):
                assembled(*parts)
        else:
            assert assembled(*parts) == Packet(kind, namespace, id_, data)

    @given(st.sampled_from([Kind.CONNECT, Kind.CONNECT_ERROR]), NAMESPACES)
    def test_connects_are_the_same(self, kind: Kind, namespace: str) -> None:
        data = {"message": "a,b", "data": {"n": [1]}}
        encoded = OraclePacket(kind, data, namespace).encode()
        assert decode(encoded) == Packet(kind, namespace, data=data)


def test_what_is_written_is_what_the_document_shows() -> None:
    assert messages(wire.encode_connect("S")) == ['0{"sid":"S"}']
    assert messages(wire.encode_connect("S", "P")) == ['0{"sid":"S","pid":"P"}']
    assert messages(wire.encode_connect("S", namespace="/a")) == ['0/a,{"sid":"S"}']
    assert messages(wire.encode_connect_error("Invalid namespace", namespace="/x")) == [
        '4/x,{"message":"Invalid namespace"}'
    ]
    assert messages(wire.encode_connect_error("unauthorized", {"code": "c"})) == [
        '4{"message":"unauthorized","data":{"code":"c"}}'
    ]
    assert messages(wire.encode_disconnect()) == ["1"]
    assert messages(wire.encode_disconnect("/a")) == ["1/a,"]
    assert messages(wire.encode_event("e", Raw(b'{"n":1}'), "t")) == ['2["e",{"n":1},"t"]']
    assert messages(wire.encode_ack(7, {"ok": True})) == ['37[{"ok":true}]']
    assert messages(wire.encode_event("e", b"\x01", [{"f": b"\x02"}])) == [
        '52-["e",{"_placeholder":true,"num":0},[{"f":{"_placeholder":true,"num":1}}]]',
        b"\x01",
        b"\x02",
    ]


@pytest.mark.parametrize(
    ("json", "text"),
    [
        (r"\ud83d", "\ufffd"),
        (r"a\uD83D", "a\ufffd"),
        (r"\ude00b", "\ufffdb"),
        (r"\ud83d\ud83d\ude00", "\ufffd😀"),
        (r"\ud83d\ude00", "😀"),
        (r"\\ud83d", r"\ud83d"),
        (r"\\\ud83d\n", "\\\ufffd\n"),
        (r"\"\ud83d\"", '"\ufffd"'),
        ("😀", "😀"),
    ],
)
def test_half_a_character_is_read_as_one_that_cannot_be_read(json: str, text: str) -> None:
    """A browser cuts texts by UTF-16 units; that must not cost the agent the connection."""
    assert decode(f'2["e","{json}"]').data == ["e", text]


def test_not_in_what_takes_long_to_look_through() -> None:
    """P5"""
    with pytest.raises(ValueError, match="malformed"):
        decode('2["e","' + r"\ud83d" * MENDED_CHARS_MAX + '"]')


@given(st.text(st.sampled_from('\\ud83DE0c"n😀a')))
def test_what_is_mended_was_broken(text: str) -> None:
    """Everything else is read as ``json`` reads it."""
    try:
        expected = json.loads(f'["e","{text}"]')
    except ValueError:
        return
    whole = "".join("\ufffd" if "\ud800" <= char <= "\udfff" else char for char in expected[1])
    assert decode(f'2["e","{text}"]').data[1:] == [whole, *expected[2:]]


class TestAttachments:
    def test_one_stands_in_one_place(self) -> None:
        """P5: a MiB in thirty thousand places is all memory there is, once somebody encodes it."""
        place = '{"_placeholder":true,"num":0}'
        with pytest.raises(ValueError, match="not any more"):
            assembled(f'51-["e",{place},[{place}]]', b"x")

    def test_packets_follow_each_other(self) -> None:
        assembler = Assembler()
        for n in range(3):
            place = '{"_placeholder":true,"num":0}'
            assert assembler.take(f'51-{n}["e",{place}]') is None
            assert assembler.take(b"%d" % n) == Packet(Kind.EVENT, "/", n, ["e", b"%d" % n])
            assert assembler.take('2["plain"]') == Packet(Kind.EVENT, data=["plain"])

    @pytest.mark.parametrize(
        "parts",
        [
            [b"x"],
            ['2["e"]', b"x"],
            ['51-["e"]', '2["e"]'],
            ['51-["e",{"_placeholder":true,"num":1}]', b"x"],
            ['51-["e",{"_placeholder":true,"num":-1}]', b"x"],
            ['51-["e",{"_placeholder":true,"num":true}]', b"x"],
            ['51-["e",{"_placeholder":true,"num":"0"}]', b"x"],
            ['51-["e",{"_placeholder":true}]', b"x"],
            ['51-["e"]', bytes(ATTACHMENT_BYTES_MAX + 1)],
            ['52-["e"]', bytes(ATTACHMENT_BYTES_MAX), b"x"],
            ['51-["e",' + "[" * 900 + "]" * 900 + "]", b"x"],
        ],
        ids=lambda parts: ascii(parts[0][:45]),
    )
    def test_a_fault_ends_it(self, parts: list[str | bytes]) -> None:
        """P5: their number is bounded, their sum, and how deep their places are."""
        with pytest.raises(ValueError, match=r"."):
            assembled(*parts)

    def test_what_only_looks_like_a_place_stays(self) -> None:
        data = ["e", {"_placeholder": False, "num": 0}, {"_placeholder": 1, "num": 0}]
        text = '51-["e",{"_placeholder":false,"num":0},{"_placeholder":1,"num":0}]'
        assert assembled(text, b"x").data == data


@given(st.integers(0, 10**18 - 1), st.text(min_size=1))
def test_an_offset_is_read_back(log_id: int, epoch: str) -> None:
    assert read_offset(offset_text(log_id, epoch)) == (log_id, epoch)


@pytest.mark.parametrize("text", ["", "-", "7", "7-", "-e", "x-e", "²-e", "-7-e", "1" * 19 + "-e"])
def test_what_is_no_offset_of_ours_is_none(text: str) -> None:
    assert read_offset(text) is None
