"""The Evolution client: what ``relay.gateway.Gateway`` promises, as calls of the REST API.

A call's deadline covers all of it: finding out the server's version, the call itself, its delay,
its file, and the second try where the first certainly sent nothing (the other dialect, the other
form of a number).
"""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, TypeVar

import msgspec
import trio

from evorelay.config import MIB, EvolutionConfig, MediaConfig
from evorelay.edge.evolution.calls import ANSWER_MAX, Calls, Make, fault_in, our_disk, outgoing
from evorelay.edge.evolution.media import take_media
from evorelay.edge.evolution.passing import pass_on
from evorelay.edge.evolution.routes import Routes, open_routes
from evorelay.model.errors import JournalUnavailable, StoreUnavailable
from evorelay.model.outcome import (
    Accepted,
    FetchedMedia,
    FoundPage,
    GatewayFault,
    MessageWindow,
    Pairing,
    Registration,
)
from evorelay.model.outgoing import Delivery, Outgoing
from evorelay.protocol.evolution import answers, queries
from evorelay.protocol.evolution.answer import Answer, texts_of
from evorelay.protocol.evolution.phones import other_form
from evorelay.protocol.evolution.request import framed
from evorelay.protocol.evolution.requests import send_request
from evorelay.relay.blobs import BlobStore

T = TypeVar("T")
Read = Callable[[Answer, answers.Refuse], T]

log = logging.getLogger(__name__)

FOUND_MAX: Final = 16 * MIB
"""Rows hold thumbnails and keys, tens of KiB for a photo (research/evolution.md §1.3)."""
FILE_BYTES_PER_S: Final = 512 * 1024
"""A file may take this long on its way, beyond the time-out of the call."""
_TO_CONFIGURE = frozenset({"no_such_call", "rejected"})
"""Failures of single messages that are not theirs: an operator has to hear of them."""


class EvolutionClient:
    """Made by ``open_gateway``. Every method raises ``GatewayFault``."""

    def __init__(self, routes: Routes, blobs: BlobStore, *, media_bytes_max: int) -> None:
        self._routes = routes
        self._calls = Calls(routes, blobs)
        self._blobs = blobs
        self._media_bytes_max = media_bytes_max

    def is_configured(self, instance: str) -> bool:
        return self._routes.of(instance) is not None

    def host(self, instance: str) -> str | None:
        route = self._routes.of(instance)
        return None if route is None else route.host

    def instances(self) -> Sequence[str]:
        return self._routes.names()

    def patience_s(self, instance: str, outgoing: Outgoing) -> float:
        patience = self._calls.route(instance).timeout_s + outgoing.delay_ms / 1000
        if outgoing.media is not None:
            patience += outgoing.media.size / FILE_BYTES_PER_S
        return patience

    async def send(self, instance: str, delivery: Delivery) -> Accepted:
        """Takes at most the configured time-out, ``delay_ms`` and what the file needs."""
        deadline = trio.current_time() + self.patience_s(instance, delivery.outgoing)
        try:
            return await self._send(instance, delivery, deadline)
        except GatewayFault as fault:
            other = other_form(delivery.number)
            if fault.code != "not_on_whatsapp" or other is None:
                raise
        delivery = msgspec.structs.replace(delivery, number=other)
        return await self._send(instance, delivery, deadline)

    async def _send(self, instance: str, delivery: Delivery, deadline: float) -> Accepted:
        answer, refuse = await self._calls.answer(
            instance,
            lambda server: send_request(server, delivery),
            deadline=deadline,
            is_send=True,
        )
        try:
            accepted = answers.accepted(answer, refuse)
        except GatewayFault as fault:
            if fault.code in _TO_CONFIGURE:
                log.error("Evolution at %s: %s", self.host(instance), fault.message)
            raise
        # The Cloud API has ids of its own, whatever Evolution's version; reactions ask for none.
        asked_for = None if delivery.outgoing.type == "reaction" else delivery.own_id
        if asked_for not in (None, accepted.whatsapp_id):
            self._calls.route(instance).site.learn_own_ids_are_ignored(instance)
        return accepted

    async def find_messages(
        self, instance: str, window: MessageWindow, *, page: int, page_size: int
    ) -> FoundPage:
        return await self._ask(
            instance,
            partial(queries.find_messages, window=window, page=page, page_size=page_size),
            answers.found_page,
            bytes_max=FOUND_MAX,
        )

    async def statuses(self, instance: str, whatsapp_id: str) -> list[str]:
        make = partial(queries.find_statuses, whatsapp_id=whatsapp_id)
        return await self._ask(instance, make, answers.statuses)

    async def connection_state(self, instance: str) -> str | None:
        return await self._ask(
            instance, lambda _: queries.CONNECTION_STATE, answers.connection_state
        )

    async def probe(self, instance: str) -> None:
        await self._ask(instance, lambda _: queries.PROBE, answers.done)

    async def connect(self, instance: str) -> Pairing:
        return await self._ask(instance, lambda _: queries.CONNECT, answers.pairing)

    async def restart(self, instance: str) -> None:
        await self._ask(instance, queries.restart, answers.done)

    async def registration(self, instance: str) -> Registration | None:
        return await self._ask(instance, lambda _: queries.FIND_WEBHOOK, answers.registration)

    async def register(self, instance: str, registration: Registration) -> None:
        """Events that this Evolution does not know are left out once it has said which it does."""
        known: frozenset[str] | None = None

        def read(answer: Answer, refuse: answers.Refuse) -> None:
            nonlocal known
            known = queries.known_events(texts_of(answer.json()))
            if known is None:
                answers.done(answer, refuse)

        ask = partial(
            self._ask, instance, secrets=(registration.url, *registration.headers.values())
        )
        await ask(partial(queries.set_webhook, registration=registration), read)
        if known is not None:
            events = tuple(event for event in registration.events if event in known)
            fewer = msgspec.structs.replace(registration, events=events)
            await ask(partial(queries.set_webhook, registration=fewer), answers.done)

    async def media(self, instance: str, whatsapp_id: str) -> FetchedMedia:
        """Takes at most the configured time-out and what a file of ``media.max_bytes`` needs."""
        route = self._calls.route(instance)
        seconds = route.timeout_s + self._media_bytes_max / FILE_BYTES_PER_S
        request = queries.get_media(whatsapp_id)
        frame = framed(request, "")
        call = outgoing(route, instance, request, frame, frame.head)
        body = bytearray()
        try:
            async with route.wire.stream(call, deadline=trio.current_time() + seconds) as response:
                chunks = response.aiter_raw()
                if response.is_success:
                    return await take_media(chunks, self._blobs, max_bytes=self._media_bytes_max)
                async for chunk in chunks:
                    body += chunk
                    if len(body) > ANSWER_MAX:
                        break
        except (JournalUnavailable, StoreUnavailable) as error:
            raise our_disk(error) from error
        raise fault_in(route, Answer(status=response.status_code, body=bytes(body)), is_send=False)

    async def call(
        self, instance: str, method: str, path: str, body: bytes | None
    ) -> tuple[int, bytes]:
        """Somebody else's call to the Evolution of an instance, as ``passing.pass_on`` has it."""
        return await pass_on(self._calls.route(instance), method, path, body)

    async def _ask(
        self,
        instance: str,
        make: Make,
        read: Read[T],
        *,
        bytes_max: int = ANSWER_MAX,
        secrets: Sequence[str] = (),
    ) -> T:
        deadline = trio.current_time() + self._calls.route(instance).timeout_s
        answer, refuse = await self._calls.answer(
            instance, make, deadline=deadline, bytes_max=bytes_max, secrets=secrets
        )
        return read(answer, refuse)


@asynccontextmanager
async def open_gateway(
    config: EvolutionConfig, media: MediaConfig, blobs: BlobStore
) -> AsyncIterator[EvolutionClient]:
    """The client of every configured Evolution. Raises ``ConfigError``; connects to nothing yet."""
    async with open_routes(config) as routes:
        yield EvolutionClient(routes, blobs, media_bytes_max=media.max_bytes)
