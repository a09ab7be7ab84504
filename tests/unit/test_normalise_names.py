"""Names that people chose to be a nuisance."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.protocol.normalise.names import NAME_CHARS_MAX, person_name

FAMILY = "👨\u200d👩\u200d👧\u200d👦"
ENGLAND = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Ana Souza", "Ana Souza"),
        ("  Ana \n\t Souza ", "Ana Souza"),
        ("\u202eAna\u202c\u200b\ufeff", "Ana"),
        ("\u2066אבג\u2069", "אבג"),
        (FAMILY, FAMILY),
        (f"\u200d{FAMILY}\u200d", FAMILY),
        (f"{ENGLAND} Ana", f"{ENGLAND} Ana"),
        ("Ana\U000e0041\U000e0042", "Ana"),
        ("Ana \u3164\u115f", "Ana"),
        ("\ud83d Ana", "\ufffd Ana"),
        ("A\0na\x07", "Ana"),
        ("\x1b[31mAna\x1b[0m", "Ana"),
        ("\x1b]0;root@host\x07Ana", "Ana"),
        ("\x1b]8;;https://x.example\x1b\\Ana\x1b]8;;\x1b\\", "Ana"),
        ("\x9b2JAna", "Ana"),
        ("<b>Ana</b>", "<b>Ana</b>"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("José da Silva 2", "José da Silva 2"),
        ("2 irmãos", "2 irmãos"),
        ("Você", None),
        ("", None),
        ("\u200e ", None),
        ("\ufe0f\u200d", None),
        ("\u0301", None),
        ("271828182845904", None),
        ("7", None),
        ("+55 31 98888-7777", None),
        ("271828182845904@lid", None),
        ("5531988887777:12@s.whatsapp.net", None),
        (None, None),
        ({"a": 1}, None),
        (7, None),
    ],
)
def test_a_name_is_one_visible_line_or_none(written: Any, name: str | None) -> None:
    assert name == person_name(written)


@pytest.mark.parametrize(
    "sign", ["😀", FAMILY, ENGLAND, "👍🏽", "🇧🇷", "é", "❤️", "🏳️\u200d🌈"], ids=ascii
)
@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_a_long_name_is_cut_between_signs(sign: str, before: str) -> None:
    """Ten thousand emoji are a name too."""
    name = person_name(before + sign * 10_000)
    assert name is not None
    assert len(name) <= NAME_CHARS_MAX
    assert name.startswith(before)
    rest = name.removeprefix(before)
    assert rest == sign * (len(rest) // len(sign))
    assert rest


def test_what_never_ends_is_cut_all_the_same() -> None:
    for endless in ("a" + "\u0301" * 10_000, "🇧" * 10_001, "😀\u200d" * 10_000, "a" * 10_000):
        name = person_name(endless)
        assert name is not None
        assert 0 < len(name) <= NAME_CHARS_MAX


@given(st.text(st.characters(codec=None), max_size=300))
def test_any_text_makes_a_name_that_can_be_shown(text: str) -> None:
    name = person_name(text)
    if name is not None:
        assert name == person_name(name)
        assert not any(char in name for char in "\0\n\r\t\x1b\u202e\u2066")
        assert name.strip()
        name.encode()
