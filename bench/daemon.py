"""A real daemon in a process and a state directory of its own, observed from outside."""

import http.client
import json
import os
import secrets
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import jwt

READY_WITHIN_S = 120.0
STOP_WITHIN_S = 120.0
ANSWER_WITHIN_S = 120.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Daemon:
    """``with Daemon() as daemon``: started, ready, and gone with all its data afterwards."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        """``settings``: environment names without ``EVORELAY_``."""
        self._settings = {f"EVORELAY_{name}": text for name, text in (settings or {}).items()}
        self.secret = secrets.token_hex(16)
        self._jwt_secret = secrets.token_hex(32)
        self._directory = tempfile.TemporaryDirectory(prefix="evorelay-bench-")
        self._process: subprocess.Popen[str] | None = None
        self.host = "127.0.0.1"
        self.port = 0

    def __enter__(self) -> "Daemon":
        try:
            self.start()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()
        if error is not None:
            error.add_note(f"the daemon's log ends with:\n{self.log()}")
        self._directory.cleanup()

    @property
    def state_dir(self) -> Path:
        return Path(self._directory.name) / "state"

    @property
    def pid(self) -> int:
        assert self._process is not None, "the daemon is not running"
        return self._process.pid

    def start(self) -> float:
        """Start it, and again after ``kill`` or ``stop``; returns the seconds until it was ready.

        Its port is another one each time: somebody may have taken the old one in between.
        Raises ``RuntimeError`` when it does not start.
        """
        # Only what starting a process needs, so that no setting of this shell changes a figure.
        environ = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME")}
        environ |= {
            "EVORELAY_STATE_DIR": str(self.state_dir),
            "EVORELAY_SERVER__BIND": f"{self.host}:0",
            "EVORELAY_WEBHOOK__SECRET": self.secret,
            "EVORELAY_AUTH__JWT_SECRET": self._jwt_secret,
            "EVORELAY_LOG__FORMAT": "json",
            **self._settings,
        }
        began = time.monotonic()
        with (Path(self._directory.name) / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "evorelay", "serve", "--json"],
                env=environ,
                cwd=self._directory.name,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.port = self._await_ready(self._process)
        return time.monotonic() - began

    def _await_ready(self, process: subprocess.Popen[str]) -> int:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], READY_WITHIN_S)
        line = process.stdout.readline() if ready else ""
        if not line:
            raise RuntimeError("the daemon did not start")
        port = urlsplit(str(json.loads(line)["webhook"])).port
        assert port is not None
        return port

    def log(self) -> str:
        """The end of what it logged."""
        return (Path(self._directory.name) / "log").read_text()[-4000:]

    def kill(self) -> None:
        """``kill -9``: what is not on disk now is lost."""
        self._end(signal.SIGKILL)

    def stop(self) -> float:
        """SIGTERM, and wait; returns how long draining took."""
        began = time.monotonic()
        self._end(signal.SIGTERM)
        return time.monotonic() - began

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(STOP_WITHIN_S)
        finally:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()

    def token(self) -> str:
        """A credential for everything, valid for an hour."""
        now = int(time.time())
        grant = {"evorelay": {"role": "admin", "instances": "*"}}
        claims: dict[str, Any] = {"sub": "bench", "iat": now, "exp": now + 3600}
        return jwt.encode(claims | {"app_metadata": grant}, self._jwt_secret, algorithm="HS256")

    def cpu_s(self) -> float:
        """CPU time of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def memory_bytes(self) -> int:
        """Its own memory: pages shared with other processes count in part (PSS)."""
        for line in Path(f"/proc/{self.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
        raise RuntimeError("the kernel does not tell the PSS of a process")

    def metric(self, name: str) -> float:
        """A metric without labels, as scraped now."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=ANSWER_WITHIN_S)
        try:
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
        except OSError as error:
            raise RuntimeError(f"the daemon does not answer ({error})") from error
        finally:
            connection.close()
        for line in text.splitlines():
            if line.startswith(name + " "):
                return float(line.split()[1])
        raise RuntimeError(f"no metric {name}")

    def lag(self) -> int:
        """Journal entries that the pipeline has not handled yet."""
        return int(self.metric("evorelay_pipeline_lag_entries"))
