"""What files say of themselves, honest ones and hostile ones."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evorelay.relay.file_facts import FileFacts, file_facts
from tests.support.files import gif, jpeg, mp3, mp4, ogg_opus, png, wav, webm, webp


def facts(data: bytes) -> FileFacts:
    return file_facts(memoryview(data))


@pytest.mark.parametrize(
    ("data", "mimetype"),
    [
        (png(640, 480), "image/png"),
        (jpeg(640, 480), "image/jpeg"),
        (webp(640, 480), "image/webp"),
        (gif(640, 480), "image/gif"),
    ],
)
def test_an_image_has_a_size(data: bytes, mimetype: str) -> None:
    assert facts(data) == FileFacts(mimetype=mimetype, width=640, height=480)


@pytest.mark.parametrize(
    ("data", "mimetype", "seconds"),
    [
        (ogg_opus(12.4), "audio/ogg", 12),
        (ogg_opus(0.2), "audio/ogg", 1),
        (wav(3), "audio/wav", 3),
        (mp3(200), "audio/mpeg", 5),
        (mp4(9, b"soun"), "audio/mp4", 9),
        (mp4(9, b"soun", b"vide"), "video/mp4", 9),
        (webm(b"A_OPUS"), "audio/webm", None),
    ],
)
def test_a_sound_or_a_film_has_a_length(data: bytes, mimetype: str, seconds: int | None) -> None:
    assert facts(data) == FileFacts(mimetype=mimetype, seconds=seconds)


def test_other_files_have_neither() -> None:
    assert facts(b"%PDF-1.7") == FileFacts(mimetype="application/pdf")
    assert facts(b"") == FileFacts(mimetype=None)


WHOLE = [png(9, 9), jpeg(9, 9), webp(9, 9), ogg_opus(5), wav(1), mp3(9), mp4(9, b"vide", b"soun")]


@settings(max_examples=300)
@given(st.sampled_from(WHOLE), st.data())
def test_damaged_files_raise_nothing(whole: bytes, data: st.DataObject) -> None:
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, min(len(damaged), 400) - 1))] = data.draw(
            st.integers(0, 255)
        )
    facts(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


@pytest.mark.parametrize(
    "data",
    [
        b"ID3\x04\x00\x00" + bytes(20_000_000),
        b"\xff\xfb\x90\x00" + b"\xff" * 20_000_000,
        b"\xff\xd8" + b"\xff\xe0\x00\x02" * 5_000_000,
        (b"OggS" + bytes(22) + b"\x00") * 700_000,
        b"\x00\x00\x00\x10ftypisom" + b"\x00\x00\x00\x08free" * 2_000_000,
        b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00" + b"\x00\x00\x00\x01moov" * 100_000,
    ],
    ids=["id3", "mp3", "jpeg", "ogg", "mp4", "nested"],
)
def test_a_file_made_to_keep_its_reader_busy_does_not(data: bytes) -> None:
    """P5"""
    began = time.thread_time()
    found = facts(data)
    assert time.thread_time() - began < 1
    assert found.width is None
