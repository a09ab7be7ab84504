"""``evorelay simulate``: the simulated Evolution API on its own."""

import sys

import click

from evorelay.cli.common import Duration, json_option


@click.command("simulate")
@click.option("--target", required=True, metavar="URL", help="Webhook URL to post to.")
@click.option("--instances", default=3, show_default=True)
@click.option(
    "--rate",
    default=60.0,
    show_default=True,
    metavar="PER_MINUTE",
    help="Messages per minute, all instances together.",
)
@click.option(
    "--for", "duration_s", type=Duration(), metavar="SECONDS", help="Stop after this long."
)
@click.option("--listen", metavar="HOST:PORT", help="Answer Evolution's REST calls here.")
@click.option(
    "--seed", type=int, default=1, show_default=True, help="The same seed, the same talk."
)
@json_option
def command(
    target: str,
    instances: int,
    rate: float,
    duration_s: float | None,
    listen: str | None,
    seed: int,
    as_json: bool,
) -> None:
    """Play Evolution API: post lively conversations."""
    from evorelay.simulator.options import SimulatorOptions  # late: it brings trio and httpx
    from evorelay.simulator.run import main as simulate_main

    options = SimulatorOptions(
        target=target,
        instances=instances,
        rate_per_minute=rate,
        duration_s=duration_s,
        listen=listen,
        seed=seed,
    )
    sys.exit(simulate_main(options, json_output=as_json))
