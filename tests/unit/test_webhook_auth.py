"""P7: nobody posts a webhook without a credential; each way in has tests that it stays shut."""

import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.config import WebhookConfig
from evorelay.model.errors import ConfigError
from evorelay.protocol.peers import UNIX_PEER, Headers
from evorelay.protocol.webhook_auth import LATE_RETRY_S, Verdict, WebhookGate

SECRET = "current-webhook-secret-" + "0123456789abcdef" * 3
PREVIOUS = "previous-webhook-secret-0123456789abcd"
STRANGER = "somebody-elses-secret-0123456789abcdef"
NOW_S = 1_795_000_000

GATE = WebhookGate(
    WebhookConfig(secret=SECRET, previous_secret=PREVIOUS, allow_from=("10.1.0.0/16",))
)


def check(
    gate: WebhookGate = GATE,
    *,
    path_secret: str | None = None,
    headers: Headers = (),
    peer: str | None = "192.0.2.1",
    forwarded: bool = False,
    now_s: int = NOW_S,
) -> Verdict:
    return gate.check(
        path_secret=path_secret,
        headers=headers,
        peer=peer,
        forwarded=forwarded,
        now=now_s * 1000,
    )


def bearer(credential: str) -> Headers:
    return [(b"Host", b"relay"), (b"Authorization", b"Bearer " + credential.encode())]


def evolution_token(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {"iat": NOW_S, "exp": NOW_S + 600, "app": "evolution", "action": "webhook"} | changes
    kept = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(kept, secret, algorithm=algorithm)


def test_only_the_named_verdicts_let_in() -> None:
    let_in = {verdict for verdict in Verdict if verdict.accepted}
    assert let_in == {Verdict.SECRET, Verdict.PREVIOUS_SECRET, Verdict.JWT, Verdict.NETWORK}


@pytest.mark.parametrize(
    ("secret", "verdict"),
    [(SECRET, Verdict.SECRET), (PREVIOUS, Verdict.PREVIOUS_SECRET), (STRANGER, Verdict.WRONG)],
)
def test_a_secret_counts_in_the_path_and_in_both_headers(secret: str, verdict: Verdict) -> None:
    assert check(path_secret=secret) is verdict
    assert check(headers=[(b"x-webhook-SECRET", b" " + secret.encode())]) is verdict
    assert check(headers=bearer(secret)) is verdict
    assert check(headers=[(b"authorization", b"bearer  " + secret.encode())]) is verdict


@pytest.mark.parametrize(
    "secret", ["", " ", SECRET[:-1], SECRET + "x", SECRET.upper(), SECRET + "\0", "\ud800", "é" * 9]
)
def test_a_secret_is_right_only_exactly(secret: str) -> None:
    assert check(path_secret=secret) is Verdict.WRONG


def test_no_credential_is_told_from_a_wrong_one() -> None:
    assert check(headers=[(b"Host", b"relay"), (b"apikey", SECRET.encode())]) is Verdict.MISSING


def test_without_configured_secrets_nothing_matches_least_of_all_nothing() -> None:
    gate = WebhookGate(WebhookConfig())
    assert check(gate, path_secret="") is Verdict.WRONG
    assert check(gate, headers=[(b"X-Webhook-Secret", b"")]) is Verdict.WRONG
    assert check(gate, headers=bearer(evolution_token("x" * 32))) is Verdict.WRONG
    assert check(gate) is Verdict.MISSING


def test_an_unset_previous_secret_does_not_match_the_empty_one() -> None:
    gate = WebhookGate(WebhookConfig(secret=SECRET))
    assert check(gate, path_secret="") is Verdict.WRONG


def test_one_right_credential_suffices_beside_others() -> None:
    """A reverse proxy or a global header in Evolution may add an Authorization of its own."""
    basic = [(b"Authorization", b"Basic dXNlcjpwYXNz")]
    assert check(path_secret=SECRET, headers=basic) is Verdict.SECRET
    assert check(headers=[*basic, (b"X-Webhook-Secret", SECRET.encode())]) is Verdict.SECRET
    assert check(path_secret=STRANGER, headers=bearer(SECRET)) is Verdict.SECRET


@pytest.mark.parametrize("secret", [SECRET, PREVIOUS])
def test_evolutions_own_token_is_accepted_again_and_again(secret: str) -> None:
    headers = bearer(evolution_token(secret))
    assert [check(headers=headers) for _ in range(3)] == [Verdict.JWT] * 3


def test_a_late_retry_with_the_first_token_is_accepted_and_a_stale_one_is_not() -> None:
    """Evolution's retries of ~20 min carry a token that expired after 10 (research)."""
    gate = WebhookGate(WebhookConfig(secret=SECRET))
    headers = bearer(evolution_token())
    last = NOW_S + 600 + LATE_RETRY_S - 1
    assert check(gate, headers=headers, now_s=last) is Verdict.JWT
    assert check(gate, headers=headers, now_s=last + 1) is Verdict.EXPIRED
    fresh = WebhookGate(WebhookConfig(secret=SECRET))
    assert check(fresh, headers=headers, now_s=last + 1) is Verdict.EXPIRED


@pytest.mark.parametrize(
    "token",
    [
        evolution_token(STRANGER),
        evolution_token(algorithm="HS512"),
        evolution_token("", algorithm="none"),
        evolution_token(app="other"),
        evolution_token(action=None),
        evolution_token(exp=None),
        evolution_token(padding="x" * 4096),
        "..",
        "a.b.c",
        "é.é.é",
    ],
)
def test_a_token_that_is_not_evolutions_is_refused(token: str) -> None:
    assert check(headers=bearer(token)) is Verdict.WRONG


def test_a_token_whose_exp_is_no_date_is_refused() -> None:
    claims = {"app": "evolution", "action": "webhook"}
    for exp in ("soon", "1999999999", True, [1], float("inf"), float("nan"), -1, 10**30):
        token = jwt.api_jws.encode(
            json.dumps(claims | {"exp": exp}).encode(), SECRET, algorithm="HS256"
        )
        assert check(headers=bearer(token)) is Verdict.WRONG


def test_a_tampered_token_is_refused_although_the_true_one_is_remembered() -> None:
    token = evolution_token()
    assert check(headers=bearer(token)) is Verdict.JWT
    head, body, signature = token.split(".")
    swapped = signature[:5] + ("A" if signature[5] != "A" else "B") + signature[6:]
    assert check(headers=bearer(f"{head}.{body}.{swapped}")) is Verdict.WRONG
    other = evolution_token(exp=NOW_S + 999_999).split(".")[1]
    assert check(headers=bearer(f"{head}.{other}.{signature}")) is Verdict.WRONG


def test_the_memory_of_verified_tokens_is_bounded() -> None:
    gate = WebhookGate(WebhookConfig(secret=SECRET))
    for second in range(400):
        assert check(gate, headers=bearer(evolution_token(iat=NOW_S + second))) is Verdict.JWT
    assert len(gate._verified) == 256
    assert check(gate, headers=bearer(evolution_token(iat=NOW_S))) is Verdict.JWT


def test_a_short_secret_verifies_tokens_without_a_warning_for_each(
    recwarn: pytest.WarningsRecorder,
) -> None:
    gate = WebhookGate(WebhookConfig(secret="sixteen-chars-ok"))
    token = evolution_token("sixteen-chars-ok")
    recwarn.clear()
    assert check(gate, headers=bearer(token)) is Verdict.JWT
    assert len(recwarn) == 0


def test_a_key_file_as_secret_is_a_configuration_error_that_does_not_show_it() -> None:
    pem = "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----\n"
    with pytest.raises(ConfigError, match=r"^webhook\.secret: ") as caught:
        WebhookGate(WebhookConfig(secret=pem))
    assert "MIIB" not in str(caught.value)


def test_a_peer_in_allow_from_needs_no_credential() -> None:
    assert check(peer="10.1.2.3") is Verdict.NETWORK
    assert check(peer="::ffff:10.1.2.3") is Verdict.NETWORK


@pytest.mark.parametrize("peer", ["10.2.0.1", "192.0.2.1", "::1", UNIX_PEER, None, "nonsense"])
def test_other_peers_are_not_exempt(peer: str | None) -> None:
    assert check(peer=peer) is Verdict.MISSING


def test_a_forwarded_request_is_never_exempt() -> None:
    """A reverse proxy on the same host or network must not open the door for the world."""
    assert check(peer="10.1.2.3", forwarded=True) is Verdict.MISSING


@pytest.mark.parametrize(
    ("path_secret", "headers"),
    [
        (STRANGER, []),
        ("", []),
        (None, [(b"X-Webhook-Secret", b"")]),
        (None, [(b"Authorization", b"Bearer")]),
        (None, [(b"Authorization", b"Basic dXNlcjpwYXNz")]),
        (None, bearer(STRANGER)),
        (None, bearer(evolution_token(STRANGER))),
    ],
)
def test_a_wrong_credential_is_refused_also_from_an_exempt_peer(
    path_secret: str | None, headers: Headers
) -> None:
    assert check(path_secret=path_secret, headers=headers, peer="10.1.2.3") is Verdict.WRONG


def test_an_expired_token_is_refused_also_from_an_exempt_peer() -> None:
    headers = bearer(evolution_token(exp=NOW_S - LATE_RETRY_S))
    assert check(headers=headers, peer="10.1.2.3") is Verdict.EXPIRED


@given(
    path_secret=st.none() | st.text(),
    value=st.binary() | st.binary().map(lambda noise: b"Bearer " + noise),
    token=st.lists(st.text("abcA01-_=é{}", max_size=8), min_size=3, max_size=3).map(".".join),
)
def test_no_bytes_get_in_or_cause_an_error(
    path_secret: str | None, value: bytes, token: str
) -> None:
    headers = [(b"Authorization", value), (b"X-Webhook-Secret", value), *bearer(token)]
    assert check(path_secret=path_secret, headers=headers, peer="10.1.2.3") is Verdict.WRONG
