"""The other spelling of a number, tried where WhatsApp does not know the first."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.protocol.evolution.phones import other_form


@pytest.mark.parametrize(
    ("phone", "other"),
    [
        ("5531912345678", None),
        ("5585990000003", "558590000003"),
        ("558590000003", "5585990000003"),
        ("551132345678", None),
        ("5215512345678", "525512345678"),
        ("525512345678", "5215512345678"),
        ("5491123456789", "541123456789"),
        ("541123456789", "5491123456789"),
        ("351912345678", None),
        ("120363000000000001@g.us", None),
        ("", None),
    ],
)
def test_only_brazil_mexico_and_argentina_have_two_forms(phone: str, other: str | None) -> None:
    assert other_form(phone) == other


@given(st.from_regex(r"(55[1-9][1-9]9?[6-9]\d{7}|521?[2-9]\d{9}|549?[1-9]\d{9})", fullmatch=True))
def test_the_other_form_of_the_other_form_is_the_first(phone: str) -> None:
    other = other_form(phone)
    assert other is not None
    assert other != phone
    assert other_form(other) == phone
