"""P7: no secret and no whole phone number leaves through the log, whatever it is wrapped in."""

import json
from string import ascii_letters, digits
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evorelay.telemetry.redaction import ITEMS_MAX, TEXT_CHARS_MAX, Redactor

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJlLW9mLWl0"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2ln refused", "token [redacted] refused"),
        ("cut off: eyJhbGciOiJIUzI1NiJ9.eyJz", "cut off: [redacted]"),
        ('{"apikey":"B6D711FC","event":"x"}', '{"apikey":"[redacted]","event":"x"}'),
        (
            r"{\"apikey\":\"B6D711FC\",\"event\":\"x\"}",
            r"{\"apikey\":\"[redacted]\",\"event\":\"x\"}",
        ),
        (r'{"apikey":"B6\"D7","event":1}', '{"apikey":"[redacted]","event":1}'),
        ("{'api_key': 'B6D711FC', 'a': 1}", "{'api_key': '[redacted]', 'a': 1}"),
        ("api-key = B6D711FC, ok", "api-key = [redacted], ok"),
        ("?apikey=B6D711FC&x=1", "?apikey=[redacted]&x=1"),
        ("#token=abc.def", "#token=[redacted]"),
        ("Authorization: Bearer abc.def", "Authorization: [redacted]"),
        ("authorization: Basic dXNlcjpwYXNz", "authorization: [redacted]"),
        ("(b'authorization', b'Bearer abc')", "(b'authorization', b'[redacted]')"),
        ("sent Bearer abcdefgh1234 to", "sent Bearer [redacted] to"),
        ("X-Webhook-Secret: hush", "X-Webhook-Secret: [redacted]"),
        ("password='two words'", "password='[redacted]'"),
        ("POST /hook/hush/messages-upsert", "POST /hook/[redacted]/messages-upsert"),
        ("redis://:hush@cache:6379/0", "redis://:[redacted]@cache:6379/0"),
        ("postgresql://me:hush@db/x", "postgresql://me:[redacted]@db/x"),
        ("5511987654321", "5511…21"),
        ("from 5511987654321@s.whatsapp.net", "from 5511…21@s.whatsapp.net"),
        ("5511987654321:12@s.whatsapp.net", "5511…21:12@s.whatsapp.net"),
        ("5511987654321-1612345678@g.us", "5511…21-1612…78@g.us"),
        ("+5511987654321, user_5511987654321", "+5511…21, user_5511…21"),
        ("222222222222222@lid", "2222…22@lid"),
        (
            "ticket 019320ab-0000-7000-8000-123456789012",
            "ticket 019320ab-0000-7000-8000-123456789012",
        ),
        ("3EB0123456789012345A seq 123456789", "3EB0123456789012345A seq 123456789"),
        ("two\nlines\x1b[31m\x7f\u202e\ud800", r"two\x0alines\x1b[31m\x7f\u202e\ud800"),
        ("Olá, não há problema 👍", "Olá, não há problema 👍"),
    ],
)
def test_text(text: str, expected: str) -> None:
    assert Redactor().text(text) == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("apikey", "B6D711FC", "[redacted]"),
        ("webhook_secret", b"hush", "[redacted]"),
        ("Authorization", ["Bearer x"], "[redacted]"),
        ("token", None, None),
        ("has_token", True, True),
        (
            "headers",
            {"Authorization": "x", "Host": "h"},
            {"Authorization": "[redacted]", "Host": "h"},
        ),
        ("pairs", [("apikey=x", 1)], [["apikey=[redacted]", 1]]),
        ("seq", 123456789012, 123456789012),
        ("received_at", 1763816000123, 1763816000123),
        ("elapsed_ms", 12345678901, 12345678901),
        ("phone", 5511987654321, "5511…21"),
        ("attempts", 3, 3),
        ("ratio", 0.5, 0.5),
        ("huge", 10**100, "[huge number]"),
        ("error", ValueError("apikey=x"), "apikey=[redacted]"),
    ],
)
def test_field(name: str, value: Any, expected: Any) -> None:
    assert Redactor().field(name, value) == expected


def test_structures_are_bounded_in_width_and_depth() -> None:
    nested: Any = "leaf"
    for _ in range(50):
        nested = [nested]
    text = json.dumps(Redactor().field("nested", nested))
    assert len(text) < 200
    wide = Redactor().field("wide", list(range(1000)))
    assert isinstance(wide, list)
    assert len(wide) == ITEMS_MAX


def test_a_long_text_is_cut_and_says_so() -> None:
    text = Redactor().text("x " * TEXT_CHARS_MAX)
    assert len(text) <= TEXT_CHARS_MAX
    assert text.endswith("[cut]")


def test_a_traceback_keeps_its_lines() -> None:
    assert Redactor().lines("a\nb\r\x1b") == "a\nb\\x0d\\x1b"


def test_a_very_short_secret_does_not_mask_every_line() -> None:
    assert Redactor(["a", ""]).text("banana") == "banana"


# A secret that shares letters with what it stands among could "come out" by coincidence.
secrets = st.text(alphabet="QWXYZ%$ç\"'\\\n&=/+ ", min_size=6, max_size=60).map("QW".__add__)
around = st.text(max_size=60)
WRAPPERS = [
    lambda secret: secret,
    lambda secret: json.dumps({"x": secret}),
    lambda secret: json.dumps({"x": secret}, ensure_ascii=False),
    lambda secret: repr({"x": secret}),
    lambda secret: quote(secret, safe=""),
    lambda secret: f"https://host/hook/{quote(secret)}/messages-upsert",
    lambda secret: str(ValueError(f"bad apikey={secret}")),
]


@given(secrets, around, around, st.sampled_from(WRAPPERS), st.integers(0, 2))
def test_a_configured_secret_never_comes_out(
    secret: str, before: str, after: str, wrap: Any, times: int
) -> None:
    redactor = Redactor([secret, "another-" + secret])
    text = before + wrap(secret) + after + wrap("another-" + secret) * times
    for out in (redactor.text(text), redactor.lines(text), redactor.field("x", {"y": [text]})):
        dumped = json.dumps(out, ensure_ascii=False)
        for spelling in (secret, quote(secret, safe=""), json.dumps(secret)[1:-1]):
            assert spelling not in dumped
            assert spelling not in str(out)


@given(st.integers(-200, 40), st.sampled_from(["text", "lines"]))
@example(0, "text")
def test_a_secret_at_the_cut_leaves_no_piece_behind(shift: int, method: str) -> None:
    secret = "QWXYZ-" * 20
    text = " " * (TEXT_CHARS_MAX * (1 if method == "text" else 4) + shift) + secret + " " * 40_000
    assert "QWX" not in getattr(Redactor([secret]), method)(text)


tokens = st.from_regex(r"[A-Za-z0-9_\-]{12,40}", fullmatch=True)
NAMES = ["apikey", "api_key", "secret", "token", "authorization", "password", "X-Api-Key"]


@given(
    st.sampled_from(NAMES),
    tokens,
    st.sampled_from(
        ['"{}":"{}"', "'{}': '{}'", "{}={}", "{}: {}", "{}: Bearer {}", '\\"{}\\":\\"{}\\"']
    ),
    st.booleans(),
    around,
)
def test_the_value_of_a_sensitive_name_never_comes_out(
    name: str, value: str, shape: str, upper: bool, before: str
) -> None:
    """Nobody configured this secret: it is known by the company it keeps."""
    planted = "QX" + value + "XQ"
    text = before + " " + shape.format(name.upper() if upper else name, planted)
    assert planted not in Redactor().text(text)


@given(around, st.text(max_size=20))
def test_a_jwt_never_comes_out(before: str, after: str) -> None:
    assert JWT[10:] not in Redactor().text(before + JWT + after)


NOT_A_WORD = st.text(
    st.characters(codec="utf-8", exclude_characters=ascii_letters + digits), max_size=20
)


@given(NOT_A_WORD, st.from_regex(r"[1-9][0-9]{9,14}", fullmatch=True), NOT_A_WORD)
def test_a_whole_phone_number_never_comes_out(before: str, phone: str, after: str) -> None:
    out = Redactor().text(before + phone + after)
    assert phone not in out
    assert f"{phone[:4]}…{phone[-2:]}" in out


@given(st.text(alphabet=st.characters(), max_size=100))
def test_one_text_is_one_line_and_can_be_encoded(text: str) -> None:
    out = Redactor().text(text)
    assert len(out.splitlines()) <= 1
    assert "\x1b" not in out
    out.encode()
