"""What ``evorelay doctor`` looks at in each instance, and the webhook it sets there."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from evorelay.cli.addresses import MASK
from evorelay.cli.findings import Findings
from evorelay.cli.printable import printable
from evorelay.config import WebhookConfig
from evorelay.model.outcome import GatewayFault, Registration
from evorelay.protocol.registration import Standing, host_of, is_somebody_elses, judge, wanted
from evorelay.relay.gateway import Gateway
from evorelay.settings.values import TcpBind

_NEXT = {
    "close": "not connected to WhatsApp: scan its code on the console, or have it reconnect",
    "connecting": "connecting to WhatsApp: if that lasts, scan its code on the console",
    None: "Evolution has not loaded it: restart it in Evolution's manager",
}


class Ours(Struct, frozen=True, kw_only=True):
    """The webhook we want registered."""

    webhook: WebhookConfig
    base: str | None
    """How Evolution reaches us; None: nobody said, and it cannot be worked out."""
    is_public: bool
    """Whether somebody said so; else ``base`` is our bind, and another host is no mistake."""
    base64: bool

    @property
    def url(self) -> str:
        assert self.base is not None
        return f"{self.base.rstrip('/')}/hook/{self.webhook.secret}"

    @property
    def masked(self) -> str:
        assert self.base is not None
        scheme = urlsplit(self.base).scheme
        return f"{scheme}://{host_of(self.base)}{urlsplit(self.base).path.rstrip('/')}/hook/{MASK}"


class Instances:
    def __init__(
        self,
        gateway: Gateway,
        ours: Ours,
        *,
        known: Mapping[str, dict[str, Any]],
        named: frozenset[str],
        is_fixing: bool,
    ) -> None:
        """``known``: the running daemon's instances by name. ``named``: whose webhook may be taken
        away from somebody else."""
        self._gateway = gateway
        self._ours = ours
        self._known = known
        self._named = named
        self._is_fixing = is_fixing

    async def check(self, name: str, findings: Findings) -> None:
        about = f"instance {printable(name)}"
        try:
            state = await self._gateway.connection_state(name)
            found = await self._gateway.registration(name)
        except GatewayFault as fault:
            findings.fail(about, fault.message)
            return
        if state == "open":
            findings.ok(about, "connected to WhatsApp")
        else:
            findings.fail(about, _NEXT.get(state, f"its state is {state}"))
        doubt = (self._known.get(name) or {}).get("suspicion")
        if isinstance(doubt, str):
            findings.fail(about, f"the daemon doubts it: {doubt}")
        await self._check_webhook(name, about, found, findings)

    async def _check_webhook(
        self, name: str, about: str, found: Registration | None, findings: Findings
    ) -> None:
        standing = self._judge(found)
        if self._is_fixing and (standing.state != "ok" or standing.detail):
            if found is not None and name not in self._named and self._is_taken(found):
                findings.fail(
                    about,
                    f"its webhook posts to {host_of(found.url)}, somebody else's;"
                    f" to take it over, run this with --instance {printable(name)}",
                )
            else:
                await self._fix(name, about, found, findings)
            return
        if standing.state == "ok":
            findings.ok(about, standing.detail or "its webhook is ours and complete")
        elif self._is_heard(name):
            findings.warn(
                about, f"{standing.detail}; yet its webhooks arrive, by a global webhook?"
            )
        else:
            would = f", which sets {self._ours.masked}" if self._ours.base is not None else ""
            findings.fail(about, standing.detail + would)

    async def _fix(
        self, name: str, about: str, found: Registration | None, findings: Findings
    ) -> None:
        if self._ours.base is None or not self._ours.webhook.secret:
            findings.fail(
                about, "give --url, or set server.public_url: how does Evolution reach us?"
            )
            return
        try:
            await self._gateway.register(
                name, wanted(self._ours.url, found, base64=self._ours.base64)
            )
            standing = self._judge(await self._gateway.registration(name))
        except GatewayFault as fault:
            findings.fail(about, f"its webhook could not be set: {fault.message}")
            return
        if standing.state != "ok":
            findings.fail(about, f"its webhook was set and reads otherwise: {standing.detail}")
            return
        findings.ok(about, f"its webhook is set to {self._ours.masked}")
        if self._is_out_of_reach(name):
            findings.warn(
                about,
                f"{host_of(self._ours.url)} is this machine, and its Evolution is another one:"
                " give --url, or set server.public_url",
            )

    def _judge(self, found: Registration | None) -> Standing:
        public_url = self._ours.base if self._ours.is_public else None
        return judge(found, self._ours.webhook, public_url)

    def _is_taken(self, found: Registration) -> bool:
        return is_somebody_elses(found, self._ours.webhook, self._ours.base)

    def _is_heard(self, name: str) -> bool:
        """Whether the daemon gets its webhooks all the same."""
        registration = (self._known.get(name) or {}).get("registration")
        return isinstance(registration, dict) and registration.get("state") == "ok"

    def _is_out_of_reach(self, name: str) -> bool:
        ours = urlsplit(self._ours.url).hostname or ""
        theirs = (self._gateway.host(name) or "").rpartition(":")[0]
        return TcpBind(ours, 0).is_loopback and not TcpBind(theirs.strip("[]"), 0).is_loopback
