"""What systemd is told by the real process, and what it says about the units itself."""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.support.daemon import Daemon, running


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    """The socket systemd listens on."""
    with (
        tempfile.TemporaryDirectory(prefix="evorelay-") as directory,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
    ):
        sock.bind(str(Path(directory) / "notify"))
        sock.settimeout(30)
        yield sock


async def test_systemd_is_told_of_readiness_life_and_stopping(
    tmp_path: Path, manager: socket.socket
) -> None:
    """P8: the watchdog is fed at least twice per period, until the end of the drain."""

    heard: list[str] = []

    async def told(assignment: str) -> None:
        heard.append("")
        while heard[-1] != assignment:
            heard.append((await trio.to_thread.run_sync(manager.recv, 4096)).decode())

    environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "400000"}
    with running(tmp_path / "state", environ) as daemon:
        await told("READY=1")
        with trio.fail_after(30):
            for _ in range(4):
                await told("WATCHDOG=1")
        assert await trio.to_thread.run_sync(daemon.terminate) == 0
        await told("STOPPING=1")
    # A store of an older version takes longer than any time limit of a start.
    assert any(line.startswith("EXTEND_TIMEOUT_USEC=") for line in heard[: heard.index("READY=1")])
    # The status line is what health says: here that nothing can be sent.
    assert "STATUS=warn: no replies are sent: set evolution.url and evolution.api_key" in heard


def test_the_watchdogs_abort_leaves_behind_where_the_daemon_was(daemon: Daemon) -> None:
    """P8: functions and lines of every thread, in the journal by way of standard error."""
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGABRT)
    assert daemon.wait(20) == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in daemon.log()
    assert "evorelay/cli/serve.py" in daemon.log()


def test_what_it_says_at_once_is_an_error_in_the_journal(tmp_path: Path) -> None:
    """A configuration that cannot be used is seen by ``journalctl -p err``, which reads ``<3>``."""
    refused = Daemon(tmp_path / "state", {"SERVER__BIND": "nowhere"})
    refused.log_file.touch()
    found = refused.log_file.stat()
    try:
        process = refused.spawn({"JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"})
        assert process.wait(20) == 2
    finally:
        refused.kill()
    assert refused.log().startswith("<3>evorelay: server.bind: ")


async def test_a_daemon_that_cannot_start_is_never_ready(
    daemon: Daemon, manager: socket.socket
) -> None:
    second = Daemon(daemon.state_dir)
    process = second.spawn({"NOTIFY_SOCKET": manager.getsockname()})
    assert await trio.to_thread.run_sync(process.wait, 30) == 2
    second.kill()
    manager.setblocking(False)
    assert manager.recv(4096).startswith(b"EXTEND_TIMEOUT_USEC=")
    with pytest.raises(BlockingIOError):
        manager.recv(4096)


UNITS = Path(__file__).parents[2] / "systemd"


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A root in which everything the units name is where the README puts it."""
    for unit in UNITS.glob("evorelay*.s*"):
        target = tmp_path / "etc/systemd/system" / unit.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(unit, target)
    command = tmp_path / "opt/evorelay/bin/evorelay"
    command.parent.mkdir(parents=True)
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    for name in ("sysusers.d", "tmpfiles.d"):
        shutil.copytree(UNITS / name, tmp_path / "usr/lib" / name)
    system = "usr/lib/systemd/system"  # sysinit.target and the like
    shutil.copytree(Path("/", system), tmp_path / system, symlinks=True)
    return tmp_path


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("name", ["evorelay.service", "evorelay@1.service"])
def test_systemd_finds_nothing_wrong_with_the_units(installed: Path, name: str) -> None:
    verified = analyze("verify", f"--root={installed}", "--man=no", name)
    assert [line for line in verified.stderr.splitlines() if "evorelay" in line] == []


def test_systemd_would_have_found_it(installed: Path) -> None:
    unit = installed / "etc/systemd/system/evorelay.service"
    unit.write_text(unit.read_text().replace("WatchdogSec=", "WatchdogSecs="))
    assert "WatchdogSecs" in analyze("verify", f"--root={installed}", "evorelay.service").stderr


@pytest.mark.parametrize("name", ["evorelay.service", "evorelay@1.service"])
def test_systemd_finds_little_exposed(installed: Path, name: str) -> None:
    """At most 2.0 of 10."""
    judged = analyze("security", "--offline=true", "--threshold=20", f"--root={installed}", name)
    assert judged.returncode == 0, judged.stdout
    (verdict,) = re.findall(r"Overall exposure level for .*: ([0-9.]+)", judged.stdout)
    assert float(verdict) <= 2.0


def test_systemd_makes_the_user_and_the_directories(installed: Path) -> None:
    """What sysusers.d and tmpfiles.d say, done by systemd in a root of its own."""
    users = ["systemd-sysusers", f"--root={installed}", "evorelay.conf"]
    subprocess.run(users, check=True, timeout=60)
    assert re.search(r"^evorelay:", (installed / "etc/passwd").read_text(), re.MULTILINE)
    if os.getuid() != 0:
        return  # giving directories to somebody else is for root
    files = ["systemd-tmpfiles", "--create", f"--root={installed}", "evorelay.conf"]
    subprocess.run(files, check=True, timeout=60)
    assert (installed / "etc/evorelay").stat().st_mode & 0o777 == 0o750
    assert (installed / "etc/evorelay/credentials").stat().st_mode & 0o777 == 0o700
    assert (installed / "var/lib/evorelay").stat().st_mode & 0o777 == 0o700
