"""The head of an HTTP/1 request, read strictly. What two parsers might read differently is refused.

llhttp (httptools) refuses most smuggling shapes: bare LF, CL with TE, doubled CL, folded lines,
spaces before colons. It accepts, and we refuse: no Host or two, ``Transfer-Encoding`` other than
``chunked``, chunked HTTP/1.0, requests without a version (research/libraries.md §11, llhttp#877).
"""

import httptools
from msgspec import Struct

HEAD_BYTES_MAX = 32 * 1024
END = b"\r\n\r\n"
_HOP_BY_HOP_UPGRADE = (b"upgrade", b"http2-settings")


class BadRequest(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class Head(Struct, frozen=True):
    method: str
    target: str
    headers: list[tuple[bytes, bytes]]
    """Names in lower case, in the order received."""
    version: str
    keep_alive: bool
    content_length: int
    chunked: bool
    upgrade: str
    """The protocol asked for, lower case, when ``Connection`` says so too; else ``""``."""
    expects_continue: bool

    def header(self, name: bytes) -> str | None:
        """The first value of a header, None without one."""
        for key, value in self.headers:
            if key == name:
                return value.decode("latin-1")
        return None

    def canonical(self) -> bytes:
        """The head written anew, so that the next parser can only read what this one read.

        Without ``Upgrade``: what is served from here on is HTTP/1 and nothing else.
        """
        lines = [f"{self.method} {self.target} HTTP/{self.version}".encode()]
        for name, value in self.headers:
            if name in _HOP_BY_HOP_UPGRADE:
                continue
            if name == b"connection":
                value = b"keep-alive" if self.keep_alive else b"close"
            lines.append(name + b": " + value)
        return b"\r\n".join(lines) + END


class _Callbacks:
    def __init__(self) -> None:
        self.url = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.complete = False

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # llhttp leaves the white space behind a value on it.
        self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.complete = True


def find_end(buffer: bytes) -> int:
    """Where the head in ``buffer`` ends, -1 while it is incomplete.

    Raises ``BadRequest`` early for what can never become a head.
    """
    end = buffer.find(END)
    if end >= 0:
        if end + 4 > HEAD_BYTES_MAX:
            raise BadRequest(431, f"the request's head is larger than {HEAD_BYTES_MAX} bytes")
        return end + 4
    if buffer and not 0x41 <= buffer[0] <= 0x5A:
        raise BadRequest(400, "this is not an HTTP request")
    if b"\n\n" in buffer:
        raise BadRequest(400, "lines must end in CRLF")
    if len(buffer) > HEAD_BYTES_MAX:
        raise BadRequest(431, f"the request's head is larger than {HEAD_BYTES_MAX} bytes")
    return -1


def parse_head(raw: bytes) -> Head:
    """Parse exactly one head, ``raw`` ending in CRLF CRLF. Raises ``BadRequest``."""
    callbacks = _Callbacks()
    parser = httptools.HttpRequestParser(callbacks)
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise BadRequest(400, f"malformed request: {error}") from None
    if not callbacks.complete:
        raise BadRequest(400, "malformed request head")
    version = parser.get_http_version()
    if version not in ("1.0", "1.1"):
        raise BadRequest(505, "HTTP/1.1 is spoken here")
    hosts = lengths = 0
    content_length = 0
    encodings: list[bytes] = []
    upgrade, connection, expects_continue = b"", b"", False
    for name, value in callbacks.headers:
        if name == b"host":
            hosts += 1
        elif name == b"content-length":
            lengths += 1
            content_length = _length(value.strip(b" \t"))
        elif name == b"transfer-encoding":
            encodings.append(value.strip().lower())
        elif name == b"upgrade":
            upgrade = value.strip().lower()
        elif name == b"connection":
            connection = connection + b"," + value.lower()
        elif name == b"expect":
            expects_continue = True
    if hosts > 1 or (hosts == 0 and version == "1.1"):
        raise BadRequest(400, "exactly one Host header is needed")
    if lengths > 1 or (lengths and encodings):
        raise BadRequest(400, "the body's length is given twice")
    if encodings and (encodings != [b"chunked"] or version == "1.0"):
        raise BadRequest(400, "no Transfer-Encoding but chunked is accepted")
    tokens = [token.strip() for token in connection.split(b",")]
    return Head(
        method=parser.get_method().decode(),
        target=_target(callbacks.url),
        headers=callbacks.headers,
        version=version,
        # Not llhttp's should_keep_alive: it forgets what it knew when a request has no body.
        keep_alive=b"close" not in tokens and (version == "1.1" or b"keep-alive" in tokens),
        content_length=content_length,
        chunked=bool(encodings),
        upgrade=upgrade.decode("latin-1") if b"upgrade" in tokens else "",
        expects_continue=expects_continue,
    )


def _length(value: bytes) -> int:
    if not value.isdigit() or len(value) > 18:
        raise BadRequest(400, "Content-Length is not a number")
    return int(value)


def _target(url: bytes) -> str:
    """The request target in origin form; absolute form loses scheme and authority."""
    try:
        target = url.decode("ascii")
    except UnicodeDecodeError:
        raise BadRequest(400, "the request target is not ASCII") from None
    if target.startswith(("http://", "https://")):
        _, _, rest = target.partition("://")
        target = "/" + rest.partition("/")[2]
    if not target.startswith("/") and target != "*":
        raise BadRequest(400, "the request target is not a path")
    return target
