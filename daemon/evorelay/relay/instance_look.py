"""One look at an instance: what Evolution says of it, whether that is believed, what is kept.

An instance may say "open" for hours over a dead socket (research/evolution.md §5: #1398, #2403,
#2665). Silence alone proves nothing, a quiet inbox is silent every night, so a silent instance is
asked something that only WhatsApp can answer; it is doubted when no answer comes.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from msgspec import Struct

from evorelay.config import EvolutionConfig, WebhookConfig
from evorelay.model.clock import NowMs
from evorelay.model.outcome import FaultKind, GatewayFault
from evorelay.model.records import InstanceRecord
from evorelay.protocol.registration import Standing, is_delivered_otherwise, judge
from evorelay.relay.draft import Draft
from evorelay.relay.gateway import Gateway
from evorelay.relay.instances import InstanceNews, Instances
from evorelay.relay.ledger import Ledger

log = logging.getLogger(__name__)

_NO_ANSWER = frozenset({"timeout", "whatsapp_timeout", "connection_closed"})
"""Codes of a probe's fault that mean a dead socket (``Gateway.probe``)."""
NO_INSTANCE = "no_such_instance"
"""Code of the fault of an Evolution that does not have the instance."""
Asked = Callable[[Callable[[], Awaitable[Any]]], Awaitable[Any]]
"""Makes a call to the instance's Evolution when it is its turn."""


class Finding(Struct, kw_only=True):
    """What one look found."""

    asked_at: int
    state: str | None = None
    """None: not loaded, or ``fault``."""
    fault: GatewayFault | None = None
    suspicion: str | None = None
    registration: dict[str, Any] | None = None
    """None: not looked at this time."""


class Looks:
    """Looks at instances; remembers only when each was probed and checked last."""

    def __init__(
        self,
        gateway: Gateway,
        ledger: Ledger,
        news: InstanceNews,
        *,
        evolution: EvolutionConfig,
        webhook: WebhookConfig,
        public_url: str | None,
        now: NowMs,
    ) -> None:
        self._gateway = gateway
        self._ledger = ledger
        self._news = news
        self._silence_ms = int(evolution.silence * 1000)
        self._check_ms = int(evolution.check_webhook_every * 1000)
        self._webhook = webhook
        self._public_url = public_url
        self._now = now
        self._probed_at: dict[str, int] = {}
        self._checked_at: dict[str, int] = {}

    async def look(
        self, name: str, row: InstanceRecord | None, asked: Asked
    ) -> tuple[InstanceRecord, GatewayFault | None]:
        """Ask Evolution about an instance, and keep and tell what that came to.

        Returns its row, and why nothing was learned. ``row``: what is known of it. Raises
        ``StoreUnavailable``; a ``GatewayFault`` is a finding.
        """
        finding = await self._find(name, row, asked)
        after, has_untold = await self._ledger.change(partial(_record, name=name, finding=finding))
        self._news.learned({name: after.state}, has_untold=has_untold)
        _log_changes(row, after)
        return after, finding.fault

    async def _find(self, name: str, row: InstanceRecord | None, asked: Asked) -> Finding:
        finding = Finding(asked_at=self._now())
        try:
            finding.state = await asked(partial(self._gateway.connection_state, name))
            if row is not None and finding.state == "open" and self._is_silent(row):
                finding.suspicion = await self._probed(name, asked)
        except GatewayFault as fault:
            finding.fault = fault
            finding.suspicion = _unreachable(fault)
            return finding
        if self._now() - self._checked_at.get(name, 0) >= self._check_ms:
            finding.registration = await self._checked(name, row, asked)
        return finding

    async def _checked(
        self, name: str, row: InstanceRecord | None, asked: Asked
    ) -> dict[str, Any] | None:
        """How our webhook stands; None: Evolution would not say, and is asked again next time."""
        try:
            found = await asked(partial(self._gateway.registration, name))
        except GatewayFault as fault:
            log.info("our webhook of instance %s could not be checked: %s", name, fault)
            return None
        self._checked_at[name] = self._now()
        return kept_standing(judge(found, self._webhook, self._public_url), row, self._now())

    def _is_silent(self, row: InstanceRecord) -> bool:
        """Whether it is time to ask if anybody is there."""
        if self._now() - row.last_event_at < self._silence_ms:
            return False
        is_doubted = row.suspicion is not None
        return is_doubted or self._now() - self._probed_at.get(row.name, 0) >= self._silence_ms

    async def _probed(self, name: str, asked: Asked) -> str | None:
        """Why it is doubted; None: WhatsApp answered, or this kind of instance cannot be asked."""
        self._probed_at[name] = self._now()
        try:
            await asked(partial(self._gateway.probe, name))
        except GatewayFault as fault:
            if fault.kind in (FaultKind.GATEWAY_DOWN, FaultKind.LICENCE):
                raise
            if fault.kind is FaultKind.INSTANCE_DOWN or fault.code in _NO_ANSWER:
                return (
                    "It says it is connected, but nothing comes from it and WhatsApp does not"
                    " answer it. Reconnect it."
                )
            log.debug("instance %s cannot be probed: %s", name, fault)
        return None


def kept_standing(standing: Standing, row: InstanceRecord | None, now: int) -> dict[str, Any]:
    """What the row keeps of a registration: with ``since``, when ours was first seen to be gone or
    wrong, and ``is_lost``, whether it was right before."""
    before = (row.registration if row is not None else None) or {}
    since, is_lost = None, False
    if standing.state != "ok":
        since, is_lost = before.get("since"), bool(before.get("is_lost"))
        if since is None:
            since, is_lost = now, before.get("state") == "ok"
    state, detail = standing.state, standing.detail
    if (
        row is not None
        and since is not None
        and is_delivered_otherwise(row.last_event_at, since, now, is_lost=is_lost)
    ):
        state, detail = "ok", "not registered here, but webhooks arrive: by a global webhook?"
    return {"state": state, "detail": detail, "at": now, "since": since, "is_lost": is_lost}


def _unreachable(fault: GatewayFault) -> str:
    if fault.kind is FaultKind.GATEWAY_DOWN:
        return fault.message
    if fault.code == NO_INSTANCE:
        return (
            "Evolution has no instance of this name: it was mistyped or deleted, or its webhooks"
            " come from another Evolution."
        )
    return f"Evolution does not say how it is: {fault.message}"


def _record(draft: Draft, *, name: str, finding: Finding) -> tuple[InstanceRecord, bool]:
    instances = Instances(draft, [name])
    if finding.fault is None:
        instances.polled(name, finding.state, asked_at=finding.asked_at)
    instances.doubt(name, finding.suspicion)
    if finding.registration is not None:
        instances.registered(name, finding.registration)
    return instances[name], instances.settle()


def _log_changes(before: InstanceRecord | None, after: InstanceRecord) -> None:
    """Once for each change, however often it is looked at."""
    doubted = before.suspicion if before is not None else None
    if after.suspicion is not None and doubted is None:
        log.warning("instance %s is suspected: %s", after.name, after.suspicion)
    elif after.suspicion is None and doubted is not None:
        log.info("instance %s is no longer suspected", after.name)
    stood = (before.registration if before is not None else None) or {}
    stands = after.registration or {}
    if stands.get("state", "ok") != stood.get("state", "ok"):
        if stands["state"] == "ok":
            log.info("our webhook of instance %s is registered", after.name)
        else:
            log.warning("webhooks of instance %s: %s", after.name, stands["detail"])
