"""What the simulated REST API reads in request bodies, and the rows it answers with."""

from typing import Any

from evorelay.simulator.cast import Chat, Person
from evorelay.simulator.station import Station


class RestError(Exception):
    """Answered as ``{status, error, response: {message}}``."""

    def __init__(self, status: int, message: Any) -> None:
        super().__init__(status)
        self.status = status
        self.message = message


def number_and_text(body: dict[str, Any], *, v1: bool) -> tuple[str, str]:
    number = body.get("number")
    if number is None:
        raise RestError(400, [['instance requires property "number"']])
    if not isinstance(number, str):
        raise RestError(400, [["instance.number is not of a type(s) string"]])
    holder = body.get("textMessage") if v1 else body
    if not isinstance(holder, dict):
        raise RestError(400, [['instance requires property "textMessage"']])
    text = holder.get("text")
    if not isinstance(text, str):
        raise RestError(400, [['instance requires property "text"']])
    if not text.strip():
        raise RestError(400, ["Text is required"])
    return number, text


def chat_of(station: Station, number: str) -> Chat:
    """The person or group that a number or JID means; a stranger becomes a new person."""
    instance = station.instance
    if number == instance.group.jid:
        return instance.group
    phone = number.partition("@")[0]
    for person in instance.people:
        if number == person.lid or phone == person.phone:
            return person
    return Person(name=phone, phone=phone, lid=f"{phone}@lid", hides_phone=False)


def whole(body: dict[str, Any], name: str, default: int) -> int:
    value = body.get(name)
    return value if isinstance(value, int) and value > 0 else default


def instance_row(station: Station) -> dict[str, Any]:
    instance = station.instance
    if station.dialect.version == "1.8.2":
        v1_row = {
            "instanceName": instance.name,
            "instanceId": instance.id,
            "owner": instance.jid,
            "profileName": instance.profile,
            "profileStatus": "",
            "status": station.state,
            "apikey": instance.token,
        }
        return {"instance": v1_row}
    return {
        "id": instance.id,
        "name": instance.name,
        "connectionStatus": station.state,
        "ownerJid": instance.jid if station.dialect.links_a_phone else None,
        "profileName": instance.profile,
        "profilePicUrl": None,
        "integration": station.dialect.integration,
        "number": instance.number,
        "token": instance.token,
        "clientName": "evolution",
    }


def webhook_row(station: Station) -> dict[str, Any]:
    row: dict[str, Any] = {
        "enabled": station.webhook_enabled,
        "url": station.webhook_url,
        "events": station.webhook_events,
    }
    if station.dialect.version == "1.8.2":
        return row | {"webhook_by_events": station.webhook_by_events}
    return row | {
        "webhookByEvents": station.webhook_by_events,
        "webhookBase64": True,
        "instanceId": station.instance.id,
    }
