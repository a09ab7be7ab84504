"""A merge undone: two contacts that were taken for one person are two again, for good.

What the absorbed contact had at the merge is its own again: ids, tickets, messages. What came
after the merge stays with the kept contact, for nothing says whose it is; so do imported history
without a ticket and places in groups. Where messages of the kept contact sit in a ticket that goes
back, they move to a ticket of its own.
"""

import logging
from collections.abc import Callable
from functools import partial

from evorelay.model.errors import Code, Refusal
from evorelay.model.fact import Chat, NameRank, phone_key
from evorelay.model.records import ContactRecord, MergeRecord, SeenRecord, TicketRecord
from evorelay.protocol.people import address_of, made_up_name
from evorelay.relay.draft import Draft
from evorelay.relay.tickets import following
from evorelay.storage.ports import Plan, Transaction

log = logging.getLogger(__name__)


def undo_merge(draft: Draft, merge: MergeRecord) -> None:
    """Do it in the store, at once, and tell of every ticket that is different now.

    Raises ``Refusal`` while the kept contact is itself merged into another: that is undone first.
    """
    tx = draft.tx
    later = tx.standing_merge(merge.kept_contact)
    if later is not None:
        raise Refusal(Code.VERSION_CONFLICT, f"a later merge rests on it: undo {later.id} first")
    sources = _give_back(draft, merge)
    changed = {*merge.tickets, *sources}
    people = tx.contacts([merge.kept_contact, merge.absorbed_contact])
    kept, absorbed = people[merge.kept_contact], people[merge.absorbed_contact]
    _part(kept, absorbed, [row.alias for row in tx.aliases([kept.id])])
    draft.change_contact(kept)
    home, is_new, strays = _rehouse(draft, kept, absorbed, merge.tickets)
    if home is not None:
        changed.add(home)
    tickets = tx.tickets(changed)
    for ticket in tickets.values():
        if is_new and ticket.id == home:
            draft.tell_ticket("ticket.created", ticket, kept)
            continue
        ticket.version += 1
        draft.change_ticket(ticket)
        draft.tell_ticket("ticket.updated", ticket, people[ticket.contact_id])
    moved = [*((merge.absorbed_ticket, id_) for id_ in sources), *((home, id_) for id_ in strays)]
    for target, origin in moved:
        if target is not None:
            ticket = tickets[target]
            draft.tell_unmerged(ticket, origin, people[ticket.contact_id])
    log.info("a merge was undone", extra={"instance": merge.instance, "merge": merge.id})


def _give_back(draft: Draft, merge: MergeRecord) -> list[str]:
    """Return the ticket the absorbed ticket's messages were in, if there is one.

    The absorbed ticket is as open as that one, unless its contact has another open one by now.
    """
    tx = draft.tx
    if merge.absorbed_ticket is None:
        tx.unmerge(merge, None, draft.now)
        return []
    shell = tx.tickets([merge.absorbed_ticket])[merge.absorbed_ticket]
    source = following(tx, shell).id
    unread_then = shell.unread
    shell.inbound = shell.unread = 0  # it is empty, and is counted up again
    tx.write(Plan(changed_tickets=[shell]))
    _carry(tx, source, shell.id, partial(tx.unmerge, merge, source, draft.now), unread_then)
    rows = tx.tickets([source, *merge.tickets])
    if rows[source].status != "closed" and all(
        rows[id_].status == "closed" for id_ in merge.tickets
    ):
        shell = rows[shell.id]
        shell.status, shell.closed_at = merge.absorbed_status or "open", None
        tx.write(Plan(changed_tickets=[shell]))
    return [source]


def _rehouse(
    draft: Draft, kept: ContactRecord, absorbed: ContactRecord, returned: list[str]
) -> tuple[str | None, bool, list[str]]:
    """Move the kept contact's messages out of tickets that went back.

    Return where to, None when there were none, whether that ticket was made for it (as open, and
    whose, as the one they were in), and where from.
    """
    tx = draft.tx
    strays = tx.tickets(tx.with_strays(absorbed.id, returned))
    if not strays:
        return None, False, []
    home = tx.latest_tickets([kept.id]).get(kept.id)
    is_new = home is None or home.status == "closed"
    if home is None or is_new:
        like = min(strays.values(), key=lambda ticket: ticket.status == "closed")
        home = TicketRecord(
            id=draft.new_id(),
            instance=kept.instance,
            contact_id=kept.id,
            status=like.status,
            assignee=like.assignee,
            subject=None,
            unread=0,
            last_message_at=None,
            last_message=None,
            created_at=draft.now,
            closed_at=like.closed_at,
            version=1,
        )
        tx.write(Plan(new_tickets=[home]))
    for stray in strays:
        _carry(tx, stray, home.id, partial(tx.move_strays, absorbed.id, stray, home.id))
    return home.id, is_new, list(strays)


def _carry(
    tx: Transaction,
    source: str,
    target: str,
    move: Callable[[], None],
    unread_max: int | None = None,
) -> None:
    """Have messages moved from one ticket to another, and divide what is unread among the two.

    The target gets as many unread as it has got messages, at most ``unread_max``: what somebody
    has read stays read.
    """
    before = tx.tickets([source, target])
    marks = {(row.agent, row.ticket_id): row.inbound for row in tx.seen(before)}
    move()
    after = tx.recounted(before)
    moved = after[target].inbound - before[target].inbound
    most = moved if unread_max is None else min(moved, unread_max)

    def unread(ticket_id: str, agent: str | None) -> int:
        ticket = before[ticket_id]
        if agent is None:
            return ticket.unread
        return max(0, ticket.inbound - marks.get((agent, ticket_id), 0))

    def divided(agent: str | None) -> dict[str, int]:
        total = unread(source, agent)
        part = min(total, most)
        return {
            source: min(total - part, after[source].inbound),
            target: unread(target, agent) + part,
        }

    team = divided(None)
    for ticket_id, ticket in after.items():
        ticket.unread = team[ticket_id]
    seen = [
        SeenRecord(ticket_id=ticket_id, agent=agent, inbound=after[ticket_id].inbound - count)
        for agent in sorted({agent for agent, _ in marks})
        for ticket_id, count in divided(agent).items()
    ]
    tx.write(Plan(changed_tickets=list(after.values()), seen=seen))


def _part(kept: ContactRecord, absorbed: ContactRecord, aliases: list[str]) -> None:
    """Take from the kept contact what it had from the other. ``aliases`` are those it still has.

    Its own name from before the merge is not known any more; its next message brings it.
    """
    phones = {alias[6:] for alias in aliases if alias.startswith("phone:")}
    lids = {alias[4:] for alias in aliases if alias.startswith("lid:")}
    before = (kept.phone, kept.lid)
    if kept.phone is not None and phone_key(kept.phone) not in phones:
        kept.phone = min(phones, default=None)
    if kept.lid is not None and kept.lid not in lids:
        kept.lid = min(lids, default=None)
    if before != (kept.phone, kept.lid):
        chat = Chat(jid=kept.lid or kept.jid, phone=kept.phone, lid=kept.lid)
        kept.jid, kept.address_at = address_of(chat), 0
    if (kept.name, kept.name_at) == (absorbed.name, absorbed.name_at):
        kept.name_rank, kept.name_at = int(NameRank.NONE), 0
    if kept.name_rank == NameRank.NONE and not kept.is_group:
        kept.name = made_up_name(Chat(jid=kept.jid, phone=kept.phone, lid=kept.lid))
    if kept.avatar_url == absorbed.avatar_url:
        kept.avatar_url = None
