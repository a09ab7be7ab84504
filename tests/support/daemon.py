"""The real daemon as a child process: started, asked to stop, killed, and started again."""

import fcntl
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jwt

WEBHOOK_SECRET = "webhook-secret-of-the-tests-0123456789"
JWT_SECRET = "jwt-secret-of-the-tests-0123456789abcdef"
START_S = 60.0
"""Ample for a start on two busy cores; a start takes about one second."""
_BELOW_EPHEMERAL = (20_000, 32_000)
"""A client that retries a port of the ephemeral range may connect to itself while nobody listens
(TCP's simultaneous open), and then holds it against the daemon that comes back."""


_PORTS = open(Path(tempfile.gettempdir()) / f"evorelay-test-ports-{os.getuid()}", "ab")  # noqa: SIM115  # open for as long as we run
_reserved: set[int] = set()


def free_port() -> int:
    """A port that nobody listens on and no other test process is given as long as this one runs.

    Reserved by a lock on the byte of its number, because a daemon may be away for a while.
    """
    while True:
        port = random.randint(*_BELOW_EPHEMERAL)
        if port in _reserved:
            continue
        try:
            fcntl.lockf(_PORTS, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        _reserved.add(port)
        return port


class Daemon:
    """One state directory and one address; the process behind them may come and go.

    ``settings`` are environment names without ``EVORELAY_``. Blocking: asynchronous tests call
    these methods through ``trio.to_thread`` when something else must go on meanwhile.
    """

    def __init__(self, state_dir: Path, settings: Mapping[str, str] | None = None) -> None:
        self.state_dir = state_dir
        self.log_file = state_dir.with_name(state_dir.name + ".log")
        self.host, self.port = "127.0.0.1", free_port()
        self.settings = {
            "SERVER__BIND": f"{self.host}:{self.port}",
            "STATE_DIR": str(state_dir),
            "WEBHOOK__SECRET": WEBHOOK_SECRET,
            "AUTH__JWT_SECRET": JWT_SECRET,
            **(settings or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def websocket_url(self) -> str:
        return f"ws://{self.host}:{self.port}/connection/websocket"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def environ(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """What the process gets to see: nothing of the developer's own EvoRelay.

        It may keep its compiled modules: hundreds of starts would each compile them again.
        """
        ours = {k: v for k, v in os.environ.items() if not k.startswith("EVORELAY_")}
        ours.pop("PYTHONDONTWRITEBYTECODE", None)
        settings = {f"EVORELAY_{name}": value for name, value in self.settings.items()}
        return {**ours, **settings, **(extra or {})}

    def spawn(
        self, extra: Mapping[str, str] | None = None, *, wrapper: Sequence[str] = (), **options: Any
    ) -> subprocess.Popen[bytes]:
        """Start a process and do not wait for it to be ready. ``options`` go to ``Popen``."""
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, sys.executable, "-m", "evorelay", "serve", "--json"],
                env=self.environ(extra),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                **options,
            )
        return self.process

    def start(self, extra: Mapping[str, str] | None = None, **options: Any) -> dict[str, Any]:
        """Start, wait until webhooks are accepted, return the ready line."""
        process = self.spawn(extra, **options)
        assert process.stdout is not None
        readable, _, _ = select.select([process.stdout], [], [], START_S)
        line = process.stdout.readline() if readable else b""
        if not line:
            self.kill()
            raise AssertionError(f"the daemon did not start:\n{self.log()[-2000:]}")
        ready: dict[str, Any] = json.loads(line)
        return ready

    def kill(self) -> None:
        """End it as a crash would: SIGKILL, no word to anybody."""
        if self.process is not None:
            self.process.kill()
            self._reap()

    def terminate(self, within_s: float = 40.0) -> int:
        """Ask it to stop, as systemd does, and return its exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.wait(within_s)

    def wait(self, within_s: float) -> int:
        assert self.process is not None
        self.process.wait(within_s)
        return self._reap()

    def _reap(self) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        status = self.process.wait()
        self.process.stdout.close()
        self.process = None
        return status

    def log(self) -> str:
        """Everything it logged, over all its lives."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def rss_mib(self) -> float:
        """Resident memory now."""
        return _status_kib(self.pid, "VmRSS:") / 1024

    def peak_rss_mib(self) -> float:
        """The most resident memory there ever was; ``reset_peak_rss`` begins anew."""
        return _status_kib(self.pid, "VmHWM:") / 1024

    def reset_peak_rss(self) -> None:
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")


def _status_kib(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise AssertionError(f"no {field} in the status of a process that should run")


@contextmanager
def running(
    state_dir: Path, environ: Mapping[str, str] | None = None, /, **settings: str
) -> Iterator[Daemon]:
    """A started daemon that is gone afterwards, whatever the test did to it.

    What it logged last is printed, which pytest shows beside a failure.
    """
    daemon = Daemon(state_dir, settings)
    try:
        daemon.start(environ)
        yield daemon
    finally:
        daemon.kill()
        print(daemon.log()[-4000:])


def token(
    sub: str = "ana",
    *,
    role: str = "agent",
    instances: Any = "*",
    ttl: float = 86_400.0,
    **claims: Any,
) -> str:
    """A JWT as the team's own login would sign it."""
    access = {"role": role, "instances": instances}
    payload = {"sub": sub, "exp": int(time.time() + ttl), "app_metadata": {"evorelay": access}}
    return jwt.encode({**payload, **claims}, JWT_SECRET, algorithm="HS256")
