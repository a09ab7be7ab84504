"""Evolution's REST API, as far as a relay uses it, and two doors for tests.

Answers, their order of checks (instance before key) and their error texts are those captured from
1.8.2 and 2.3.6 (payloads/rest-live). ``/simulator/*`` is ours and needs no key: it says and does
nothing that would be worth one.
"""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
import trio
from quart import Response, request
from quart_trio import QuartTrio

from evorelay.simulator.archive import Archive
from evorelay.simulator.cast import Chat, Message, Person
from evorelay.simulator.emission import Emission
from evorelay.simulator.ledger import Ledger
from evorelay.simulator.misbehaviour import Misbehaviour, Trouble, answer
from evorelay.simulator.rest_bodies import (
    RestError,
    chat_of,
    instance_row,
    number_and_text,
    webhook_row,
    whole,
)
from evorelay.simulator.scenario import Scenario
from evorelay.simulator.station import Station

BODY_MAX_BYTES = 1024 * 1024
DELAY_MAX_MS = 60_000
PAGE_SIZE = 50


class RestApi:
    """``emit`` hands a webhook to delivery; ``now_s`` is the time since the start of the run."""

    def __init__(
        self,
        stations: Mapping[str, Station],
        scenario: Scenario,
        archive: Archive,
        ledger: Ledger,
        *,
        api_key: str,
        emit: Callable[[Emission], Awaitable[None]],
        now_s: Callable[[], float],
    ) -> None:
        self._stations = stations
        self._scenario = scenario
        self._archive = archive
        self._ledger = ledger
        self._api_key = api_key
        self._emit = emit
        self._now_s = now_s
        self._trouble = Trouble()

    def app(self) -> QuartTrio:
        app = QuartTrio(__name__)
        app.config["MAX_CONTENT_LENGTH"] = BODY_MAX_BYTES
        for method, path, view in (
            ("GET", "/instance/fetchInstances", self.fetch_instances),
            ("GET", "/instance/connectionState/<name>", self.connection_state),
            ("POST", "/message/sendText/<name>", self.send_text),
            ("POST", "/chat/findMessages/<name>", self.find_messages),
            ("GET", "/webhook/find/<name>", self.find_webhook),
            ("POST", "/webhook/set/<name>", self.set_webhook),
            ("POST", "/simulator/misbehave", self.misbehave),
            ("GET", "/simulator/ledger", self.ledger),
        ):
            app.add_url_rule(path, view.__name__, view, methods=[method])
        app.register_error_handler(RestError, _error_answer)
        app.register_error_handler(404, _no_route)
        return app

    async def fetch_instances(self) -> Response:
        if request.headers.get("apikey") != self._api_key:
            raise RestError(401, "Unauthorized")
        wanted = request.args.get("instanceName")
        if wanted is not None and wanted not in self._stations:
            raise RestError(404, [f'Instance "{wanted}" not found'])
        stations = self._stations.values()
        return _json([instance_row(s) for s in stations if wanted in (None, s.instance.name)])

    async def connection_state(self, name: str) -> Response:
        station = self._station(name)
        return _json({"instance": {"instanceName": name, "state": station.state}})

    async def send_text(self, name: str) -> Response:
        station = self._station(name)
        body = await _body()
        number, text = number_and_text(body, v1=station.dialect.version == "1.8.2")
        to = chat_of(station, number)
        trouble = self._trouble.next()
        if trouble is None:
            message = await self._send(station, to, text, body)
            return _json(station.dialect.rest_answer(station.instance, message), 201)
        if trouble.sent:
            await self._send(station, to, text, body)
        if trouble.kind == "hang":
            await trio.sleep_forever()
        raise RestError(*answer(trouble.kind, number, to.jid))

    async def find_messages(self, name: str) -> Response:
        station = self._station(name)
        body = await _body()
        where = body.get("where")
        try:
            rows = self._archive.find(name, where if isinstance(where, dict) else {})
        except (ValueError, TypeError, AttributeError):
            raise RestError(400, ["Invalid where"]) from None
        if station.dialect.version == "1.8.2":
            return _json(rows[: whole(body, "limit", PAGE_SIZE)])
        size, page = whole(body, "offset", PAGE_SIZE), whole(body, "page", 1)
        messages = {
            "total": len(rows),
            "pages": -(-len(rows) // size),
            "currentPage": page,
            "records": rows[(page - 1) * size : page * size],
        }
        return _json({"messages": messages})

    async def find_webhook(self, name: str) -> Response:
        return _json(webhook_row(self._station(name)))

    async def set_webhook(self, name: str) -> Response:
        station = self._station(name)
        body = await _body()
        v1 = station.dialect.version == "1.8.2"
        webhook = body if v1 else body.get("webhook")
        if not isinstance(webhook, dict):
            raise RestError(400, [['instance requires property "webhook"']])
        if not isinstance(webhook.get("url"), str):
            raise RestError(400, [['instance requires property "url"']])
        enabled = webhook.get("enabled", True) is not False
        events = webhook.get("events")
        if enabled and not v1 and not isinstance(events, list):
            raise RestError(500, "Cannot read properties of undefined (reading 'length')")
        station.webhook_url = webhook["url"]
        station.webhook_enabled = enabled
        station.webhook_events = tuple(events or ())
        station.webhook_by_events = bool(webhook.get("webhook_by_events" if v1 else "byEvents"))
        row = webhook_row(station)
        return _json({"webhook": {"instanceName": name, "webhook": row}} if v1 else row, 201)

    async def misbehave(self) -> Response:
        try:
            asked = msgspec.json.decode(await request.get_data(), type=Misbehaviour)
        except msgspec.DecodeError as error:
            raise RestError(400, [str(error)]) from None
        self._trouble.ask_for(asked)
        return _json(asked)

    async def ledger(self) -> Response:
        ledger = self._ledger
        return _json(
            {
                "totals": ledger.totals,
                "by_event": ledger.by_event,
                "forgotten": ledger.forgotten,
                "messages": ledger.messages(),
            }
        )

    def _station(self, name: str) -> Station:
        station = self._stations.get(name)
        if station is None:
            raise RestError(404, [f'The "{name}" instance does not exist'])
        if request.headers.get("apikey") not in (self._api_key, station.instance.token):
            raise RestError(401, "Unauthorized")
        return station

    async def _send(self, station: Station, to: Chat, text: str, body: dict[str, Any]) -> Message:
        options = body.get("options") if station.dialect.version == "1.8.2" else body
        options = options if isinstance(options, dict) else {}
        delay_ms = options.get("delay")
        if station.dialect.links_a_phone and isinstance(delay_ms, int) and delay_ms > 0:
            await trio.sleep(min(delay_ms, DELAY_MAX_MS) / 1000)
        quotes = self._quoted(station, to, options.get("quoted"))
        message, emissions = self._scenario.send_text(station, to, text, quotes, self._now_s())
        for emission in emissions:
            await self._emit(emission)
        return message

    def _quoted(self, station: Station, chat: Chat, quoted: Any) -> Message | None:
        key = quoted.get("key") if isinstance(quoted, dict) else None
        quoted_id = key.get("id") if isinstance(key, dict) else None
        if not isinstance(quoted_id, str):
            return None
        rows = self._archive.find(station.instance.name, {"key": {"id": quoted_id}})
        text = rows[0]["message"].get("conversation", "") if rows else ""
        author = chat if isinstance(chat, Person) else None
        return Message(id=quoted_id, row_id="", chat=chat, author=author, sent_ms=0, text=text)


async def _body() -> dict[str, Any]:
    body = await request.get_json(force=True, silent=True)
    if not isinstance(body, dict):
        raise RestError(400, ["Bad request"])
    return body


def _json(value: Any, status: int = 200) -> Response:
    return Response(msgspec.json.encode(value), status, content_type="application/json")


async def _error_answer(error: RestError) -> Response:
    phrase = HTTPStatus(error.status).phrase
    body = {"status": error.status, "error": phrase, "response": {"message": error.message}}
    return _json(body, error.status)


async def _no_route(error: Exception) -> Response:
    return await _error_answer(RestError(404, [f"Cannot {request.method} {request.path}"]))
