"""Who takes part in a simulation: instances, their customers and groups, and what is said.

Everything is made from a seed alone, so a simulator that is started again meets the same people.
"""

import random
from uuid import UUID

from msgspec import Struct

from evorelay.simulator.media import Media


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
        return self.phone + "@s.whatsapp.net"


class Group(Struct, frozen=True):
    subject: str
    jid: str
    members: tuple[Person, ...]


Chat = Person | Group


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
    media: Media | None = None
    quotes: "Message | None" = None
    through_api: bool = False
    """For our side: sent through the API, else typed on the phone."""


class Instance(Struct, frozen=True):
    name: str
    dialect: str
    """A key of ``dialects.DIALECTS``."""
    id: str
    number: str
    token: str
    profile: str
    people: tuple[Person, ...]
    group: Group

    @property
    def jid(self) -> str:
        return self.number + "@s.whatsapp.net"


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


def make_instances(count: int, seed: int, dialects: tuple[str, ...]) -> tuple[Instance, ...]:
    """Instances that speak the given dialects in turn; names, numbers and tokens are unique."""
    rng = random.Random(f"cast {seed}")
    return tuple(_instance(index, dialects[index % len(dialects)], rng) for index in range(count))


def _instance(index: int, dialect: str, rng: random.Random) -> Instance:
    name = _INSTANCE_NAMES[index] if index < len(_INSTANCE_NAMES) else f"unidade-{index + 1:03}"
    people = tuple(_person(index * 100 + place, rng) for place in range(PEOPLE_PER_INSTANCE))
    group = Group(subject="Revendedores 🛍️", jid=f"120363{index:012}@g.us", members=people[-5:])
    return Instance(
        name=name,
        dialect=dialect,
        id=str(UUID(int=rng.getrandbits(128), version=4)),
        number=f"55113000{index:04}",
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
