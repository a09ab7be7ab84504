"""Whom an operator means by a number or an id, and under which names they are kept."""

from collections.abc import Sequence

from evorelay.model.erasing import Person
from evorelay.model.fact import Chat
from evorelay.protocol.erasing import numbers_of
from evorelay.storage.ports import Erasing


def person_of(
    erasing: Erasing,
    contacts: Sequence[str],
    *,
    phone: str | None = None,
    aliases: Sequence[tuple[str, str]] = (),
) -> Person:
    """These contacts and all who were merged with them, as one person."""
    everybody = erasing.everybody(contacts)
    known = [*erasing.aliases_of([row[0] for row in everybody]), *aliases]
    phones = [row[2] for row in everybody if row[2]]
    names = [f"jid:{row[4]}" for row in everybody]
    names += [f"lid:{row[3]}" for row in everybody if row[3]]
    return Person(
        contacts=tuple(sorted({row[0] for row in everybody})),
        aliases=tuple(sorted({*known})),
        numbers=numbers_of(
            [*names, *(alias for _, alias in known)], [*phones, *([phone] if phone else [])]
        ),
    )


def look_up(
    erasing: Erasing,
    *,
    phone: str | None,
    contact: str | None,
    instance: str | None,
    instances: Sequence[str],
) -> Person:
    """The person with this number (digits), or this contact id; in one instance, or wherever the
    same numbers and privacy ids are known.

    A person nobody knows has no contacts, and can still be looked for by the number.
    """
    named = list(Chat(jid="", phone=phone).aliases) if phone else []
    contacts = erasing.contacts_named(contact=contact, aliases=named, instance=instance)
    if instance is None and contacts:
        known = [alias for _, alias in person_of(erasing, contacts).aliases]
        contacts += erasing.contacts_named(contact=None, aliases=known, instance=None)
    where = [instance] if instance else instances
    return person_of(
        erasing,
        contacts,
        phone=phone,
        aliases=[(name, alias) for name in where for alias in named],
    )
