"""Endpoints of the servers we replace, which front ends and scripts already call (contract §3).

What they send goes through the outbox like any reply; they only wait for it a little.
"""

from contextlib import suppress
from typing import Annotated

import msgspec
import trio
from msgspec import Meta, Struct
from quart import Request, Response

from evorelay.edge.http.access import Access
from evorelay.edge.http.answers import bad_parameter, json_answer
from evorelay.edge.http.callers_instance import CallersInstance
from evorelay.edge.http.deps import HttpDeps
from evorelay.edge.http.route import REPLY_BYTES_MAX, read_json
from evorelay.model.errors import Code, Refusal
from evorelay.model.ids import new_id
from evorelay.model.outcome import GatewayFault
from evorelay.model.principal import Principal
from evorelay.model.views import Failure, Message
from evorelay.relay.commands import CONTENT_CHARS_MAX, OpId, PhoneSendParams, Via
from evorelay.relay.questions import NoParams, Text
from evorelay.relay.replies import phone_of

SEND_PATH = "/webhook/send-message"
TEST_PATH = "/webhook/test-send"
CHECK_PATH = "/webhook/check-instance/"
STATE_WAIT_S = 5.0
BY_ENDPOINT = Via(path="endpoint")
UNDELIVERABLE = 422
"""The status of an answer whose message failed for good: asking again would not help."""
_TEST_TEXT = "Teste do EvoRelay: se você lê isto, o envio funciona. (This is a test message.)"


class QuotedKey(Struct, frozen=True):
    id: Text


class Quoted(Struct, frozen=True):
    """As in Evolution's own bodies."""

    key: QuotedKey


class OldOptions(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whatever else such callers send is not looked at."""

    delay: Annotated[int, Meta(ge=0, le=20_000, description="Milliseconds of `typing` first")] = 0
    message_id: OpId | None = None
    op_id: Annotated[OpId | None, Meta(description="The same one again sends nothing twice")] = (
        msgspec.field(default=None, name="op_id")
    )
    quoted: Annotated[
        Quoted | Text | None, Meta(description="The WhatsApp id of the message that is quoted")
    ] = None


class OldSend(Struct, frozen=True, kw_only=True):
    phone: Annotated[str | int, Meta(description="With country code: 5511988880001")]
    text: Annotated[str, Meta(min_length=1, max_length=CONTENT_CHARS_MAX)]
    instance: Annotated[Text | None, Meta(description="May be left out by who has exactly one")] = (
        None
    )
    options: OldOptions | None = None


class OldTest(OldSend, frozen=True, kw_only=True):
    text: Annotated[str, Meta(min_length=1, max_length=CONTENT_CHARS_MAX)] = _TEST_TEXT


class OldEndpoints:
    """The views. ``request`` is Quart's proxy for the current request."""

    def __init__(self, deps: HttpDeps, access: Access, request: Request) -> None:
        self._request = request
        self._access = access
        self._desk = deps.desk
        self._outbox = deps.outbox
        self._evolution = deps.evolution
        self._instances = CallersInstance(deps.desk, deps.evolution)
        self._patience_s = deps.patience_s

    async def send_message(self) -> Response:
        return await self._send(OldSend)

    async def test_send(self) -> Response:
        return await self._send(OldTest)

    async def _send(self, form: type[OldSend]) -> Response:
        who = await self._access.principal(self._request)
        body = await read_json(self._request, REPLY_BYTES_MAX)
        try:
            asked = msgspec.convert(body, form)
        except msgspec.ValidationError as error:
            raise bad_parameter(error) from None
        params = await self._params(who, asked)
        message = await self._outbox.submit_to_phone(who, params, via=BY_ENDPOINT)
        message = await self._outbox.wait_final(message, self._patience_s)
        return _outcome(message)

    async def _params(self, who: Principal, asked: OldSend) -> PhoneSendParams:
        options = asked.options or OldOptions()
        quoted = options.quoted
        return PhoneSendParams(
            instance=await self._instance(who, asked.instance),
            phone=phone_of(str(asked.phone)),
            op_id=options.op_id or options.message_id or new_id(),
            content=asked.text,
            delay_ms=options.delay,
            quoted=quoted.key.id if isinstance(quoted, Quoted) else quoted,
        )

    async def _instance(self, who: Principal, name: str | None) -> str:
        if name is None:
            return await self._instances.only(who)
        return await self._instances.named(who, name)

    async def check_instance(self, name: str) -> Response:
        """What Evolution says now; ``unknown`` when it does not say, whatever was heard before.

        An instance that has never posted a webhook may be one that Evolution has.
        """
        who = await self._access.principal(self._request)
        page = await self._desk.instances_list(who, NoParams())
        state: str | None = next((one.state for one in page.instances if one.name == name), None)
        if who.may_see(name) and self._evolution.is_configured(name):
            state = None if state is None else "unknown"
            with suppress(GatewayFault), trio.move_on_after(STATE_WAIT_S):
                state = await self._evolution.connection_state(name) or "close"
        if state is None:
            raise Refusal(Code.NOT_FOUND, "there is no such instance")
        return json_answer(
            {"success": True, "instance": name, "connected": state == "open", "state": state}
        )


def beside_error(path: str) -> dict[str, object]:
    """What callers of these endpoints look for before ``error``, whatever went wrong."""
    is_old = path in (SEND_PATH, TEST_PATH) or path.startswith(CHECK_PATH)
    return {"success": False} if is_old else {}


def _outcome(message: Message) -> Response:
    if message.status == "failed":
        error = message.error or Failure(code="failed", message="the message could not be sent")
        body = {"success": False, "id": message.id, "error": error}
        return json_answer(body, UNDELIVERABLE)
    if message.whatsapp_id is None:
        return json_answer({"success": True, "queued": True, "id": message.id}, 202)
    return json_answer(
        {
            "success": True,
            "messageId": message.whatsapp_id,
            "status": message.status,
            "id": message.id,
        }
    )
