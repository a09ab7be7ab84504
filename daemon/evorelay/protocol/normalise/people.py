"""What address books and chat lists say about people: a name, a picture, that two ids are one.

``contacts.*`` comes after every single message, mostly with nothing in it, and under a group's JID
it has the name of whoever wrote last (research: contacts), so a group is never named by it.
"""

from typing import Any

from evorelay.model.fact import Chat, Fact, NameRank, PersonFact
from evorelay.protocol.normalise.identity import Jid, is_own, parse_jid, person_of
from evorelay.protocol.normalise.names import person_name
from evorelay.protocol.normalise.reason import Reason, quarantined
from evorelay.protocol.normalise.source import Source
from evorelay.protocol.normalise.values import url_of

_IDS = ("remoteJid", "id", "jid", "phoneNumber", "lid")
_MAYBE_OF_A_ROW = "id"
_NAMES = ("pushName", "name", "notify", "verifiedName")
_PICTURES = ("profilePicUrl", "profilePictureUrl", "imgUrl")


def contact_facts(source: Source, row: Any) -> list[Fact]:
    """An entry of ``contacts.upsert`` and ``contacts.update``."""
    return _entry(source, row, names=_NAMES, names_groups=False)


def chat_facts(source: Source, row: Any) -> list[Fact]:
    """An entry of ``chats.upsert``, ``chats.set`` and ``chats.update``.

    A chat that was renamed comes without its JID: its ``id`` is a row of Evolution's database.
    """
    return _entry(source, row, names=("name",), names_groups=True)


def _entry(source: Source, row: Any, *, names: tuple[str, ...], names_groups: bool) -> list[Fact]:
    if not isinstance(row, dict):
        return [quarantined(Reason.BAD_DATA, "the entry is not an object")]
    person = person_in(source, row)
    if person is None:
        return []
    name = None
    if names_groups or not person.is_group:
        name = next((name for key in names if (name := person_name(row.get(key)))), None)
    picture = next((url for key in _PICTURES if (url := url_of(row.get(key)))), None)
    if not (name or picture or (person.phone and person.lid)):
        return []
    return [
        PersonFact(
            instance=source.instance,
            person=person,
            name=name,
            name_rank=NameRank.LISTED,
            at=source.received_at,
            avatar_url=picture,
        )
    ]


def person_in(source: Source, row: dict[str, Any]) -> Chat | None:
    """The person or group that an object describes; None for ourselves and for nobody."""
    jids = [jid for name in _IDS if (jid := _jid(name, row.get(name)))]
    if not jids or any(is_own(jid, source.own_phone) for jid in jids):
        return None
    if jids[0].domain == "g.us":
        return Chat(jid=str(jids[0]), is_group=True)
    persons = [jid for jid in jids if jid.phone or jid.lid]
    return person_of(persons)


def _jid(name: str, value: Any) -> Jid | None:
    """A JID or a bare number; an ``id`` without a domain may be one of Evolution's own."""
    if name == _MAYBE_OF_A_ROW and not (isinstance(value, str) and "@" in value):
        return None
    return parse_jid(value)
