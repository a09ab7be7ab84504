"""One call on its way through the simulated API, and what handlers answer it with."""

from typing import Any

from msgspec import Struct

from evorelay.simulator.cast import Chat, Person
from evorelay.simulator.misbehaviour import Misbehaviour
from evorelay.simulator.rest.wire import Request
from evorelay.simulator.station import Station

Body = dict[str, Any]

UPSTREAM_BROKEN = "TypeError: Cannot read properties of undefined (reading 'message')"
"""What becomes of an answer of Meta's that Evolution does not understand."""


class RestError(Exception):
    """Answered as ``{status, error, response: {message}}``."""

    def __init__(self, status: int, message: Any, error: str | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.message = message
        self.error = error
        """None: as HTTP names the status."""


class Upload(Struct, frozen=True):
    """A file in a multipart form."""

    content: bytes
    filename: str | None
    mimetype: str | None


class Call(Struct, frozen=True):
    station: Station
    body: Body
    """Of a multipart form: its fields, numbers made numbers, and ``file`` as an ``Upload``."""
    request: Request
    trouble: Misbehaviour | None = None

    @property
    def is_v1(self) -> bool:
        return self.station.dialect.version.startswith("1.")

    @property
    def options(self) -> Body:
        """``delay``, ``quoted`` and the like: 1.8.2 has them in a place of their own."""
        options = self.body.get("options") if self.is_v1 else self.body
        return options if isinstance(options, dict) else {}

    def whole(self, name: str, default: int) -> int:
        value = self.body.get(name)
        return value if isinstance(value, int) and value > 0 else default


def require(body: Body, *names: str) -> None:
    """Raises for those that are missing, all at once as the schema's check does."""
    missing = [f'instance requires property "{name}"' for name in names if name not in body]
    if missing:
        raise RestError(400, [missing])


def number_of(body: Body) -> str:
    require(body, "number")
    number = body["number"]
    if not isinstance(number, str):
        raise RestError(400, [["Invalid format"]])
    return number


def chat_of(station: Station, number: str) -> Chat:
    """The person or group that a number or JID means; a stranger becomes a new person."""
    instance = station.instance
    if number == instance.group.jid:
        return instance.group
    phone = number.partition("@")[0].partition(":")[0]
    for person in instance.people:
        if number == person.lid or phone in (person.phone, person.respelt_jid.partition("@")[0]):
            return person
    return Person(name=phone, phone=phone, lid=f"{phone}@lid", hides_phone=False)


def is_on_whatsapp(station: Station, number: str) -> bool:
    """Everybody is but those whose number ends in 0404; before 2.3 privacy ids are unknown."""
    if number.endswith("@lid") and station.dialect.version < "2.3":
        return False
    return not number.partition("@")[0].endswith("0404")


def refuse_unless_reachable(station: Station, number: str) -> None:
    """Raises what a linked phone meets when it looks a recipient up before it sends; the other
    channels send to whatever they are given."""
    if not station.dialect.links_a_phone:
        return
    if number.endswith("@g.us"):
        if number != station.instance.group.jid:
            raise RestError(400, ["[object Object]"])  # research/evolution.md §4.3
    elif not is_on_whatsapp(station, number):
        jid = chat_of(station, number).jid
        raise RestError(400, [{"jid": jid, "exists": False, "number": number}])


def refuse_unless_connected(station: Station) -> None:
    """Raises what a send meets when nothing can be sent, before anything is."""
    if station.condition == "not loaded":
        raise RestError(500, "Cannot read properties of undefined (reading 'textMessage')")
    if station.state != "open" or station.condition == "stale":
        raise RestError(500, "Connection Closed")
