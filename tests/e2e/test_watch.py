"""A daemon beside a simulated Evolution: it watches instances, and doctor registers the webhook."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import trio

from evorelay.simulator.options import SimulatorOptions
from evorelay.simulator.run import open_simulator
from tests.support.daemon import WEBHOOK_SECRET, Daemon, token
from tests.support.http import ask

API_KEY = "the-global-key-of-this-evolution"
QUICK = {
    "EVOLUTION__API_KEY": API_KEY,
    "EVOLUTION__POLL_EVERY": "0.1",
    "EVOLUTION__SILENCE": "0.5",
    "EVOLUTION__CHECK_WEBHOOK_EVERY": "0.1",
}


def doctor(daemon: Daemon, *args: str) -> tuple[int, list[dict[str, str]], str]:
    """Exit status, findings, and everything it printed, run beside the daemon as a person would."""
    result = subprocess.run(
        [sys.executable, "-m", "evorelay", "doctor", "--json", *args],
        env=daemon.environ(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return result.returncode, json.loads(result.stdout)["findings"], result.stdout + result.stderr


async def until(
    daemon: Daemon, path: str, holds: Callable[[Any], bool], *, within_s: float = 30
) -> Any:
    """Ask until the answer is so."""
    seen: Any = None
    with trio.move_on_after(within_s):
        while True:
            credential = f"Bearer {token(role='supervisor')}"
            seen = (await ask(daemon, "GET", path, Authorization=credential)).json
            if holds(seen):
                return seen
            await trio.sleep(0.05)
    raise AssertionError(f"{path} came to {seen}")


async def scraped_with(daemon: Daemon, sample: str) -> str:
    """The first scrape with this sample; instances are read for it every ten seconds."""
    with trio.fail_after(30):
        while sample not in (text := (await ask(daemon, "GET", "/metrics")).body.decode()):
            await trio.sleep(0.1)
    return text


def only(page: Any) -> dict[str, Any]:
    return dict(page["instances"][0]) if page["instances"] else {}


async def test_from_the_first_registration_to_a_dead_socket_and_back(tmp_path: Path) -> None:
    """P7, P8: nothing an instance hides stays hidden, and no secret is shown on the way."""
    options = SimulatorOptions(
        None, instances=1, rate_per_minute=0, api_key=API_KEY, dialects=("2.3.6 baileys",)
    )
    async with open_simulator(options) as simulator:
        (name,) = simulator.instances
        await simulator.set_state(name, "open")
        daemon = Daemon(tmp_path / "state", {**QUICK, "EVOLUTION__URL": simulator.url})
        await trio.to_thread.run_sync(daemon.start)
        try:
            fix = partial(doctor, daemon, "--fix-webhook", "--url", daemon.url)
            status, findings, printed = await trio.to_thread.run_sync(fix)
            assert status == 0, findings
            assert {"daemon", f"instance {name}"} <= {finding["about"] for finding in findings}
            await simulator.say(name, "oi")
            seen = await until(
                daemon,
                "/v1/instances",
                lambda page: (only(page).get("registration") or {}).get("state") == "ok",
            )
            assert (only(seen)["state"], only(seen)["suspicion"]) == ("open", None)

            simulator.set_condition(name, "stale")
            seen = await until(daemon, "/v1/instances", lambda page: only(page)["suspicion"])
            assert only(seen)["state"] == "open"
            health = await until(daemon, "/health", lambda health: health["status"] == "warn")
            assert health["checks"]["instances:suspected"][0]["status"] == "warn"
            simulator.set_condition(name, "well")
            await until(daemon, "/v1/instances", lambda page: only(page)["suspicion"] is None)

            simulator.wipe_webhook(name)
            await until(
                daemon,
                "/v1/instances",
                lambda page: only(page)["registration"]["state"] == "missing",
            )
            metrics = await scraped_with(
                daemon, f'evorelay_instance_unregistered{{evolution_instance="{name}"}} 1.0'
            )
            status, _, again = await trio.to_thread.run_sync(partial(doctor, daemon))
            assert status == 1
            for secret in (WEBHOOK_SECRET, API_KEY, simulator.stations[name].instance.token):
                assert secret not in printed + again + metrics + daemon.log()
        finally:
            daemon.kill()
