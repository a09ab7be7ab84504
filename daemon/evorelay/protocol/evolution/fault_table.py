"""What Evolution's error texts mean for a message: one row each, with where it was seen.

A row says whether something may have been sent, because that decides everything that follows. The
first row that fits counts. ``R`` is research/evolution.md, ``L`` research/evolution-live.md, the
rest are files under payloads.
"""

import re
from typing import NamedTuple

from evorelay.model.outcome import FaultKind

PERMANENT = FaultKind.PERMANENT
RETRY = FaultKind.RETRY
INSTANCE_DOWN = FaultKind.INSTANCE_DOWN
GATEWAY_DOWN = FaultKind.GATEWAY_DOWN
LICENCE = FaultKind.LICENCE
UNKNOWN = FaultKind.UNKNOWN


class Meaning(NamedTuple):
    kind: FaultKind
    code: str
    message: str
    source: str


class TextRow(NamedTuple):
    """Fits an answer of one of these statuses (none named: any) whose texts match."""

    text: re.Pattern[str]
    statuses: tuple[int, ...]
    meaning: Meaning
    for_sends: bool
    """False: seen at questions only. Nobody knows at which point a send would say it."""


def _row(
    text: str, statuses: tuple[int, ...], *meaning: str | FaultKind, for_sends: bool = True
) -> TextRow:
    kind, code, message, source = meaning
    assert isinstance(kind, FaultKind)
    return TextRow(
        re.compile(text, re.IGNORECASE),
        statuses,
        Meaning(kind, str(code), str(message), source),
        for_sends,
    )


NOT_ON_WHATSAPP = Meaning(
    PERMANENT,
    "not_on_whatsapp",
    "This number is not on WhatsApp. Check it with the customer.",
    "rest/v2-400-not-on-whatsapp.json, rest/v1-400-not-on-whatsapp.json, R §4.3",
)

TEXTS: tuple[TextRow, ...] = (
    _row(
        r"LICENSE_REQUIRED|service not activated",
        (),
        *(LICENCE, "licence"),
        "Evolution wants its licence activated and refuses everything until then. "
        "Activate it in Evolution's manager.",
        "rest/v2.4-503-license.json",
    ),
    _row(
        r'instance does not exist|^Instance ".*" not found',
        (404, 400),
        *(INSTANCE_DOWN, "no_such_instance"),
        "Evolution has no instance of this name. Create it there, or correct evolution.url.",
        "rest/404-instance.json, rest-live/sendText.instance-missing.json",
    ),
    _row(
        r"^Cannot (?:GET|POST|PUT|DELETE) /",
        (404, 405),
        *(PERMANENT, "no_such_call"),
        "Evolution does not know this call. Check evolution.url, which must end before /message, "
        "and Evolution's version.",
        "rest/404-route.json, rest-live/sendText.wrong-method.json",
    ),
    _row(
        r"^Unauthorized$",
        (401,),
        *(INSTANCE_DOWN, "bad_api_key"),
        "Evolution refuses our API key. Correct evolution.api_key.",
        "rest/401-unauthorized.json, rest-live/sendText.wrong-apikey.json",
    ),
    _row(
        r"Connection Closed",
        (500,),
        *(INSTANCE_DOWN, "not_connected"),
        "This WhatsApp is not connected. It is sent once the instance is open again.",
        "rest/v2-500-connection-closed.json, rest-live/sendText.baileys.not-connected.json: raised "
        "by the number check or the upload, nothing was sent",
    ),
    _row(
        r"Connection Closed",
        (),
        *(UNKNOWN, "connection_closed"),
        "WhatsApp's connection closed while this was being sent.",
        "rest/v2-400-connection-closed.json, rest-live/baileys.sendText.connection-closed.json",
    ),
    _row(
        r"Cannot read propert(?:y|ies) .{0,200}of (?:undefined|null) \(reading '(?:textMessage"
        r"|mediaMessage|audioWhatsapp|mediaSticker|locationMessage|contactMessage|reactionMessage"
        r"|fetchMessages|fetchStatusMessage|getBase64FromMediaMessage|connectToWhatsapp"
        r"|connectionStatus|client|find)'\)",
        (500,),
        *(INSTANCE_DOWN, "not_loaded"),
        "Evolution has not loaded this instance yet. It is sent once the instance is open.",
        "rest/v2-500-instance-not-loaded.json, R §4.3 (#1412 #2283)",
    ),
    _row(
        r"Timed Out",
        (),
        *(UNKNOWN, "whatsapp_timeout"),
        "WhatsApp did not confirm in time.",
        "rest/v2-400-timed-out.json, rest-live/baileys.sendText.timed-out.json",
    ),
    _row(
        r"Maximum call stack size exceeded|entity too large|File too large",
        (),
        *(PERMANENT, "too_large"),
        "This file is too large for Evolution. Send a smaller one.",
        "R §4.1 (#1885): raised while the body is checked, nothing was sent",
    ),
    _row(
        r"Media upload failed on all hosts",
        (),
        *(RETRY, "upload_failed"),
        "WhatsApp did not take the file; it is tried again.",
        "R §4.3: the upload comes before the message",
    ),
    _row(
        r"rate-overlimit",
        (),
        *(RETRY, "rate_limited"),
        "WhatsApp asks us to slow down; it is tried again.",
        "Baileys refuses a look-up with it before it sends",
    ),
    _row(
        r"Text is required",
        (400,),
        *(PERMANENT, "empty"),
        "WhatsApp takes no empty text. Write something.",
        "rest-live/baileys.sendText.empty.json",
    ),
    _row(
        r"must be a url or base64|must be a url, base64|file name must be informed",
        (400,),
        *(PERMANENT, "bad_media"),
        "Evolution does not take this file. Send it as a document, or another one.",
        "rest-live/sendMedia.bad-media.json, rest-live/sendMedia.no-media.json",
    ),
    _row(
        r"must be an emoji",
        (400,),
        *(PERMANENT, "bad_reaction"),
        "A reaction is exactly one emoji.",
        "R §4.1",
    ),
    _row(
        r"Method not available on",
        (400,),
        *(PERMANENT, "not_supported"),
        "This kind of message cannot be sent through this kind of instance.",
        "rest-live/sendPoll.unsupported.json",
    ),
    _row(
        r"Message not found|not of the media type",
        (400,),
        *(PERMANENT, "no_media"),
        "Evolution no longer has this file.",
        "rest/v2-getBase64-400.json (note)",
        for_sends=False,
    ),
    _row(
        r"AggregateError",
        (400,),
        *(RETRY, "media_unavailable"),
        "WhatsApp did not give the file; it is tried again.",
        "rest/v2-getBase64-400.json",
        for_sends=False,
    ),
    _row(
        r"requires property|Invalid format|is not of a type|is not one of enum|does not meet"
        r"|Enter a value in milliseconds|must be a numeric string|cannot be empty|is not allowed",
        (400,),
        *(PERMANENT, "rejected"),
        "Evolution finds this message malformed. Please report it with this text.",
        "rest/v2-400-validation.json, rest-live/sendText.bad-body.*: checked before anything is "
        "sent",
    ),
    _row(
        r"Unexpected (?:end of JSON|token)|Unterminated string in JSON",
        (400,),
        *(RETRY, "mangled"),
        "Evolution could not read our request; it is tried again.",
        "rest-live/sendText.bad-body.not-json.json",
        for_sends=False,  # ours are JSON always; Meta's answer to Evolution may not be
    ),
    _row(
        r"already in use",
        (403,),
        *(PERMANENT, "name_in_use"),
        "Evolution has an instance of this name already.",
        "rest/403-name-in-use.json",
    ),
    _row(
        r"Error validating access token|session has expired",
        (),
        *(INSTANCE_DOWN, "token_expired"),
        "Meta's access token of this instance has expired. Renew it in Evolution.",
        "rest-live/sendText.upstream.graph-401-token-expired.json, rest-live/v1.*",
    ),
    _row(
        r"\[object Object\]",
        (),
        *(UNKNOWN, "unexplained"),
        "Evolution failed without saying why.",
        "rest/v2-400-object-object.json",
    ),
    _row(
        r"Cannot read propert",
        (),
        *(UNKNOWN, "evolution_failed"),
        "Evolution failed while this was being sent.",
        "rest-live/sendText.upstream.graph-503-html.json, …graph-connection-reset.json, also 1.8",
    ),
)

_WINDOW_CLOSED = (
    "The customer last wrote more than 24 hours ago, so Meta lets only templates through. "
    "Wait until they write, or send a template from Meta's tools."
)
_SLOWER = "Meta asks us to slow down; it is tried again."
_TOKEN = "Meta refuses this instance's access token. Renew it in Evolution."  # noqa: S105 -- a text
_ACCOUNT = "Meta has restricted this WhatsApp account. See Meta's Business Manager."
_META_DOCS = "Meta's error codes of the Cloud API"

META: dict[int, Meaning] = {
    131047: Meaning(
        PERMANENT,
        "window_closed",
        _WINDOW_CLOSED,
        "rest-live/sendText.upstream.graph-24h-window.json",
    ),
    131026: Meaning(
        PERMANENT,
        "undeliverable",
        "WhatsApp cannot deliver to this number. Check it with the customer.",
        _META_DOCS,
    ),
    131030: Meaning(
        PERMANENT,
        "not_allowed",
        "This number is not on the list a test account may write to.",
        _META_DOCS,
    ),
    131021: Meaning(
        PERMANENT, "own_number", "WhatsApp does not send to its own number.", _META_DOCS
    ),
    **dict.fromkeys(
        (131051, 131052, 131053),
        Meaning(PERMANENT, "bad_media", "Meta does not take this kind of file.", _META_DOCS),
    ),
    **dict.fromkeys(
        (100, 131008, 131009),
        Meaning(PERMANENT, "rejected", "Meta finds this message malformed.", _META_DOCS),
    ),
    130429: Meaning(
        RETRY, "rate_limited", _SLOWER, "rest-live/sendText.upstream.graph-rate-limit.json"
    ),
    **dict.fromkeys(
        (4, 80007, 131048, 131056, 133016), Meaning(RETRY, "rate_limited", _SLOWER, _META_DOCS)
    ),
    **dict.fromkeys(
        (2, 131016, 131057),
        Meaning(RETRY, "meta_busy", "Meta is busy; it is tried again.", _META_DOCS),
    ),
    190: Meaning(
        INSTANCE_DOWN,
        "token_expired",
        _TOKEN,
        "rest-live/sendText.upstream.graph-401-token-expired.json",
    ),
    **dict.fromkeys(
        (0, 3, 10, 131005), Meaning(INSTANCE_DOWN, "token_expired", _TOKEN, _META_DOCS)
    ),
    **dict.fromkeys(
        (368, 131031, 131042, 133010),
        Meaning(INSTANCE_DOWN, "account_restricted", _ACCOUNT, _META_DOCS),
    ),
}
"""By Meta's ``code``, which comes with 201 and without a ``key`` (L, REST), or as ``(#131047)`` in
the text of 1.8. Any other code is in doubt: Meta failed somewhere on the way."""

COME_BACK = Meaning(
    RETRY,
    "unavailable",
    "Evolution is not available; it is tried again.",
    "RFC 9110 §15.6.4: 503 with Retry-After, so nothing was done with the request",
)
_PROXY = "a proxy's own answer, not Evolution's (R §4.3: HTML from a proxy)"
STATUSES: dict[int, Meaning] = {
    401: Meaning(
        INSTANCE_DOWN,
        "bad_api_key",
        "Evolution refuses our API key. Correct evolution.api_key.",
        "rest/401-unauthorized.json",
    ),
    413: Meaning(
        PERMANENT,
        "too_large",
        "This file is too large for the proxy before Evolution. Send a smaller one.",
        _PROXY,
    ),
    429: Meaning(
        RETRY, "rate_limited", "We are asked to slow down; it is tried again.", "RFC 6585 §4"
    ),
    503: Meaning(
        UNKNOWN,
        "unavailable",
        "Evolution is not available.",
        "proxies say it too when a connection broke behind the request (Envoy, Heroku)",
    ),
    **dict.fromkeys(
        (403, 404, 405, 407),
        Meaning(
            GATEWAY_DOWN,
            "not_evolution",
            "What answers at evolution.url is not Evolution. Correct it, or the proxy before it.",
            _PROXY,
        ),
    ),
    **dict.fromkeys(
        (521, 522, 523, 525, 526, 530),
        Meaning(
            GATEWAY_DOWN,
            "unreachable",
            "The proxy before Evolution cannot reach it; it is tried again.",
            "Cloudflare's own statuses: it had no connection to send anything on",
        ),
    ),
    **dict.fromkeys(
        (500, 502, 504),
        Meaning(
            UNKNOWN,
            "no_answer",
            "The proxy before Evolution got no proper answer from it.",
            "RFC 9110 §15.6: the request may have been carried out",
        ),
    ),
}
"""What a status means when nothing in the body says more."""
