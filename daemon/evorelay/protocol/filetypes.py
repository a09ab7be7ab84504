"""What a file is, judged by its bytes, and what WhatsApp takes it for.

A header, a file name and a sender can say anything; what a phone will show depends on the bytes.
The kinds follow WhatsApp's own list (its Cloud API's "supported media types"), and ``audio/webm``
and ``audio/wav``, which Evolution converts (``message/sendWhatsAppAudio`` runs ffmpeg). Whatever is
in none of them goes as a document: WhatsApp takes any file as one. That includes programs and web
pages: an agent may have to send them, a phone opens no document by itself, and we never serve one
to be shown in place (edge/http/media.py).
"""

import re

from evorelay.model.errors import Code, Refusal
from evorelay.model.outgoing import OutgoingMedia, OutgoingType
from evorelay.protocol.normalise.names import one_line

HEAD_BYTES = 4096
"""Of a file, enough for ``sniff``."""
ANY = "application/octet-stream"
FILENAME_CHARS_MAX = 200
_NAME_READ_MAX = 2048
_ENDING_CHARS_MAX = 10

_KINDS: dict[str, tuple[str, ...]] = {
    "image": ("image/jpeg", "image/png"),
    "sticker": ("image/webp",),
    "video": ("video/mp4", "video/3gpp"),
    "audio": (
        *("audio/aac", "audio/amr", "audio/mpeg", "audio/mp4", "audio/ogg"),
        *("audio/webm", "audio/wav"),
    ),
}
_STICKER_SIDE = 512
"""Pixels: WhatsApp's stickers are square, and nothing else is likely to be just that."""

_STARTS = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"OggS", "audio/ogg"),
    (b"#!AMR", "audio/amr"),
    (b"ID3", "audio/mpeg"),
    (b"fLaC", "audio/flac"),
    (b"%PDF-", "application/pdf"),
)
_BRANDS = (
    (b"M4A", "audio/mp4"),
    (b"M4B", "audio/mp4"),
    (b"3g", "video/3gpp"),
    (b"qt", "video/quicktime"),
    (b"avi", "image/avif"),
    (b"hei", "image/heic"),
    (b"mif1", "image/heic"),
)
"""ISO media files, by the brand behind ``ftyp``; any other one is MP4."""
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav"}
_ALIASES = {
    "image/jpg": "image/jpeg",
    "audio/mp3": "audio/mpeg",
    "audio/m4a": "audio/mp4",
    "audio/x-m4a": "audio/mp4",
    "audio/x-wav": "audio/wav",
    "audio/wave": "audio/wav",
    "audio/opus": "audio/ogg",
    "application/ogg": "audio/ogg",
}
_MIMETYPE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}/[a-z0-9][a-z0-9.+-]{0,126}")


def sniff(head: bytes) -> str | None:
    """The MIME type of a file that begins like this, None for what is not known by its bytes.

    MP4 is ``video/mp4`` here; whether there is a picture in it stands far behind
    (relay/file_facts.py).
    """
    for start, mimetype in _STARTS:
        if head.startswith(start):
            return mimetype
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        return next((type_ for start, type_ in _BRANDS if brand.startswith(start)), "video/mp4")
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head.startswith(b"\x1a\x45\xdf\xa3"):  # EBML: Matroska, and WebM, which is part of it
        has_picture = b"V_" in head[:HEAD_BYTES]
        if b"webm" not in head[:64]:
            return "video/x-matroska"
        return "video/webm" if has_picture else "audio/webm"
    return _mpeg_audio(head[:3])


def _mpeg_audio(frame: bytes) -> str | None:
    """MP3 and AAC begin with 12 set bits; the layer behind them is 0 in AAC alone."""
    if len(frame) < 3 or frame[0] != 0xFF or frame[1] & 0xF0 != 0xF0:
        return None
    if frame[1] & 0x06 == 0:
        return "audio/aac"
    is_possible = frame[2] >> 4 not in (0x0, 0xF) and frame[2] & 0x0C != 0x0C
    return "audio/mpeg" if is_possible else None


def plain_mimetype(declared: str | None) -> str | None:
    """A declared type without parameters and synonyms; None for what is none."""
    name = (declared or "").partition(";")[0].strip().lower()
    name = _ALIASES.get(name, name)
    return name if _MIMETYPE.fullmatch(name) else None


def judged(sniffed: str | None, declared: str | None) -> str:
    """The type to go by: what the bytes say, then what was declared.

    Raises ``Refusal`` (MEDIA_TYPE) for what is declared to be of a type that we know by its bytes,
    and has the bytes of none: a phone would show an empty frame.
    """
    said = plain_mimetype(declared)
    if sniffed is None:
        if said is not None and (said in _KNOWN or said == "image/gif"):
            raise Refusal(
                Code.MEDIA_TYPE,
                f"the file is said to be {said}, and its bytes are not; it is damaged or misnamed",
            )
        return said or ANY
    # More exact than a container: a .docx is a zip, video/quicktime may be called video/mp4.
    return sniffed


def kind_of(media: OutgoingMedia) -> OutgoingType:
    """What it is sent as where nobody says."""
    if media.is_voice:
        return "audio"
    mimetype = media.mimetype
    if mimetype in _KINDS["sticker"]:
        is_sticker = media.width == media.height == _STICKER_SIDE
        return "sticker" if is_sticker else "document"
    kinds: tuple[OutgoingType, ...] = ("image", "video", "audio")
    for kind in kinds:
        if mimetype in _KINDS[kind] and mimetype != "audio/wav":
            return kind
    return "document"


def check_fits(type_: OutgoingType, media: OutgoingMedia) -> None:
    """Raise ``Refusal`` (MEDIA_TYPE) for a file that WhatsApp does not take as what is asked for.

    Any file can be a document.
    """
    taken = _KINDS.get(type_)
    is_converted = media.is_voice and media.mimetype.startswith("audio/")
    if taken is None or media.mimetype in taken or (type_ == "audio" and is_converted):
        return
    raise Refusal(
        Code.MEDIA_TYPE,
        f"WhatsApp takes no {media.mimetype} as {type_}, only {', '.join(taken)}; "
        "send it as a document",
    )


def fit_filename(name: str | None) -> str | None:
    """A file's name as it may be shown and sent: one line, no path, at most 200 characters.

    Its ending is kept, because phones open files by it. None where nothing is left of it.
    """
    last = one_line((name or "")[:_NAME_READ_MAX]).replace("\\", "/").rpartition("/")[2].strip(". ")
    if len(last) > FILENAME_CHARS_MAX:
        stem, dot, ending = last.rpartition(".")
        kept = dot + ending if stem and len(ending) <= _ENDING_CHARS_MAX else ""
        last = last[: FILENAME_CHARS_MAX - len(kept)] + kept
    return last or None


_KNOWN = frozenset(mimetype for kind in _KINDS.values() for mimetype in kind)
