"""P7: a web page connects only when its origin is named in full, or is our own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.model.errors import ConfigError
from evorelay.protocol.origin import OriginPolicy

SAME = OriginPolicy(())
LISTED = OriginPolicy(("https://app.example.com", "http://LOCALHOST:5173", "capacitor://localhost"))


def listed(origin: str | None) -> bool:
    return LISTED.allows(origin, scheme="https", host="relay.example.com")


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com",
        "HTTPS://App.Example.COM",
        "https://app.example.com:443",
        "http://localhost:5173",
        "capacitor://localhost",
    ],
)
def test_a_listed_origin_connects_whatever_its_case_or_default_port(origin: str) -> None:
    assert listed(origin)


def test_no_origin_header_is_no_browser() -> None:
    assert listed(None)
    assert SAME.allows(None, scheme="http", host=None)


TRICKS = [
    "null",
    "NULL",
    "",
    "*",
    "https://",
    "https://evil.example",
    "https://app.example.com.evil.example",
    "https://evil-app.example.com",
    "https://app.example.comevil.example",
    "https://sub.app.example.com",
    "https://example.com",
    "https://app.example.com.",
    "https://app.example.com:444",
    "https://app.example.com:80",
    "https://app.example.com:",
    "https://app.example.com:0x1bb",
    "https://app.example.com:65979",
    "https://app.example.com:99999",
    "http://app.example.com",
    "wss://app.example.com",
    "app.example.com",
    "//app.example.com",
    "https://app.example.com/",
    "https://app.example.com/path",
    "https://app.example.com?x",
    "https://app.example.com#x",
    "https://app.example.com@evil.example",
    "https://user@app.example.com",
    "https://evil.example\\@app.example.com",
    "https://app.example.com\n",
    " https://app.example.com",
    "https://app.example.com https://evil.example",
    "https://app.example.com,https://evil.example",
    "https://app.example.com\0",
    "https://аpp.example.com",
    "https://app。example.com",
    "https://app%2eexample.com",
    "https://app.example.com" + "a" * 600,
]


@pytest.mark.parametrize("origin", TRICKS)
def test_tricks_are_refused(origin: str) -> None:
    assert not listed(origin)
    assert not SAME.allows(origin, scheme="https", host="app.example.com")


def test_a_list_replaces_the_default() -> None:
    assert not listed("https://relay.example.com")


@pytest.mark.parametrize(
    ("origin", "scheme", "host"),
    [
        ("http://127.0.0.1:4000", "http", "127.0.0.1:4000"),
        ("http://localhost:4000", "http", "LocalHost:4000"),
        ("https://relay.example.com", "https", "relay.example.com"),
        ("https://relay.example.com", "https", "relay.example.com:443"),
        ("http://relay.example.com:80", "http", "relay.example.com"),
        ("http://[::1]:4000", "http", "[::1]:4000"),
    ],
)
def test_by_default_our_own_origin_connects(origin: str, scheme: str, host: str) -> None:
    assert SAME.allows(origin, scheme=scheme, host=host)


@pytest.mark.parametrize(
    ("origin", "scheme", "host"),
    [
        ("https://relay.example.com", "http", "relay.example.com"),
        ("http://relay.example.com", "https", "relay.example.com"),
        ("http://relay.example.com:4001", "http", "relay.example.com:4000"),
        ("http://relay.example.com", "http", "relay.example.com:4000"),
        ("http://evil.example", "http", "relay.example.com"),
        ("http://relay.example.com", "http", None),
        ("http://relay.example.com", "http", ""),
        ("null", "http", "null"),
        ("http://\u212aiosk.example", "http", "kiosk.example"),
        ("http://a@relay.example.com", "http", "a@relay.example.com"),
    ],
)
def test_by_default_every_other_origin_is_refused(
    origin: str, scheme: str, host: str | None
) -> None:
    assert not SAME.allows(origin, scheme=scheme, host=host)


@pytest.mark.parametrize(
    "entry",
    [
        "*",
        "null",
        "",
        "app.example.com",
        "https://*.example.com",
        "https://app.example.com/",
        "https://app.example.com:99999",
    ],
)
def test_an_entry_no_browser_sends_is_a_configuration_error(entry: str) -> None:
    with pytest.raises(ConfigError, match=r"^auth\.allowed_origins: "):
        OriginPolicy((entry,))


@given(st.text())
def test_no_text_causes_an_error_or_gets_in(origin: str) -> None:
    assert not listed(origin)
