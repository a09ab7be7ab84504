"""Request heads are read strictly: no two parsers may read one differently."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.protocol.http_head import (
    HEAD_BYTES_MAX,
    BadRequest,
    Head,
    find_end,
    parse_head,
)

POST = b"POST /hook/s HTTP/1.1\r\n"
HOST = b"Host: relay\r\n"


def head(*lines: bytes, start: bytes = POST, host: bytes = HOST) -> Head:
    return parse_head(start + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n")


def test_a_plain_webhook_is_read() -> None:
    parsed = head(b"Content-Length: 12", b"X-Webhook-Secret:  s ", b"x-webhook-secret: t")
    assert (parsed.method, parsed.target, parsed.version) == ("POST", "/hook/s", "1.1")
    assert (parsed.content_length, parsed.chunked, parsed.keep_alive) == (12, False, True)
    assert (parsed.upgrade, parsed.expects_continue) == ("", False)
    assert parsed.header(b"x-webhook-secret") == "s"
    assert parsed.header(b"x-none") is None


def test_white_space_around_a_value_is_none_of_it() -> None:
    assert head(b"Content-Length: \t 12 \t").content_length == 12


def test_special_requests_are_seen() -> None:
    assert head(b"Transfer-Encoding: Chunked").chunked
    assert head(b"Expect: 100-continue", b"Content-Length: 1").expects_continue
    assert not head(b"Connection: close").keep_alive
    assert not head(start=b"GET / HTTP/1.0\r\n").keep_alive
    assert head(b"Connection: keep-alive", start=b"GET / HTTP/1.0\r\n").keep_alive
    assert head(start=b"GET / HTTP/1.0\r\n", host=b"").version == "1.0"


def test_an_upgrade_counts_only_when_connection_says_so() -> None:
    upgrade = b"Upgrade: WebSocket"
    start = b"GET /connection/websocket HTTP/1.1\r\n"
    assert head(upgrade, b"Connection: keep-alive, Upgrade", start=start).upgrade == "websocket"
    assert head(upgrade, start=start).upgrade == ""
    assert head(upgrade, b"Connection: keep-alive", start=start).upgrade == ""


@pytest.mark.parametrize(
    ("target", "read"),
    [
        (b"/a?b=c", "/a?b=c"),
        (b"http://relay.example/a?b", "/a?b"),
        (b"https://relay.example", "/"),
        (b"*", "*"),
        (b"/a%20b", "/a%20b"),
    ],
)
def test_the_target_is_in_origin_form(target: bytes, read: str) -> None:
    assert head(start=b"OPTIONS " + target + b" HTTP/1.1\r\n").target == read


@pytest.mark.parametrize(
    "lines",
    [
        (b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding: chunked", b"Content-Length: 5"),
        (b"Content-Length: 5", b"Content-Length: 5"),
        (b"Content-Length: 5, 5",),
        (b"Content-Length: +5",),
        (b"Content-Length: -1",),
        (b"Content-Length: 0x5",),
        (b"Content-Length: 5 5",),
        (b"Content-Length: ",),
        (b"Content-Length: " + b"9" * 30,),
        (b"Content-Length : 5",),
        (b" Content-Length: 5",),
        (b"Transfer-Encoding: gzip, chunked",),
        (b"Transfer-Encoding: chunked, identity",),
        (b"Transfer-Encoding: xchunked",),
        (b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
        (b"Transfer-Encoding:\x0bchunked",),
        (b"Host: other",),
        (b"X: a\r\n folded",),
        (b"X: a\nY: b",),
        (b"X: a\rY: b",),
        (b"X: a\x00b",),
        (b"X Y: a",),
        (b": a",),
        (b"no colon",),
    ],
)
def test_what_two_parsers_might_read_differently_is_refused(lines: tuple[bytes, ...]) -> None:
    """Smuggling shapes: CL+TE, doubled and signed lengths, folds, bare CR or LF."""
    with pytest.raises(BadRequest) as refused:
        head(*lines)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (POST + b"\r\n", 400),
        (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET /\r\n\r\n", 505),
        (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET relay HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /\xc3\xa7 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"CONNECT relay:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"G\xe9T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ],
)
def test_other_requests_that_are_none(raw: bytes, status: int) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_head(raw)
    assert refused.value.status == status


def test_the_end_of_a_head_is_found() -> None:
    raw = POST + HOST + b"\r\n"
    assert find_end(raw) == len(raw)
    assert find_end(raw + b'{"a":"\r\n\r\n"}') == len(raw)
    assert find_end(raw[:-1]) == -1
    assert find_end(b"") == -1


@pytest.mark.parametrize(
    ("buffer", "status"),
    [
        (b"\x16\x03\x01\x02\x00", 400),
        (b"get / HTTP/1.1\r\n", 400),
        (b"\r\nGET /", 400),
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET /" + b"a" * HEAD_BYTES_MAX, 431),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * HEAD_BYTES_MAX + b"\r\n\r\n", 431),
    ],
)
def test_what_can_become_no_head_is_refused_early(buffer: bytes, status: int) -> None:
    """A TLS client hello, a lower-case method or an endless head need not wait for a time-out."""
    with pytest.raises(BadRequest) as refused:
        find_end(buffer)
    assert refused.value.status == status


def test_a_head_of_the_largest_size_is_taken() -> None:
    fixed = len(POST + HOST + b"X: \r\n\r\n")
    raw = POST + HOST + b"X: " + b"a" * (HEAD_BYTES_MAX - fixed) + b"\r\n\r\n"
    assert find_end(raw) == HEAD_BYTES_MAX == len(raw)


def test_the_canonical_head_says_the_same_and_asks_for_no_upgrade() -> None:
    """What the next parser reads can only be what this one read."""
    parsed = head(
        b"Content-Length: 5",
        b"Upgrade: h2c",
        b"HTTP2-Settings: AAA",
        b"Connection: Upgrade, HTTP2-Settings",
        b"X-Odd:  va\xe7lue ",
    )
    again = parse_head(parsed.canonical())
    assert (again.method, again.target, again.version) == ("POST", "/hook/s", "1.1")
    assert (again.content_length, again.keep_alive, again.upgrade) == (5, parsed.keep_alive, "")
    assert again.header(b"x-odd") == "va\xe7lue"
    assert again.header(b"http2-settings") is None


NAMES = st.from_regex(rb"[A-Za-z][A-Za-z-]{0,10}", fullmatch=True).filter(
    lambda name: name.lower() not in (b"host", b"content-length", b"transfer-encoding", b"upgrade")
)
VALUES = st.from_regex(rb"[!-~][ -~]{0,20}[!-~]", fullmatch=True)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6))
def test_any_proper_head_survives_being_written_anew(headers: list[tuple[bytes, bytes]]) -> None:
    parsed = head(*(name + b": " + value for name, value in headers))
    again = parse_head(parsed.canonical())
    kept = [(n, v) for n, v in parsed.headers if n not in (b"connection", b"http2-settings")]
    assert [(n, v) for n, v in again.headers if n != b"connection"] == kept
    assert again.keep_alive == parsed.keep_alive


@given(st.binary(max_size=300))
def test_any_bytes_are_parsed_or_refused(raw: bytes) -> None:
    for buffer in (raw, b"POST / HTTP/1.1\r\nHost: a\r\n" + raw + b"\r\n\r\n"):
        with suppress(BadRequest):
            end = find_end(buffer)
            if end > 0:
                assert parse_head(buffer[:end]).version in ("1.0", "1.1")
