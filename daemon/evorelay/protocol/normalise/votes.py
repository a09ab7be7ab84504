"""Votes in polls, which reach us in three forms, each for one person and whole.

``messages.upsert`` of 2.3.7 has the names of what was chosen; ``messages.update`` of 1.8 and 2.2
every option with who voted for it (Baileys' aggregation); and either may have nothing that can be
read but ciphertext, which then says nothing.
"""

from typing import Any, NamedTuple

from evorelay.model.change import OURSELVES, THE_OTHER, Vote
from evorelay.model.fact import ChangeFact, Chat, Fact
from evorelay.protocol.normalise.identity import is_own, parse_jid, person_of
from evorelay.protocol.normalise.reason import Reason, quarantined
from evorelay.protocol.normalise.source import Source
from evorelay.protocol.normalise.values import moment_of, short_text, timestamp_of, whatsapp_id

_OPTIONS_MAX = 50
"""WhatsApp allows 12."""
_VOTERS_MAX = 2000
_OPTION_CHARS_MAX = 1000
_OWN_VOTER = "me"
"""What Baileys writes for ourselves where it does not know our number."""


def upsert_votes(
    source: Source,
    row: dict[str, Any],
    value: dict[str, Any],
    who: str,
    author: Chat | None,
    name: str | None,
) -> list[Fact]:
    """A ``pollUpdateMessage``: the vote of whoever sent it."""
    key = value.get("pollCreationMessageKey")
    id_ = whatsapp_id(key.get("id")) if isinstance(key, dict) else None
    if id_ is None:
        return [quarantined(Reason.NO_ID, "the vote names no poll")]
    options = _chosen(value.get("vote"))
    if options is None:
        options = _voted_for(row.get("pollUpdates"))
    if options is None:
        return []
    at = timestamp_of(value.get("senderTimestampMs")) or row.get("messageTimestamp")
    voter = _Voter(who, author.jid if author else None)
    return [_vote(source, id_, voter, options, at, name if author else None)]


def update_votes(source: Source, row: dict[str, Any], id_: str) -> list[Fact]:
    """``pollUpdates`` of ``messages.update``, the row being the poll's: one vote per voter.

    Who took a vote back is not in it, but in a chat of two a poll of ours has one other voter.
    """
    chat = parse_jid(row.get("remoteJid"))
    is_group = chat is not None and chat.domain == "g.us"
    by_voter = _by_voter(source, row.get("pollUpdates"), is_group=is_group)
    if by_voter is None:
        return []
    if not by_voter and not is_group and row.get("fromMe") is True:
        by_voter = {_Voter(THE_OTHER, str(chat) if chat else None): ()}
    at = row.get("datetime")
    return [_vote(source, id_, voter, options, at, None) for voter, options in by_voter.items()]


class _Voter(NamedTuple):
    who: str
    """As in ``model.change.Vote``."""
    jid: str | None
    """None: ourselves."""


def _vote(
    source: Source, id_: str, voter: _Voter, options: tuple[str, ...], at: Any, name: str | None
) -> ChangeFact:
    vote = Vote(
        who=voter.who,
        options=options,
        at=moment_of(at, source.received_at),
        name=name,
        sender_id=voter.jid,
    )
    return ChangeFact(instance=source.instance, whatsapp_id=id_, change=vote)


def _chosen(vote: Any) -> tuple[str, ...] | None:
    """The names of the options; None where there are none, or only hashes of them."""
    chosen = vote.get("selectedOptions") if isinstance(vote, dict) else None
    if not isinstance(chosen, list) or not all(isinstance(option, str) for option in chosen):
        return None
    return _names(chosen)


def _voted_for(updates: Any) -> tuple[str, ...] | None:
    """The options that anybody chose: beside a vote there are no other voters than its own."""
    if not isinstance(updates, list) or not updates:
        return None
    options = [option for option in updates[:_OPTIONS_MAX] if isinstance(option, dict)]
    if not any(isinstance(option.get("voters"), list) for option in options):
        return None
    return _names([option.get("name") for option in options if option.get("voters")])


def _names(options: list[Any]) -> tuple[str, ...]:
    names = (short_text(option, _OPTION_CHARS_MAX) for option in options[:_OPTIONS_MAX])
    return tuple(dict.fromkeys(name for name in names if name))


def _by_voter(
    source: Source, updates: Any, *, is_group: bool
) -> dict[_Voter, tuple[str, ...]] | None:
    """What each voter chose; None where it cannot be read."""
    if not isinstance(updates, list):
        return None
    chosen: dict[str, list[Any]] = {}
    named: dict[str, _Voter] = {}
    is_readable = False
    for option in updates[:_OPTIONS_MAX]:
        voters = option.get("voters") if isinstance(option, dict) else None
        if not isinstance(voters, list):
            continue
        is_readable = True
        for voter in voters[:_VOTERS_MAX]:
            known = _voter(source, voter, is_group=is_group)
            if known:
                named.setdefault(known.who, known)
                chosen.setdefault(known.who, []).append(option.get("name"))
    if not is_readable:
        return None
    return {named[who]: _names(options) for who, options in chosen.items()}


def _voter(source: Source, voter: Any, *, is_group: bool) -> _Voter | None:
    if voter == _OWN_VOTER:
        return _Voter(OURSELVES, None)
    jid = parse_jid(voter)
    person = person_of([jid]) if jid else None
    if jid is None or person is None:
        return None
    if is_own(jid, source.own_phone):
        return _Voter(OURSELVES, None)
    return _Voter(person.aliases[0] if is_group else THE_OTHER, person.jid)
