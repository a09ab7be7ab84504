"""Which call goes where, who may make it, and what goes wrong with it."""

from collections.abc import Awaitable, Callable, Mapping

import trio
from msgspec import Struct

from evorelay.simulator.archive import Archive
from evorelay.simulator.misbehaviour import Trouble
from evorelay.simulator.rest import webhooks
from evorelay.simulator.rest.call import Call, RestError
from evorelay.simulator.rest.chats import Chats
from evorelay.simulator.rest.control import Control
from evorelay.simulator.rest.forms import body_of
from evorelay.simulator.rest.instances import Instances
from evorelay.simulator.rest.oddities import error_answer, licence_answer, odd_answer
from evorelay.simulator.rest.sending import Sending
from evorelay.simulator.rest.wire import Answer, Request
from evorelay.simulator.station import Station

View = Callable[[Call], Awaitable[Answer]]


class Route(Struct, frozen=True):
    view: View
    method: str
    v1_method: str | None = None
    """Where 1.8.2 has it under another one."""


class RestApi:
    def __init__(
        self,
        stations: Mapping[str, Station],
        *,
        api_key: str,
        trouble: Trouble,
        archive: Archive,
        sending: Sending,
        chats: Chats,
        instances: Instances,
        control: Control,
    ) -> None:
        self._stations = stations
        self._api_key = api_key
        self._trouble = trouble
        self._archive = archive
        self._instances = instances
        self._control = control
        self._routes: dict[str, Route] = {
            "message/sendText": Route(sending.text, "POST"),
            "message/sendMedia": Route(sending.media, "POST"),
            "message/sendWhatsAppAudio": Route(sending.audio, "POST"),
            "message/sendSticker": Route(sending.sticker, "POST"),
            "message/sendLocation": Route(sending.location, "POST"),
            "message/sendContact": Route(sending.contact, "POST"),
            "message/sendReaction": Route(sending.reaction, "POST"),
            "message/sendPoll": Route(sending.poll, "POST"),
            "chat/findMessages": Route(chats.find_messages, "POST"),
            "chat/findStatusMessage": Route(chats.find_status, "POST"),
            "chat/getBase64FromMediaMessage": Route(chats.media, "POST"),
            "chat/whatsappNumbers": Route(chats.numbers, "POST"),
            "chat/markMessageAsRead": Route(chats.mark_read, "POST", "PUT"),
            "chat/sendPresence": Route(chats.presence, "POST"),
            "chat/updateMessage": Route(chats.edit, "POST", "PUT"),
            "chat/deleteMessageForEveryone": Route(chats.revoke, "DELETE"),
            "chat/findContacts": Route(chats.people, "POST"),
            "chat/findChats": Route(chats.people, "POST", "GET"),
            "instance/connectionState": Route(instances.state, "GET"),
            "instance/connect": Route(instances.connect, "GET"),
            "instance/restart": Route(instances.restart, "POST", "PUT"),
            "instance/logout": Route(instances.logout, "DELETE"),
            "webhook/find": Route(webhooks.find, "GET"),
            "webhook/set": Route(webhooks.set_webhook, "POST"),
        }

    async def __call__(self, request: Request) -> Answer:
        segments = request.segments
        try:
            if segments[:2] == ["simulator", "media"] and len(segments) == 4:
                return await self._file(request, segments[2], segments[3])
            if segments[0] == "simulator":
                return await self._control(request, segments[1:])
            if self._control.needs_licence:
                return licence_answer()
            if segments == [""]:
                return await self._instances.root()
            if segments == ["instance", "fetchInstances"]:
                self._admit(request, None)
                return await self._instances.fetch(request.query.get("instanceName"))
            if len(segments) == 3:
                return await self._call(request, "/".join(segments[:2]), segments[2])
        except RestError as refused:
            return error_answer(refused.status, refused.message, refused.error)
        return _no_such_route(request)

    async def _call(self, request: Request, path: str, name: str) -> Answer:
        """Evolution looks for the route, then the instance, then at the key."""
        route, station = self._routes.get(path), self._stations.get(name)
        if route is None:
            return _no_such_route(request)
        if station is None:
            raise RestError(404, [f'The "{name}" instance does not exist'])
        is_v1 = station.dialect.version == "1.8.2"
        if request.method != ((is_v1 and route.v1_method) or route.method):
            return _no_such_route(request)
        self._admit(request, station)
        body = body_of(request)
        odd = self._trouble.next(path, name, str(body.get("number", "")))
        call = Call(station, body, request, odd)
        if odd is None:
            return await route.view(call)
        if odd.kind != "webhook-late":
            await trio.sleep(odd.delay_s)
        truth = await _truth(route.view, call) if odd.is_processed else None
        return await odd_answer(odd, call, truth)

    async def _file(self, request: Request, instance_id: str, message_id: str) -> Answer:
        """What ``mediaUrl`` links to; as an object store it needs no key, and may misbehave."""
        station = next((s for s in self._stations.values() if s.instance.id == instance_id), None)
        found = self._archive.media(station.instance.name, message_id) if station else None
        if station is None or found is None or not found[1].content:
            raise RestError(404, ["No such file"])
        truth = Answer(200, found[1].content, found[1].mimetype)
        odd = self._trouble.next("simulator/media", station.instance.name, "")
        if odd is None:
            return truth
        await trio.sleep(odd.delay_s)
        if odd.kind == "wrong-size":
            return Answer(200, truth.body[: len(truth.body) // 2], truth.content_type)
        return await odd_answer(odd, Call(station, {}, request, odd), truth)

    def _admit(self, request: Request, station: Station | None) -> None:
        keys = {self._api_key} | ({station.instance.token} if station else set())
        if request.headers.get("apikey") not in keys:
            raise RestError(401, "Unauthorized")


async def _truth(view: View, call: Call) -> Answer:
    try:
        return await view(call)
    except RestError as refused:
        return error_answer(refused.status, refused.message, refused.error)


def _no_such_route(request: Request) -> Answer:
    return error_answer(404, [f"Cannot {request.method} {request.path}"])
