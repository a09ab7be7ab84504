"""What a file is, and what WhatsApp takes it for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.model.errors import Code, Refusal
from evorelay.model.outgoing import OutgoingMedia, OutgoingType
from evorelay.protocol.filetypes import (
    FILENAME_CHARS_MAX,
    check_fits,
    fit_filename,
    judged,
    kind_of,
    plain_mimetype,
    sniff,
)
from tests.support.files import gif, jpeg, mp3, mp4, ogg_opus, png, wav, webm, webp


def media(mimetype: str, **fields: Any) -> OutgoingMedia:
    return OutgoingMedia(blob="0" * 64, mimetype=mimetype, size=1, **fields)


@pytest.mark.parametrize(
    ("data", "mimetype"),
    [
        (png(1, 1), "image/png"),
        (jpeg(1, 1), "image/jpeg"),
        (webp(1, 1), "image/webp"),
        (gif(1, 1), "image/gif"),
        (ogg_opus(1), "audio/ogg"),
        (wav(1), "audio/wav"),
        (mp3(1), "audio/mpeg"),
        (b"ID3\x04", "audio/mpeg"),
        (b"\xff\xf1\x50\x80", "audio/aac"),
        (b"#!AMR\n", "audio/amr"),
        (b"fLaC", "audio/flac"),
        (mp4(1, b"vide"), "video/mp4"),
        (mp4(1, b"soun", brand=b"M4A "), "audio/mp4"),
        (mp4(1, b"vide", brand=b"3gp4"), "video/3gpp"),
        (mp4(1, b"vide", brand=b"qt  "), "video/quicktime"),
        (mp4(1, brand=b"heic"), "image/heic"),
        (webm(b"A_OPUS"), "audio/webm"),
        (webm(b"V_VP8"), "video/webm"),
        (b"\x1a\x45\xdf\xa3matroska", "video/x-matroska"),
        (b"%PDF-1.7", "application/pdf"),
        (b"PK\x03\x04", None),
        (b"MZ\x90\x00", None),
        (b"<html>", None),
        (b"<svg xmlns=", None),
        (b"RIFF\x00\x00\x00\x00AVI ", None),
        (b"\xff\xff\xff\xff", None),
        (b"", None),
    ],
)
def test_a_file_is_known_by_its_bytes(data: bytes, mimetype: str | None) -> None:
    assert sniff(data[:4096]) == mimetype


@given(st.binary(max_size=100))
def test_any_bytes_can_be_judged(data: bytes) -> None:
    assert sniff(data) is None or "/" in str(sniff(data))


@pytest.mark.parametrize(
    ("sniffed", "declared", "mimetype"),
    [
        ("image/jpeg", "image/png", "image/jpeg"),
        ("video/mp4", None, "video/mp4"),
        ("image/png", "text/html", "image/png"),
        (None, "text/html; charset=utf-8", "text/html"),
        (None, "Application/X-MSDownload", "application/x-msdownload"),
        (None, "image/svg+xml", "image/svg+xml"),
        (None, None, "application/octet-stream"),
        (None, "x\r\ny/z", "application/octet-stream"),
        (None, "nonsense", "application/octet-stream"),
    ],
)
def test_the_bytes_outweigh_what_is_declared(
    sniffed: str | None, declared: str | None, mimetype: str
) -> None:
    assert judged(sniffed, declared) == mimetype


@pytest.mark.parametrize(
    "declared", ["image/jpeg", "image/jpg", "audio/ogg; codecs=opus", "image/gif"]
)
def test_a_picture_that_is_none_is_refused(declared: str) -> None:
    with pytest.raises(Refusal) as caught:
        judged(None, declared)
    assert caught.value.code is Code.MEDIA_TYPE
    assert "its bytes are not" in caught.value.message


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        (media("image/jpeg"), "image"),
        (media("image/png"), "image"),
        (media("image/webp", width=512, height=512), "sticker"),
        (media("image/webp", width=800, height=600), "document"),
        (media("image/gif"), "document"),
        (media("image/heic"), "document"),
        (media("video/mp4"), "video"),
        (media("video/3gpp"), "video"),
        (media("video/quicktime"), "document"),
        (media("video/webm"), "document"),
        (media("audio/ogg"), "audio"),
        (media("audio/webm"), "audio"),
        (media("audio/wav"), "document"),
        (media("audio/wav", is_voice=True), "audio"),
        (media("audio/flac"), "document"),
        (media("application/pdf"), "document"),
        (media("text/html"), "document"),
    ],
)
def test_what_a_file_is_sent_as(file: OutgoingMedia, kind: str) -> None:
    assert kind_of(file) == kind


@pytest.mark.parametrize(
    ("type_", "mimetype"),
    [
        ("image", "image/webp"),
        ("sticker", "image/png"),
        ("video", "video/webm"),
        ("audio", "audio/flac"),
        ("image", "application/pdf"),
        ("audio", "video/mp4"),
    ],
)
def test_what_whatsapp_does_not_take_is_refused(type_: OutgoingType, mimetype: str) -> None:
    with pytest.raises(Refusal) as caught:
        check_fits(type_, media(mimetype))
    assert caught.value.code is Code.MEDIA_TYPE
    assert "document" in caught.value.message
    check_fits("document", media(mimetype))


def test_a_voice_note_may_be_any_audio() -> None:
    """Evolution converts it."""
    check_fits("audio", media("audio/flac", is_voice=True))


@pytest.mark.parametrize(
    ("name", "fit"),
    [
        ("conta.pdf", "conta.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ana\\nota fiscal.pdf", "nota fiscal.pdf"),
        ("a\r\nX: y\0.pdf", "a X: y.pdf"),
        ("foto\u202egpj.exe", "fotogpj.exe"),
        ("..", None),
        ("", None),
        (None, None),
        ("/", None),
    ],
)
def test_a_name_is_fit_to_be_shown(name: str | None, fit: str | None) -> None:
    assert fit_filename(name) == fit


def test_a_long_name_keeps_its_ending() -> None:
    fit = fit_filename("n" * 500 + ".pdf")
    assert fit is not None
    assert len(fit) == FILENAME_CHARS_MAX
    assert fit.endswith("n.pdf")


@given(st.text(max_size=3000))
def test_any_name_is_bounded_and_has_no_path(name: str) -> None:
    fit = fit_filename(name)
    assert fit is None or (0 < len(fit) <= FILENAME_CHARS_MAX and "/" not in fit)


@given(st.text(max_size=300))
def test_any_declared_type_is_one_or_none(declared: str) -> None:
    found = plain_mimetype(declared)
    assert found is None or found.isascii()
