"""``evorelay simulate``: the simulated Evolution API on its own."""

import sys

import click
from msgspec import ValidationError, convert

from evorelay.cli.common import Duration, json_option
from evorelay.model.errors import ConfigError
from evorelay.simulator.media import FilesIn
from evorelay.simulator.misbehaviour import Chances, Misbehaviour


@click.command("simulate")
@click.option(
    "--target",
    required=True,
    metavar="URL",
    help="Webhook URL to post to, with its secret; `evorelay urls` prints the daemon's.",
)
@click.option(
    "--instances",
    default=3,
    show_default=True,
    help="WhatsApp instances that post, 1 to 1000.",
)
@click.option(
    "--rate",
    default=60.0,
    show_default=True,
    metavar="PER_MINUTE",
    help="New messages per minute, all instances together, up to 600000. A dozen more come at the"
    " start; statuses and other webhooks come on top, two or three to each message.",
)
@click.option(
    "--for",
    "duration_s",
    type=Duration(),
    metavar="SECONDS",
    help="Stop after this long (also 90s, 30m, 12h), up to 30 s later if webhooks are under way."
    " Left out: go on until Ctrl-C.",
)
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Answer Evolution's REST calls here too. Left out: no REST API.",
)
@click.option(
    "--seed",
    type=int,
    default=1,
    show_default=True,
    help="The same seed gives the same instances and people.",
)
@click.option(
    "--evolution",
    metavar="VERSION",
    help="All instances are of this version, 2.3.6 for instance, as on a real server. Left out:"
    " they are mixed.",
)
@click.option(
    "--tls", is_flag=True, help="The REST API speaks TLS; the certificate is a self-signed one."
)
@click.option(
    "--files",
    type=click.Choice(["base64", "url", "nowhere"]),
    default="base64",
    show_default=True,
    help="How files come with webhooks of linked phones: inside, as a link, or not.",
)
@click.option("--forget", is_flag=True, help="Evolution keeps no messages: none is found later.")
@click.option(
    "--misbehave",
    multiple=True,
    metavar="KIND[:COUNT]",
    help="The first sends fail so; kinds as below. May be repeated.",
)
@click.option(
    "--chance",
    multiple=True,
    metavar="NAME=SHARE",
    help="So many sends go wrong by chance, 0 to 1: drop-before (nothing is sent), drop-answer"
    " (it is sent), delay, duplicate-webhook. May be repeated.",
)
@json_option
def command(
    target: str,
    instances: int,
    rate: float,
    duration_s: float | None,
    listen: str | None,
    seed: int,
    evolution: str | None,
    tls: bool,
    files: FilesIn,
    forget: bool,
    misbehave: tuple[str, ...],
    chance: tuple[str, ...],
    as_json: bool,
) -> None:
    """Play Evolution API: post lively conversations.

    Like the real one it posts some webhooks twice and some out of order, and tries again what is
    not accepted. Prints totals at the end; exit status 1 when no webhook was accepted.

    \b
    With --listen the REST API takes the header  apikey: simulated-evolution
    and the next sends can be made to fail:
      curl -d '{"kind":"500","count":3}' http://HOST:PORT/simulator/misbehave
    kind: hang, reset, cut, half-json, drip, html-502, html-503, html-504, busy, 429,
      redirect-301, redirect-307, huge, slow, webhook-before, webhook-lost, webhook-late,
      webhook-twice, receipts-lost, undelivered, wrong-size, 500, connection-closed,
      connection-closed-500, not-connected, timed-out, not-on-whatsapp, not-loaded,
      swallowed, aggregate-error, upload-failed, bad-media, call-stack, empty-text,
      wrong-body, number-not-string, not-json, unsupported, upstream-broken, unauthorized,
      instance-missing, licence, meta-24h-window, meta-rate-limit, meta-token-expired,
      meta-500
    """
    from evorelay.simulator.options import SimulatorOptions, dialects_of
    from evorelay.simulator.run import main as simulate_main  # late: it brings trio and httpx

    options = SimulatorOptions(
        target=target,
        instances=instances,
        rate_per_minute=rate,
        duration_s=duration_s,
        listen=listen,
        seed=seed,
        dialects=dialects_of(evolution),
        tls=tls,
        files_in=files,
        keeps_messages=not forget,
        trouble=tuple(map(_misbehaviour, misbehave)),
        chances=_chances(chance),
    )
    sys.exit(simulate_main(options, json_output=as_json))


def _misbehaviour(said: str) -> Misbehaviour:
    kind, _, count = said.partition(":")
    try:
        return convert({"kind": kind, "count": int(count or 1)}, Misbehaviour)
    except (ValidationError, ValueError):
        raise ConfigError(
            f"misbehave: {said!r} is none; give a kind that --help lists, and maybe :COUNT"
        ) from None


def _chances(said: tuple[str, ...]) -> Chances:
    shares = {}
    for one in said:
        name, _, share = one.partition("=")
        shares[name.replace("-", "_")] = share
    try:
        return convert(shares, Chances, strict=False)
    except ValidationError:
        raise ConfigError(
            "chance: give drop-before, drop-answer, delay or duplicate-webhook and a share from 0"
            " to 1, as drop-answer=0.05"
        ) from None
