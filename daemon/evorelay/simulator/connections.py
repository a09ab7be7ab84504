"""An instance's connection to WhatsApp as it is made and lost on request, with what is posted."""

from collections.abc import Awaitable, Callable
from typing import Any

from evorelay.simulator.dialects import Webhook
from evorelay.simulator.emission import Emission
from evorelay.simulator.station import State, Station

LOGGED_OUT, LOST, OK = 401, 408, 200
CONNECTS_AFTER_S = 0.1


class Connections:
    """``emit`` hands a webhook to delivery; ``now_s`` is the time since the start of the run."""

    def __init__(
        self,
        *,
        start_ms: int,
        emit: Callable[[Emission], Awaitable[None]],
        now_s: Callable[[], float],
    ) -> None:
        self._start_ms = start_ms
        self._emit = emit
        self._now_s = now_s

    async def reopen(self, station: Station) -> None:
        """Connect anew, as after ``instance/restart``: cures whatever it suffers from."""
        station.condition = "well"
        await self.become(station, "connecting")
        if station.is_paired:
            await self.become(station, "open", after_s=CONNECTS_AFTER_S)

    async def log_out(self, station: Station) -> None:
        """It has to be paired again."""
        station.is_paired = False
        station.qr_codes = 0
        station.state = "close"
        at_ms = self._start_ms + round(self._now_s() * 1000)
        for webhook in station.dialect.logged_out(station.instance, at_ms):
            await self._post(station, webhook)

    async def show_code(self, station: Station) -> dict[str, Any]:
        """The next QR code, as the API answers it; it is posted too."""
        if station.state != "connecting":
            await self.become(station, "connecting")
        station.qr_codes += 1
        webhooks = station.dialect.qr_code(station.instance, station.qr_codes)
        for webhook in webhooks:
            await self._post(station, webhook)
        code: dict[str, Any] = webhooks[0].data.get("qrcode", webhooks[0].data)
        return code

    async def scan(self, station: Station) -> None:
        """Somebody scans the code with their phone."""
        station.is_paired = True
        await self.become(station, "open")

    async def become(
        self, station: Station, state: State, *, reason: int | None = None, after_s: float = 0.0
    ) -> None:
        """State at once, its ``connection.update`` after ``after_s``."""
        station.state = state
        station.was_open = station.was_open or state == "open"
        said = reason if reason is not None else (LOST if state == "close" else OK)
        data = station.dialect.connection(station.instance, state, said)
        await self._post(station, Webhook("connection.update", data), after_s=after_s)

    async def flood(self, station: Station, count: int) -> None:
        """``connecting`` over and over, as an instance without network posts it (measured)."""
        for number in range(count):
            data = station.dialect.connection(station.instance, "connecting", OK)
            await self._post(station, Webhook("connection.update", data), after_s=number / 112)

    async def _post(self, station: Station, webhook: Webhook, *, after_s: float = 0.0) -> None:
        due_s = self._now_s() + after_s
        await self._emit(station.emission(webhook, due_s=due_s, start_ms=self._start_ms))
