"""Small files of each kind, whole enough for whoever reads their heads."""

import struct
import zlib


def png(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IEND", b"")


def jpeg(width: int, height: int) -> bytes:
    jfif = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    frame = b"\xff\xc0\x00\x0b\x08" + struct.pack(">HH", height, width) + b"\x01\x01\x11\x00"
    return b"\xff\xd8" + jfif + frame + b"\xff\xd9"


def webp(width: int, height: int) -> bytes:
    def side(length: int) -> bytes:
        return (length - 1).to_bytes(3, "little")

    chunk = b"VP8X" + struct.pack("<I", 10) + bytes(4) + side(width) + side(height)
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\x00\x00\x00;"


def ogg_opus(seconds: float) -> bytes:
    """A voice note as WhatsApp records it."""

    def page(kind: int, granule: int, number: int, packet: bytes) -> bytes:
        head = struct.pack("<4sBBqIIIB", b"OggS", 0, kind, granule, 7, number, 0, 1)
        return head + bytes([len(packet)]) + packet

    opus_head = b"OpusHead" + struct.pack("<BBHIHB", 1, 1, 312, 48000, 0, 0)
    tags = b"OpusTags" + struct.pack("<I", 0) + struct.pack("<I", 0)
    samples = int(seconds * 48000) + 312
    return page(2, 0, 0, opus_head) + page(0, 0, 1, tags) + page(4, samples, 2, bytes(50))


def wav(seconds: int) -> bytes:
    data = bytes(8000 * seconds)
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8)
    body = b"WAVE" + form + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _box(name: bytes, *inside: bytes) -> bytes:
    body = b"".join(inside)
    return struct.pack(">I", 8 + len(body)) + name + body


def mp4(seconds: int, *tracks: bytes, brand: bytes = b"isom") -> bytes:
    """``tracks``: of each the handler, ``vide`` or ``soun``."""
    mvhd = _box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 1000, 1000 * seconds), bytes(80))
    traks = [
        _box(
            b"trak",
            _box(b"tkhd", bytes(84)),
            _box(b"mdia", _box(b"hdlr", bytes(8), one, bytes(13))),
        )
        for one in tracks
    ]
    data = _box(b"mdat", bytes(1000))
    return _box(b"ftyp", brand, bytes(4)) + data + _box(b"moov", mvhd, *traks)


def webm(codec: bytes) -> bytes:
    """``codec``: ``A_OPUS``, ``V_VP8``."""
    return b"\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm" + bytes(40) + b"\x86\x86" + codec + bytes(200)


def mp3(frames: int) -> bytes:
    """Frames of 26 ms."""
    return (b"\xff\xfb\x90\x00" + bytes(413)) * frames
