"""Single values in all the forms Evolution and WhatsApp give them."""

import base64
from typing import Any

import pytest

from evorelay.protocol.normalise.values import (
    TEXT_BYTES_MAX,
    base64_of,
    clean,
    cut,
    dig,
    flag_of,
    integer_of,
    iso_moment_of,
    moment_of,
    small_of,
    url_of,
    whatsapp_id,
)

NOW = 1_795_350_000_000


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (1_795_346_000, 1_795_346_000_000),
        (1_795_346_000.0, 1_795_346_000_000),
        ("1795346000", 1_795_346_000_000),
        ({"low": 1_795_346_000, "high": 0, "unsigned": True}, 1_795_346_000_000),
        ({"low": -936591360, "high": 409, "unsigned": False}, (409 << 32) + 3358375936),
        (1_795_346_000_123, 1_795_346_000_123),
        (1_795_353_600, NOW + 3_600_000),  # a clock one hour fast is believed
        (1_795_353_601, NOW),
        (1_230_768_000, 1_230_768_000_000),
        (1_230_767_999, NOW),
        (0, NOW),
        (-1, NOW),
        (None, NOW),
        (True, NOW),
        ("", NOW),
        ("agora", NOW),
        (2**63, NOW),
        (10**400, NOW),
        (float("inf"), NOW),
        (float("nan"), NOW),
        ([1], NOW),
        ({"low": {"low": 1}}, NOW),
        ({"low": -1, "high": -1}, NOW),
    ],
)
def test_nonsense_timestamps_become_the_time_of_arrival(value: Any, moment: int) -> None:
    assert moment == moment_of(value, NOW)


def test_text_keeps_everything_but_nul_and_lone_surrogates() -> None:
    assert clean("a\0b") == "ab"
    assert clean("é\ud83d\u202e😀\n") == "é\ufffd\u202e😀\n"


def test_text_is_cut_at_its_bound_between_characters() -> None:
    assert cut("é" * 10) == ("é" * 10, False)
    assert cut("a" * TEXT_BYTES_MAX) == ("a" * TEXT_BYTES_MAX, False)
    text, was_cut = cut("a" + "é" * TEXT_BYTES_MAX)
    assert was_cut
    assert len(text.encode()) == TEXT_BYTES_MAX - 1


@pytest.mark.parametrize(
    ("value", "id_"),
    [
        ("A", "A"),
        (3.5, "3.5"),
        (12, "12"),
        ("", None),
        (None, None),
        (True, None),
        ("x" * 300, None),
    ],
)
def test_an_id_is_text_or_missing(value: Any, id_: str | None) -> None:
    assert id_ == whatsapp_id(value)


@pytest.mark.parametrize(
    ("value", "flag"),
    [(True, True), ("true", True), (1, True), (False, False), ("false", False), (0, False),
     (None, None), ("x", None), ({}, None), ([], None)],
)  # fmt: skip
def test_flags(value: Any, flag: bool | None) -> None:
    assert flag is flag_of(value)


def test_integers_beyond_64_bits_are_no_values() -> None:
    assert integer_of(2**64 - 1) == 2**64 - 1
    assert integer_of(2**64) is None
    assert integer_of({"low": 0, "high": 2**40}) is None
    assert integer_of("9" * 30) is None


def test_bytes_as_index_objects_become_base64() -> None:
    octets = bytes(range(200))
    value = {str(index): octet for index, octet in enumerate(octets)}
    assert base64_of(value) == base64.b64encode(octets).decode()


@pytest.mark.parametrize(
    "value",
    [{}, {"0": 1, "2": 1}, {"0": 256}, {"0": -1}, {"0": "x"}, {"a": 1}, "", "é", None, 5, [1],
     "A" * 40_000, {str(index): 1 for index in range(30_000)}],
)  # fmt: skip
def test_what_is_no_small_bytes_is_left_out(value: Any) -> None:
    assert base64_of(value) is None


def test_small_values_are_scalars_and_lists_of_them() -> None:
    assert small_of(["a", 1, None, {"low": 5, "high": 0}, ["b"]]) == ["a", 1, 5]
    assert small_of({"a": 1}) is None
    assert small_of([]) is None
    assert small_of(float("nan")) is None
    assert small_of(2**70) is None
    assert len(small_of("x" * 10_000)) == 4096
    assert len(small_of(["x"] * 100)) == 50


def test_a_path_leads_through_lists_and_json_in_strings() -> None:
    document = {
        "n": [{"l": [1, 2]}, {"l": [3]}, {}],
        "a": [{"b": 1}, {"c": 2}, 3],
        "j": '{"id":"x"}',
        "bad": "{",
    }
    assert dig(document, ("a", "*", "b")) == [1, None, None]
    assert dig(document, ("j", "{}", "id")) == "x"
    assert dig(document, ("bad", "{}", "id")) is None
    assert dig(document, ("a", "b")) is None
    assert dig("itself", ()) == "itself"
    assert dig(document, ("n", "*", "l", "*")) == [1, 2, 3]
    assert dig(document, ("a", len)) == 3


@pytest.mark.parametrize(
    ("written", "moment"),
    [
        ("2026-11-22T11:00:05.000Z", 1_795_345_205_000),
        ("2026-11-22T08:00:05-03:00", 1_795_345_205_000),
        ("2026-11-22T11:00:05", 1_795_345_205_000),
        (1_795_345_205, 1_795_345_205_000),
        ("2999-01-01T00:00:00Z", NOW),
        ("0001-01-01T00:00:00+23:59", NOW),
        ("agora", NOW),
        ("2" * 100, NOW),
        (None, NOW),
        ({}, NOW),
    ],
)
def test_a_moment_with_a_zone_is_believed_within_bounds(written: Any, moment: int) -> None:
    assert moment == iso_moment_of(written, NOW)


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("https://a.example/p.jpg", "https://a.example/p.jpg"),
        ("HTTP://a.example", "HTTP://a.example"),
        ("javascript:alert(1)", None),
        ("", None),
        (None, None),
        ("https://" + "a" * 5000, None),
    ],
)
def test_only_addresses_of_web_servers_are_urls(written: Any, url: str | None) -> None:
    assert url == url_of(written)
