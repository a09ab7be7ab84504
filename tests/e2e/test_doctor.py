"""``evorelay doctor`` beside the real daemon, reached directly and through the real nginx."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from tests.support.daemon import Daemon, running
from tests.support.reverse_proxies import reverse_proxy
from tests.support.waiting import eventually


def findings(daemon: Daemon, public_url: str) -> dict[str, tuple[str, str]]:
    """About what -> (status, message)."""
    done = subprocess.run(
        [sys.executable, "-m", "evorelay", "doctor", "--json"],
        env=daemon.environ({"EVORELAY_SERVER__PUBLIC_URL": public_url}),
        capture_output=True,
        timeout=60,
        check=False,
    )
    found = json.loads(done.stdout)["findings"]
    return {one["about"]: (one["status"], one["message"]) for one in found}


def test_an_address_that_passes_everything_on_is_well(daemon: Daemon) -> None:
    status, message = findings(daemon, daemon.url)["public address"]
    assert status == "ok", message


async def test_a_proxy_that_does_not_pass_posts_on_is_found(tmp_path: Path) -> None:
    """The port for plain http of our own nginx file, given as the public address by mistake."""
    with running(tmp_path / "state") as daemon:
        with reverse_proxy("nginx", daemon, tmp_path) as proxy:
            await eventually(proxy.is_routing, what="the proxy's routes")
            url = f"http://127.0.0.1:{proxy.http}"
            found = await trio.to_thread.run_sync(findings, daemon, url)
    status, message = found["public address"]
    assert status == "fail", message
    assert "answers 503 instead of EvoRelay" in message


def test_pages_that_the_daemon_would_refuse_are_found(daemon: Daemon) -> None:
    """Their origin is not the one it believes to be at, nor one that is listed."""
    daemon.kill()
    daemon.settings["AUTH__ALLOWED_ORIGINS"] = "https://crm.example"
    daemon.start()
    status, message = findings(daemon, daemon.url)["public address"]
    assert status == "fail"
    assert "server.trusted_proxies" in message
    assert f"{daemon.url} in auth.allowed_origins" in message


@pytest.mark.parametrize("soft", [64])
def test_serve_takes_the_descriptors_it_may_have(tmp_path: Path, soft: int) -> None:
    """A shell gives few, and each connection takes one."""
    daemon = Daemon(tmp_path / "state")
    limit = f'ulimit -S -n {soft}; exec "$@"'
    try:
        daemon.start(wrapper=("/bin/sh", "-c", limit, "sh"))
        limits = Path(f"/proc/{daemon.pid}/limits").read_text()
    finally:
        daemon.kill()
    (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert int(line.split()[3]) == int(line.split()[4]) > soft
