"""Who is in a group: contacts, so that whatever is learned of a person holds there too."""

from evorelay.model.fact import GroupFact, MessageFact, NameRank
from evorelay.model.records import ContactRecord, MemberRecord
from evorelay.relay.draft import Draft
from evorelay.relay.people import People


def change_members(draft: Draft, people: People, fact: GroupFact) -> None:
    """Members come and go, or the whole list is told anew. The store has the last word's list."""
    group = people.contact(fact.instance, fact.group)
    roles: dict[str, str] = {}
    if fact.action == "snapshot":
        roles = {row.contact_id: "left" for row in draft.tx.members([group.id])}
    for member in fact.members:
        contact = people.contact(fact.instance, member.person)
        roles[contact.id] = {"remove": "left", "promote": "admin", "demote": "member"}.get(
            fact.action, member.role
        )
    draft.plan.members.extend(
        MemberRecord(group_id=group.id, contact_id=contact_id, role=role)
        for contact_id, role in roles.items()
    )


def author_in(
    draft: Draft, people: People, fact: MessageFact, group: ContactRecord
) -> ContactRecord | None:
    """The member who wrote a message of a group, better known by it."""
    if fact.author is None or not fact.chat.is_group:
        return None
    author = people.contact(
        fact.instance, fact.author, name=fact.sender_name, rank=NameRank.SAID, at=fact.sent_at
    )
    draft.plan.writers.add((group.id, author.id))
    return author
