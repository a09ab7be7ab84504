"""What an answer without success means for a message: the table, row by row (P4, P7)."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.model.outcome import FaultKind, GatewayFault
from evorelay.protocol.evolution.answer import SAID_CHARS_MAX, Answer, quotable
from evorelay.protocol.evolution.fault_table import META, STATUSES, TEXTS
from evorelay.protocol.evolution.faults import RETRY_AFTER_MAX_S, fault_of, retry_after

NOW_S = 1_800_000_000.0


def evolutions(status: int, message: Any) -> Answer:
    """An error as Evolution writes it."""
    body = {"status": status, "error": "…", "response": {"message": message}}
    return Answer(status=status, body=json.dumps(body).encode())


def fault(answer: Answer, *, is_send: bool = True) -> GatewayFault:
    return fault_of(answer, is_send=is_send, now_s=NOW_S, secrets=("sesame-key",))


def means(answer: Answer) -> tuple[str, str]:
    found = fault(answer)
    return found.kind.value, found.code


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (400, [{"exists": False, "number": "5511"}], ("permanent", "not_on_whatsapp")),
        (400, {"exists": False}, ("permanent", "not_on_whatsapp")),
        (401, "Unauthorized", ("instance_down", "bad_api_key")),
        (404, ['The "x" instance does not exist'], ("instance_down", "no_such_instance")),
        (404, ['Instance "nope" not found'], ("instance_down", "no_such_instance")),
        (404, ["Cannot POST /message/sendText/x"], ("permanent", "no_such_call")),
        (500, "Connection Closed", ("instance_down", "not_connected")),
        (500, ["Error: Connection Closed"], ("instance_down", "not_connected")),
        (400, ["Error: Connection Closed"], ("unknown", "connection_closed")),
        (400, ["Error: Timed Out"], ("unknown", "whatsapp_timeout")),
        (400, ["[object Object]"], ("unknown", "unexplained")),
        (400, [['instance requires property "text"']], ("permanent", "rejected")),
        (400, ["Text is required"], ("permanent", "empty")),
        (400, ["Owned media must be a url or base64"], ("permanent", "bad_media")),
        (400, ["Error: Media upload failed on all hosts"], ("retry", "upload_failed")),
        (400, ["(#131047) Re-engagement message"], ("permanent", "window_closed")),
        (400, ["Error validating access token: x"], ("instance_down", "token_expired")),
        (400, ["An unknown error has occurred."], ("unknown", "unexplained")),
        (400, ["TypeError: Cannot read properties of undefined (reading 'message')"],
         ("unknown", "evolution_failed")),
        (500, "Cannot read properties of undefined (reading 'textMessage')",
         ("instance_down", "not_loaded")),
        (500, "Cannot read properties of undefined (reading 'id')",
         ("unknown", "evolution_failed")),
        (500, ["Maximum call stack size exceeded"], ("permanent", "too_large")),
        (400, ["PrismaClientKnownRequestError: …"], ("unknown", "unexplained")),
        (400, [], ("unknown", "unexplained")),
        (429, "Too many requests", ("retry", "rate_limited")),
    ],
)  # fmt: skip
def test_evolutions_texts(status: int, message: Any, expected: tuple[str, str]) -> None:
    assert means(evolutions(status, message)) == expected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, b"<html>login</html>", ("unknown", "unreadable")),
        (201, b'{"status":"PENDING"}', ("unknown", "unreadable")),
        (201, b'{"key":{"id":"3EB0', ("unknown", "unreadable")),
        (301, b"", ("gateway_down", "redirect")),
        (302, b"<html>", ("gateway_down", "redirect")),
        (401, b"<html>", ("instance_down", "bad_api_key")),
        (403, b"blocked", ("gateway_down", "not_evolution")),
        (403, b'{"message":"Forbidden"}', ("gateway_down", "not_evolution")),
        (404, b"404 page not found", ("gateway_down", "not_evolution")),
        (404, b"<pre>Cannot POST /message/sendText/x</pre>", ("permanent", "no_such_call")),
        (413, b"<html>", ("permanent", "too_large")),
        (429, b"", ("retry", "rate_limited")),
        (500, b"<html>", ("unknown", "no_answer")),
        (502, b"<html>", ("unknown", "no_answer")),
        (502, b'{"message":"upstream"}', ("unknown", "no_answer")),
        (503, b"<html>", ("unknown", "unavailable")),
        (400, b'{"status":400,"response":{"message":["AggregateError"]}}',
         ("unknown", "unexplained")),
        (400, b'{"status":400,"response":{"message":["Message not found"]}}',
         ("unknown", "unexplained")),
        (504, b"", ("unknown", "no_answer")),
        (522, b"<html>", ("gateway_down", "unreachable")),
        (503, b'{"error":"service not activated","code":"LICENSE_REQUIRED"}',
         ("licence", "licence")),
        (201, b'{"message":"(#1) x","code":131047}', ("permanent", "window_closed")),
        (201, b'{"error":{"message":"x","code":190}}', ("instance_down", "token_expired")),
        (201, b'{"message":"x","type":"OAuthException","code":1}', ("unknown", "unexplained")),
    ],
)  # fmt: skip
def test_answers_of_proxies_and_of_meta(
    status: int, body: bytes, expected: tuple[str, str]
) -> None:
    assert means(Answer(status=status, body=body)) == expected


def test_a_503_that_says_when_to_come_back_did_nothing() -> None:
    """P4: without that word it may come from a proxy that lost the connection behind a request."""
    answer = Answer(status=503, body=b"<html>", retry_after="7")
    assert means(answer) == ("retry", "unavailable")
    assert fault(answer).retry_after_s == 7


CAPTURED = {
    "sendText.upstream.graph-24h-window": "permanent",
    "sendText.upstream.graph-rate-limit": "retry",
    "sendText.upstream.graph-401-token-expired": "instance_down",
    "sendText.upstream.graph-500": "unknown",
    "sendText.upstream.graph-503-html": "unknown",
    "sendText.upstream.graph-connection-reset": "unknown",
    "sendText.bad-body.empty-text": "unknown",
    "sendText.bad-body.not-json": "unknown",
    "sendText.bad-body": "permanent",
    "sendText.baileys": "instance_down",
    "sendText.instance-missing": "instance_down",
    "sendText.no-apikey": "instance_down",
    "sendText.wrong-apikey": "instance_down",
    "sendText.other-instance-token": "instance_down",
    "sendText.wrong-method": "permanent",
    "sendMedia": "permanent",
    "sendPoll.unsupported": "permanent",
    "baileys.sendText.connection-closed": "unknown",
    "baileys.sendText.timed-out": "unknown",
    "baileys.sendText.not-on-whatsapp": "permanent",
    "baileys.sendText.empty": "permanent",
    "baileys.sendMedia.image-base64": "instance_down",
    "v1.sendText.upstream.graph-24h-window": "permanent",
    "v1.sendText.upstream.graph-401-token-expired": "instance_down",
    "v1.sendText.upstream": "unknown",
    "v1.sendText.bad-body": "permanent",
    "v1.sendText.instance-missing": "instance_down",
    "v1.sendText.no-apikey": "instance_down",
    "v1.sendText.wrong-apikey": "instance_down",
    "v1.baileys.sendText.connection-closed": "unknown",
    "v1.baileys.sendText.not-on-whatsapp": "permanent",
    "401-unauthorized": "instance_down",
    "404-instance": "instance_down",
    "404-route": "permanent",
    "v1-400-not-on-whatsapp": "permanent",
    "v2-400-not-on-whatsapp": "permanent",
    "v2-400-connection-closed": "unknown",
    "v2-400-object-object": "unknown",
    "v2-400-timed-out": "unknown",
    "v2-400-validation": "permanent",
    "v2-500-connection-closed": "instance_down",
    "v2-500-instance-not-loaded": "instance_down",
    "v2.4-503-license": "licence",
}
"""What every captured failure of a send means, by the longest beginning of its file's name."""


def captured_failures() -> list[tuple[str, Answer]]:
    found = []
    for path in sorted((Path(__file__).parents[3] / "shared/payloads").glob("rest*/*.json")):
        capture = json.loads(path.read_text())
        status = capture.get("status") or capture.get("http_status")
        body = capture.get("body", capture.get("response"))
        about_sends = "send" in path.stem or capture.get("endpoint") in ("any", "POST /nope")
        about_sends |= "sendText" in capture.get("endpoint", "") or "Audio" in str(
            capture.get("endpoint")
        )
        if status is None or not about_sends or (isinstance(body, dict) and "key" in body):
            continue
        answer = Answer(status=status, body=json.dumps(body).encode())
        if status >= 400 or "type" in (body or {}):
            found.append((path.stem, answer))
    return found


def test_every_captured_failure_of_a_send_is_classed() -> None:
    for name, answer in captured_failures():
        best = max((key for key in CAPTURED if name.startswith(key)), key=len)
        assert fault(answer).kind.value == CAPTURED[best], name


def test_a_question_is_never_in_doubt() -> None:
    """Nothing was sent by asking, so the same question may be asked again."""
    assert fault(evolutions(400, ["Error: Timed Out"]), is_send=False).kind is FaultKind.RETRY


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120.0),
        (" 7 ", 7.0),
        ("999999", RETRY_AFTER_MAX_S),
        ("Fri, 15 Jan 2027 08:00:30 GMT", 30.0),
        ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
        ("Fri, 15 Jan 2027 08:00:30 -0000", 30.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, NOW_S) == seconds


def test_a_faults_text_holds_no_key_no_base64_and_is_short() -> None:
    text = "sesame-key sesame%2Dkey " + "QUJD" * 50 + " x" * 500 + "\x1b[31m"
    said = quotable(text, ("sesame-key",))
    assert "sesame-key" not in said
    assert "QUJDQUJD" not in said
    assert "\x1b" not in said
    assert len(said) <= SAID_CHARS_MAX
    found = fault(evolutions(400, [f"failed with apikey sesame-key at {'A' * 400}"]))
    assert "sesame-key" not in found.message + str(found) + repr(found)
    assert "AAAA" not in found.message


def test_our_webhooks_address_is_quoted_without_its_secret() -> None:
    said = quotable("cannot POST https://relay.example/hook/shortsecret/messages-upsert", ())
    assert said == "cannot POST https://relay.example/hook/…/messages-upsert"


@given(
    st.integers(200, 599),
    st.one_of(
        st.binary(max_size=300),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=4)
                | st.dictionaries(
                    st.sampled_from(
                        ["message", "response", "error", "code", "status", "key", "exists", "x"]
                    ),
                    inner,
                    max_size=5,
                )
            ),
            max_leaves=12,
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_any_answer_means_something(status: int, body: bytes) -> None:
    found = fault(Answer(status=status, body=body))
    assert found.message
    assert found.code


def test_every_row_says_what_it_rests_on_and_what_to_tell_an_agent() -> None:
    for meaning in [row.meaning for row in TEXTS] + [*META.values(), *STATUSES.values()]:
        assert meaning.source
        assert meaning.message.endswith(".")
        assert meaning.code.replace("_", "").isalpha()
