"""One Evolution's connections: a request goes out, a bounded answer comes back, or it is said
whether the request may have got there.

HTTP/1.1 without redirects, retries, proxies or anything else from the environment. Evolution closes
a connection after 5 s without a request (research/evolution-live.md); ours are given up before, so
that a request is hardly ever written to one that is just being closed, which would leave in doubt
whether it was read.
"""

from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import trio
from msgspec import Struct

from evorelay.edge.evolution.trust import Trust, context_for, is_about_tls, trouble
from evorelay.model.outcome import FaultKind, GatewayFault
from evorelay.protocol.evolution.answer import Answer
from evorelay.protocol.evolution.faults import fault

KEEPALIVE_S = 4.0
CONNECT_S = 10.0
CONNECTIONS_MAX = 512
"""Far more than lanes use: at this bound one slow instance would keep others waiting."""
KEEPALIVE_MAX = 64
_LEAVES = "http11.send_request_headers.started"
"""What httpcore's trace calls the moment from which a request may be on its way."""


class Outgoing(Struct, frozen=True, kw_only=True):
    """A request as httpx takes it."""

    method: str
    url: str
    headers: dict[str, str]
    content: bytes | AsyncIterable[bytes] = b""
    is_send: bool = False
    """Whether it sends a message, so that doubt about it matters."""

    def __repr__(self) -> str:  # the headers hold the key (P7)
        return f"Outgoing({self.method})"


class Wire:
    """Made by ``open_wire``. Cancelling a call closes its connection."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def exchange(self, request: Outgoing, *, bytes_max: int, deadline: float) -> Answer:
        """The answer, whatever its status; cut where it is longer than ``bytes_max``, and where it
        broke off or was not complete at ``deadline`` (Trio's clock).

        Raises ``GatewayFault`` when there is none.
        """
        head: httpx.Response | None = None
        body = bytearray()
        is_cut = False
        try:
            async with self.stream(request, deadline=deadline) as head:
                async for chunk in head.aiter_raw():
                    body += chunk
                    if len(body) > bytes_max:
                        is_cut = True
                        break
        except GatewayFault:
            if head is None:
                raise
            is_cut = True
        return Answer(
            status=head.status_code,
            body=bytes(body),
            is_cut=is_cut,
            retry_after=head.headers.get("retry-after"),
        )

    @asynccontextmanager
    async def stream(self, request: Outgoing, *, deadline: float) -> AsyncIterator[httpx.Response]:
        """The answer's head; its body is read inside. Raises as ``exchange`` does, also for what
        happens while it is read."""
        has_left = False

        async def trace(event: str, _info: dict[str, Any]) -> None:
            nonlocal has_left
            has_left = has_left or event == _LEAVES

        try:
            with trio.fail_at(deadline):
                async with self._client.stream(
                    request.method,
                    request.url,
                    headers=request.headers,
                    content=request.content,
                    extensions={"trace": trace},
                ) as response:
                    yield response
        except trio.TooSlowError:
            raise _too_slow(has_left, request) from None
        except httpx.HTTPError as error:
            raise _broken(error, has_left, request) from error


@asynccontextmanager
async def open_wire(trust: Trust) -> AsyncIterator[Wire]:
    """Raises ``OSError`` when the trust's CA file cannot be read."""
    async with httpx.AsyncClient(
        verify=context_for(trust),
        http1=True,
        http2=False,
        follow_redirects=False,
        trust_env=False,
        # The whole call has a deadline; httpx's own are per socket operation.
        timeout=httpx.Timeout(None, connect=CONNECT_S, pool=CONNECT_S),
        limits=httpx.Limits(
            max_connections=CONNECTIONS_MAX,
            max_keepalive_connections=KEEPALIVE_MAX,
            keepalive_expiry=KEEPALIVE_S,
        ),
        # A small compressed answer can be a large one; the bound is on what we would hold.
        headers={"accept": "application/json", "accept-encoding": "identity"},
        event_hooks={"response": [_stay]},
    ) as client:
        client.headers["user-agent"] = "evorelay"
        yield Wire(client)


async def _stay(response: httpx.Response) -> None:
    """httpx reads also a redirect that it must not follow, and stumbles over some (``xn--``)."""
    response.headers.pop("location", None)


def _too_slow(has_left: bool, request: Outgoing) -> GatewayFault:
    if not has_left:
        return GatewayFault(
            FaultKind.GATEWAY_DOWN, "unreachable", "Evolution cannot be reached: no connection."
        )
    return fault(
        FaultKind.UNKNOWN, "timeout", "Evolution did not answer in time.", is_send=request.is_send
    )


def _broken(error: httpx.HTTPError, has_left: bool, request: Outgoing) -> GatewayFault:
    if has_left:
        return fault(
            FaultKind.UNKNOWN,
            "cut_off",
            "The connection to Evolution broke before it had answered.",
            is_send=request.is_send,
        )
    if isinstance(error, httpx.PoolTimeout):
        return GatewayFault(
            FaultKind.RETRY, "busy", "Too many calls to Evolution are under way; it is tried again."
        )
    if is_about_tls(error):
        return GatewayFault(
            FaultKind.GATEWAY_DOWN, "tls", f"Evolution is not trusted: {trouble(error)}."
        )
    return GatewayFault(
        FaultKind.GATEWAY_DOWN, "unreachable", f"Evolution cannot be reached: {trouble(error)}."
    )
