"""What somebody typed, as something SQLite can look for."""

import pytest

from evorelay.storage.sqlite.search import folded, text_query


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("bom dia", '"bom" "dia" *'),
        ("  bom\tdia ", '"bom" "dia" *'),
        ("e-mail", '"e-mail" *'),
        ('say "hi" OR bye', '"say" """hi""" "OR" "bye" *'),
        ("dia !!!", '"dia" *'),
        ("!!! 😀 *", None),
        ("", None),
        ("東京", '"東京" *'),
    ],
)
def test_every_word_is_quoted_and_the_last_one_may_go_on(typed: str, asked: str | None) -> None:
    assert text_query(typed) == asked


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Conceição", "CONCEICAO"),
        ("Érica", "e\u0301rica"),
        ("STRASSE", "straße"),
        ("ＡＢＣ", "abc"),
        ("İ", "i"),
        ("", ""),
    ],
)
def test_spellings_of_one_name_are_equal(one: str, other: str) -> None:
    assert folded(one) == folded(other)
    assert folded(folded(one)) == folded(one)
