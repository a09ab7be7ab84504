"""What every answer looks like, the wrong ones included."""

import logging

import msgspec
from msgspec import Struct
from quart import Response
from werkzeug.exceptions import HTTPException

from evorelay.model.errors import RETRY_AFTER_S, Code, Refusal, RelayError
from evorelay.model.views import encode_json

log = logging.getLogger(__name__)

JSON = "application/json"

_OF_STATUS = {
    404: (Code.NOT_FOUND, "there is nothing at this address; /openapi.json lists what there is"),
    405: (Code.METHOD_NOT_ALLOWED, "this address does not take the method; see Allow"),
    408: (Code.REQUEST_TIMEOUT, "the body did not come in time"),
    413: (Code.TOO_LARGE, "the body is too large"),
    416: (Code.RANGE, "the file has no such range of bytes; see Content-Range"),
}


class ErrorDetail(Struct, frozen=True):
    code: str
    """One of the table in model/errors.py; clients decide by it."""
    message: str
    """For a person: what is wrong and what to do."""


class ErrorAnswer(Struct, frozen=True):
    error: ErrorDetail


def json_answer(value: object, status: int = 200, *, content_type: str = JSON) -> Response:
    return Response(encode_json(value), status, content_type=content_type)


def empty_answer(status: int) -> Response:
    # With b"", not without a body: Quart iterates over an absent one by asyncio.
    response = Response(b"", status)
    del response.headers["Content-Type"]
    return response


def error_answer(code: Code, message: str, **beside: object) -> Response:
    """``beside`` are further fields, for callers who look for their own before ``error``."""
    body = {**beside, "error": ErrorDetail(code.code, message)}
    response = json_answer(body, code.http_status)
    if code.http_status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if code.http_status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    return response


def answer_to_fault(fault: Exception, **beside: object) -> Response:
    """The answer to whatever a view raised: the boundary between a request and the daemon.

    Only what we wrote for clients is told them; the text of any other fault goes to the log.
    ``beside`` is as in ``error_answer``.
    """
    match fault:
        case Refusal():
            return error_answer(fault.code, fault.message, **beside)
        case HTTPException():
            code, message = _OF_STATUS.get(
                fault.code or 400, (Code.BAD_REQUEST, "the request cannot be understood")
            )
            response = error_answer(code, message, **beside)
            allowed = getattr(fault, "valid_methods", None)
            if allowed:
                response.headers["Allow"] = ", ".join(sorted(allowed))
            size = getattr(fault, "length", None)
            if size is not None:
                response.headers["Content-Range"] = f"bytes */{size}"
            return response
        case RelayError(retryable=True):
            log.warning("a request could not be served now: %s", fault)
            return error_answer(
                Code.UNAVAILABLE, "this cannot be served right now; try again", **beside
            )
        case _:
            log.error("a request met a bug", exc_info=fault)
            return error_answer(
                Code.INTERNAL, "something went wrong here; it has been logged", **beside
            )


def bad_parameter(error: msgspec.ValidationError) -> Refusal:
    """Name the parameter first: ``limit: Expected `int` >= 1``."""
    text, _, path = str(error).partition(" - at `$")
    name = path.strip("`.")
    return Refusal(Code.BAD_REQUEST, f"{name}: {text}" if name else text)
