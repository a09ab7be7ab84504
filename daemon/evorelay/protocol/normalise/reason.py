"""Why a webhook goes into quarantine: the codes of ``QuarantineFact.reason``."""

from enum import StrEnum

from evorelay.model.fact import QuarantineFact


class Reason(StrEnum):
    NOT_JSON = "not_json"
    TOO_DEEP = "too_deep"
    TOO_LARGE = "too_large"
    NO_INSTANCE = "no_instance"
    UNKNOWN_EVENT = "unknown_event"
    BAD_DATA = "bad_data"
    NO_KEY = "no_key"
    NO_ID = "no_id"
    NO_CHAT = "no_chat"
    UNKNOWN_STATE = "unknown_state"


def quarantined(reason: Reason, detail: str) -> QuarantineFact:
    """``detail`` tells a person what was wrong; it never quotes a message or a number."""
    return QuarantineFact(reason=reason.value, detail=detail)
