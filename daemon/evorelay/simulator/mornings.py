"""What an instance's day begins with: pairing, imports, groups, posts, and what is for nobody.

Its first day has all of it; the others some, and now and then a connection that cannot settle.
"""

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

from msgspec.structs import replace

from evorelay.simulator.acts import Membership
from evorelay.simulator.cast import Address, Group, Instance, Message, Person, row_id
from evorelay.simulator.dialects import Dialect, Webhook
from evorelay.simulator.scripts import small_talk

Key = dict[str, Any]

HISTORY_MESSAGES = 12
FLOOD = 40
FLOOD_SHARE = 0.2
_DAY_MS = 24 * 3600 * 1000


class Morning(NamedTuple):
    webhooks: list[tuple[int, list[Webhook]]]
    """(when, what)"""
    imported: list[tuple[Message, Key]]
    """Old messages with the keys under which they came."""
    broadcast: list[tuple[Message, Key]]
    """What was sent to a list: the customer's own, or a chat of its own when it is ours."""
    never: set[str]
    """Ids of what must be no message."""


def morning(
    dialect: Dialect,
    instance: Instance,
    rng: random.Random,
    start_ms: int,
    *,
    is_first: bool,
    is_paired: bool,
) -> Morning:
    made = Morning([], [], [], set())
    _connect(made, dialect, instance, rng, start_ms, is_paired=is_paired)
    if not dialect.links_a_phone:
        return made
    at_ms = start_ms + 600_000
    if is_first:
        made.webhooks.append((at_ms, dialect.group(instance.group)))
        _import(made, dialect, instance, rng, start_ms)
    made.webhooks.append((at_ms + 120_000, dialect.noise(instance)))
    _posts(made, dialect, instance, rng, at_ms + 180_000)
    owner, *others = instance.group.members
    act = Membership(
        group=instance.group,
        person=rng.choice(others),
        action=rng.choice(("promote", "demote")),
        author=owner,
    )
    made.webhooks.append((at_ms + 240_000, dialect.membership(act)))
    return made


def members_named(webhook: Webhook) -> Iterator[list[Any]]:
    """The ids of each member that a group's webhook names, together as they stand there."""
    if webhook.event == "groups.upsert":
        lists = [row["participants"] for row in webhook.data]
    elif webhook.event == "group-participants.update":
        lists = [webhook.data["participants"]]
    else:
        return
    for members in lists:
        for member in members:
            yield list(member.values()) if isinstance(member, dict) else [member]


def _connect(
    made: Morning,
    dialect: Dialect,
    instance: Instance,
    rng: random.Random,
    start_ms: int,
    *,
    is_paired: bool,
) -> None:
    if not dialect.links_a_phone:
        return
    at_ms = start_ms + rng.randrange(60_000)
    if not is_paired:
        for number in range(3):
            made.webhooks.append((at_ms, dialect.qr_code(instance, number)))
            at_ms += 45_000
    states = [("connecting", 200), ("open", 200)]
    if rng.random() < FLOOD_SHARE:
        states = [("connecting", 200)] * FLOOD + states
    for state, reason in states:
        data = dialect.connection(instance, state, reason)
        made.webhooks.append((at_ms, [Webhook("connection.update", data)]))
        at_ms += 9  # 112 a second were measured


def _import(
    made: Morning, dialect: Dialect, instance: Instance, rng: random.Random, start_ms: int
) -> None:
    messages = [
        _message(
            dialect,
            rng,
            rng.choice(instance.people),
            sent_ms=start_ms - rng.randrange(1, 30) * _DAY_MS - rng.randrange(_DAY_MS),
            ours=rng.random() < 0.4,
        )
        for _ in range(HISTORY_MESSAGES)
    ]
    messages.sort(key=lambda message: message.sent_ms)
    webhooks = dialect.history(instance, messages)
    made.webhooks.append((start_ms + 500_000, webhooks))
    for webhook in webhooks:
        if webhook.event == "messages.set":
            keys = [row["key"] for row in webhook.data]
            made.imported.extend(zip(messages, keys, strict=True))


def _posts(
    made: Morning, dialect: Dialect, instance: Instance, rng: random.Random, at_ms: int
) -> None:
    person = rng.choice(instance.people)
    our_list = Group("Lista", "1700000000@broadcast", ())
    for to, ours, is_ours_to_read in (
        ("status@broadcast", False, False),
        ("120363000000000009@newsletter", False, False),
        (our_list.jid, True, True),
        ("1700000001@broadcast", False, True),
    ):
        message = _message(dialect, rng, person, sent_ms=at_ms, ours=ours)
        webhooks = dialect.post(instance, message, to)
        made.webhooks.append((at_ms + 50, webhooks))
        if ours:
            message = replace(message, chat=our_list)
        if is_ours_to_read:
            made.broadcast.extend((message, webhook.data["key"]) for webhook in webhooks)
        else:
            made.never.add(message.id)
        at_ms += 5_000
    member = rng.choice(instance.group.members)
    keys = _message(dialect, rng, member, sent_ms=at_ms, ours=False, group=instance)
    made.webhooks.append((at_ms + 50, dialect.key_exchange(instance, keys)))
    made.never.add(keys.id)


def _message(
    dialect: Dialect,
    rng: random.Random,
    person: Person,
    *,
    sent_ms: int,
    ours: bool,
    group: Instance | None = None,
) -> Message:
    return Message(
        id=dialect.new_id(rng, person, through_api=False),
        row_id=row_id(rng),
        chat=group.group if group else person,
        author=None if ours else person,
        sent_ms=sent_ms,
        text=small_talk(rng),
        address=None if group else Address(person.jid, None),
        sender_said="nobody",
    )
