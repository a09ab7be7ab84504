"""Phone numbers as people and scripts write them, to the digits that WhatsApp knows them by."""

import re

DIGITS_MIN = 8
DIGITS_MAX = 15
"""E.164."""
_PUNCTUATION = re.compile(r"[\s().\-/]+")
_USER_JID = re.compile(r"(.*)@(?:s\.whatsapp\.net|c\.us)")
_COUNTRY = re.compile(
    r"1|7|2[07]|21[12368]|2[2-5]\d|26\d|29[01789]|3[0-469]|35\d|37\d|38[0-35-79]|4[013-9]|42[013]"
    r"|5[1-8]|50\d|59\d|6[0-6]|67[02-9]|68[0-35-9]|69[0-2]|8[1246]|85[02356]|88[0-368]"
    r"|9[0-58]|96[0-8]|97[0-79]|99[2-68]"
)
"""Assigned country codes (ITU-T E.164, list of 2016-11)."""
_PLANS = {
    "55": re.compile(r"55[1-9][1-9]\d{8,9}"),
    "1": re.compile(r"1[2-9]\d{2}[2-9]\d{6}"),
}
"""How whole numbers look where local ones are most often given instead."""


def read_phone(text: str) -> str:
    """``"+55 (11) 98888-0001"`` -> ``"5511988880001"``; a JID of a person is read too.

    Raises ``ValueError`` with what to do about it. A number without its country code is found out
    where it cannot be another country's; ``21 3333-4444`` could be an Algerian one.
    """
    user = _USER_JID.fullmatch(text.strip())
    if user is None and "@" in text:
        raise ValueError("only people have phone numbers: answer groups and hidden numbers by REST")
    written = (user[1] if user else text.strip()).removeprefix("+")
    digits = _PUNCTUATION.sub("", written)
    if not (digits.isascii() and digits.isdigit()):
        raise ValueError("a phone number is digits with country code, such as 5511988880001")
    if not DIGITS_MIN <= len(digits) <= DIGITS_MAX:
        raise ValueError(
            f"{len(digits)} digits are too {'few' if len(digits) < DIGITS_MIN else 'many'} for a "
            "phone number with country code, such as 5511988880001"
        )
    if digits.startswith("0"):
        raise ValueError("write the country code without zeros before it, such as 5511988880001")
    plan = next((plan for code, plan in _PLANS.items() if digits.startswith(code)), None)
    if plan is not None and not plan.fullmatch(digits):
        raise ValueError(
            "this is no whole number with country code; a Brazilian one is 55, area code, number, "
            "such as 5511988880001"
        )
    if not _COUNTRY.match(digits):
        raise ValueError("no country code begins like this; Brazil's is 55, as in 5511988880001")
    return digits
