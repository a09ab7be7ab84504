"""Having an instance connect again: by a person, or by itself after a lost connection.

WhatsApp bans numbers that hammer it, so there is one cool-down for everybody, kept in the row; what
nobody asked for waits longer each time. An instance that was logged out or banned is a person's
matter, and so is one that answers with a code to scan.
"""

import logging
from functools import partial

from evorelay.model.clock import NowMs
from evorelay.model.errors import Code, Refusal
from evorelay.model.fact import QrCodeFact
from evorelay.model.outcome import GatewayFault, Pairing
from evorelay.model.principal import Principal
from evorelay.model.records import InstanceRecord
from evorelay.model.rendering import instance_view
from evorelay.model.views import Instance
from evorelay.relay.draft import Draft
from evorelay.relay.gateway import Gateway
from evorelay.relay.instances import NOT_LOADED, QR_CODE_MS, InstanceNews, Instances
from evorelay.relay.ledger import Ledger
from evorelay.relay.permission import check_supervisor
from evorelay.relay.questions import InstanceQrCode, InstanceRef
from evorelay.relay.reads import Reads

log = logging.getLogger(__name__)

_COMES_BACK = frozenset(
    {
        None,
        "connection_lost",
        "connection_closed",
        "whatsapp_unavailable",
        "restart_required",
        NOT_LOADED,
    }
)
"""Causes after which connecting again may help without a person."""
_GONE = frozenset({"removed", "banned", "account_restricted"})
"""Causes after which no code would help."""
WAIT_MAX_MS = 3600_000


class Reconnects:
    def __init__(
        self,
        gateway: Gateway,
        ledger: Ledger,
        reads: Reads,
        news: InstanceNews,
        *,
        cooldown_s: float,
        now: NowMs,
    ) -> None:
        self._gateway = gateway
        self._ledger = ledger
        self._reads = reads
        self._news = news
        self._cooldown_ms = int(cooldown_s * 1000)
        self._now = now
        self._tries: dict[str, int] = {}
        """Of ours in a row, since the instance was open last."""
        self._for_a_person: set[str] = set()
        """Answered with a code."""

    async def reconnect(self, who: Principal, params: InstanceRef) -> Instance:
        """Have it connect; one that says it is open and is doubted makes its socket anew.

        Refused within the cool-down (``TOO_SOON`` says for how long) and with ``GATEWAY`` when
        Evolution does not do it.
        """
        check_supervisor(who)
        row = await self._row(who, params.name)
        if not self._gateway.is_configured(row.name):
            raise Refusal(
                Code.GATEWAY, "no Evolution is configured: set evolution.url and evolution.api_key"
            )
        log.info("%s has instance %s connect again", who.sub, row.name)
        return instance_view(await self._connect(row))

    async def qrcode(self, who: Principal, params: InstanceRef) -> InstanceQrCode:
        """The code to pair it with. For a supervisor a new one is asked for when there is none."""
        row = await self._row(who, params.name)
        is_asked = who.is_at_least("supervisor") and self._gateway.is_configured(row.name)
        if is_asked and self._may_be_paired(row):
            row = await self._connect(row)
        view = instance_view(row)
        return InstanceQrCode(view.name, view.state, view.qrcode)

    async def automatically(self, row: InstanceRecord) -> None:
        """Have a closed instance connect again if that may help and it is time.

        Raises ``StoreUnavailable``; what Evolution says to it is logged.
        """
        if row.state == "open":
            self._tries.pop(row.name, None)
            self._for_a_person.discard(row.name)
            return
        is_ours = row.state == "close" and row.cause in _COMES_BACK and row.phone is not None
        if not is_ours or row.suspicion is not None or row.name in self._for_a_person:
            return
        tries = self._tries.get(row.name, 0)
        wait_ms = min(WAIT_MAX_MS, self._cooldown_ms << min(tries, 16))
        if self._now() - max(row.state_since, row.reconnected_at) < wait_ms:
            return
        self._tries[row.name] = tries + 1
        try:
            await self._connect(row)
        except Refusal as refusal:
            log.warning("instance %s does not connect again: %s", row.name, refusal.message)

    def _may_be_paired(self, row: InstanceRecord) -> bool:
        now = self._now()
        has_code = row.qrcode is not None and now - int(row.qrcode["at"]) < QR_CODE_MS
        is_soon = now - row.reconnected_at < self._cooldown_ms
        return row.state != "open" and row.cause not in _GONE and not has_code and not is_soon

    async def _row(self, who: Principal, name: str) -> InstanceRecord:
        row = await self._reads(lambda reader: reader.instance(name))
        if row is None or not who.may_see(row.name):
            raise Refusal(Code.NOT_FOUND, "there is no such instance")
        return row

    async def _connect(self, row: InstanceRecord) -> InstanceRecord:
        await self._ledger.change(partial(_begin, name=row.name, cooldown_ms=self._cooldown_ms))
        asked_at = self._now()
        try:
            if row.state == "open":
                await self._gateway.restart(row.name)
                pairing = Pairing()
            else:
                pairing = await self._gateway.connect(row.name)
        except GatewayFault as fault:
            raise Refusal(Code.GATEWAY, fault.message) from None
        if pairing.code is not None or pairing.image is not None:
            self._for_a_person.add(row.name)
        after, has_untold = await self._ledger.change(
            partial(_keep, name=row.name, pairing=pairing, asked_at=asked_at)
        )
        self._news.learned({row.name: after.state}, has_untold=has_untold)
        return after


def _begin(draft: Draft, *, name: str, cooldown_ms: int) -> None:
    """Note that it is asked to, before it is: a crash must not shorten the cool-down."""
    instances = Instances(draft, [name])
    wait_ms = instances[name].reconnected_at + cooldown_ms - draft.now
    if wait_ms > 0:
        raise Refusal(
            Code.TOO_SOON,
            f"it was asked to connect a moment ago; try again in {-(-wait_ms // 1000)} s",
        )
    instances.reconnecting(name)


def _keep(
    draft: Draft, *, name: str, pairing: Pairing, asked_at: int
) -> tuple[InstanceRecord, bool]:
    instances = Instances(draft, [name])
    if pairing.state is not None:
        instances.polled(name, pairing.state, asked_at=asked_at)
    if pairing.code is not None or pairing.image is not None or pairing.pairing_code is not None:
        code = QrCodeFact(
            instance=name,
            code=pairing.code,
            pairing_code=pairing.pairing_code,
            image=pairing.image,
        )
        instances.qrcode(code, draft.now)
    return instances[name], instances.settle()
