"""The one table of errors that clients see: code, HTTP status, RPC code, and our exceptions.

Expected refusals are raised as ``Refusal`` at the edge of a decision and turned into an answer by
the edge that took the request. Operational faults are ``RelayError``s. Anything else is a bug.
"""

from enum import Enum

RETRY_AFTER_S = 5
"""Goes with every 503. Evolution comes back at its own times (5 s first); others may listen."""


class Code(Enum):
    """(text code, HTTP status, RPC code). RPC codes below 1000 are Centrifuge's own."""

    BAD_REQUEST = ("bad_request", 400, 107)
    NOT_JSON = ("not_json", 400, 107)
    UNAUTHORIZED = ("unauthorized", 401, 101)
    TOKEN_EXPIRED = ("token_expired", 401, 109)
    FORBIDDEN = ("forbidden", 403, 103)
    NOT_FOUND = ("not_found", 404, 1004)
    MEDIA_REMOVED = ("media_removed", 410, 1020)
    METHOD_NOT_ALLOWED = ("method_not_allowed", 405, 104)
    REQUEST_TIMEOUT = ("request_timeout", 408, 107)
    VERSION_CONFLICT = ("version_conflict", 409, 1009)
    LIMIT_EXCEEDED = ("limit_exceeded", 400, 106)
    TICKET_CLOSED = ("ticket_closed", 409, 1010)
    TICKET_OPEN = ("ticket_open", 409, 1011)
    OP_ID_CONFLICT = ("op_id_conflict", 409, 1012)
    TOO_LARGE = ("too_large", 413, 1013)
    NOT_FAILED = ("not_failed", 409, 1014)
    MEDIA_TYPE = ("media_type", 415, 1015)
    MEDIA_UNAVAILABLE = ("media_unavailable", 422, 1016)
    GATEWAY = ("gateway", 502, 1017)
    REPLIES_UNFINISHED = ("replies_unfinished", 409, 1021)
    TOO_SOON = ("too_soon", 429, 1019)
    BACKUP_RUNNING = ("backup_running", 409, 1020)
    RANGE = ("range_not_satisfiable", 416, 107)
    HEAD_TOO_LARGE = ("request_header_fields_too_large", 431, 107)
    INTERNAL = ("internal", 500, 100)
    UNAVAILABLE = ("unavailable", 503, 1003)
    OUTBOX_FULL = ("outbox_full", 503, 1018)
    HTTP_VERSION = ("http_version_not_supported", 505, 107)

    def __init__(self, code: str, http_status: int, rpc_code: int) -> None:
        self.code = code
        self.http_status = http_status
        self.rpc_code = rpc_code


class Refusal(Exception):
    """A request is answered with a code and a sentence that says what to do."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class RelayError(Exception):
    """Something we depend on failed; ``retryable`` says whether the same call may succeed later."""

    retryable = False


class JournalUnavailable(RelayError):
    """The journal cannot take an envelope now (disk, draining). Answer 503 + Retry-After."""

    retryable = True


class StoreUnavailable(RelayError):
    """The store failed for a reason that may pass (disk full, locked, database away)."""

    retryable = True


class StoreInUse(RelayError):
    """Another process serves this state directory."""


class ConfigError(RelayError):
    """One line: the key and the fix. The command line exits 2 with it."""
