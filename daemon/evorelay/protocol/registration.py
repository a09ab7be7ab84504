"""Our webhook as Evolution has it: whether it is right, and what would be.

Evolution's setting was seen wiped after a restart of its container, and then it posts nothing and
says nothing (research/evolution.md §4.4, #2694). Nothing here returns a URL or a header: they hold
the secret (P7).
"""

from typing import Literal
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

from evorelay.config import WebhookConfig
from evorelay.model.outcome import Registration
from evorelay.protocol.webhook import WebhookPath, match_path
from evorelay.protocol.webhook_auth import Verdict, WebhookGate

_NEEDED = (
    "MESSAGES_UPSERT",
    "MESSAGES_UPDATE",
    "MESSAGES_DELETE",
    "SEND_MESSAGE",
    "CONNECTION_UPDATE",
    "QRCODE_UPDATED",
)
"""Every version has them, and without one of them agents see something wrong."""
_NEWER = ("MESSAGES_EDITED", "LOGOUT_INSTANCE", "REMOVE_INSTANCE", "SEND_MESSAGE_UPDATE")
"""1.x has none of them (payloads/rest-live/v1.webhook-find.ok.json), 2.x not all."""
EVENTS = (
    *_NEEDED,
    "MESSAGES_SET",
    "CONTACTS_UPSERT",
    "CONTACTS_UPDATE",
    "GROUPS_UPSERT",
    "GROUP_PARTICIPANTS_UPDATE",
    "CALL",
    *_NEWER,
)
"""What we read. CHATS_* and PRESENCE_UPDATE are left out: they make six POSTs of one text
(research/evolution.md §1.1)."""

_NOWHERE = ("an address without host", "a malformed address")

LATE_MS = 30 * 60_000
"""Evolution's own retries of what it posted before go on for 20 minutes."""
HEARD_MS = 24 * 3600_000


class Standing(Struct, frozen=True):
    """How a registration stands."""

    state: Literal["ok", "missing", "wrong"]
    detail: str
    """For a person: what is wrong and what to do; "" when there is nothing to say."""


def judge(found: Registration | None, webhook: WebhookConfig, public_url: str | None) -> Standing:
    """Whether webhooks sent by this registration would reach us and be let in.

    ``public_url`` is how Evolution is meant to reach us; None: any host will do, since nobody
    else has our secret.
    """
    if found is None:
        return Standing("missing", f"no webhook is set there: {_FIX}")
    if not found.url:
        return Standing("missing", f"its webhook has no address, as after a wiped setting: {_FIX}")
    trouble = _trouble(found, webhook, public_url)
    if trouble is not None:
        return Standing("wrong", f"{trouble}: {_FIX}")
    return Standing("ok", _remark(found, webhook))


def is_somebody_elses(found: Registration, webhook: WebhookConfig, our_url: str | None) -> bool:
    """Whether ours would take it away from somebody who gets webhooks by it.

    Another relay's looks like ours: only our secret, or our own address, says that it is.
    """
    host = host_of(found.url)
    if not found.is_enabled or not found.url or host in _NOWHERE:
        return False
    path = _our_path(urlsplit(found.url).path)
    if path is None:
        return True
    if _credential(found, path, webhook).accepted:
        return False
    return our_url is None or host != host_of(our_url)


_FIX = "run `evorelay doctor --fix-webhook`"


def is_delivered_otherwise(last_event_at: int, since: int, now: int, *, is_lost: bool) -> bool:
    """Whether the instance's webhooks come although it has none of ours, as by a global webhook.

    ``since``: when it was first seen to have none; ``is_lost``: it had ours before. A webhook long
    after that is evidence for a day. An earlier one may be a repetition of what was posted before,
    if there was anything to post it.
    """
    if last_event_at - since > LATE_MS:
        return now - last_event_at < HEARD_MS
    return not is_lost and now - last_event_at < LATE_MS


def wanted(url: str, found: Registration | None, *, base64: bool) -> Registration:
    """The registration to set: ours, but for whether files come in it, if somebody chose that.

    ``base64`` only where nobody did: a file in the webhook holds up every later message of the
    instance while Evolution downloads it, and 1.x loses the message when the download fails
    (research/evolution.md §1.3, §2).
    """
    return Registration(
        is_enabled=True,
        url=url,
        by_events=False,
        base64=base64 or (found is not None and bool(found.url) and found.base64),
        events=EVENTS,
    )


def host_of(url: str) -> str:
    """``host:port`` as far as a URL has it: all that may be shown of a webhook's."""
    try:
        parts = urlsplit(url)
        return _host(parts) or _NOWHERE[0]
    except ValueError:
        return _NOWHERE[1]


def _trouble(found: Registration, webhook: WebhookConfig, public_url: str | None) -> str | None:
    if not found.is_enabled:
        return "its webhook is switched off"
    try:
        parts = urlsplit(found.url)
        host = _host(parts)
    except ValueError:
        return "its webhook has a malformed address"
    if parts.scheme not in ("http", "https") or not host:
        return "its webhook has an address that is neither http nor https"
    path = _our_path(parts.path)
    if path is None:
        return f"its webhook posts to {host}, to a path that is not ours"
    if found.by_events and parts.query:
        return "its webhook has a query in its address, which by-events mode breaks"
    verdict = _credential(found, path, webhook)
    if verdict is Verdict.MISSING and not webhook.allow_from:
        return f"its webhook posts to {host} without our secret"
    if verdict in (Verdict.WRONG, Verdict.EXPIRED):
        return f"its webhook posts to {host} with a secret that is not ours"
    if public_url is not None and host != host_of(public_url):
        return f"its webhook posts to {host}, and server.public_url is another address"
    missing = [event for event in _NEEDED if event not in found.events] if found.events else []
    if missing:
        return f"its webhook leaves out {', '.join(missing)}"
    return None


def _remark(found: Registration, webhook: WebhookConfig) -> str:
    path = _our_path(urlsplit(found.url).path)
    if path is not None and _credential(found, path, webhook) is Verdict.PREVIOUS_SECRET:
        return f"it has webhook.previous_secret; before you remove that, {_FIX}"
    missing = [event for event in _NEWER if event not in found.events] if found.events else []
    if missing:
        return f"without {', '.join(missing)}, which Evolution 1.x does not have and later ones do"
    return ""


def _our_path(path: str) -> WebhookPath | None:
    """Of whatever a proxy may put before it."""
    segments = [segment for segment in path.split("/") if segment]
    for start in range(len(segments)):
        match = match_path("/" + "/".join(segments[start:]))
        if match is not None:
            return match
    return None


def _credential(found: Registration, path: WebhookPath, webhook: WebhookConfig) -> Verdict:
    headers = [
        # Evolution signs a token with ``jwt_key``, which is let in if the key is our secret.
        (b"authorization", f"Bearer {value}".encode())
        if name.lower() == "jwt_key"
        else (name.lower().encode(), value.encode())
        for name, value in found.headers.items()
    ]
    return WebhookGate(webhook).check(
        path_secret=path.secret, headers=headers, peer=None, forwarded=False, now=0
    )


def _host(parts: SplitResult) -> str:
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return f"{parts.hostname}:{port}" if parts.hostname else ""
