"""How the names of a person change over time: phone first and privacy id later, or the reverse.

A story is a list of addresses that a person goes through. Some end with webhooks that show both
names side by side, so that the two are known to be one person, and some never do.
"""

import random

from evorelay.simulator.cast import PHONE_DOMAIN, Address, Person
from evorelay.simulator.dialects import Dialect

Story = tuple[Address, ...]


def story_of(person: Person, dialect: Dialect, rng: random.Random) -> Story:
    """One of those that the version can tell; every one of them is about as likely."""
    by_phone = Address(person.jid, None)
    if not dialect.links_a_phone:
        return (by_phone,)
    by_lid = Address(None, person.lid, by_lid=True)
    respelt = Address(person.respelt_jid, None)
    on_a_device = Address(person.phone + ":12" + PHONE_DOMAIN, None)
    stories: list[Story] = [
        (by_phone,),
        (by_phone, respelt),
        (by_phone, on_a_device),
        (by_lid,),
        (by_phone, by_lid),
    ]
    if dialect.links_people:
        both_by_phone = Address(person.jid, person.lid)
        both_by_lid = Address(person.jid, person.lid, by_lid=True)
        stories += [
            (both_by_phone,),
            (both_by_lid,),
            (by_phone, both_by_lid),
            (by_phone, by_lid, both_by_phone),
            (by_lid, both_by_phone, both_by_lid),
            (respelt, both_by_lid, by_lid, both_by_phone),
        ]
    return rng.choice(stories)


def address_at(story: Story, progress: float) -> Address:
    """The address at this part of the story, from 0 to 1."""
    return story[min(int(progress * len(story)), len(story) - 1)]


def answered(address: Address) -> Address:
    """How we name a chat: not by the device that somebody wrote from."""
    if address.phone is None or ":" not in address.phone:
        return address
    phone = address.phone.partition(":")[0] + PHONE_DOMAIN
    return Address(phone, address.lid, address.by_lid)
