"""Names fit to be shown: one visible line, and none rather than a stand-in.

Anybody chooses their own name on WhatsApp, so a name may try to look like something else: end a
line, turn the text around it, colour a terminal. Names are shown in lists and logs; what people
write in messages is kept as it is.
"""

import re
import unicodedata
from typing import Any

from evorelay.protocol.normalise.values import clean

NAME_CHARS_MAX = 200
_READ_CHARS_MAX = 4 * NAME_CHARS_MAX
"""A name is looked at this far; what hides in it takes room too."""
_OURSELVES = "Você"
"""What Evolution 2.3 writes for the owner of the phone, in any language."""
_ZWJ = "\u200d"
_TAGS = "\U000e0020-\U000e007f"

_TERMINAL = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # colours and cursor movements
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"  # titles, links
    r"|\x1b[ -/]*[0-~]?"
)
_HIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f"  # controls, but not the white space that is collapsed
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\u115f\u1160\u3164\uffa0"  # letters that are blank
    "\U000e0001]"
    f"|(?<![\U0001f3f4{_TAGS}])[{_TAGS}]+"  # spells a flag behind a black one, else hides text
)
_STAND_IN = re.compile(r"(?=.*\d)\+?[\d\s().-]{5,}|\d+|\d+(?::\d+)?@[\w.]+")
"""A number or a JID: what Evolution writes for somebody whose name it does not know."""


def person_name(value: Any) -> str | None:
    """The name, or None where there is none."""
    if not isinstance(value, str):
        return None
    name = one_line(value[:_READ_CHARS_MAX]).strip("\u200c\u200d ")
    if len(name) > NAME_CHARS_MAX:
        name = name[: _boundary(name, NAME_CHARS_MAX)].rstrip("\u200c\u200d ")
    if not name or name == _OURSELVES or _STAND_IN.fullmatch(name):
        return None
    return name if any(map(_is_visible, name)) else None


def one_line(text: str) -> str:
    """The text as one line with nothing hidden in it: for names of people and of files."""
    if not (text.isascii() and text.isprintable()):
        text = _HIDDEN.sub("", _TERMINAL.sub("", clean(text)))
    return " ".join(text.split())


def _is_visible(char: str) -> bool:
    return unicodedata.category(char)[0] in "LNPS"


def _boundary(text: str, end: int) -> int:
    """The last place up to ``end`` that does not cut what is drawn as one sign."""
    for place in range(end, 0, -1):
        if not _is_inside(text, place):
            return place
    return end  # one sign of this length is no sign


def _is_inside(text: str, place: int) -> bool:
    before, after = text[place - 1], text[place]
    if _ZWJ in (before, after) or _extends(after):
        return True
    if _is_flag_half(before) and _is_flag_half(after):
        halves = 1
        while halves < place and _is_flag_half(text[place - 1 - halves]):
            halves += 1
        return halves % 2 == 1
    return False


def _extends(char: str) -> bool:
    """Accents, variation selectors, skin tones, the tags of a flag."""
    return (
        unicodedata.category(char)[0] == "M"
        or "\U0001f3fb" <= char <= "\U0001f3ff"
        or "\U000e0020" <= char <= "\U000e007f"
    )


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
