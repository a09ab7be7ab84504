"""Rules about whom we call: each Evolution, and the hosts that files are fetched from.

Whatever passes here, ``serve`` can start with: both ask the same parsers.
"""

import ssl
from collections.abc import Iterator

from evorelay.config import EvolutionConfig, EvolutionInstanceConfig, MediaConfig
from evorelay.settings.problems import Problem, parsed, readable
from evorelay.settings.values import parse_api_key, parse_base_url, parse_host


def check_evolution(evolution: EvolutionConfig) -> Iterator[Problem]:
    """``[evolution]`` and each of ``[evolution.instances]``."""
    yield from _one_evolution("evolution", evolution, evolution.url)
    for name, instance in evolution.instances.items():
        prefix = f"evolution.instances.{name}"
        yield from _one_evolution(prefix, instance, instance.url or evolution.url)


def _one_evolution(
    prefix: str, section: EvolutionConfig | EvolutionInstanceConfig, url: str | None
) -> Iterator[Problem]:
    """``url`` is where this section's calls go."""
    if section.url is not None:
        yield from parsed(f"{prefix}.url", parse_base_url, section.url)
    if section.api_key:
        yield from parsed(f"{prefix}.api_key", parse_api_key, section.api_key)
    if url is not None and url.lower().startswith("http://"):
        for key in ("ca_file", "fingerprint_sha256"):
            if getattr(section, key) is not None:
                yield (
                    f"{prefix}.{key}",
                    "is set, but nothing is verified over http://; write an https:// address, or"
                    " remove it",
                )
    if section.ca_file is not None:
        unreadable = list(readable(f"{prefix}.ca_file", section.ca_file))
        yield from unreadable
        if not unreadable and not _has_certificate(section.ca_file):
            yield f"{prefix}.ca_file", "holds no PEM certificate; name the CA's certificate file"


def _has_certificate(path: str) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(path)
    except (ssl.SSLError, OSError):
        return False
    return context.cert_store_stats()["x509"] > 0


def check_media(media: MediaConfig) -> Iterator[Problem]:
    """One problem is enough: the key is the same for every host."""
    for host in media.allow_hosts:
        unfit = list(parsed("media.allow_hosts", parse_host, host))
        if unfit:
            yield from unfit
            return
