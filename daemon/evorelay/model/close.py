"""Why we close a client's connection. Codes and texts are Centrifuge's (client protocol v2).

3000-3499: the client reconnects. 3500-3999: it does not.
"""

from enum import Enum


class Close(Enum):
    SHUTDOWN = (3001, "shutdown")
    SERVER_ERROR = (3004, "internal server error")
    EXPIRED = (3005, "connection expired")
    SLOW = (3008, "slow")
    INSUFFICIENT_STATE = (3010, "insufficient state")
    NO_PONG = (3012, "no pong")
    INVALID_TOKEN = (3500, "invalid token")
    BAD_REQUEST = (3501, "bad request")
    STALE = (3502, "stale")

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.reason = reason

    @property
    def reconnect(self) -> bool:
        return self.code < 3500
