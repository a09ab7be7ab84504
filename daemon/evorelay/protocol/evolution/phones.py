"""The other way a phone number is written where WhatsApp and people disagree about a digit."""

import re

_BRAZIL = re.compile(r"55([1-9][1-9])(9?)([6-9]\d{7})")
"""Mobile numbers only: those of land lines, which begin with 2-5, never got the ninth digit."""
_MEXICO = re.compile(r"52(1?)([2-9]\d{9})")
_ARGENTINA = re.compile(r"54(9?)([1-9]\d{9})")


def other_form(phone: str) -> str | None:
    """``5531912345678`` <-> ``553112345678`` and the like, None where there is one form only.

    Brazil's ninth digit, Mexico's 1, Argentina's 9 (research/evolution.md §3.7). ``phone`` is
    digits with country code.
    """
    if match := _BRAZIL.fullmatch(phone):
        area, nine, rest = match.groups()
        return f"55{area}{'' if nine else '9'}{rest}"
    if match := _MEXICO.fullmatch(phone):
        return f"52{'' if match[1] else '1'}{match[2]}"
    if match := _ARGENTINA.fullmatch(phone):
        return f"54{'' if match[1] else '9'}{match[2]}"
    return None
