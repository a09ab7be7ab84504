"""Phone numbers of the old endpoints: every usual spelling, and what is no number."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.protocol.phones import read_phone


@pytest.mark.parametrize(
    "text",
    [
        "5511988880001",
        "+55 (11) 98888-0001",
        " 55 11 98888.0001 ",
        "5511988880001@s.whatsapp.net",
        "5511988880001@c.us",
    ],
)
def test_spellings_of_one_number_are_one_number(text: str) -> None:
    assert read_phone(text) == "5511988880001"


@pytest.mark.parametrize(
    "digits",
    [
        "551133334444",
        "12025550123",
        "351912345678",
        "5491123456789",
        "79161234567",
        "4915112345678",
    ],
)
def test_numbers_of_many_countries_are_taken(digits: str) -> None:
    assert read_phone(digits) == digits


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "digits with country code"),
        ("abc", "digits with country code"),
        ("55119888800ab", "digits with country code"),
        ("٥٥١١٩٨٨٨٨٠٠٠١", "digits with country code"),
        ("1234567", "too few"),
        ("1234567890123456", "too many"),
        ("011988880001", "without zeros"),
        ("11988880001", "no whole number"),
        ("1133334444", "no whole number"),
        ("5598888", "too few"),
        ("55988880001", "no whole number"),
        ("55119888800012", "no whole number"),
        ("99988880001", "no country code"),
        ("120363041234567890@g.us", "by REST"),
        ("222222222222222@lid", "by REST"),
    ],
)
def test_what_is_no_number_is_refused_with_what_to_do(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_phone(text)


@given(st.text(max_size=40))
def test_whatever_is_written_is_read_as_digits_or_refused(text: str) -> None:
    try:
        digits = read_phone(text)
    except ValueError:
        return
    assert digits.isascii()
    assert digits.isdigit()
    assert 8 <= len(digits) <= 15
