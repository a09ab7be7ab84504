"""Webhook paths and bodies: what they are called, and that no secret leaves them (P7)."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.protocol.webhook import (
    Body,
    WebhookPath,
    event_name,
    has_lone_surrogate,
    match_path,
    read_body,
)

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "payloads"
KEY = "THE-KEY-OF-AN-INSTANCE"


def read(text: str | bytes, path_event: str = "") -> Body:
    return read_body(text if isinstance(text, bytes) else text.encode(), path_event=path_event)


@pytest.mark.parametrize(
    ("target", "secret", "event"),
    [
        ("/webhook/evolution", None, ""),
        ("/webhook/evolution/", None, ""),
        ("//webhook//evolution?secret=x", None, ""),
        ("/webhook/evolution/messages-upsert", None, "messages.upsert"),
        ("/webhook/evolution/MESSAGES_UPSERT", None, "messages.upsert"),
        ("/hook/s3cret", "s3cret", ""),
        ("/hook/s3cret/", "s3cret", ""),
        ("/hook/s3cret//connection-update", "s3cret", "connection.update"),
        ("/hook/a%2Fb%20c", "a/b c", ""),
        ("/messages-upsert", None, "messages.upsert"),
        ("/connection-update/", None, "connection.update"),
    ],
)
def test_webhook_paths_are_recognised(target: str, secret: str | None, event: str) -> None:
    assert match_path(target) == WebhookPath(secret, event)


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "*",
        "",
        "/webhook",
        "/webhook/health",
        "/webhook/evolution/a/b",
        "/hook",
        "/hook/",
        "/hook/a/b/c",
        "/messages-update",
        "/v1/tickets",
        "/Webhook/evolution",
    ],
)
def test_other_paths_are_not(target: str) -> None:
    assert match_path(target) is None


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("MESSAGES_UPSERT", "messages.upsert"),
        ("messages-upsert", "messages.upsert"),
        (" messages.upsert ", "messages.upsert"),
        ("SEND_MESSAGE_UPDATE", "send.message.update"),
        ("group-participants.update", "group-participants.update"),
        ("GROUP_PARTICIPANTS_UPDATE", "group-participants.update"),
        ("x" * 500, "x" * 128),
    ],
)
def test_an_event_has_one_name_in_any_spelling(spelling: str, name: str) -> None:
    assert event_name(spelling) == name


def test_the_bodys_event_wins_over_the_paths() -> None:
    assert read('{"event":"a_b"}', "x.y").event == "a.b"
    assert read("{}", "x.y").event == "x.y"
    assert read('{"event":null}', "x.y").event == "x.y"


@pytest.mark.parametrize(
    ("value", "instance"),
    [
        ('"loja"', "loja"),
        ('"l\\u006fja"', "loja"),
        ('{"instanceName":"loja","name":"x"}', "loja"),
        ('{"name":"loja"}', "loja"),
        ("7", ""),
        ("null", ""),
        ("[]", ""),
        ('"a\\u0000b"', "ab"),
        ('"' + "x" * 500 + '"', "x" * 128),
    ],
)
def test_the_instance_is_found_in_either_place(value: str, instance: str) -> None:
    assert read(f'{{"instance":{value}}}').instance == instance


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "nonsense",
        "{",
        '{"a":1,}',
        "{'a':1}",
        '{"a":NaN}',
        '{"a":1}{"b":2}',
        "[]",
        "[{}]",
        '"text"',
        "1",
        "null",
        "\x00{}",
        '{"a":"\x01"}',
    ],
)
def test_what_is_no_json_object_is_refused(text: str) -> None:
    """Evolution drops what is answered 400 for good: these could never be read by a retry."""
    with pytest.raises(ValueError, match="the body is"):
        read(text)


def test_an_array_is_told_from_what_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON, but not an object"):
        read("[1]")


def test_nesting_beyond_the_parser_is_told_apart() -> None:
    """Not malformed: it is streamed past the parser and kept (relay/ingest.py)."""
    with pytest.raises(RecursionError):
        read('{"a":' + "[" * 100_000 + "]" * 100_000 + "}")


@pytest.mark.parametrize(
    "body",
    [
        f'{{"apikey":"{KEY}"}}',
        f'{{"api_key":"{KEY}"}}',
        f'{{"destination":"https://relay.example/hook/{KEY}"}}',
        f'{{"apikey":{{"deep":["{KEY}"]}}}}',
        f'{{"apikey":"x","apikey":"{KEY}"}}',
        f'{{"\\u0061pikey":"{KEY}"}}',
        f'{{"data":{{"apikey":"{KEY}"}}}}',
        f'{{"data":[[{{"APIKEY" : "{KEY}"}}]]}}',
        f'{{"data":{{"api_key"\n:"{KEY}"}}}}',
        f'{{"data":{{"api\\u006Bey":"{KEY}"}}}}',
        f'{{"data":{{"api\\u005fkey":"{KEY}","emoji":"\\ud83d"}}}}',
        f'{{"data":{{"apikey":"{KEY}","emoji":"\\udc00 \\ud83d\\ude00 \\ud83d"}}}}',
        f'{{"data":{{"apikey":"{KEY}","bytes":"\xff"}}}}',
        f'{{"data":{{"appStateSyncKeyShare":{{"keys":["{KEY}"]}}}}}}',
        f'{{"event":"new.jwt","data":{{"token":"{KEY}"}}}}',
    ],
)
def test_no_secret_is_left_wherever_it_stood(body: str) -> None:
    """P7: also in escaped keys, in doubled ones, and beside text that is no proper Unicode."""
    read_ = read(body.encode("latin-1"))
    assert KEY.encode() not in read_.json
    assert isinstance(json.loads(read_.json.decode(errors="replace")), dict)


def test_words_that_look_like_keys_are_left_alone() -> None:
    """A customer may write about API keys; ``destination`` deeper down is somebody's data."""
    text = '{"data":{"text":"\\"apikey\\": x","destination":"Recife","key":"apikey"}}'
    assert json.loads(read(text).json) == json.loads(text)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("\\ud83d", "\ufffd"),
        ("\\ude00", "\ufffd"),
        ("\\ud83d\\ude00", "😀"),
        ("\\ud83d\\ud83d\\ude00", "\ufffd😀"),
        ("\\ud83d\\ude00\\ude00", "😀\ufffd"),
        ("\\uD83Dx", "\ufffdx"),
    ],
)
def test_half_an_emoji_is_mended(written: str, kept: str) -> None:
    """JavaScript cuts strings between the halves of a surrogate pair; the message still counts."""
    body = read(f'{{"text":"{written}","cut":"\\ud83d"}}')
    assert json.loads(body.json)["text"] == kept


def test_half_an_emoji_is_seen_in_a_document_too_large_to_mend() -> None:
    assert has_lone_surrogate(memoryview(b'{"a":"\\ud83d"}'))
    assert not has_lone_surrogate(memoryview(b'{"a":"\\ud83d\\ude00 \xf0\x9f\x98\x80"}'))


# Hypothesis tries the words it finds in the code, too; an event "new.jwt" loses its data.
NAMES = st.text().filter(
    lambda name: (
        name.lower() not in ("apikey", "api_key", "appstatesynckeyshare", "destination", "event")
    )
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=15,
)


@given(st.dictionaries(NAMES, JSON, max_size=4), st.booleans())
def test_everything_but_secrets_is_kept(fields: dict[str, Any], ascii_only: bool) -> None:
    raw = json.dumps({**fields, "apikey": KEY, "destination": KEY}, ensure_ascii=ascii_only)
    assert json.loads(read(raw.encode("utf-8", "surrogatepass")).json) == fields


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        body = read(raw)
    except ValueError:
        return
    assert isinstance(body.event, str)
    assert body.json.startswith(b"{")


def test_every_body_of_the_corpus_is_read() -> None:
    """The captures in ../shared, where they are there, are extra cases."""
    for path in sorted(CORPUS.rglob("*.json")):
        captured = json.loads(path.read_bytes())
        body = captured.get("body", captured) if isinstance(captured, dict) else captured
        if isinstance(body, dict):
            cleaned = json.loads(read(json.dumps(body)).json)
            assert not {"apikey", "api_key", "destination"} & set(cleaned), path.name
