"""``/api/*``: Evolution's own API for who already calls it, as far as the table allows (P7).

The caller's credential ends here and Evolution's key begins here. Nothing else of the request but
the JSON, and nothing of the answer but its status and cleaned JSON, passes in either direction.
"""

import msgspec
import trio
from quart import Request, Response

from evorelay.edge.http.access import Access
from evorelay.edge.http.answers import JSON, empty_answer, error_answer, json_answer
from evorelay.edge.http.callers_instance import CallersInstance
from evorelay.edge.http.deps import HttpDeps
from evorelay.edge.http.evolution_bodies import answer_of, callers_words, reply_of
from evorelay.edge.http.old_endpoints import BY_ENDPOINT, UNDELIVERABLE
from evorelay.edge.http.route import BODY_BYTES_MAX, REPLY_BYTES_MAX, read_json
from evorelay.model.errors import Code, Refusal
from evorelay.model.outcome import GatewayFault
from evorelay.model.principal import Principal
from evorelay.protocol.evolution_proxy import (
    PASSAGES,
    Passage,
    Target,
    read_target,
    visible_answer,
)

METHODS = ("GET", "POST", "PUT")
_SENDS = "message/"


class ApiProxy:
    """The view. ``request`` is Quart's proxy for the current request."""

    def __init__(self, deps: HttpDeps, access: Access, request: Request) -> None:
        self._request = request
        self._access = access
        self._outbox = deps.outbox
        self._evolution = deps.evolution
        self._instances = CallersInstance(deps.desk, deps.evolution)
        self._secrets = deps.secrets
        self._patience_s = deps.patience_s

    async def call(self, path: str) -> Response:
        who = await self._access.principal(self._request)
        target = read_target(path)
        if target is not None and target.call.startswith(_SENDS):
            return await self._send(who, target)
        passage = PASSAGES.get(target.call) if target is not None else None
        if target is None or passage is None:
            raise Refusal(
                Code.NOT_FOUND, f"this is not passed on to Evolution; {', '.join(PASSAGES)} are"
            )
        if self._request.method not in passage.methods:
            return _other_method(passage)
        if not who.is_at_least(passage.role):
            raise Refusal(Code.FORBIDDEN, f"this needs the role {passage.role}")
        return await self._pass(who, target, passage)

    async def _pass(self, who: Principal, target: Target, passage: Passage) -> Response:
        query = [(n, self._request.args[n]) for n in passage.query if n in self._request.args]
        instance = target.instance or dict(query).get("instanceName", "")
        if instance:
            await self._instances.named(who, instance)
        body = None
        if self._request.method != "GET" and await self._request.get_data():
            body = msgspec.json.encode(await read_json(self._request, BODY_BYTES_MAX))
        try:
            status, answer = await self._evolution.call(
                instance, self._request.method, target.path(query), body
            )
        except GatewayFault as fault:
            raise Refusal(Code.GATEWAY, fault.message) from None
        if status in (401, 403):  # told as it is, clients would take it for their own token's
            raise Refusal(Code.GATEWAY, "Evolution does not take the key of evolution.api_key")
        if status == 204:
            return empty_answer(status)
        visible = None if who.sees_all else tuple(who.instances)
        try:
            clean = await trio.to_thread.run_sync(
                lambda: visible_answer(
                    answer, passage.shows, visible=visible, secrets=self._secrets
                )
            )
        except ValueError as error:
            raise Refusal(Code.GATEWAY, str(error)) from None
        return Response(clean, status, content_type=JSON)

    async def _send(self, who: Principal, target: Target) -> Response:
        """A message, by way of the outbox; waits for Evolution's answer as for one of its own."""
        if self._request.method != "POST":
            return _other_method(Passage(methods=("POST",)))
        instance = await self._instances.named(who, target.instance or "")
        body = await read_json(self._request, REPLY_BYTES_MAX)
        with callers_words(target.call):
            params = reply_of(target.call, instance, body)
            message = await self._outbox.submit_to_phone(who, params, via=BY_ENDPOINT)
        message = await self._outbox.wait_final(message, self._patience_s)
        if message.status == "failed":
            return json_answer({"id": message.id, "error": message.error}, UNDELIVERABLE)
        if message.whatsapp_id is None:
            return json_answer({"queued": True, "id": message.id, "status": "PENDING"}, 202)
        return json_answer(answer_of(message, params.phone), 201)


def _other_method(passage: Passage) -> Response:
    response = error_answer(Code.METHOD_NOT_ALLOWED, "this call takes another method; see Allow")
    response.headers["Allow"] = ", ".join(passage.methods)
    return response
