"""Our webhook's registration at Evolution is judged as the gate would judge what it sends (P7)."""

import json
from pathlib import Path

import msgspec
import pytest

from evorelay.config import WebhookConfig
from evorelay.model.outcome import Registration
from evorelay.protocol.registration import (
    EVENTS,
    HEARD_MS,
    LATE_MS,
    host_of,
    is_delivered_otherwise,
    is_somebody_elses,
    judge,
    wanted,
)

SECRET = "s3cret-of-this-relay-alone"
OLDER = "an-older-secret-of-this-relay"
FOREIGN = "hunter2-of-somebody-else"
OURS = WebhookConfig(secret=SECRET, previous_secret=OLDER)
URL = f"https://relay.example/hook/{SECRET}"
GOOD = wanted(URL, None, base64=False)
PAYLOADS = Path(__file__).parents[3] / "shared" / "payloads"


def but(**changes: object) -> Registration:
    return msgspec.structs.replace(GOOD, **changes)


def test_what_we_would_set_is_right() -> None:
    assert judge(GOOD, OURS, "https://relay.example").state == "ok"
    assert judge(GOOD, OURS, None).detail == ""


@pytest.mark.parametrize(
    "found",
    [
        but(url=f"http://10.0.0.7:4000/hook/{SECRET}/"),
        but(url=f"https://relay.example/whatsapp/hook/{SECRET}", by_events=True),
        but(url="https://relay.example/webhook/evolution", headers={"X-Webhook-Secret": SECRET}),
        but(
            url="https://relay.example/webhook/evolution",
            headers={"Authorization": f"Bearer {SECRET}"},
        ),
        but(url="https://relay.example/webhook/evolution", headers={"jwt_key": SECRET}),
        but(events=()),
    ],
)
def test_every_way_in_is_right(found: Registration) -> None:
    assert judge(found, OURS, None).state == "ok"


@pytest.mark.parametrize(
    ("found", "state", "says"),
    [
        (None, "missing", "no webhook"),
        (but(url=""), "missing", "wiped"),
        (but(is_enabled=False), "wrong", "switched off"),
        (but(url="http://[::1/hook"), "wrong", "malformed"),
        (but(url="http://relay.example:port/hook"), "wrong", "malformed"),
        (but(url=f"ftp://relay.example/hook/{SECRET}"), "wrong", "neither http nor https"),
        (but(url="https://n8n.example/in"), "wrong", "n8n.example:443, to a path"),
        (but(url=f"{URL}?x=1", by_events=True), "wrong", "query"),
        (but(url="https://relay.example/webhook/evolution"), "wrong", "without our secret"),
        (but(url=f"https://relay.example/hook/{FOREIGN}"), "wrong", "not ours"),
        (
            but(url="https://r.example/webhook/evolution", headers={"jwt_key": FOREIGN}),
            "wrong",
            "not ours",
        ),
        (but(events=("MESSAGES_UPSERT",)), "wrong", "SEND_MESSAGE"),
    ],
)
def test_each_trouble_is_said_with_what_to_do(
    found: Registration | None, state: str, says: str
) -> None:
    standing = judge(found, OURS, None)
    assert standing.state == state
    assert says in standing.detail
    assert "doctor --fix-webhook" in standing.detail


def test_another_host_than_the_public_one_is_wrong() -> None:
    assert judge(GOOD, OURS, "https://relay.example:443/").state == "ok"
    assert "posts to relay.example:443" in judge(GOOD, OURS, "https://new.example").detail


@pytest.mark.parametrize("public_url", ["http://relay:port", "relay:4000", "http://[::1", " "])
def test_an_address_of_ours_that_cannot_be_is_no_crash(public_url: str) -> None:
    assert judge(GOOD, OURS, public_url).state == "wrong"


@pytest.mark.parametrize(
    ("found", "is_theirs"),
    [
        (but(url="https://n8n.example/webhook/orders"), True),
        (but(url="https://relay.example/n8n"), True),
        (but(url=f"https://production.example/hook/{FOREIGN}"), True),
        (but(url="https://n8n.example/webhook/evolution"), True),
        (but(url="https://n8n.example/webhook/evolution/messages-upsert", by_events=True), True),
        (but(url="https://x.example/flows/hook/abc"), True),
        (but(url=f"https://old.example/hook/{SECRET}"), False),
        (but(url=f"https://old.example/hook/{OLDER}"), False),
        (but(url=f"https://relay.example/hook/{FOREIGN}"), False),
        (but(url="https://n8n.example/in", is_enabled=False), False),
        (but(url="http://[::1/hook"), False),
        (but(url=""), False),
    ],
)
def test_only_our_secret_or_address_makes_a_webhook_ours(
    found: Registration, is_theirs: bool
) -> None:
    """Another relay's has a path like ours, and takes webhooks until ours takes them away."""
    assert is_somebody_elses(found, OURS, "https://relay.example") is is_theirs


def test_a_network_that_is_let_in_needs_no_secret() -> None:
    found = but(url="http://relay:4000/webhook/evolution")
    assert (
        judge(found, WebhookConfig(secret=SECRET, allow_from=("10.0.0.0/8",)), None).state == "ok"
    )


def test_the_previous_secret_still_works_and_is_mentioned() -> None:
    standing = judge(but(url=f"https://relay.example/hook/{OLDER}"), OURS, None)
    assert standing.state == "ok"
    assert "previous_secret" in standing.detail


@pytest.mark.parametrize(
    "found",
    [
        but(url=f"https://user:{FOREIGN}@relay.example/hook/{OLDER}"),
        but(url=f"https://relay.example/hook/{FOREIGN}"),
        but(url=f"https://relay.example/{FOREIGN}"),
        but(url="https://relay.example/webhook/evolution", headers={"x-webhook-secret": FOREIGN}),
        but(is_enabled=False),
    ],
)
def test_no_detail_holds_a_secret(found: Registration) -> None:
    """P7: not ours, and not what somebody else put there."""
    said = judge(found, OURS, "https://relay.example").detail + host_of(found.url) + repr(found)
    for secret in (SECRET, OLDER, FOREIGN):
        assert secret not in said


def test_a_choice_about_files_stays() -> None:
    chosen = but(base64=True)
    assert wanted(URL, chosen, base64=False).base64
    assert not wanted(URL, but(url="", base64=True), base64=False).base64
    assert wanted(URL, None, base64=True).base64


def test_webhooks_that_come_all_the_same_are_evidence() -> None:
    """A global webhook delivers for instances that have none of their own."""
    minute, since = 60_000, 10**12
    soon = since + 5 * minute
    assert is_delivered_otherwise(soon, since, soon + LATE_MS - 1, is_lost=False)
    assert not is_delivered_otherwise(soon, since, soon + LATE_MS, is_lost=False)
    later = since + LATE_MS + 1
    for is_lost in (True, False):
        assert is_delivered_otherwise(later, since, later + HEARD_MS - 1, is_lost=is_lost)
        assert not is_delivered_otherwise(later, since, later + HEARD_MS, is_lost=is_lost)


def test_what_still_comes_after_a_wipe_is_no_evidence() -> None:
    """Evolution goes on with what it had begun to post."""
    since = 10**12
    assert not is_delivered_otherwise(since + 1, since, since + 2, is_lost=True)


def test_a_real_server_knows_every_event_we_ask_for() -> None:
    for file in PAYLOADS.glob("rest-live/webhook-set.bad-event.json"):
        (said,) = json.loads(file.read_text())["body"]["response"]["message"][0]
        assert set(EVENTS) <= set(said.partition(": ")[2].split(","))
    for file in PAYLOADS.glob("rest-live/v1.webhook-find.ok.json"):
        known = set(json.loads(file.read_text())["body"]["events"])
        old = but(events=tuple(event for event in EVENTS if event in known))
        standing = judge(old, OURS, None)
        assert standing.state == "ok"
        assert "MESSAGES_EDITED" in standing.detail
