"""What monitors ask: liveness, readiness, health, connection counts, metrics."""

from collections.abc import Iterable

import trio
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from quart import Request, Response

from evorelay.edge.http.access import Access
from evorelay.edge.http.answers import json_answer
from evorelay.edge.http.deps import HttpDeps
from evorelay.model.errors import RETRY_AFTER_S, Refusal
from evorelay.model.principal import Principal
from evorelay.relay.checks.check import Report, worst


class _Taken(Collector):
    """What a registry had at one moment."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._families = list(registry.collect())

    def collect(self) -> Iterable[Metric]:
        return self._families


class Ops:
    """The views. ``request`` is Quart's proxy for the current request."""

    def __init__(self, deps: HttpDeps, access: Access, request: Request) -> None:
        self._deps = deps
        self._access = access
        self._request = request

    async def livez(self) -> Response:
        return json_answer({"alive": True})

    async def readyz(self) -> Response:
        reason = self._deps.health.not_ready()
        if reason is None:
            return json_answer({"ready": True})
        response = json_answer({"ready": False, "reason": reason}, 503)
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
        return response

    async def health(self) -> Response:
        """The document of contract §3, in the shape of draft-inadarei-api-health-check-06."""
        insider = await self._access.insider(self._request)
        report = self._deps.health.report()  # no await from here on: all is told of one moment
        body = {
            "status": report.status,
            "version": self._deps.version,
            "uptime_seconds": round(trio.current_time() - self._deps.started_at, 3),
            "checks": self._checks(report, insider),
            "websocket": {
                "enabled": True,
                "connections": len(self._deps.sessions),
                "activeTickets": len(self._deps.sessions.watchers_by_ticket()),
            },
        }
        status = 503 if report.status == "fail" else 200
        return json_answer(body, status, content_type="application/health+json")

    def _checks(
        self, report: Report, insider: Principal | None
    ) -> dict[str, list[dict[str, object]]]:
        """By name. A stranger learns of each no more than how it is, and so does somebody of what
        is wrong with instances that are none of theirs (P7).
        """
        states = {name: worst(found) for name, found in report.by_name().items()}
        if insider is None:
            return {name: [{"status": status}] for name, status in states.items()}
        return {
            name: [check.detailed() for check in found]
            if found[0].component is not None or worst(found) == states[name]
            else [{"status": states[name]}]
            for name, found in self._deps.health.report(insider).by_name().items()
        }

    async def ws_stats(self) -> Response:
        watchers = self._deps.sessions.watchers_by_ticket()
        body: dict[str, object] = {
            "totalConnections": len(self._deps.sessions),
            "activeTickets": len(watchers),
        }
        insider = await self._access.insider(self._request)
        if insider is not None:
            body["connectionsByTicket"] = await self._seen_by(insider, watchers)
        return json_answer(body)

    async def metrics(self) -> Response:
        await self._access.check_scraper(self._request)
        encode, content_type = choose_encoder(self._request.headers.get("Accept", ""))
        # Values are read here, for they are the state of Trio's thread, and written in another: of
        # 500 instances it takes 5 ms and 11 ms, in which nobody else would be served.
        text = await trio.to_thread.run_sync(encode, _Taken(self._deps.registry))
        return Response(text, content_type=content_type)

    async def _seen_by(self, who: Principal, watchers: dict[str, int]) -> dict[str, int]:
        if who.sees_all:
            return watchers
        seen = {}
        for ticket_id, count in watchers.items():
            try:
                await self._deps.desk.instance_of(who, ticket_id)
            except Refusal:
                continue
            seen[ticket_id] = count
        return seen
