"""Messages of the simulator's people, to be put into the words of any dialect."""

import random
from typing import Any

import msgspec

from evorelay.simulator.cast import Chat, Instance, Message, Person, make_instances
from evorelay.simulator.conversations import file_for
from evorelay.simulator.dialects import DIALECTS, KINDS, Webhook, envelope

SENT_MS = 1_795_346_000_123


def an_instance(dialect: str) -> Instance:
    [instance] = make_instances(1, 1, (dialect,))
    return instance


def visible(instance: Instance) -> Person:
    return next(person for person in instance.people if not person.hides_phone)


def hidden(instance: Instance) -> Person:
    return next(person for person in instance.people if person.hides_phone)


def a_message(
    instance: Instance,
    kind: str = "text",
    *,
    ours: bool = False,
    api: bool = False,
    chat: Chat | None = None,
    **fields: Any,
) -> Message:
    """From the customer, unless ``ours`` (typed on the phone) or ``api`` says otherwise."""
    to = chat or visible(instance)
    rng = random.Random(f"{instance.dialect} {kind}")
    customer = to if isinstance(to, Person) else to.members[0]
    made = {
        "id": DIALECTS[instance.dialect].new_id(rng, to, through_api=api),
        "row_id": "c" + "0" * 24,
        "chat": to,
        "author": None if ours or api else customer,
        "sent_ms": SENT_MS,
        "text": "Olá 😀" if KINDS[kind].words != "none" else "",
        "kind": kind,
        "media": file_for(kind, rng, number=7),
        "through_api": api,
    }
    return Message(**made | fields)


def as_posted(instance: Instance, webhook: Webhook) -> dict[str, Any]:
    """The body, read back."""
    linked = DIALECTS[instance.dialect].links_a_phone
    body = envelope(instance, webhook, at_ms=SENT_MS, destination="http://r/", linked=linked)
    return msgspec.json.decode(body, type=dict[str, Any])
