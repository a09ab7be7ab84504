"""What a run of the simulator is told to do."""

from urllib.parse import urlsplit

from msgspec import Struct

from evorelay.model.errors import ConfigError
from evorelay.simulator.dialects import DIALECTS
from evorelay.simulator.media import FilesIn
from evorelay.simulator.misbehaviour import Chances, Misbehaviour

DEMO_INSTANCES = 3
"""Of ``evorelay serve --demo``."""
DEMO_DIALECTS = ("2.3.6 baileys", "2.3.6 business")
DEMO_RATE_PER_MINUTE = 90


class SimulatorOptions(Struct, frozen=True):
    """Raises ``ConfigError`` with one line that says what to change.

    The same ``seed`` gives the same instances and people; together with the moment of the start
    it gives the same webhooks, byte for byte. Message ids differ from run to run, because a
    receiver would rightly take repeated ones for duplicates.
    """

    target: str | None
    """The webhook URL, as one would paste it into Evolution; it may hold a secret. None: none is
    set, nothing is posted until ``webhook/set`` says where to."""
    instances: int = 3
    rate_per_minute: float = 60
    """New messages over all instances. Statuses and other webhooks come on top, two or three to
    each message. 0: nobody says anything unless told to."""
    duration_s: float | None = None
    """None: until cancelled."""
    listen: str | None = None
    """``host:port`` of the simulated REST API (port 0: any free one); None: no REST API."""
    seed: int = 1
    duplicates: float = 0.02
    """Share of webhooks that are posted a second time."""
    shuffle: float = 0.05
    """Share of webhooks that are held back for up to 3 s, so that later ones overtake them."""
    secret_header: str | None = None
    """Sent as ``X-Webhook-Secret``."""
    jwt_key: str | None = None
    """Signs Evolution's ``Authorization: Bearer`` token (2.3 and newer)."""
    max_in_flight: int = 64
    """Requests under way at once. Evolution itself knows no bound (400 were measured)."""
    api_key: str = "simulated-evolution"
    """The global key of the REST API; every instance has its own token beside it."""
    dialects: tuple[str, ...] = tuple(DIALECTS)
    """Which the instances speak, in turn: keys of ``DIALECTS``. A real Evolution has one version;
    ``GET /`` tells the first one's."""
    keeps_messages: bool = True
    """As DATABASE_SAVE_DATA_NEW_MESSAGE: without it nothing is found later."""
    files_in: FilesIn = "base64"
    trouble: tuple[Misbehaviour, ...] = ()
    """What goes wrong first."""
    chances: Chances = Chances()
    tls: bool = False
    """The REST API speaks TLS, with a certificate made on the spot that nobody has signed."""

    def __post_init__(self) -> None:
        for wrong, what_to_do in (
            (
                self.target is not None and not _is_http_url(self.target),
                "target: give the webhook URL, http:// or https://",
            ),
            (not 1 <= self.instances <= 1000, "instances: give a number from 1 to 1000"),
            (not 0 <= self.rate_per_minute <= 600_000, "rate: give 0 to 600000 messages a minute"),
            (
                self.duration_s is not None and not self.duration_s > 0,
                "for: give a number of seconds above 0",
            ),
            (not 0 <= self.duplicates <= 1, "duplicates: give a share from 0 to 1"),
            (not 0 <= self.shuffle <= 1, "shuffle: give a share from 0 to 1"),
            (
                not self.dialects or not set(self.dialects) <= set(DIALECTS),
                f"dialects: give some of {', '.join(DIALECTS)}",
            ),
            (self.max_in_flight < 1, "max_in_flight: give at least 1"),
            (
                self.listen is not None and split_bind(self.listen) is None,
                "listen: give HOST:PORT, for instance 127.0.0.1:8080",
            ),
        ):
            if wrong:
                raise ConfigError(what_to_do)

    def __repr__(self) -> str:
        """Without the URL, the header and the keys: they are secrets."""
        return f"SimulatorOptions(instances={self.instances}, seed={self.seed})"


def dialects_of(version: str | None) -> tuple[str, ...]:
    """Those of one version of Evolution, or all. Raises ``ConfigError`` for an unknown one."""
    if version is None:
        return tuple(DIALECTS)
    found = tuple(name for name in DIALECTS if name.startswith(f"{version} "))
    if not found:
        known = sorted({name.split()[0] for name in DIALECTS})
        raise ConfigError(f"evolution: give one of {', '.join(known)}")
    return found


def demo_options(target: str) -> SimulatorOptions:
    """Of ``evorelay serve --demo``: a few instances of one Evolution, with its REST API."""
    return SimulatorOptions(
        target,
        instances=DEMO_INSTANCES,
        rate_per_minute=DEMO_RATE_PER_MINUTE,
        dialects=DEMO_DIALECTS,
        listen="127.0.0.1:0",
    )


def split_bind(bind: str) -> tuple[str, int] | None:
    """``host:port`` or ``[v6]:port`` in two; None when it is neither."""
    host, colon, port = bind.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        return None
    return host.strip("[]"), int(port)


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return False
