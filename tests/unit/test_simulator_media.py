"""The simulator's media are valid files, checked by reading them back by their formats' rules."""

import re
import struct
import zlib

from evorelay.simulator.media import invoice, photo, voice_note


def test_the_photo_is_a_png_whose_checksums_and_size_are_right() -> None:
    png = photo(64)
    assert png.content.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(png.content):
        (length,) = struct.unpack_from(">I", png.content, at)
        name, data = png.content[at + 4 : at + 8], png.content[at + 8 : at + 8 + length]
        (crc,) = struct.unpack_from(">I", png.content, at + 8 + length)
        assert zlib.crc32(name + data) == crc
        chunks[name] = data
        at += 12 + length
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (png.width, png.height) == (48, 48)
    assert len(zlib.decompress(chunks[b"IDAT"])) == 48 * (1 + 48 * 3)


def test_photos_differ_by_shade() -> None:
    assert photo(0).content != photo(16).content


def test_the_voice_note_is_one_ogg_stream_as_long_as_it_says() -> None:
    note = voice_note(3)
    at, pages = 0, []
    while at < len(note.content):
        magic, _, flags, granule, serial, number, _, count = struct.unpack_from(
            "<4sBBqIIIB", note.content, at
        )
        assert magic == b"OggS"
        assert serial == 1
        at += 27 + count + sum(note.content[at + 27 : at + 27 + count])
        pages.append((number, flags, granule))
    assert [number for number, _, _ in pages] == list(range(5))
    assert [flags for _, flags, _ in pages] == [2, 0, 0, 0, 4]
    assert pages[-1][2] == 3 * 48000 == note.seconds * 48000  # type: ignore[operator]  # it has seconds


def test_the_invoice_is_a_pdf_whose_table_points_at_its_objects() -> None:
    pdf = invoice(12345).content
    assert b"(Pedido 12345)" in pdf
    table = int(pdf.split(b"startxref\n")[1].split(b"\n")[0])
    assert pdf[table:].startswith(b"xref\n0 6\n")
    offsets = re.findall(rb"(\d{10}) 00000 n ", pdf[table:])
    assert len(offsets) == 5
    for number, offset in enumerate(offsets, 1):
        assert pdf[int(offset) :].startswith(b"%d 0 obj" % number)
    stream = re.search(rb"/Length (\d+)>>stream\n(.*?)\nendstream", pdf, re.DOTALL)
    assert stream is not None
    assert int(stream[1]) == len(stream[2])
