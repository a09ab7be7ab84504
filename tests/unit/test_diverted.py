"""One diverted string, given in pieces: where base64 ends and text begins."""

from base64 import b64encode

from hypothesis import given
from hypothesis import strategies as st

from evorelay.protocol.diverted import BlobBytes, BlobEnd, Diverted, Piece, Residual


def divert(*texts: bytes) -> list[Piece]:
    """The pieces of one string, adjoining bytes put together."""
    pieces: list[Piece] = []

    def give(piece: Piece) -> None:
        if isinstance(piece, BlobBytes) and pieces and isinstance(pieces[-1], BlobBytes):
            pieces[-1] = BlobBytes(pieces[-1].data + piece.data)
        else:
            pieces.append(piece)

    diverted = Diverted(give)
    for text in texts:
        diverted.feed(text)
    diverted.finish()
    return pieces


@given(st.binary(min_size=1), st.lists(st.integers(0, 50), max_size=8))
def test_base64_in_any_pieces_gives_its_bytes(data: bytes, sizes: list[int]) -> None:
    text = b64encode(data)
    texts = []
    for size in sizes:
        texts.append(text[:size])
        text = text[size:]
    assert divert(*texts, text) == [BlobBytes(data), BlobEnd(b"blob:")]


def test_text_from_the_first_group_on_is_one_text_blob() -> None:
    assert divert(b"AB", b"!CD", b"", b"EF") == [BlobBytes(b"AB!CDEF"), BlobEnd(b"blob-text:")]


def test_text_after_base64_begins_with_the_group_that_is_none() -> None:
    assert divert(b"QUJDQ", b"Q==", b"tail") == [
        BlobBytes(b"ABC"),
        BlobEnd(b"blob:"),
        Residual(b"+"),
        BlobBytes(b"QQ==tail"),
        BlobEnd(b"blob-text:"),
    ]


def test_escaped_slashes_are_slashes_in_base64_and_stay_escapes_in_text() -> None:
    assert divert(rb"\/\/\/", rb"\/") == [BlobBytes(b"\xff\xff\xff"), BlobEnd(b"blob:")]
    assert divert(rb"\/", rb"\/!") == [BlobBytes(rb"\/\/!"), BlobEnd(b"blob-text:")]
