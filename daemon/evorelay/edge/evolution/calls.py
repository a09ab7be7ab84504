"""One call to one instance: the request in the right dialect, the answer, or the fault it means."""

from collections.abc import AsyncIterable, Callable, Sequence
from functools import partial
from secrets import token_hex
from typing import Final

from evorelay.config import MIB
from evorelay.edge.evolution.routes import Route, Routes
from evorelay.edge.evolution.uploading import content_size, open_content
from evorelay.edge.evolution.wire import Outgoing
from evorelay.model.clock import now_ms
from evorelay.model.errors import JournalUnavailable, StoreUnavailable
from evorelay.model.outcome import FaultKind, GatewayFault
from evorelay.protocol.evolution.answer import Answer, texts_of
from evorelay.protocol.evolution.answers import Refuse
from evorelay.protocol.evolution.faults import fault_of
from evorelay.protocol.evolution.request import Frame, Request, framed
from evorelay.protocol.evolution.version import Server, corrected
from evorelay.relay.blobs import BlobStore

Make = Callable[[Server], Request]
ANSWER_MAX: Final = MIB


class Calls:
    def __init__(self, routes: Routes, blobs: BlobStore) -> None:
        self._routes = routes
        self._blobs = blobs

    def route(self, instance: str) -> Route:
        """Raises ``GatewayFault`` when none is configured."""
        route = self._routes.of(instance)
        if route is None:
            raise GatewayFault(
                FaultKind.GATEWAY_DOWN,
                "not_configured",
                "No Evolution is configured for this instance. Set evolution.url and "
                "evolution.api_key.",
            )
        return route

    async def answer(
        self,
        instance: str,
        make: Make,
        *,
        deadline: float,
        bytes_max: int = ANSWER_MAX,
        is_send: bool = False,
        secrets: Sequence[str] = (),
    ) -> tuple[Answer, Refuse]:
        """The answer in the dialect that the server speaks, even where it was mistaken for another:
        such a body is refused before anything is done with it.

        With what makes the fault of it if it is no success, which quotes none of ``secrets``.
        Raises ``GatewayFault`` for none.
        """
        route = self.route(instance)
        server = await route.site.server(instance, deadline)
        tried: set[Server] = set()
        while True:
            tried.add(server)
            answer = await self._once(route, instance, make(server), deadline, bytes_max, is_send)
            better = None
            if answer.status == 400:
                better = corrected(server, texts_of(answer.json()))
            if better is None or better in tried:
                return answer, partial(fault_in, route, answer, is_send=is_send, secrets=secrets)
            route.site.learn(instance, better)
            server = better

    async def _once(
        self,
        route: Route,
        instance: str,
        request: Request,
        deadline: float,
        bytes_max: int,
        is_send: bool,
    ) -> Answer:
        frame = framed(request, token_hex(16))
        try:
            async with open_content(self._blobs, request, frame) as content:
                return await route.wire.exchange(
                    outgoing(route, instance, request, frame, content, is_send=is_send),
                    bytes_max=bytes_max,
                    deadline=deadline,
                )
        except StoreUnavailable as error:
            raise our_disk(error) from error


def outgoing(
    route: Route,
    instance: str,
    request: Request,
    frame: Frame,
    content: bytes | AsyncIterable[bytes],
    *,
    is_send: bool = False,
) -> Outgoing:
    headers = {"apikey": route.api_key}
    if request.body is not None:
        headers["content-type"] = frame.content_type
        headers["content-length"] = str(content_size(request, frame))
    return Outgoing(
        method=request.method,
        url=route.url(request.path, instance),
        headers=headers,
        content=content,
        is_send=is_send,
    )


def fault_in(
    route: Route, answer: Answer, *, is_send: bool, secrets: Sequence[str] = ()
) -> GatewayFault:
    return fault_of(
        answer, is_send=is_send, now_s=now_ms() / 1000, secrets=(route.api_key, *secrets)
    )


def our_disk(error: StoreUnavailable | JournalUnavailable) -> GatewayFault:
    """Nothing complete has left, or nothing has come in."""
    return GatewayFault(FaultKind.RETRY, "our_disk", f"{error}; it is tried again.")
