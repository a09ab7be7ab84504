"""What passes to Evolution and what of its answers comes back (P7)."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.protocol.evolution_proxy import PASSAGES, Target, read_target, visible_answer

LIVE = Path(__file__).parents[3] / "shared" / "payloads" / "rest-live"
KEY = "5e1f0c9a-of-evolution"


def seen(document: Any, shows: Any = "anything", visible: Any = None) -> Any:
    body = json.dumps(document).encode()
    return json.loads(visible_answer(body, shows, visible=visible, secrets=(KEY,)))


def test_a_path_names_a_call_and_an_instance() -> None:
    target = read_target("chat/findChats/loja centro")
    assert target == Target("chat/findChats", "loja centro")
    assert target.path() == "/chat/findChats/loja%20centro"
    connect = Target("instance/connect", "a/b")
    assert connect.path([("number", "55 1&x=2")]) == "/instance/connect/a%2Fb?number=55%201%26x%3D2"
    assert read_target("instance/fetchInstances") == Target("instance/fetchInstances", None)


@pytest.mark.parametrize(
    "path",
    ["", "chat", "chat/findChats", "chat/findChats/", "chat//loja", "a/b/c/d", "chat/findChats/.."],
)
def test_no_other_path_names_anything(path: str) -> None:
    assert read_target(path) is None


def test_nothing_that_sends_or_manages_is_in_the_table() -> None:
    """P4: messages go through the outbox. P7: keys, webhooks and instances are the operator's."""
    for call in PASSAGES:
        assert not call.startswith("message/")
        assert call.split("/")[1] not in ("create", "delete", "logout", "set", "updateMessage")


def test_fields_that_hold_secrets_are_removed_at_any_depth() -> None:
    row = {
        "name": "loja",
        "token": "T",
        "Chatwoot": {"token": "T", "url": "u", "api_key": "K"},
        "Proxy": [{"password": "P", "host": "h"}],
        "integration": {"access-token": "A", "webhookSecret": "S", "jwt_key": "J"},
        "x": {"Authorization": "Bearer B"},
    }
    assert seen([row]) == [
        {
            "name": "loja",
            "Chatwoot": {"url": "u"},
            "Proxy": [{"host": "h"}],
            "integration": {},
            "x": {},
        }
    ]


def test_a_secret_of_ours_is_taken_out_wherever_it_stands() -> None:
    assert seen({"message": f"no such key: {KEY}!", KEY: 1}) == {
        "message": "no such key: ***!",
        "***": 1,
    }


def test_a_list_of_instances_shows_the_callers_own() -> None:
    flat = [{"name": "mine"}, {"name": "foreign"}, {"id": 1}, "odd"]
    assert seen(flat, "instances", ["mine"]) == [{"name": "mine"}]
    nested = [{"instance": {"instanceName": name}} for name in ("mine", "foreign")]
    assert seen(nested, "instances", ["mine"]) == [nested[0]]
    assert seen(nested[1], "instances", ["mine"]) == []
    assert seen({"rows": flat}, "instances", ["mine"]) == []
    assert seen(flat, "instances", None) == flat
    fault = {"status": 404, "error": "Not Found", "response": {"message": ["no"]}}
    assert seen(fault, "instances", ["mine"]) == fault


def test_the_webhooks_address_and_headers_are_masked() -> None:
    inner = {"url": "https://u:p@relay.example:8443/hook/the-secret", "headers": {"x-a": "b"}}
    masked = {"url": "https://relay.example/***", "headers": {"x-a": "***"}}
    assert seen(inner, "registration") == masked
    assert seen({"webhook": inner}, "registration") == {"webhook": masked}
    assert seen({"url": "http://[broken"}, "registration") == {"url": "***"}
    assert seen(None, "registration") is None


@pytest.mark.parametrize("body", [b"<html>", b'{"half":', b"\xff", b"[" * 100_000])
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="not JSON"):
        visible_answer(body, "anything", visible=None, secrets=())


def test_an_empty_answer_is_null() -> None:
    assert visible_answer(b"", "anything", visible=None, secrets=()) == b"null"


@given(
    st.recursive(
        st.none() | st.booleans() | st.text() | st.just(KEY),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(st.text() | st.sampled_from(["token", "API_KEY", KEY]), inner)
        ),
    )
)
def test_no_answer_shows_the_key(document: Any) -> None:
    body = json.dumps(document).encode(errors="surrogatepass")
    for shows in ("anything", "instances", "registration"):
        try:
            clean = visible_answer(body, shows, visible=["a"], secrets=(KEY,))
        except ValueError:
            continue  # half a surrogate pair is no JSON to us
        assert KEY.encode() not in clean
        assert b'"token":' not in clean


@pytest.mark.parametrize("path", sorted(LIVE.glob("*.json")), ids=lambda path: path.stem)
def test_real_answers_come_back_without_tokens(path: Path) -> None:
    clean = json.dumps(seen(json.loads(path.read_text()).get("body")))
    assert not re.search(r'"[^"]*(token|apikey|secret)[^"]*":', clean, re.IGNORECASE)
