"""The benches' own counting: a wrong count would prove anything."""

import json

import pytest

from bench.load.bodies import Audience, Requests
from bench.load.dialects import CENTRIFUGE, POLLING, ROOMS, SOCKETIO
from bench.load.stream import Log, Point
from bench.load.wire import CLOSE, TEXT, client_frame, split_frames

CHANNEL = "inbox:bench-0000"
DUE = 1_234_567_890_123_456_789


def server_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 1 << 16:
        return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x80 | opcode, 127)) + size.to_bytes(8, "big") + payload


def told(offset: int, number: int) -> bytes:
    """A publication of message ``number`` at ``offset``, as the daemon writes it."""
    message = {"whatsapp_id": f"3EB0{number:016d}", "content": f"Olá [{DUE}]", "status": "received"}
    event = {"type": "message.created", "ticket_id": "t", "message": message}
    publication = {"data": event, "offset": offset}
    return json.dumps({"push": {"channel": CHANNEL, "pub": publication}}).encode()


def follow(log: Log, *chunks: bytes) -> Point:
    point = Point(log, {CHANNEL: 0})
    for chunk in chunks:
        point = point.step(chunk).point
    return point


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536])
def test_frames_of_every_length_are_split_and_a_rest_is_kept(size: int) -> None:
    frame = server_frame(b"x" * size)
    assert split_frames(frame + frame[:1]) == ([(TEXT, b"x" * size)], frame[:1])
    assert split_frames(frame[:-1]) == ([], frame[:-1])


@pytest.mark.parametrize("head", [b"\x01\x00", b"\xc1\x00", b"\x81\x80"])
def test_a_frame_the_daemon_never_sends_is_an_error(head: bytes) -> None:
    """Fragmented, compressed, masked."""
    with pytest.raises(ValueError, match="unexpected frame"):
        split_frames(head)


def test_a_client_frame_carries_its_length_and_a_mask() -> None:
    assert client_frame(b"{}") == b"\x81\x82\0\0\0\0{}"
    assert client_frame(b"x" * 200)[:4] == b"\x81\xfe\x00\xc8"


def test_messages_are_counted_however_the_stream_is_cut() -> None:
    stream = server_frame(told(1, 7) + b"\n" + told(2, 8)) + server_frame(told(3, 9))
    for cut in range(1, len(stream)):
        log = Log(CENTRIFUGE)
        point = follow(log, stream[:cut], stream[cut:])
        assert (point.events, point.messages) == (3, 3)
        assert (log.messages(), log.problems) == ([7, 8, 9], [])


def test_connections_with_equal_bytes_share_a_step_and_others_do_not() -> None:
    log = Log(CENTRIFUGE)
    start = Point(log, {CHANNEL: 0})
    first = start.step(server_frame(told(1, 7)))
    assert start.step(server_frame(told(1, 7))) is first
    assert start.step(server_frame(told(1, 8))) is not first
    assert log.problems == [f"{CHANNEL} at 1 is not the same for everybody"]


@pytest.mark.parametrize(
    ("offsets", "problem"),
    [((1, 3), "3 came for 2"), ((1, 1), "1 came for 2"), ((2,), "2 came for 1")],
)
def test_a_gap_or_a_repetition_is_a_problem(offsets: tuple[int, ...], problem: str) -> None:
    """What P3 excludes must not pass unseen."""
    log = Log(CENTRIFUGE)
    follow(log, *(server_frame(told(offset, offset)) for offset in offsets))
    assert log.problems == [f"{CHANNEL}: {problem}"]


def test_an_event_that_is_no_new_message_counts_as_event_only() -> None:
    log = Log(CENTRIFUGE)
    line = {"push": {"channel": CHANNEL, "pub": {"data": {"type": "ticket.created"}, "offset": 1}}}
    point = follow(log, server_frame(json.dumps(line).encode()))
    assert (point.events, point.messages, log.messages()) == (1, 0, [])


def test_a_ping_and_a_close_are_told_apart_from_events() -> None:
    point = Point(Log(CENTRIFUGE), {})
    assert point.step(server_frame(b"{}")).pings == 1
    closing = server_frame((3008).to_bytes(2, "big") + b"slow", CLOSE)
    assert point.step(closing).closed == "3008 slow"


def test_a_due_time_comes_back_from_the_text() -> None:
    assert Point(Log(CENTRIFUGE), {CHANNEL: 0}).step(server_frame(told(1, 7))).due == [DUE]


def packet(place: int, number: int) -> bytes:
    """A new message as Socket.IO has it."""
    message = {"whatsapp_id": f"3EB0{number:016d}", "content": f"Olá [{DUE}]", "status": "received"}
    return b"42" + json.dumps(["new-message", message, f"{place}-epoch"]).encode()


def test_socketio_places_only_grow() -> None:
    """Events of other rooms are in the same log, so a step may be longer than one."""
    log = Log(SOCKETIO)
    updated = b'42["ticket-updated",{"id":"t"},"12-epoch"]'
    stream = b"".join(map(server_frame, (packet(3, 7), packet(9, 8), b"2", updated, packet(20, 9))))
    for cut in range(1, len(stream)):
        point = Point(log, {}).step(stream[:cut]).point.step(stream[cut:]).point
        assert (point.events, point.messages) == (4, 3)
    assert (log.messages(), log.problems) == ([7, 8, 9], [])
    assert Point(log, {}).step(stream).pings == 1


@pytest.mark.parametrize("places", [(3, 3), (4, 3)])
def test_a_socketio_place_never_comes_again(places: tuple[int, int]) -> None:
    log = Log(SOCKETIO)
    Point(log, {}).step(b"".join(server_frame(packet(place, place)) for place in places))
    assert log.problems == [f"{ROOMS}: 3 came for {places[0] + 1}"]


def test_a_polled_payload_is_read_like_the_packets_in_it() -> None:
    log = Log(POLLING)
    payload = b"\x1e".join((packet(3, 7), b"2", b'42["typing",{"user":"ana"}]', packet(4, 8)))
    step = Point(log, {}).step(payload)
    assert (step.point.events, step.point.messages, step.pings) == (2, 2, 1)
    assert step.point.step(b"1").closed is not None
    assert (log.messages(), log.problems) == ([7, 8], [])


def test_a_request_is_one_valid_numbered_webhook_of_its_instance() -> None:
    audience = Audience(instances=3, chats=2)
    requests = Requests(audience, host="127.0.0.1:1", secret="s" * 32)
    head, _, payload = requests.request(10, DUE).partition(b"\r\n\r\n")
    assert f"content-length: {len(payload)}".encode() in head
    document = json.loads(payload)
    assert document["instance"] == audience.instance(10) == "bench-0001"
    assert document["data"]["key"]["id"] == "3EB00000000000000010"
    assert f"[{DUE}]" in document["data"]["message"]["conversation"]


def test_numbers_go_round_all_instances_and_all_their_chats() -> None:
    audience = Audience(instances=3, chats=2)
    requests = Requests(audience, host="h", secret="s")
    seen = set()
    for number in range(6):
        document = json.loads(requests.request(number, DUE).partition(b"\r\n\r\n")[2])
        seen.add((document["instance"], document["data"]["key"]["remoteJid"]))
    assert len(seen) == 6
    assert {instance for instance, _ in seen} == set(audience.names)
