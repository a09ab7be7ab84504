"""Who takes part in a simulation: instances, their customers and groups, and what is said.

Everything is made from a seed alone, so a simulator that is started again meets the same people.
"""

import random
from typing import Literal
from uuid import UUID

from msgspec import Struct

from evorelay.simulator.media import Media

PHONE_DOMAIN = "@s.whatsapp.net"


class Address(Struct, frozen=True):
    """How WhatsApp names a person at one moment: by phone or by privacy id, the other unsaid or
    beside it. At least the one it goes by is set."""

    phone: str | None
    """A JID. The same person's may come with the Brazilian ninth digit and without it."""
    lid: str | None
    by_lid: bool = False

    @property
    def primary(self) -> str:
        jid = self.lid if self.by_lid else self.phone
        assert jid is not None
        return jid

    @property
    def other(self) -> str | None:
        return self.phone if self.by_lid else self.lid


class Person(Struct, frozen=True):
    name: str
    phone: str
    """Digits with country code."""
    lid: str
    """The privacy id, ``222222222222222@lid``."""
    hides_phone: bool
    """WhatsApp shows this person by privacy id: Evolution 2.3.5+ then says the LID first."""

    @property
    def jid(self) -> str:
        return self.phone + PHONE_DOMAIN

    @property
    def respelt_jid(self) -> str:
        """The same number with the ninth digit that this one lacks, or without it."""
        area, rest = self.phone[:4], self.phone[4:]
        return (area + rest[1:] if len(rest) == 9 else area + "9" + rest) + PHONE_DOMAIN

    @property
    def address(self) -> Address:
        """The everyday one."""
        return Address(self.jid, self.lid if self.hides_phone else None, self.hides_phone)


class Group(Struct, frozen=True):
    subject: str
    jid: str
    members: tuple[Person, ...]


Chat = Person | Group


class Place(Struct, frozen=True):
    latitude: float
    longitude: float
    name: str | None = None
    address: str | None = None


class Card(Struct, frozen=True):
    """A person as contacts are shared."""

    name: str
    phone: str
    """Digits with country code."""


class Message(Struct, frozen=True, kw_only=True):
    """What somebody said, before any version of Evolution has put it into its words."""

    id: str
    row_id: str
    """Its id in Evolution's database."""
    chat: Chat
    author: Person | None
    """None: our side."""
    sent_ms: int
    text: str
    """What was written; with media: the caption, which may be empty."""
    kind: str = "text"
    """A key of ``dialects.KINDS``."""
    media: Media | None = None
    place: Place | None = None
    """Of a location; None: one that every shop has been to. Likewise the next two."""
    cards: tuple[Card, ...] = ()
    options: tuple[str, ...] = ()
    """Of a poll."""
    quotes: "Message | None" = None
    through_api: bool = False
    """For our side: sent through the API, else typed on the phone."""
    address: Address | None = None
    """How its author is named (ours: its chat); None: the everyday way."""
    sender_said: Literal["own", "partner", "nobody"] = "own"
    """Typed on the phone, in versions that say the other id of the *sender*: whose they say."""

    mistaken_for: Person | None = None
    """Evolution names this other customer's chat, as 2.3.6 does on the Cloud API when messages come
    in quick succession; only the id tells whose it is."""
    is_nameless: bool = False
    """WhatsApp does not tell the author's name with it."""

    @property
    def named(self) -> Address | None:
        """How the customer of this message is named; None for what we say in a group."""
        if self.address is not None:
            return self.address
        person = self.chat if isinstance(self.chat, Person) else self.author
        return person.address if person else None


class Instance(Struct, frozen=True):
    name: str
    dialect: str
    """A key of ``dialects.DIALECTS``."""
    id: str
    number: str
    lid: str
    """Its own privacy id."""
    token: str
    profile: str
    people: tuple[Person, ...]
    group: Group

    @property
    def jid(self) -> str:
        return self.number + PHONE_DOMAIN


PEOPLE_PER_INSTANCE = 16

_INSTANCE_NAMES = ("loja-centro", "loja-online", "suporte", "vendas", "pós-venda", "financeiro")
_FIRST_NAMES = tuple(
    """
    Marcos Juliana Rafael Patrícia Camila Antônio Fernanda Lucas Márcia Thiago Luana Sebastião
    Larissa Gustavo Cecília Wesley Débora Vinícius Rosângela Caio Íris Otávio Simone Danilo Tainá
    Henrique Aparecida Murilo Beatriz João
    """.split()  # noqa: SIM905 -- a list of names is read as lines, not as a column
)
_LAST_NAMES = tuple(
    """
    Souza Oliveira Conceição Araújo Lima Gonçalves Ferreira Silva Assunção Ribeiro Nogueira
    Magalhães Teixeira Brandão Moraes Guimarães Falcão
    """.split()  # noqa: SIM905 -- a list of names is read as lines, not as a column
)
_DECORATIONS = ("", "", "", "", " 🌻", " ✨", " 🙏", " 🇧🇷")
_AREA_CODES = ("11", "21", "31", "41", "48", "51", "62", "71", "81", "85")


def make_instances(
    count: int, seed: int, dialects: tuple[str, ...], *, people: int = PEOPLE_PER_INSTANCE
) -> tuple[Instance, ...]:
    """Instances that speak the given dialects in turn; names, numbers and tokens are unique.

    ``people`` is per instance, up to 1,000.
    """
    rng = random.Random(f"cast {seed}")
    return tuple(
        _instance(index, dialects[index % len(dialects)], people, rng) for index in range(count)
    )


def row_id(rng: random.Random) -> str:
    """In the form of Prisma's row ids: ``c`` and 24 letters or digits."""
    return "c" + "".join(rng.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=24))


def _instance(index: int, dialect: str, people_count: int, rng: random.Random) -> Instance:
    name = _INSTANCE_NAMES[index] if index < len(_INSTANCE_NAMES) else f"unidade-{index + 1:03}"
    people = tuple(_person(index * 1000 + place, rng) for place in range(people_count))
    group = Group(subject="Revendedores 🛍️", jid=f"120363{index:012}@g.us", members=people[-5:])
    return Instance(
        name=name,
        dialect=dialect,
        id=str(UUID(int=rng.getrandbits(128), version=4)),
        number=f"55113000{index:04}",
        lid=f"{900_000_000_000_000 + index}@lid",
        token=f"{rng.getrandbits(96):024X}",
        profile=f"Aurora Móveis · {name}",
        people=people,
        group=group,
    )


def _person(index: int, rng: random.Random) -> Person:
    """Below DDD 31 numbers have the ninth digit, above it WhatsApp's ids mostly lack it."""
    area = rng.choice(_AREA_CODES)
    ninth = "9" if int(area) < 31 else ""
    name = f"{rng.choice(_FIRST_NAMES)} {rng.choice(_LAST_NAMES)}{rng.choice(_DECORATIONS)}"
    return Person(
        name=name,
        phone=f"55{area}{ninth}8{index:07}",
        lid=f"{100_000_000_000_000 + index * 7919 + rng.randrange(7919)}@lid",
        hides_phone=rng.random() < 0.35,
    )
