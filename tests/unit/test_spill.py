"""The spill scanner: what is diverted, what stays, and that neither chunks nor bytes get lost."""

import json
import re
import tracemalloc
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.protocol.diverted import BlobBytes, BlobEnd, Residual
from evorelay.protocol.spill import Spiller

SPILL_MIN = 256
MEDIA = bytes(range(256)) * 3
LONG = b64encode(MEDIA).decode()
CORPUS = sorted((Path(__file__).parents[3] / "shared/payloads").glob("**/*.json"))


def spill(
    chunks: Iterable[bytes], *, blanked: tuple[str, ...] = (), spill_min: int = SPILL_MIN
) -> tuple[bytes, list[bytes]]:
    """Run a document through a Spiller as its caller does; return residual and blobs."""
    spiller = Spiller(spill_min=spill_min, blanked=blanked)
    residual = b""
    blobs = []
    current = b""
    given_out = [spiller.feed(chunk) for chunk in chunks]
    for piece in [piece for pieces in [*given_out, spiller.finish()] for piece in pieces]:
        match piece:
            case Residual(data):
                residual += data
            case BlobBytes(data):
                assert data
                current += data
            case BlobEnd(label):
                residual += label + sha256(current).hexdigest().encode()
                blobs.append(current)
                current = b""
    assert current == b""
    return residual, blobs


def inlined(residual: bytes, blobs: list[bytes]) -> bytes:
    """The document again, its blobs put back where the references are."""
    by_name = {sha256(blob).hexdigest().encode(): blob for blob in blobs}

    def text(reference: re.Match[bytes]) -> bytes:
        blob = by_name[reference[2]]
        return blob if reference[1] == b"blob-text:" else b64encode(blob)

    restored = re.sub(rb"(blob:|blob-text:)([0-9a-f]{64})\+?", text, residual)
    assert isinstance(restored, bytes)
    return restored


def cut(document: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(document) + 1) for place in places), len(document)]
    return [document[a:b] for a, b in pairwise(bounds)]


def name(data: bytes) -> str:
    return sha256(data).hexdigest()


canonical = st.builds(
    lambda data, times: b64encode(data * times).decode(),
    st.binary(min_size=1, max_size=9),
    st.sampled_from([1, 30, 200]),
)


def _is_base64_written_otherwise(text: str) -> bool:
    """Its bytes are kept, as they are meant, and are put back as everybody writes them."""
    try:
        meant = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        return False
    return b64encode(meant).decode() != text


values = st.one_of(
    st.none(),
    st.integers(),
    st.text(max_size=20),
    canonical,
    st.builds(lambda head, tail: head + tail, canonical, st.text(max_size=9)).filter(
        lambda text: not _is_base64_written_otherwise(text)
    ),
)
keys = st.one_of(
    st.sampled_from(["base64", "media", "Base64", "base64 ", '"base64', "k"]), st.text()
)
documents = st.builds(
    lambda value, ascii_only, separators, indent: json.dumps(
        value, ensure_ascii=ascii_only, separators=separators, indent=indent
    ).encode("utf-8", "surrogatepass"),
    st.recursive(
        values, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=5)
    ),
    st.booleans(),
    st.sampled_from([(",", ":"), (", ", " : ")]),
    st.sampled_from([None, 2]),
)
rubble = st.lists(
    st.sampled_from(
        [
            *(
                b'"base64"',
                b'"base64":"',
                b'"media":"',
                b'"secret"',
                b":",
                b" ",
                b'"',
                b"{",
                b"}",
                b",",
                b"\xff",
            ),
            *(b"data:image/png;base64,", LONG.encode(), b"QUJD", b"Q", b"=", b"==", b"/"),
            *(b"\\", b"\\/"),
        ]
    ),
    max_size=30,
).map(b"".join)
places = st.lists(st.integers(min_value=0), max_size=12)


@given(documents)
def test_putting_the_blobs_back_gives_the_same_document(document: bytes) -> None:
    residual, blobs = spill([document])
    assert inlined(residual, blobs) == document
    json.loads(residual)


@given(documents)
def test_exactly_the_long_values_under_our_keys_are_diverted(document: bytes) -> None:
    long_values = 0

    def count(pairs: list[tuple[str, object]]) -> None:
        nonlocal long_values
        for key, value in pairs:
            written = json.dumps(value, ensure_ascii=document.isascii())
            if key in ("base64", "media") and isinstance(value, str):
                long_values += len(written.encode("utf-8", "surrogatepass")) - 2 > SPILL_MIN

    json.loads(document.decode("utf-8", "surrogatepass"), object_pairs_hook=count)
    residual, _ = spill([document])
    assert len(re.findall(rb'"blob(-text)?:[0-9a-f]{64}', residual)) == long_values


@given(documents | rubble, places)
def test_where_the_chunks_are_cut_never_matters(document: bytes, where: list[int]) -> None:
    whole = spill([document], blanked=("secret",))
    assert spill(cut(document, where), blanked=("secret",)) == whole


@given(documents | rubble)
def test_one_byte_at_a_time_is_the_same_as_all_at_once(document: bytes) -> None:
    assert spill(document[i : i + 1] for i in range(len(document))) == spill([document])


@given(st.binary())
def test_bytes_that_are_no_json_pass_unchanged(document: bytes) -> None:
    assert spill([document]) == (document, [])


@pytest.mark.parametrize(
    ("written", "blob"),
    [
        pytest.param(LONG, MEDIA, id="plain"),
        pytest.param("data:image/png;base64," + LONG, MEDIA, id="data-url"),
        pytest.param("data:image\\/png;base64," + LONG, MEDIA, id="data-url-escaped"),
        pytest.param(LONG.replace("/", "\\/"), MEDIA, id="escaped-slashes"),
        pytest.param(LONG + "QQ==", MEDIA + b"A", id="padded"),
        pytest.param(LONG + "QQ", MEDIA + b"A", id="padding-missing"),
        pytest.param(LONG + "QR==", MEDIA + b"A", id="unused-bits-set"),
    ],
)
def test_base64_is_stored_as_the_bytes_it_means(written: str, blob: bytes) -> None:
    residual, blobs = spill([f'{{"base64":"{written}"}}'.encode()])
    assert blobs == [blob]
    assert json.loads(residual) == {"base64": "blob:" + name(blob)}


@pytest.mark.parametrize("text", ["não é base64 " * 40, "\\n\\u0041\\\\/" * 40, "Q===" * 100])
def test_a_long_text_under_base64_is_kept_as_it_stood(text: str) -> None:
    residual, blobs = spill([f'{{"base64":"{text}"}}'.encode()])
    assert blobs == [text.encode()]
    assert json.loads(residual) == {"base64": "blob-text:" + name(text.encode())}


@pytest.mark.parametrize(
    "rest", ["Q", "Q===", "QQ==QUJD", "QUI\\n", "====", "QUJ\\", "-_-_", "\\/\\/Q!"]
)
def test_what_stops_being_base64_is_kept_whole_in_two_blobs(rest: str) -> None:
    escaped = rest + "\\" if rest.endswith("\\") else rest
    residual, blobs = spill([f'{{"base64":"{LONG}{escaped}"}}'.encode()])
    assert blobs == [MEDIA, escaped.encode()]
    reference = f"blob:{name(MEDIA)}+blob-text:{name(escaped.encode())}"
    assert json.loads(residual) == {"base64": reference}


def test_a_value_of_exactly_spill_min_stays() -> None:
    document = json.dumps({"base64": "A" * SPILL_MIN}).encode()
    assert spill([document]) == (document, [])


@pytest.mark.parametrize(
    "document",
    [
        f'{{"base64":["{LONG}"]}}',
        f'{{"base64":{{"x":"{LONG}"}}}}',
        f'{{"BASE64":"{LONG}"}}',
        f'{{"x":"base64","y":"{LONG}"}}',
        f'{{"x":"\\"base64\\":","y":"{LONG}"}}',
        f'["base64","{LONG}"]',
        f'{{"base64":"{LONG[:200]}',
        '{"base64',
        '{"base64":"abc\\',
    ],
)
def test_nothing_else_is_diverted(document: str) -> None:
    assert spill([document.encode()]) == (document.encode(), [])


def test_a_document_that_ends_inside_a_diverted_string_stays_unterminated() -> None:
    residual, blobs = spill([f'{{"base64":"{LONG}'.encode()])
    assert residual == b'{"base64":"blob:' + name(MEDIA).encode()
    assert blobs == [MEDIA]


def test_every_long_value_gets_its_own_blob() -> None:
    other = b"other" * 100
    document = json.dumps([{"base64": LONG}, {"base64": b64encode(other).decode()}])
    residual, blobs = spill([document.encode()])
    assert blobs == [MEDIA, other]
    assert json.loads(residual) == [
        {"base64": "blob:" + name(MEDIA)},
        {"base64": "blob:" + name(other)},
    ]


def test_blanked_values_never_leave() -> None:
    """P7: at any depth, short or long, with escapes in them, even cut off."""
    document = (
        '{"apikey" : "SECRET","data":[{"apikey":"SECRET\\"SECRET"}],"text":"apikey",'
        f'"other":"kept","apikey":"{"SECRET" * 1000}","apikey":null,"apikey":"SECRET'
    )
    residual, _ = spill(cut(document.encode(), list(range(0, 300, 7))), blanked=("apikey",))
    assert b"SECRET" not in residual
    assert residual == (
        b'{"apikey" : "","data":[{"apikey":""}],"text":"apikey",'
        b'"other":"kept","apikey":"","apikey":null,"apikey":"'
    )


def test_memory_does_not_grow_with_strings_whitespace_or_the_number_of_keys() -> None:
    stretches = [b"A" * 65_536, b" " * 65_536, b'"' + b"\\/" * 32_768, b'"x","base64":1,' * 400]
    tracemalloc.start()
    try:
        spiller = Spiller(blanked=("apikey",))
        for before in (b'{"base64":', b'"', b'","apikey":"', b'","text":"'):
            spiller.feed(before)
            for stretch in stretches:
                for _ in range(40):
                    spiller.feed(stretch)
        # A match remembers the escapes it has passed: some 32 bytes for each two of a chunk.
        assert tracemalloc.get_traced_memory()[1] < 3 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_spill_min_must_leave_room_for_a_data_prefix() -> None:
    with pytest.raises(ValueError, match="at least 256"):
        Spiller(spill_min=255)


def test_captured_webhooks_survive_the_way_through_the_spiller() -> None:
    """Extra cases where the corpus is there; values in it are long enough at this threshold."""
    for path in CORPUS:
        document = path.read_bytes()
        residual, blobs = spill(cut(document, list(range(0, len(document), 1000))))
        prefix = rb"data:[a-z/]+;base64,"
        assert re.sub(prefix, b"", inlined(residual, blobs)) == re.sub(prefix, b"", document)
