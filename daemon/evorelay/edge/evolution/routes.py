"""Where each instance's calls go: address, key, time-out and connections, from the configuration.

Instances with the same address and trust share connections; those with the same address share what
is known of the server.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from urllib.parse import quote, urlsplit

from msgspec import Struct

from evorelay.config import EvolutionConfig, EvolutionInstanceConfig
from evorelay.edge.evolution.servers import Site
from evorelay.edge.evolution.trust import Trust
from evorelay.edge.evolution.wire import Wire, open_wire
from evorelay.model.errors import ConfigError
from evorelay.settings.values import parse_api_key, parse_base_url

_DEFAULT_PORTS = {"http": 80, "https": 443}


class Route(Struct, frozen=True, kw_only=True):
    """How one instance is reached."""

    base_url: str
    """Without a slash at its end."""
    api_key: str
    timeout_s: float
    wire: Wire
    site: Site

    @property
    def host(self) -> str:
        parts = urlsplit(self.base_url)
        return f"{parts.hostname}:{parts.port or _DEFAULT_PORTS.get(parts.scheme, 443)}"

    def url(self, path: str, instance: str) -> str:
        name = quote(instance, safe="")
        if not name.strip("."):  # "." and ".." would be taken for steps of the path
            name = name.replace(".", "%2E")
        return f"{self.base_url}/{path}/{name}"

    def __repr__(self) -> str:  # P7
        return f"Route({self.host})"


class Routes(Struct, frozen=True):
    """``named`` are the instances of the configuration, ``other`` is for every other one."""

    named: dict[str, Route | None]
    other: Route | None

    def of(self, instance: str) -> Route | None:
        return self.named.get(instance, self.other)

    def names(self) -> Sequence[str]:
        return tuple(self.named)


@asynccontextmanager
async def open_routes(config: EvolutionConfig) -> AsyncIterator[Routes]:
    """Raises ``ConfigError`` for what cannot be used: a CA file, a key, an address."""
    async with AsyncExitStack() as stack:
        wires: dict[tuple[str, Trust], tuple[Wire, Site]] = {}

        async def route(
            key: str, url: str | None, api_key: str | None, trust: Trust, timeout_s: float
        ) -> Route | None:
            if not url or not api_key:
                return None
            base_url = _parsed(f"{key}.url", parse_base_url, url)
            if (base_url, trust) not in wires:
                try:
                    wire = await stack.enter_async_context(open_wire(trust))
                except OSError as error:
                    raise ConfigError(
                        f"{key}.ca_file: cannot be used ({error.strerror or error}); name a PEM "
                        "file of certificates that this user may read"
                    ) from None
                wires[base_url, trust] = (wire, Site(wire, base_url))
            wire, site = wires[base_url, trust]
            return Route(
                base_url=base_url,
                api_key=_parsed(f"{key}.api_key", parse_api_key, api_key),
                timeout_s=timeout_s,
                wire=wire,
                site=site,
            )

        named = {}
        for name, own in config.instances.items():
            named[name] = await route(
                f"evolution.instances.{name}",
                own.url or config.url,
                own.api_key or config.api_key,
                trust_of(config, own),
                own.timeout or config.timeout,
            )
        other = await route(
            "evolution", config.url, config.api_key, trust_of(config, None), config.timeout
        )
        yield Routes(named, other)


def trust_of(config: EvolutionConfig, own: EvolutionInstanceConfig | None) -> Trust:
    """How the server of an instance is verified; ``own`` None: of those without a section.

    An instance's own CA file or fingerprint takes the place of both of ``[evolution]``."""
    if own is not None and (own.ca_file or own.fingerprint_sha256):
        return Trust(own.ca_file, own.fingerprint_sha256)
    return Trust(config.ca_file, config.fingerprint_sha256)


def _parsed(key: str, parse: Callable[[str], str], text: str) -> str:
    try:
        return parse(text)
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from None
