"""Groups: their names and who is in them."""

from typing import Any, Literal

from evorelay.model.fact import Chat, Fact, GroupFact, Member, NameRank, PersonFact
from evorelay.protocol.normalise.identity import parse_jid
from evorelay.protocol.normalise.names import person_name
from evorelay.protocol.normalise.people import person_in
from evorelay.protocol.normalise.reason import Reason, quarantined
from evorelay.protocol.normalise.source import Source
from evorelay.protocol.normalise.values import moment_of, timestamp_of, url_of

MEMBERS_MAX = 5000
"""WhatsApp allows 1,024, in communities some thousands."""
Action = Literal["snapshot", "add", "remove", "promote", "demote"]
_ACTIONS: dict[str, Action] = {
    "add": "add",
    "remove": "remove",
    "promote": "promote",
    "demote": "demote",
}
_ROLES: dict[str, Literal["admin", "superadmin"]] = {
    "admin": "admin",
    "superadmin": "superadmin",
}


def group_facts(source: Source, row: Any) -> list[Fact]:
    """A group of ``groups.upsert`` or ``groups.update``: its subject, and all its members."""
    group = _group(row)
    if isinstance(group, list):
        return group
    facts: list[Fact] = []
    name = person_name(row.get("subject"))
    picture = url_of(row.get("pictureUrl"))
    if name or picture:
        said_at = timestamp_of(row.get("subjectTime")) or timestamp_of(row.get("creation"))
        named = PersonFact(
            instance=source.instance,
            person=group,
            name=name,
            name_rank=NameRank.SAID,
            at=moment_of(said_at, source.received_at),
            avatar_url=picture,
        )
        facts.append(named)
    return facts + _members(source, group, row.get("participants"), "snapshot")


def participant_facts(source: Source, row: Any) -> list[Fact]:
    """``group-participants.update``: who came, went or got another role.

    ``participants`` are JIDs (up to 2.3.4) or objects; 2.3.7 adds ``participantsData``, made of
    them, with the text ``[object Object]`` where it took an object for a JID.
    """
    group = _group(row)
    if isinstance(group, list):
        return group
    action = row.get("action")
    if not isinstance(action, str) or action not in _ACTIONS:
        return []
    participants = row.get("participants")
    if isinstance(participants, list):
        participants = _completed(participants, row.get("participantsData"))
    return _members(source, group, participants, _ACTIONS[action])


def _group(row: Any) -> Chat | list[Fact]:
    if not isinstance(row, dict):
        return [quarantined(Reason.BAD_DATA, "the group is not an object")]
    jid = parse_jid(row.get("id")) or parse_jid(row.get("remoteJid"))
    if jid is None or jid.domain != "g.us":
        return [quarantined(Reason.NO_CHAT, "no JID of a group can be read")]
    return Chat(jid=str(jid), is_group=True)


def _members(source: Source, group: Chat, participants: Any, action: Action) -> list[Fact]:
    """Ourselves left out: that we are there is why we are told."""
    if not isinstance(participants, list):
        return []
    members = tuple(
        member
        for participant in participants[:MEMBERS_MAX]
        if (member := _member(source, participant, action))
    )
    if not members:
        return []
    return [GroupFact(instance=source.instance, group=group, action=action, members=members)]


def _member(source: Source, participant: Any, action: Action) -> Member | None:
    fields = {"id": participant} if isinstance(participant, str) else participant
    person = person_in(source, fields) if isinstance(fields, dict) else None
    if person is None or person.is_group:
        return None
    role = fields.get("admin")
    if action == "promote" and not role:
        role = "admin"
    return Member(
        person=person, role=_ROLES.get(role, "member") if isinstance(role, str) else "member"
    )


def _completed(participants: list[Any], data: Any) -> list[Any]:
    """JIDs with the phone numbers that 2.3.7 found out about them."""
    if not isinstance(data, list):
        return participants
    phones = {
        item["jid"]: item.get("phoneNumber")
        for item in data[:MEMBERS_MAX]
        if isinstance(item, dict) and isinstance(item.get("jid"), str)
    }
    return [
        {"id": item, "phoneNumber": phones.get(item)} if isinstance(item, str) else item
        for item in participants[:MEMBERS_MAX]
    ]
