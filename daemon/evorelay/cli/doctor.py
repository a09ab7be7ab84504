"""``evorelay doctor``: everything that replies and webhooks depend on, beside a daemon or without.

It changes nothing but, with ``--fix-webhook``, our webhook in Evolution.
"""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec
import trio

from evorelay.cli.addresses import base_url
from evorelay.cli.common import config_option, config_with_secrets, json_option, read_config
from evorelay.cli.doctor_evolution import CALL_S, check_site, sites_of
from evorelay.cli.doctor_here import check_daemon, check_state_dir, with_secrets
from evorelay.cli.doctor_host import check_descriptors, check_host, descriptors_of_ours
from evorelay.cli.doctor_instances import Instances, Ours
from evorelay.cli.doctor_public import check_public
from evorelay.cli.doctor_systemd import check_systemd
from evorelay.cli.findings import Findings
from evorelay.cli.printable import printable
from evorelay.config import Config, EvolutionConfig
from evorelay.edge.evolution.client import EvolutionClient
from evorelay.edge.evolution.routes import open_routes
from evorelay.model.errors import ConfigError
from evorelay.relay.blobs import BlobStore
from evorelay.settings.sources import DEFAULT_FILE
from evorelay.settings.values import UnixBind, parse_base_url, parse_bind

INSTANCES_MAX = 500
AT_ONCE = 4


@click.command("doctor")
@config_option
@json_option
@click.option("--fix-webhook", is_flag=True, help="Set our webhook where it is missing or wrong.")
@click.option("--url", metavar="URL", help="How Evolution reaches us; else server.public_url.")
@click.option("--instance", "only", metavar="NAME", help="Look at this instance alone.")
def command(
    config_file: Path | None, as_json: bool, fix_webhook: bool, url: str | None, only: str | None
) -> None:
    """Look at everything that webhooks and replies depend on, and say what to do.

    --fix-webhook sets our webhook in each instance that has none, or has ours wrong. One that
    posts to somebody else is left to them unless --instance names it.

    Exit status 1 when something is wrong.
    """
    config = read_config(config_file)
    findings = Findings()
    findings.ok("configuration", "can be used")
    check_state_dir(config, findings)
    if fix_webhook:
        config = config_with_secrets(config_file, quiet=as_json)
    config = with_secrets(config, findings)
    check_host(config, _file_of(config_file), findings)
    if not check_systemd(config, findings):
        check_descriptors(config, descriptors_of_ours(), findings)
    instances = check_daemon(config, findings)
    if instances is not None and config.server.public_url is not None:
        check_public(config.server.public_url.rstrip("/"), findings)
    known = {row["name"]: row for row in instances or []}
    ours = _ours(config, url)
    trio.run(partial(_ask, config, ours, findings, known, fix_webhook, only))
    if as_json:
        found = [msgspec.to_builtins(finding) for finding in findings.all]
        click.echo(msgspec.json.encode({"ok": findings.is_well, "findings": found}).decode())
    else:
        findings.show()
    sys.exit(0 if findings.is_well else 1)


def _file_of(config_file: Path | None) -> Path:
    """Where the configuration was read from, if there is a file at all."""
    return config_file or Path(os.environ.get("EVORELAY_CONFIG") or DEFAULT_FILE)


def _ours(config: Config, url: str | None) -> Ours:
    """Raises ``ConfigError`` for a ``--url`` that is none."""
    said = url or config.server.public_url
    if said is not None:
        try:
            parse_base_url(said)
        except ValueError as error:
            raise ConfigError(f"{'--url' if url else 'server.public_url'}: {error}") from None
    return Ours(
        webhook=config.webhook,
        base=said or _bound(config),
        is_public=said is not None,
        base64=not config.media.fetch,
    )


def _bound(config: Config) -> str | None:
    bind = parse_bind(config.server.bind)
    if isinstance(bind, UnixBind) or bind.port == 0:
        return None
    return base_url(config)


async def _ask(
    config: Config,
    ours: Ours,
    findings: Findings,
    known: dict[str, dict[str, Any]],
    is_fixing: bool,
    only: str | None,
) -> None:
    evolution = _quicker(config.evolution)
    blobs = BlobStore(Path(config.state_dir) / "blobs")  # nothing here has a file
    async with open_routes(evolution) as routes:
        client = EvolutionClient(routes, blobs, media_bytes_max=config.media.max_bytes)
        sites = sites_of(evolution, routes)
        if not sites:
            findings.warn(
                "Evolution", "no replies are sent: set evolution.url and evolution.api_key"
            )
        names: set[str] = set()
        reached: set[str] = set()
        for site in sites:
            listed = await check_site(site, findings)
            if listed is not None:
                reached.add(site.route.base_url)
                names.update(name for name in listed if routes.of(name) is not None)
        configured = routes.names() if sites else ()
        names = {only} if only is not None else {*names, *configured, *(known if sites else ())}
        instances = Instances(
            client,
            ours,
            known=known,
            named=frozenset() if only is None else frozenset({only}),
            is_fixing=is_fixing,
        )
        found: dict[str, Findings] = {}
        for name in sorted(names)[:INSTANCES_MAX]:
            route = routes.of(name)
            if route is None:
                findings.fail(f"instance {printable(name)}", "no Evolution is configured for it")
            elif route.base_url in reached:
                found[name] = Findings()
        await _check_each(instances, found)
        for one in found.values():
            findings.extend(one)


async def _check_each(instances: Instances, found: dict[str, Findings]) -> None:
    limiter = trio.CapacityLimiter(AT_ONCE)

    async def check(name: str, findings: Findings) -> None:
        async with limiter:
            await instances.check(name, findings)

    async with trio.open_nursery() as nursery:
        for name, findings in found.items():
            nursery.start_soon(check, name, findings)


def _quicker(config: EvolutionConfig) -> EvolutionConfig:
    """No call here is worth the patience a message is."""
    instances = {
        name: msgspec.structs.replace(own, timeout=min(own.timeout, CALL_S))
        if own.timeout is not None
        else own
        for name, own in config.instances.items()
    }
    return msgspec.structs.replace(config, timeout=min(config.timeout, CALL_S), instances=instances)
