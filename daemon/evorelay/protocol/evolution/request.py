"""A call to Evolution as bytes with a hole: a file goes into its body without being in memory."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from evorelay.model.outgoing import OutgoingMedia

_encode = msgspec.json.encode


class Request(Struct, frozen=True, kw_only=True):
    """One call. The instance's name is appended to ``path`` by whoever makes it."""

    method: Literal["GET", "POST", "PUT"]
    path: str
    """``message/sendText``"""
    body: dict[str, Any] | None = None
    file: OutgoingMedia | None = None
    """Goes where the body's very last string is, which is empty; or after its fields in a form."""
    is_form: bool = False
    """multipart/form-data instead of JSON with base64."""


class Frame(Struct, frozen=True):
    """A body: ``head``, then the file (in base64 unless it is a form), then ``tail``."""

    content_type: str
    head: bytes
    tail: bytes = b""


def framed(request: Request, boundary: str) -> Frame:
    """``boundary`` is chosen by chance, so that no file contains it."""
    if request.is_form:
        return _form(request, boundary)
    document = _encode(request.body) if request.body is not None else b""
    if request.file is None:
        return Frame("application/json", document)
    end = len(document.rstrip(b"}")) - 1
    return Frame("application/json", document[:end], document[end:])


def _form(request: Request, boundary: str) -> Frame:
    """Fields as text, then ``file``. Its name is given as a field: Evolution's form parser reads
    the one in the part's header as Latin-1."""
    assert request.file is not None
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode(
            errors="replace"
        )
        for name, value in (request.body or {}).items()
    ]
    mimetype = "".join(c for c in request.file.mimetype if " " <= c <= "~")
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="file"\r\n'
        f"Content-Type: {mimetype}\r\n\r\n".encode()
    )
    return Frame(
        f"multipart/form-data; boundary={boundary}",
        b"".join(parts),
        f"\r\n--{boundary}--\r\n".encode(),
    )
