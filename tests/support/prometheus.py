"""The real Prometheus, as Debian packages it (Makefile), and what we ship for it."""

import json
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import trio

from tests.support.daemon import Daemon, free_port
from tests.support.reverse_proxies import program

README = Path(__file__).parents[2] / "README.md"
MONITORING = README.parent / "systemd" / "monitoring"
ALERTS = MONITORING / "alerts.yml"
DASHBOARD = MONITORING / "grafana-dashboard.json"


def promtool(*arguments: str, stdin: str | None = None) -> str:
    """What it says; fails when it does not like what it was given."""
    done = subprocess.run(
        [program("promtool"), *arguments], input=stdin, capture_output=True, text=True, timeout=120
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


class Prometheus:
    """A running one, by its HTTP API."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def ask(self, expression: str) -> list[dict[str, Any]]:
        """The samples of a query now; fails when it is not understood. Raises ``OSError`` as long
        as it is starting."""
        query = urlencode({"query": expression})
        stream = await trio.open_tcp_stream("127.0.0.1", self.port)
        async with stream:
            await stream.send_all(
                f"GET /api/v1/query?{query} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
            )
            answer = b""
            while data := await stream.receive_some():
                answer += data
        head, _, sent = answer.partition(b"\r\n\r\n")
        if b" 503 " in head.partition(b"\r\n")[0]:
            raise ConnectionError("Prometheus is still starting")
        body = json.loads(sent)
        assert body["status"] == "success", (expression, body)
        found: list[dict[str, Any]] = body["data"]["result"]
        return found

    async def is_up(self) -> bool:
        """Whether it has scraped the daemon."""
        try:
            return any(one["value"][1] == "1" for one in await self.ask('up{job="evorelay"}'))
        except OSError:
            return False


@asynccontextmanager
async def running_prometheus(directory: Path, daemon: Daemon) -> AsyncIterator[Prometheus]:
    """One that scrapes the daemon as our example says, every second, with our alerts.

    Only the times are shorter: an alert that waits for a minute waits for two seconds.
    """
    config = (MONITORING / "prometheus.yml").read_text()
    config = config.replace("127.0.0.1:4000", f"{daemon.host}:{daemon.port}")
    config = config.replace("scrape_interval: 15s", "scrape_interval: 1s")
    home = directory / "prometheus"
    home.mkdir()
    (home / "prometheus.yml").write_text(f"global: {{evaluation_interval: 1s}}\n{config}")
    rules = re.sub(r"^( +for): \w+$", r"\1: 2s", ALERTS.read_text(), flags=re.MULTILINE)
    (home / "evorelay-alerts.yml").write_text(rules)
    port = free_port()
    process = subprocess.Popen(
        [
            program("prometheus"),
            f"--config.file={home}/prometheus.yml",
            f"--storage.tsdb.path={home}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=(home / "log").open("wb"),
    )
    try:
        yield Prometheus(port)
    finally:
        process.kill()
        process.wait()
        print((home / "log").read_text()[-2000:])
