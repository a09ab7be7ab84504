"""What becomes of a message once sent: receipts, reactions, edits, votes. No IO, no clock."""

import random
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from evorelay.simulator.acts import Change, Edit, Reaction, Receipt, Revoke, Vote
from evorelay.simulator.cast import Group, Instance, Message, Person
from evorelay.simulator.dialects import Dialect, Webhook
from evorelay.simulator.dialects.structured import POLL_OPTIONS

GAP_S = 2.1
"""Between two changes of one message at least: some versions know time in whole seconds only."""

_EMOJIS = ("👍", "❤️", "😂", "🙏", "😮", "👏")
_EDITABLE = ("text", "link", "image")


class Shares(Struct, frozen=True, kw_only=True):
    """How often things happen, as shares of the messages they can happen to."""

    delivered: float = 0.95
    read: float = 0.75
    failed: float = 0.0
    reacted: float = 0.0
    edited: float = 0.0
    revoked: float = 0.0


QUIET = Shares()


def aftermath(
    dialect: Dialect, message: Message, rng: random.Random, shares: Shares
) -> list[Change]:
    """In order of time; two of them are never closer than ``GAP_S`` but for receipts."""
    changes: list[Change] = [*_receipts(dialect, message, rng, shares)]
    at_s = message.sent_ms / 1000 + rng.uniform(GAP_S, 60)
    for change in _meant(dialect, message, rng, shares):
        at_ms = round(at_s * 1000)
        changes.append(replace(change, at_ms=at_ms))
        at_s += GAP_S + rng.expovariate(1 / 30)
    return sorted(changes, key=lambda change: change.at_ms)


def told(dialect: Dialect, instance: Instance, change: Change) -> list[Webhook]:
    """The webhooks of a change; none where the channel does not tell."""
    match change:
        case Receipt():
            status = dialect.status(instance, change.target, change.status, change.at_ms)
            return [Webhook("messages.update", status)]
        case Reaction():
            return dialect.reaction(instance, change)
        case Edit():
            return dialect.edit(instance, change)
        case Revoke():
            return dialect.revoke(instance, change)
        case Vote():
            return dialect.vote(instance, change)
        case _:
            assert_never(change)


def _receipts(
    dialect: Dialect, message: Message, rng: random.Random, shares: Shares
) -> list[Receipt]:
    """How far it comes: not every one is delivered, fewer are read. None in groups."""
    if message.author is not None or isinstance(message.chat, Group) or not dialect.journey:
        return []
    at_ms = message.sent_ms
    receipts: list[Receipt] = []
    steps: list[tuple[str, float, float]] = []
    if rng.random() < shares.failed:
        steps.append((dialect.failure, 1.0, 0.5))
        if rng.random() < 0.5:  # the error was of one device; another one got it after all
            steps += [(status, 1.0, 2.0) for status in dialect.journey[1:2]]
    else:
        chances = ((1.0, 0.5), (shares.delivered, 2.0), (shares.read, 8.0))
        pairs = zip(dialect.journey, chances, strict=False)
        steps += [(status, chance, longest_s) for status, (chance, longest_s) in pairs]
        if dialect.links_a_phone and message.kind == "voice":
            steps.append(("PLAYED", shares.read, 20.0))
    for status, chance, longest_s in steps:
        if rng.random() >= chance:
            break
        at_ms += round(rng.uniform(0.1, longest_s) * 1000)
        receipts.append(Receipt(target=message, status=status, at_ms=at_ms))
    return receipts


def _meant(dialect: Dialect, message: Message, rng: random.Random, shares: Shares) -> list[Change]:
    """What people do to it, with no moment yet. What is deleted gets nothing else."""
    if rng.random() < shares.revoked:
        chat = message.chat
        admin = chat.members[0] if isinstance(chat, Group) and message.author else None
        by_api = message.through_api and rng.random() < 0.5
        return [Revoke(target=message, at_ms=0, through_api=by_api, by=admin)]
    changes: list[Change] = []
    if message.kind in _EDITABLE and message.text and rng.random() < shares.edited:
        changes += _edits(dialect, message, rng)
    if rng.random() < shares.reacted:
        changes += _reactions(dialect, message, rng)
    if message.kind in ("poll", "old poll"):
        changes += _votes(dialect, message, rng)
    return changes


def _edits(dialect: Dialect, message: Message, rng: random.Random) -> list[Change]:
    if dialect.version >= "2.3.7" and message.author and rng.random() < 0.3:
        new_id = dialect.new_id(rng, message.chat, through_api=False)
        edit = Edit(id=new_id, target=message, text="", at_ms=0, is_encrypted=True)
        return [edit]
    through_api = message.through_api and dialect.version >= "2.3"
    return [
        Edit(
            id=dialect.new_id(rng, message.chat, through_api=False),
            target=message,
            text=f"{message.text} ({'corrigido' if number else 'editado'})",
            at_ms=0,
            through_api=through_api,
        )
        for number in range(rng.choice((1, 1, 2)))
    ]


def _reactions(dialect: Dialect, message: Message, rng: random.Random) -> list[Change]:
    """One after the other: a person's last one counts, and an empty one takes it back."""
    changes: list[Change] = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        author = _somebody(message, rng)
        through_api = author is None and rng.random() < 0.5
        changes.append(
            Reaction(
                id=dialect.new_id(rng, message.chat, through_api=through_api),
                target=message,
                author=author,
                emoji="" if changes and rng.random() < 0.3 else rng.choice(_EMOJIS),
                at_ms=0,
                through_api=through_api or not dialect.links_a_phone,
                address=None if author is None or _in_group(message) else message.named,
            )
        )
    return changes


def _votes(dialect: Dialect, message: Message, rng: random.Random) -> list[Change]:
    """Where a vote carries no time there is one alone, so that no order of arrival matters."""
    voter = message.chat
    address = message.named
    if isinstance(voter, Group) or address is None:
        return []
    rounds = rng.choice((0, 1, 2)) if dialect.version >= "2.3.7" else rng.choice((0, 1))
    return [
        Vote(
            id=dialect.new_id(rng, message.chat, through_api=False),
            poll=message,
            voter=voter,
            address=address,
            options=(rng.choice(POLL_OPTIONS),),
            at_ms=0,
        )
        for _ in range(rounds)
    ]


def _somebody(message: Message, rng: random.Random) -> Person | None:
    if rng.random() < 0.4:
        return None
    chat = message.chat
    return rng.choice(chat.members) if isinstance(chat, Group) else chat


def _in_group(message: Message) -> bool:
    return isinstance(message.chat, Group)
