"""Frames are what an independent WebSocket parser reads as one whole text message."""

import pytest
from wsproto.frame_protocol import FrameProtocol, Opcode

from evorelay.protocol.frame import text_frame


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
