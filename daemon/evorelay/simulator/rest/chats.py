"""``chat/*``: what Evolution's database knows, and small doings in a chat."""

import base64
from typing import Any

import trio

from evorelay.simulator.acts import Edit, Revoke
from evorelay.simulator.archive import Archive
from evorelay.simulator.cast import Message, Person
from evorelay.simulator.rest.call import (
    Call,
    RestError,
    chat_of,
    is_on_whatsapp,
    number_of,
    refuse_unless_connected,
)
from evorelay.simulator.rest.wire import Answer, as_json
from evorelay.simulator.sender import Sender

PAGE_SIZE = 50
PRESENCE_MAX_MS = 20_000
Row = dict[str, Any]


class Chats:
    def __init__(self, archive: Archive, sender: Sender) -> None:
        self._archive = archive
        self._sender = sender

    async def find_messages(self, call: Call) -> Answer:
        name, where = call.station.instance.name, call.body.get("where")
        try:
            known = where if isinstance(where, dict) else {}
            rows = self._archive.find(name, known, by_time=not call.is_v1)
        except (ValueError, TypeError, AttributeError):
            raise RestError(400, ["Invalid where"]) from None
        if call.is_v1:
            return as_json(rows[: call.whole("limit", len(rows))])
        size, page = call.whole("offset", PAGE_SIZE), call.whole("page", 1)
        messages = {
            "total": len(rows),
            "pages": -(-len(rows) // size),
            "currentPage": page,
            "records": rows[(page - 1) * size : page * size],
        }
        return as_json({"messages": messages})

    async def find_status(self, call: Call) -> Answer:
        where = call.body.get("where")
        wanted = where.get("id") if isinstance(where, dict) else None
        return as_json(self._archive.updates(call.station.instance.name, wanted))

    async def media(self, call: Call) -> Answer:
        message = call.body.get("message")
        key = message.get("key") if isinstance(message, dict) else None
        wanted = key.get("id") if isinstance(key, dict) else None
        name = call.station.instance.name
        rows = self._archive.find(name, {"key": {"id": wanted}}) if wanted else []
        if not rows:
            raise RestError(400, ["Message not found"])
        found = self._archive.media(name, str(wanted))
        if found is None:
            raise RestError(400, ["The message is not of the media type"])
        row, media = found
        if not media.content:
            raise RestError(400, ["AggregateError"])
        content = media.content
        if call.trouble is not None and call.trouble.kind == "wrong-size":
            content = content[: len(content) // 2]
        extension = media.mimetype.partition(";")[0].partition("/")[2]
        return as_json(
            {
                "mediaType": row["messageType"],
                "fileName": media.filename or f"{wanted}.{extension}",
                "size": {
                    "fileLength": {"low": len(media.content), "high": 0, "unsigned": True},
                    "height": media.height,
                    "width": media.width,
                },
                "mimetype": media.mimetype,
                "base64": base64.b64encode(content).decode(),
                "buffer": None,
            },
            201,
        )

    async def numbers(self, call: Call) -> Answer:
        numbers = call.body.get("numbers")
        if not isinstance(numbers, list):
            raise RestError(400, [['instance requires property "numbers"']])
        refuse_unless_connected(call.station)
        rows = []
        for number in map(str, numbers):
            chat = chat_of(call.station, number)
            row: Row = {
                "jid": chat.jid,
                "exists": is_on_whatsapp(call.station, number),
                "number": number,
            }
            if isinstance(chat, Person) and row["exists"]:
                row["name"] = chat.name
            rows.append(row)
        return as_json(rows)

    async def mark_read(self, call: Call) -> Answer:
        field = "read_messages" if call.is_v1 else "readMessages"
        if not isinstance(call.body.get(field), list):
            raise RestError(400, [[f'instance requires property "{field}"']])
        refuse_unless_connected(call.station)
        return as_json({"message": "Read messages", "read": "success"}, 201)

    async def presence(self, call: Call) -> Answer:
        number_of(call.body)
        refuse_unless_connected(call.station)
        delay, presence = call.options.get("delay"), call.options.get("presence")
        if isinstance(delay, int) and delay > 0:
            await trio.sleep(min(delay, PRESENCE_MAX_MS) / 1000)
        return Answer(201) if call.is_v1 else as_json({"presence": presence}, 201)

    async def people(self, call: Call) -> Answer:
        """``findContacts`` and ``findChats``: everybody there is."""
        instance = call.station.instance
        return as_json(
            [
                {"remoteJid": person.jid, "pushName": person.name, "instanceId": instance.id}
                for person in instance.people
            ]
        )

    async def edit(self, call: Call) -> Answer:
        key, text = call.body.get("key"), call.body.get("text")
        if not isinstance(key, dict) or not isinstance(text, str):
            raise RestError(400, [['instance requires property "key"']])
        target = self._target(call, key)
        await self._sender.change(call.station, Edit(id="", target=target, text=text, at_ms=0))
        return as_json({"key": key, "status": "PENDING"})

    async def revoke(self, call: Call) -> Answer:
        target = self._target(call, call.body)
        await self._sender.change(call.station, Revoke(target=target, at_ms=0))
        return as_json({"key": {"id": target.id, "fromMe": True}, "status": "PENDING"}, 201)

    def _target(self, call: Call, key: Row) -> Message:
        """One of our own messages. Raises as Evolution does when it has none."""
        refuse_unless_connected(call.station)
        rows = self._archive.find(call.station.instance.name, {"key": {"id": key.get("id")}})
        if not rows or not rows[0]["key"]["fromMe"]:
            raise RestError(400, ["Message not compatible"])
        chat = chat_of(call.station, rows[0]["key"]["remoteJid"])
        return Message(
            id=str(key["id"]),
            row_id=rows[0]["id"],
            chat=chat,
            author=None,
            sent_ms=0,
            text="",
            through_api=True,
            address=call.station.address_of(chat),
        )
