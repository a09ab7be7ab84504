"""sd_notify, the watchdog, socket activation, and what the unit files must say."""

import configparser
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from evorelay.runtime.systemd import (
    STATUS_EVERY_S,
    Notifier,
    StatusLine,
    Watchdog,
    listen_sockets,
)

UNITS = Path(__file__).parents[2] / "systemd"


@pytest.fixture(params=["path", "abstract"])
def receiver(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, socket.socket]]:
    """systemd's end: (the value of NOTIFY_SOCKET, the bound socket)."""
    address = (
        f"@evorelay-{os.getpid()}" if request.param == "abstract" else str(tmp_path / "notify")
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(address.replace("@", "\0", 1))
        bound.setblocking(False)
        yield address, bound


def received(bound: socket.socket) -> list[str]:
    lines = []
    while True:
        try:
            lines.append(bound.recv(4096).decode())
        except BlockingIOError:
            return lines


def test_states_arrive_as_sd_notify_writes_them(receiver: tuple[str, socket.socket]) -> None:
    address, bound = receiver
    environ = {"NOTIFY_SOCKET": address, "HOME": "/"}
    notifier = Notifier.from_environ(environ, pid=7)
    notifier.starting(1.5)
    notifier.ready()
    notifier.status("2 sessions\nMAINPID=1 of lo\x1b[31mja\ud800")
    notifier.alive()
    notifier.stopping()
    assert received(bound) == [
        "EXTEND_TIMEOUT_USEC=1500000",
        "READY=1",
        "STATUS=2 sessions MAINPID=1 of lo [31mja ",
        "WATCHDOG=1",
        "STOPPING=1",
    ]
    assert environ == {"HOME": "/"}


def test_nothing_happens_outside_systemd() -> None:
    notifier = Notifier.from_environ({}, pid=7)
    notifier.ready()
    assert notifier.watchdog_s is None


def test_a_vanished_systemd_is_logged_not_raised(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Notifier(str(tmp_path / "gone")).ready()
    assert "could not notify systemd" in caplog.text


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_ours_only_when_meant_for_us(
    environ: dict[str, str], watchdog_s: float | None
) -> None:
    assert Notifier.from_environ(environ, pid=7).watchdog_s == watchdog_s
    assert environ == {}


async def test_the_watchdog_is_fed_only_while_there_is_progress(
    receiver: tuple[str, socket.socket],
    autojump_clock: MockClock,
    nursery: trio.Nursery,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """P8: a daemon that runs but does not move is restarted."""
    del autojump_clock  # virtual time; no thread is involved
    address, bound = receiver
    moving = [True]
    watchdog = Watchdog(Notifier(address, watchdog_s=10.0), lambda: moving[0])
    await nursery.start(watchdog.run)
    await trio.sleep(12.0)
    assert received(bound) == ["WATCHDOG=1"] * 3  # at 0, 5 and 10 s
    moving[0] = False
    await trio.sleep(20.0)
    assert received(bound) == []
    assert len(caplog.records) == 1
    moving[0] = True
    await trio.sleep(5.0)
    assert received(bound) == ["WATCHDOG=1"]


async def test_without_a_watchdog_the_service_only_waits(nursery: trio.Nursery) -> None:
    asked = False

    def progress() -> bool:
        nonlocal asked
        asked = True
        return True

    await nursery.start(Watchdog(Notifier(None), progress).run)
    await wait_all_tasks_blocked()
    assert not asked


async def test_the_status_line_is_told_when_it_changes(
    receiver: tuple[str, socket.socket], mock_clock: MockClock, nursery: trio.Nursery
) -> None:
    """P8: ``systemctl status`` shows what health says."""
    mock_clock.autojump_threshold = 0
    address, bound = receiver
    line = ["all is well"]
    await nursery.start(StatusLine(Notifier(address), lambda: line[0]).run)
    await trio.sleep(10 * STATUS_EVERY_S)
    line[0] = "warn: the disk\nis slow"
    await trio.sleep(2 * STATUS_EVERY_S)
    assert received(bound) == ["STATUS=all is well", "STATUS=warn: the disk is slow"]


async def test_without_systemd_no_status_is_made(nursery: trio.Nursery) -> None:
    asked = False

    def summary() -> str:
        nonlocal asked
        asked = True
        return ""

    await nursery.start(StatusLine(Notifier(None), summary).run)
    await wait_all_tasks_blocked()
    assert not asked


ACTIVATED = """
import os, sys
from evorelay.runtime.systemd import listen_sockets
os.dup2(int(sys.argv[1]), 3)
environ = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "evorelay"}
((name, listener),) = listen_sockets(environ, os.getpid())
assert environ == {} and listener.fileno() == 3 and not os.get_inheritable(3)
connection, _ = listener.accept()
connection.sendall(name.encode())
"""


def test_an_inherited_listener_serves_and_is_not_inherited_further() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        fd = listener.fileno()
        with subprocess.Popen([sys.executable, "-c", ACTIVATED, str(fd)], pass_fds=[fd]) as child:
            with socket.create_connection(listener.getsockname(), timeout=10) as client:
                assert client.makefile("rb").read() == b"evorelay"
            assert child.wait(10) == 0


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1", "LISTEN_FDNAMES": "x"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "8"},
        {"LISTEN_FDS": "0", "LISTEN_PID": "7"},
    ],
)
def test_no_sockets_unless_they_are_meant_for_us(environ: dict[str, str]) -> None:
    assert listen_sockets(environ, pid=7) == []
    assert environ == {}


@pytest.mark.parametrize("count", ["-1", "many", "65"])
def test_a_count_that_systemd_never_writes_is_refused(count: str) -> None:
    with pytest.raises(ValueError, match="LISTEN_FDS"):
        listen_sockets({"LISTEN_FDS": count, "LISTEN_PID": "7"}, pid=7)


def unit(name: str) -> configparser.ConfigParser:
    """A unit file; directives that may be repeated are not read through this."""
    parser = configparser.ConfigParser(
        strict=False, interpolation=None, delimiters=("=",), comment_prefixes=("#", ";")
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # directives have case
    parser.read_string((UNITS / name).read_text())
    return parser


def test_the_service_tells_systemd_the_truth_about_itself() -> None:
    service = unit("evorelay.service")["Service"]
    assert service["Type"] == "notify"
    assert service["NotifyAccess"] == "main"
    assert service["Restart"] == "on-failure"
    assert service["ExecStart"] == "/opt/evorelay/bin/evorelay serve"
    assert "ExecStartPre" not in service  # RestartPreventExitStatus= is not for it
    assert service["StateDirectory"] == "evorelay"
    assert service["EnvironmentFile"] == "-/etc/evorelay/evorelay.env"
    assert service["LimitNOFILE"] == "65536"
    assert int(service["WatchdogSec"]) > 0


def test_systemd_waits_longer_than_the_drain() -> None:
    """server.drain_timeout is 10 s unless configured; killing earlier would cut the drain."""
    service = unit("evorelay.service")["Service"]
    assert int(service["TimeoutStopSec"]) > 2 * 10


def test_a_wrong_configuration_is_not_retried_for_ever() -> None:
    """Exit status 2 means that a person has to change something (contract, command line)."""
    service = unit("evorelay.service")["Service"]
    assert service["RestartPreventExitStatus"] == "2"


def test_the_socket_outlives_the_service() -> None:
    """A restart refuses no webhook: systemd holds the listening socket meanwhile."""
    listening = unit("evorelay.socket")["Socket"]
    assert listening["ListenStream"] == "127.0.0.1:4000"
    assert listening["FileDescriptorName"] == "evorelay"
    assert int(listening["Backlog"]) >= 1024
    assert int(listening["TriggerLimitBurst"]) > 20  # restarts under load count, too
    assert unit("evorelay.service")["Unit"]["Requires"] == "evorelay.socket"


def test_a_node_is_the_service_but_for_what_makes_it_one_of_several() -> None:
    """Each has a port of its own queue (SO_REUSEPORT) and a journal of its own."""
    node, service = unit("evorelay@.service"), unit("evorelay.service")
    assert node["Service"].pop("Environment") == (
        "EVORELAY_SERVER__REUSE_PORT=true EVORELAY_STATE_DIR=/var/lib/evorelay/%i"
    )
    assert node["Service"].pop("StateDirectory") == "evorelay/%i"
    assert service["Service"].pop("StateDirectory") == "evorelay"
    assert dict(node["Service"]) == dict(service["Service"])
    assert node["Unit"]["Requires"] == "evorelay@%i.socket"
    listening, alone = unit("evorelay@.socket"), unit("evorelay.socket")
    assert listening["Socket"].pop("ReusePort") == "yes"
    assert dict(listening["Socket"]) == dict(alone["Socket"])


@pytest.mark.parametrize("name", sorted(path.name for path in UNITS.glob("evorelay*.s*")))
def test_every_line_of_a_unit_is_a_section_a_directive_or_a_comment(name: str) -> None:
    for line in (UNITS / name).read_text().splitlines():
        assert re.fullmatch(r"|#.*|\[(Unit|Service|Socket|Install)\]|[A-Z][A-Za-z]+=.*", line)
