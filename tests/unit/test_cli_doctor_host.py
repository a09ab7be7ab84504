"""What ``evorelay doctor`` finds beneath the daemon: file systems, owners, limits, units."""

import http.server
import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evorelay.cli import doctor_host
from evorelay.cli.doctor_host import check_host, filesystem_of
from evorelay.cli.doctor_public import check_public
from evorelay.cli.doctor_systemd import check_systemd, seconds_of
from evorelay.cli.findings import Finding, Findings
from evorelay.config import Config, ServerConfig, WebhookConfig

MOUNTS = """\
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
35 22 0:30 / /srv rw - nfs4 server:/srv rw
36 35 0:31 / /srv/local\\040disk rw - xfs /dev/vdb rw
37 22 0:32 / /run rw - tmpfs tmpfs rw
38 22 0:33 / / rw - overlay overlay rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/srv/evorelay", "nfs4"),
        ("/srv", "nfs4"),
        ("/srv/local disk/x", "xfs"),
        ("/srvx", "overlay"),
        ("/run/evorelay", "tmpfs"),
        ("/", "overlay"),
    ],
)
def test_a_path_is_on_the_innermost_mount(path: str, kind: str) -> None:
    assert filesystem_of(Path(path), MOUNTS) == kind


def host(config: Config, config_file: Path = Path("/nowhere")) -> dict[str, Finding]:
    findings = Findings()
    check_host(config, config_file, findings)
    return {finding.about: finding for finding in findings.all}


@pytest.mark.parametrize(
    ("kind", "status"),
    [("ext4", "ok"), ("btrfs", "ok"), ("nfs", "fail"), ("cifs", "fail"), ("tmpfs", "warn")],
)
def test_sqlite_is_not_kept_where_it_would_lose_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, status: str
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 254:1 / / rw - {kind} x rw\n")
    monkeypatch.setattr(doctor_host, "MOUNTS", mounts)
    found = host(Config(state_dir=str(tmp_path)))["file system"]
    assert found.status == status
    assert kind in found.message


def test_a_file_of_somebody_else_is_found(tmp_path: Path) -> None:
    """`sudo evorelay …` by a hasty operator: the daemon could not write it."""
    (tmp_path / "store.db").touch()
    assert host(Config(state_dir=str(tmp_path)))["owners"].status == "ok"
    if os.getuid() != 0:
        return  # only root can give a file away
    os.chown(tmp_path / "store.db", 12345, 12345)
    found = host(Config(state_dir=str(tmp_path)))["owners"]
    assert found.status == "fail"
    assert "store.db" in found.message


def test_a_configuration_file_that_tells_everybody_a_secret_is_found(tmp_path: Path) -> None:
    """P7; the secret itself is not in the finding."""
    secret = "webhook-secret-of-these-tests"
    config = Config(state_dir=str(tmp_path), webhook=WebhookConfig(secret=secret))
    file = tmp_path / "evorelay.toml"
    file.write_text(f'webhook.secret = "{secret}"\n')
    file.chmod(0o644)
    found = host(config, file)["configuration file"]
    assert found.status == "warn"
    assert secret not in found.message
    file.chmod(0o640)
    assert "configuration file" not in host(config, file)


def test_a_queue_too_small_for_a_restart_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    somaxconn = tmp_path / "somaxconn"
    monkeypatch.setattr(doctor_host, "SOMAXCONN", somaxconn)
    config = Config(state_dir=str(tmp_path))
    somaxconn.write_text("128\n")
    assert "somaxconn is 128" in host(config)["waiting connections"].message
    somaxconn.write_text("4096\n")
    assert host(config)["waiting connections"].status == "ok"


SERVICE = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "NeedDaemonReload": "no",
    "NRestarts": "0",
    "Type": "notify",
    "WatchdogUSec": "30s",
    "TimeoutStopUSec": "30s",
    "LimitNOFILE": "65536",
    "MainPID": "0",
}
SOCKET = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "Result": "success",
    "Listen": "127.0.0.1:4000 (Stream)",
    "Backlog": "4096",
}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory whose ``systemctl`` shows what is in its files, as the real one would."""
    program = tmp_path / "systemctl"
    program.write_text(f'#!/bin/sh\ncat "{tmp_path}/$2"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path


def by_systemd(
    machine: Path,
    service: dict[str, str],
    socket: dict[str, str],
    server: ServerConfig | None = None,
) -> list[Finding]:
    for name, shown in (("service", service), ("socket", socket)):
        lines = [f"{key}={value}\n" for key, value in shown.items()]
        (machine / f"evorelay.{name}").write_text("".join(lines))
    findings = Findings()
    check_systemd(Config(server=server or ServerConfig()), findings)
    return findings.all


def test_units_as_we_ship_them_are_well(machine: Path) -> None:
    assert {found.status for found in by_systemd(machine, SERVICE, SOCKET)} == {"ok"}


def test_without_a_service_there_is_nothing_to_say(machine: Path) -> None:
    assert by_systemd(machine, {"LoadState": "not-found"}, {}) == []


def test_what_the_daemon_got_counts_and_not_what_its_unit_asks_for(machine: Path) -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    server = ServerConfig(max_connections=soft)  # of this process, which stands for the daemon
    found = by_systemd(machine, {**SERVICE, "MainPID": str(os.getpid())}, SOCKET, server)
    (only,) = [one for one in found if one.status != "ok"]
    assert f"may have {soft} and" in only.message


@pytest.mark.parametrize(
    ("service", "socket", "bind", "status", "words"),
    [
        ({}, {}, "127.0.0.1:4001", "fail", "make them the same"),
        ({}, {}, "unix:/run/evorelay.sock", "fail", "make them the same"),
        ({}, {"LoadState": "not-found"}, "127.0.0.1:4000", "warn", "there is no evorelay.socket"),
        (
            {},
            {"ActiveState": "failed", "Result": "trigger-limit-hit"},
            "127.0.0.1:4000",
            "fail",
            "trigger-limit-hit",
        ),
        ({}, {"Backlog": "128"}, "127.0.0.1:4000", "warn", "Backlog=128"),
        ({"WatchdogUSec": "infinity"}, {}, "127.0.0.1:4000", "warn", "no watchdog"),
        ({"Type": "simple"}, {}, "127.0.0.1:4000", "warn", "no watchdog"),
        ({"NeedDaemonReload": "yes"}, {}, "127.0.0.1:4000", "warn", "daemon-reload"),
        ({"TimeoutStopUSec": "5s"}, {}, "127.0.0.1:4000", "warn", "TimeoutStopSec"),
        ({"LimitNOFILE": "1024"}, {}, "127.0.0.1:4000", "warn", "raise LimitNOFILE="),
        ({"ActiveState": "failed"}, {}, "127.0.0.1:4000", "fail", "is failed; run"),
        ({"ActiveState": "inactive"}, {}, "127.0.0.1:4000", "warn", "is inactive; run"),
        # With a wrong configuration it comes to this between two attempts.
        ({"ActiveState": "activating"}, {}, "127.0.0.1:4000", "warn", "is activating; run"),
        ({"NRestarts": "3"}, {}, "127.0.0.1:4000", "warn", "3 times"),
    ],
)
def test_what_is_not_as_it_should_be_is_named(
    machine: Path,
    service: dict[str, str],
    socket: dict[str, str],
    bind: str,
    status: str,
    words: str,
) -> None:
    found = by_systemd(
        machine, {**SERVICE, **service}, {**SOCKET, **socket}, ServerConfig(bind=bind)
    )
    (only,) = [one for one in found if one.status != "ok"]
    assert only.status == status
    assert words in only.message


@pytest.mark.parametrize(
    ("span", "seconds"),
    [("30s", 30.0), ("1min 30s", 90.0), ("500ms", 0.5), ("infinity", None), ("", None)],
)
def test_spans_are_read_as_systemd_writes_them(span: str, seconds: float | None) -> None:
    assert seconds_of(span) == seconds


@contextmanager
def something_in_front(status: int, **headers: str) -> Iterator[str]:
    """A server that answers everything like this; yields its URL."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "0"}.items():
                self.send_header(name, value)
            self.end_headers()

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (301, "with a redirect (301)"),
        (308, "with a redirect (308)"),
        (404, "drops a webhook for good"),
        (401, "drops a webhook for good"),
        (200, "instead of EvoRelay"),
        (503, "instead of EvoRelay"),
    ],
)
def test_what_stands_in_the_way_of_webhooks_is_found(status: int, words: str) -> None:
    """Redirects are not followed."""
    findings = Findings()
    with something_in_front(status, Location="http://127.0.0.1:9/elsewhere") as url:
        check_public(url, findings)
    (found,) = findings.all
    assert found.status == "fail"
    assert words in found.message


def test_an_address_nobody_answers_at_is_left_to_the_operator() -> None:
    """It may be that only this machine cannot reach it."""
    findings = Findings()
    check_public("http://127.0.0.1:9", findings)
    (found,) = findings.all
    assert found.status == "warn"
    assert "cannot be reached from here" in found.message
