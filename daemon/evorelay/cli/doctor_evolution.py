"""What ``evorelay doctor`` asks an Evolution: whether it is there, who it is, and our key."""

import json
import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
import trio
from msgspec import Struct

from evorelay.cli.findings import Findings
from evorelay.config import EvolutionConfig
from evorelay.edge.evolution.passing import pass_on
from evorelay.edge.evolution.peek import CertificateSeen, peek_certificate
from evorelay.edge.evolution.routes import Route, Routes, trust_of
from evorelay.edge.evolution.trust import Trust
from evorelay.edge.evolution.wire import Outgoing
from evorelay.model.outcome import GatewayFault
from evorelay.settings.values import TcpBind

CALL_S = 15.0
"""For one answer; a person is waiting."""
CLOCK_OFF_S = 60.0
EXPIRES_SOON = timedelta(days=14)
_SENDS_HERE = ". Have `evorelay doctor`"
"""How the rest of that reason begins, which is for whoever reads it elsewhere."""
_ROOT_BYTES_MAX = 64 * 1024


class Site(Struct, frozen=True, kw_only=True):
    """One Evolution as the configuration has it."""

    key: str
    """The section that names it, as TOML does: ``evolution`` or ``evolution.instances.loja``."""
    route: Route
    trust: Trust


def sites_of(config: EvolutionConfig, routes: Routes) -> list[Site]:
    """Each address once, with each key and trust it is configured with."""
    found = []
    if routes.other is not None:
        found.append(Site(key="evolution", route=routes.other, trust=trust_of(config, None)))
    for name, route in routes.named.items():
        if route is None:
            continue
        trust = trust_of(config, config.instances[name])
        known = ((site.route.base_url, site.trust, site.route.api_key) for site in found)
        if (route.base_url, trust, route.api_key) not in known:
            found.append(
                Site(key=f"evolution.instances.{_toml_key(name)}", route=route, trust=trust)
            )
    return found


def _toml_key(name: str) -> str:
    """As a header of TOML has it: ``[evolution.instances."loja 1"]``."""
    if re.fullmatch(r"[A-Za-z0-9_-]+", name):
        return name
    return json.dumps(name, ensure_ascii=False).replace("\x7f", "\\u007f")


async def check_site(site: Site, findings: Findings) -> list[str] | None:
    """Look at one Evolution; return the names of its instances, None when it is of no use."""
    about = f"Evolution at {site.route.host}"
    is_connected = await _check_connection(site, about, findings)
    if not is_connected or not await _check_server(site, about, findings):
        return None
    return await _names(site, about, findings)


async def _check_connection(site: Site, about: str, findings: Findings) -> bool:
    """Shows the certificate; whether anything may be sent over such a connection."""
    parts = urlsplit(site.route.base_url)
    host = parts.hostname or ""
    if parts.scheme == "http":
        if not TcpBind(host, 0).is_loopback:
            findings.warn(
                about,
                "http: whoever is on the way reads the API key; fine within a private network,"
                " else use https",
            )
        return True
    try:
        seen = await peek_certificate(host, parts.port or 443, site.trust)
    except GatewayFault as fault:
        findings.fail(about, f"{fault.message} Check {site.key}.url and the network")
        return False
    shown = _shown(seen)
    if not seen.is_trusted:
        findings.fail(about, f"connected to {shown}. {_what_to_pin(site, seen)}")
        return False
    findings.ok(about, f"connected to {shown}; trusted by {_trusted_by(site)}")
    left = seen.not_after - datetime.now(UTC)
    if left < EXPIRES_SOON and site.trust.fingerprint is None:
        findings.warn(about, f"its certificate is good for {left.days} days more: have it renewed")
    return True


def _shown(seen: CertificateSeen) -> str:
    names = ", ".join(seen.names[:10]) or "no names"
    return (
        f"{seen.subject} (for {names}), issued by {seen.issuer}, "
        f"valid {seen.not_before:%Y-%m-%d} to {seen.not_after:%Y-%m-%d}, "
        f"SHA-256 {_colons(seen.sha256)}"
    )


def _trusted_by(site: Site) -> str:
    if site.trust.fingerprint is not None:
        return "its pinned fingerprint"
    return "your CA file" if site.trust.ca_file is not None else "the system's authorities"


def _what_to_pin(site: Site, seen: CertificateSeen) -> str:
    if site.trust.fingerprint is not None:
        return (
            f"Configured is {_colons(site.trust.fingerprint)}: somebody is in between, or the"
            f" certificate was renewed. {_pin(site, seen)}"
        )
    reason, _, _ = (seen.why_not or "").partition(_SENDS_HERE)
    return f"{reason[:1].upper()}{reason[1:]}. {_pin(site, seen)}"


def _pin(site: Site, seen: CertificateSeen) -> str:
    return (
        "If you are sure that this is your Evolution, put this line under"
        f' [{site.key}]: fingerprint_sha256 = "{_colons(seen.sha256)}"'
    )


def _colons(sha256: str) -> str:
    return ":".join(sha256[at : at + 2] for at in range(0, len(sha256), 2)).upper()


async def _check_server(site: Site, about: str, findings: Findings) -> bool:
    """Who answers, in which version, and by which clock."""
    request = Outgoing(method="GET", url=f"{site.route.base_url}/", headers={})
    body = bytearray()
    try:
        deadline = trio.current_time() + CALL_S
        async with site.route.wire.stream(request, deadline=deadline) as response:
            async for chunk in response.aiter_raw():
                body += chunk
                if len(body) > _ROOT_BYTES_MAX:
                    break
            date = response.headers.get("date")
    except GatewayFault as fault:
        findings.fail(about, f"{fault.message} Check {site.key}.url")
        return False
    document = _json(bytes(body))
    version = document.get("version") if isinstance(document, dict) else None
    if not isinstance(version, str):
        findings.warn(about, f"does not say that it is Evolution; check {site.key}.url")
    else:
        findings.ok(about, f"Evolution {version[:40]}")
    off_s = _clock_off_s(date)
    if off_s is not None and abs(off_s) > CLOCK_OFF_S:
        findings.warn(
            about,
            f"its clock is {abs(off_s):.0f} s {'ahead of' if off_s > 0 else 'behind'} ours:"
            " set both by NTP, tokens and times depend on it",
        )
    return True


def _clock_off_s(date: str | None) -> float | None:
    if date is None:
        return None
    try:
        return (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return None


async def _names(site: Site, about: str, findings: Findings) -> list[str] | None:
    try:
        with trio.fail_after(CALL_S):
            status, body = await pass_on(site.route, "GET", "/instance/fetchInstances", None)
    except GatewayFault as fault:
        findings.fail(about, fault.message)
        return None
    except trio.TooSlowError:
        findings.fail(about, f"no answer within {CALL_S:g} s; look at Evolution's own log")
        return None
    if status in (401, 403):
        findings.fail(about, f"refuses our API key; correct {site.key}.api_key")
        return None
    rows = _json(body)
    if status != 200 or not isinstance(rows, list | dict):
        findings.warn(about, f"does not list its instances (HTTP {status}); those we know follow")
        return []
    findings.ok(about, "takes our API key")
    return [
        name for name in map(_name, rows if isinstance(rows, list) else [rows]) if name is not None
    ]


def _name(row: Any) -> str | None:
    """1.x: ``{instance: {instanceName}}``, 2.x: ``{name}``."""
    if not isinstance(row, dict):
        return None
    inner = row.get("instance")
    name = inner.get("instanceName") if isinstance(inner, dict) else row.get("name")
    return name if isinstance(name, str) and name else None


def _json(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
