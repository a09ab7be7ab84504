"""Request bodies: JSON, or 2.x's form with a file in it."""

import io
import re
from email.message import Message
from typing import Any

import msgspec
from werkzeug.formparser import MultiPartParser

from evorelay.simulator.rest.call import Body, RestError, Upload
from evorelay.simulator.rest.wire import Request

NOT_JSON = "Unexpected end of JSON input"
_STEP = re.compile(r"[^\[\]]+")
_DEPTH_MAX = 5


def body_of(request: Request) -> Body:
    """Raises ``RestError`` as Evolution answers it; what has no body has an empty one."""
    said = Message()
    said["Content-Type"] = request.headers.get("content-type", "")
    if said.get_content_type() == "multipart/form-data":
        return _form(request.body, str(said.get_param("boundary") or ""))
    if not request.body or said.get_content_type() != "application/json":
        return {}
    try:
        body: Any = msgspec.json.decode(request.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RestError(400, NOT_JSON, "Internal Server Error") from None
    if not isinstance(body, dict):
        raise RestError(400, ["Bad request"])
    return body


def _form(content: bytes, boundary: str) -> Body:
    parser = MultiPartParser(max_form_memory_size=None)
    try:
        fields, files = parser.parse(io.BytesIO(content), boundary.encode(), len(content))
    except ValueError:
        raise RestError(500, "Unexpected end of form") from None
    body: Body = {}
    for name, text in fields.items():
        _put(body, _STEP.findall(name)[:_DEPTH_MAX], _value(text))
    if "file" in files:
        file = files["file"]
        body["file"] = Upload(file.read(), file.filename, file.mimetype)
    return body


def _put(body: Body, steps: list[str], value: Any) -> None:
    """``quoted[key][id]`` is a field of objects within objects, as multer reads it."""
    for step in steps[:-1]:
        inner = body.setdefault(step, {})
        if not isinstance(inner, dict):
            return
        body = inner
    if steps:
        body[steps[-1]] = value


def _value(text: str) -> Any:
    """Numbers and objects come as text in a form; a phone number stays one."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return value if isinstance(value, dict | list | bool) or len(text) < 8 else text
