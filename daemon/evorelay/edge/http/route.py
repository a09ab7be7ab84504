"""A REST operation as data: route, arguments and OpenAPI entry come from one row of a table."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
from msgspec import Struct
from quart import Request, Response
from quart.typing import ResponseReturnValue

from evorelay.edge.http.access import Access
from evorelay.edge.http.answers import JSON, bad_parameter, json_answer
from evorelay.model.errors import Code, Refusal
from evorelay.model.principal import Principal, Role

BODY_BYTES_MAX = 64 * 1024
"""A change to a ticket is a few hundred bytes; nothing here takes a file."""
REPLY_BYTES_MAX = 1024 * 1024
"""A reply of 65,536 characters with every one of them escaped, and some room, so that a text that
is too long is told its limit in characters."""


class Route(Struct, frozen=True, kw_only=True):
    """One row of the table.

    ``params`` holds every argument: those named in ``path`` come from there, the others from the
    query string of a GET and from the JSON body of anything else. Times and ids are as in the
    contract; ``role`` is the least it takes, whatever else of permission is decided by ``call``.
    """

    method: Literal["GET", "PATCH", "POST"]
    path: str
    """With placeholders as in OpenAPI, ``/v1/tickets/{ticket_id}``."""
    name: str
    """The same operation's RPC method where there is one (edge/rpc.py)."""
    summary: str
    params: type[Struct]
    result: type[Struct]
    role: Role | None = None
    status: int = 200
    """Of the answer when it was done."""
    body_bytes_max: int = BODY_BYTES_MAX
    refusals: tuple[Code, ...] = ()
    """Those worth telling beside what any operation may answer."""
    call: Callable[[Principal, Any], Awaitable[Struct]]

    @property
    def quart_rule(self) -> str:
        return self.path.replace("{", "<").replace("}", ">")

    @property
    def path_params(self) -> list[str]:
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    @property
    def has_body(self) -> bool:
        return self.method != "GET"

    @property
    def needs_body(self) -> bool:
        """Whether a body may not be left out: something in it is needed, or nothing changes."""
        return self.method == "PATCH" or any(
            field.required and field.encode_name not in self.path_params
            for field in msgspec.structs.fields(self.params)
        )


def view_of(
    route: Route, access: Access, request: Request
) -> Callable[..., Awaitable[ResponseReturnValue]]:
    """The Quart view of a row. ``request`` is Quart's proxy for the current request."""

    async def view(**path_values: str) -> Response:
        who = await access.principal(request)
        if route.role is not None and not who.is_at_least(route.role):
            raise Refusal(Code.FORBIDDEN, f"this needs the role {route.role}")
        params = await _params(route, request, path_values)
        return json_answer(await route.call(who, params), route.status)

    return view


async def _params(route: Route, request: Request, path_values: dict[str, str]) -> Struct:
    values = await _json_body(route, request) if route.has_body else _query(request)
    for name in path_values:
        if name in values:
            raise Refusal(Code.BAD_REQUEST, f"{name}: is in the path already")
    try:
        return msgspec.convert(values | path_values, route.params, strict=route.has_body)
    except msgspec.ValidationError as error:
        raise bad_parameter(error) from None


def _query(request: Request) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in request.args.items(multi=True):
        if name in values:
            raise Refusal(Code.BAD_REQUEST, f"{name}: is given more than once")
        values[name] = value
    return values


async def _json_body(route: Route, request: Request) -> dict[str, Any]:
    if not route.needs_body and not await request.get_data():
        return {}
    return await read_json(request, route.body_bytes_max)


async def read_json(request: Request, bytes_max: int) -> dict[str, Any]:
    """A body that is a JSON object. Raises ``Refusal``."""
    if request.mimetype != JSON:
        raise Refusal(Code.BAD_REQUEST, f"the body must be JSON, with Content-Type: {JSON}")
    body = await request.get_data(cache=False)
    if len(body) > bytes_max:
        raise Refusal(Code.TOO_LARGE, f"the body is {len(body)} bytes; {bytes_max} are taken here")
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Refusal(Code.NOT_JSON, "the body must be a JSON object") from None
