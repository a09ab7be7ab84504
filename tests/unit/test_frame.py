"""Frames are what an independent WebSocket parser reads as one whole text message."""

import pytest
from wsproto.frame_protocol import FrameProtocol, Opcode

from evorelay.protocol.frame import binary_frame, read_frames, text_frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 200_000])
def test_every_size_is_one_final_text_frame(size: int) -> None:
    payload = b"x" * size
    parser = FrameProtocol(client=True, extensions=[])
    parser.receive_bytes(text_frame(payload))
    (frame,) = list(parser.received_frames())
    assert (frame.opcode, frame.frame_finished, frame.message_finished) == (Opcode.TEXT, True, True)
    assert frame.payload == payload.decode()


def test_frames_put_together_are_read_apart() -> None:
    """Pushes are joined in one write."""
    texts = ["a", "ção 😀" * 100, ""]
    parser = FrameProtocol(client=True, extensions=[])
    parser.receive_bytes(b"".join(text_frame(text.encode()) for text in texts))
    assert [frame.payload for frame in parser.received_frames()] == texts


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_binary_frame_carries_bytes_as_they_are(size: int) -> None:
    payload = b"\xff" * size
    parser = FrameProtocol(client=True, extensions=[])
    parser.receive_bytes(binary_frame(payload))
    (frame,) = list(parser.received_frames())
    assert (frame.opcode, frame.message_finished) == (Opcode.BINARY, True)
    assert frame.payload == payload


def test_our_own_frames_can_be_taken_apart() -> None:
    sizes = (0, 125, 126, 65_535, 65_536)
    joined = b"".join(text_frame(b"t" * size) + binary_frame(b"b" * size) for size in sizes)
    read = list(read_frames(joined))
    assert [is_binary for is_binary, _ in read] == [False, True] * len(sizes)
    assert [payload for _, payload in read] == [c * size for size in sizes for c in (b"t", b"b")]
