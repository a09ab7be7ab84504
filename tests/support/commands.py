"""The ``evorelay`` command with a daemon's own configuration."""

import json
import subprocess
import sys
from typing import Any, NamedTuple

import trio

from tests.support.daemon import Daemon


class Done(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run_command(daemon: Daemon, *arguments: str, **environ: str) -> Done:
    """Blocking; at most two minutes."""
    done = subprocess.run(
        [sys.executable, "-m", "evorelay", *arguments],
        env=daemon.environ(environ),
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Done(done.returncode, done.stdout, done.stderr)


async def command(daemon: Daemon, *arguments: str) -> Done:
    """While the test's own loop goes on."""
    return await trio.to_thread.run_sync(lambda: run_command(daemon, *arguments))
