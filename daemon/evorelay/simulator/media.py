"""Tiny but valid media files: a photo, a voice note, an invoice, a sticker.

A video is only described: Evolution, too, sends the description alone when it cannot download.
"""

import base64
import struct
import zlib
from functools import cache
from typing import Literal

from msgspec import Struct

FilesIn = Literal["base64", "url", "nowhere"]
"""How a file comes with a webhook: in it, as a link to be fetched, or not at all."""


class Media(Struct, frozen=True):
    kind: str
    """``image``, ``audio``, ``document``, ``video`` or ``sticker``."""
    mimetype: str
    content: bytes
    """Empty: not in the webhook."""
    filename: str | None = None
    seconds: int | None = None
    width: int | None = None
    height: int | None = None
    link: str | None = None
    """Sent by a link to it: the bytes are not known here."""


THUMBNAIL = base64.b64decode(
    "/9j/4AAQSkZJRgABAQEASABIAAD/2wBD"
    "AP//////////////////////////////////////////////////////////////////////////////////////"
    "wgALCAABAAEBAREA/8QAFBABAAAAAAAAAAAAAAAAAAAAAP/aAAgBAQABPxA="
)
"""A JPEG of one grey pixel."""
_TRANSPARENT_PIXEL = base64.b64decode("UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==")


@cache
def photo(shade: int) -> Media:
    """A 48 by 48 PNG, a soft gradient whose colour depends on ``shade`` (0-255)."""
    size = 48
    rows = b"".join(
        b"\0" + bytes(c for x in range(size) for c in (shade, (x * 5) % 256, (y * 5) % 256))
        for y in range(size)
    )
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )
    return Media("image", "image/png", png, width=size, height=size)


@cache
def voice_note(seconds: int) -> Media:
    """Silence as Ogg Opus (RFC 7845), the format of WhatsApp's voice notes."""
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 312, 48000, 0, 0)
    vendor = b"evorelay simulator"
    tags = b"OpusTags" + struct.pack("<I", len(vendor)) + vendor + struct.pack("<I", 0)
    silence = b"\xf8\xff\xfe"  # 20 ms
    pages = [_ogg_page([head], 0, 0, flags=2), _ogg_page([tags], 0, 1)]
    pages += [
        _ogg_page(
            [silence] * 50, (second + 1) * 48000, second + 2, flags=4 * (second == seconds - 1)
        )
        for second in range(seconds)
    ]
    return Media("audio", "audio/ogg; codecs=opus", b"".join(pages), seconds=seconds)


def invoice(number: int) -> Media:
    """A one-page PDF that says which order it belongs to."""
    text = f"BT /F1 24 Tf 72 720 Td (Pedido {number}) Tj ET".encode()
    objects = (
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R"
        b"/Resources<</Font<</F1 5 0 R>>>>>>",
        b"<</Length %d>>stream\n%s\nendstream" % (len(text), text),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    pdf = b"%PDF-1.4\n"
    table = b"0000000000 65535 f \n"
    for index, content in enumerate(objects, 1):
        table += b"%010d 00000 n \n" % len(pdf)
        pdf += b"%d 0 obj%s\nendobj\n" % (index, content)
    trailer = b"xref\n0 6\n%strailer<</Size 6/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n"
    pdf += trailer % (table, len(pdf))
    return Media("document", "application/pdf", pdf, filename=f"nota-{number}.pdf")


def clip(seconds: int) -> Media:
    """A video that is only described."""
    return Media("video", "video/mp4", b"", seconds=seconds, width=640, height=360)


def sticker() -> Media:
    """A WebP of one transparent pixel."""
    return Media("sticker", "image/webp", _TRANSPARENT_PIXEL, width=64, height=64)


def _ogg_page(packets: list[bytes], granule: int, number: int, *, flags: int = 0) -> bytes:
    """One page of logical stream 1 (RFC 3533). Every packet is shorter than 255 bytes."""
    lacing = bytes(len(packet) for packet in packets)
    head = b"OggS" + struct.pack("<BBqIII", 0, flags, granule, 1, number, 0)
    page = head + bytes((len(lacing),)) + lacing + b"".join(packets)
    return page[:22] + struct.pack("<I", _ogg_crc(page)) + page[26:]


def _ogg_crc(page: bytes) -> int:
    """CRC-32 with polynomial 0x04c11db7, not reflected, no inversion (RFC 3533)."""
    crc = 0
    for byte in page:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7) & 0xFFFFFFFF if crc & 0x80000000 else crc << 1
    return crc
