"""Takes secrets and phone numbers out of whatever is about to be logged (P7).

Three nets, one over the other, because each has holes: the exact secrets of the configuration,
the shapes of credentials (JWTs, ``apikey: …``, ``/hook/…``), and the names of fields. A net that
catches too much costs a word in a log line; one that catches too little costs a customer.
"""

import json
import re
from collections.abc import Iterable, Mapping
from urllib.parse import quote, quote_plus

MASK = "[redacted]"
SECRET_CHARS_MIN = 4
"""A shorter "secret" would mask half of every line; the configuration refuses such anyway."""
TEXT_CHARS_MAX = 8 * 1024
"""What is kept of one text; longer ones are cut. A body has no business in a log."""
TRACEBACK_CHARS_MAX = 32 * 1024
DEPTH_MAX = 4
ITEMS_MAX = 50
_CUT_MARK = "… [cut]"

_NAME = r"(?:api[_-]?key|secret|token|jwt|authorization|passw(?:or)?d|credential|cookie)"
_SENSITIVE_NAME = re.compile(rf"{_NAME}\Z", re.IGNORECASE)

_CREDENTIAL = re.compile(
    # name, then what stands between name and value in JSON (also escaped once more), TOML,
    # query strings, headers and the repr of a list of header pairs
    rf"""(?P<name>{_NAME}(?:\\*["']\s*,|\\*["']?\s*(?:=>|[:=]))\s*(?:b(?=["']))?)"""
    # a quoted value up to the same quote, else the scheme of an Authorization and one word
    r"""(?:(?P<quote>\\*["'])(?:(?!(?P=quote))(?:\\.|[^\\]))*"""
    r"""|\[redacted\]|(?:(?:bearer|basic|digest)\s+)?[^\s,;&"'}\])]+)"""
    r"""|(?P<bearer>\bbearer\s+)[\w.~+/=-]{8,}"""
    r"""|(?P<path>/hook/)[^/\s?\#"'\\]+"""
    r"""|(?P<userinfo>://[^/\s:@]*:)[^/\s@]+(?=@)"""
    # a JWT and what is left of one that was cut: base64url of '{"'
    r"""|(?P<jwt>)eyJ[\w-]{6,}(?:\.[\w-]*)*""",
    re.IGNORECASE | re.DOTALL,
)

_LONG_DIGITS = re.compile(
    r"(?P<uuid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})"
    # standing alone: digits inside a word are an id, not a phone number
    r"|(?<![0-9A-Za-z])(?P<phone>[0-9]{10,15})(?![0-9A-Za-z])"
)
_NUMBER_NAME = re.compile(r"(?:seq|offset|cursor|bytes|count|ts|pid|id|_at|_ms|_s|_us|_ns)\Z")
"""Fields whose integers are positions, sizes or times and stay whole."""

_UNSAFE = re.compile(
    # control characters, line and paragraph separators, bidirectional overrides, surrogates
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_UNSAFE_BUT_NEWLINE = re.compile(_UNSAFE.pattern.replace("\x00-\x1f", "\x00-\x09\x0b-\x1f"))

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]


class Redactor:
    """Pure functions over one fixed set of secrets; safe to call from any thread."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        spellings = {
            spelling
            for secret in secrets
            if len(secret) >= SECRET_CHARS_MIN
            for spelling in _spellings(secret)
        }
        longest_first = sorted(spellings, key=len, reverse=True)
        self._secrets = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        # What a cut may leave of a secret at the end of a text is shorter than this.
        self._tail_chars = max((len(spelling) for spelling in spellings), default=0) + 16

    def text(self, text: str) -> str:
        """One line without secrets, phone numbers or control characters."""
        return _UNSAFE.sub(_escape, self._redact(text, TEXT_CHARS_MAX))

    def lines(self, text: str) -> str:
        """Like ``text``, for a traceback: line feeds stay."""
        return _UNSAFE_BUT_NEWLINE.sub(_escape, self._redact(text, TRACEBACK_CHARS_MAX))

    def field(self, name: str, value: object, depth: int = 0) -> Plain:
        """The value of a named field as plain data: bounded, redacted, fit for JSON."""
        if _SENSITIVE_NAME.search(name) and value is not None and not isinstance(value, bool):
            return MASK
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            return self._number(name, value)
        if isinstance(value, Mapping) and depth < DEPTH_MAX:
            items = list(value.items())[:ITEMS_MAX]
            return {
                self.text(str(key)): self.field(str(key), inner, depth + 1) for key, inner in items
            }
        if isinstance(value, list | tuple | set | frozenset) and depth < DEPTH_MAX:
            return [self.field(name, inner, depth + 1) for inner in list(value)[:ITEMS_MAX]]
        return self.text(value if isinstance(value, str) else str(value))

    def _number(self, name: str, value: int) -> Plain:
        if not -(2**63) <= value < 2**63:
            return "[huge number]"  # JSON readers, and Python's own str(), have limits
        if _NUMBER_NAME.search(name):
            return value
        digits = str(value)
        short = self.text(digits)
        return value if short == digits else short

    def _redact(self, text: str, chars_max: int) -> str:
        is_cut = len(text) > chars_max
        text = self._secrets.sub(MASK, text[:chars_max])
        text = _CREDENTIAL.sub(_mask_value, text)
        text = _LONG_DIGITS.sub(_shorten, text)
        return text[: -self._tail_chars] + _CUT_MARK if is_cut else text


def _spellings(secret: str) -> set[str]:
    """How a secret may stand in a text: as it is, quoted for a URL, escaped in JSON or by repr."""
    return {
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
    }


def _mask_value(match: re.Match[str]) -> str:
    kept = next((text for text in match.group("name", "bearer", "path", "userinfo") if text), "")
    return kept + (match["quote"] or "") + MASK


def _shorten(match: re.Match[str]) -> str:
    """The country and area code and the last two digits: enough to recognise, not to call."""
    phone = match["phone"]
    return f"{phone[:4]}…{phone[-2:]}" if phone else match["uuid"]


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
