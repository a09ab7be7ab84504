"""``evorelay status`` against real servers over TCP, TLS and a unix socket."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import UnixStreamServer
from typing import Any

import jwt
import pytest
from click.testing import CliRunner, Result

from evorelay.cli.main import main
from tests.certificates import self_signed

SECRET = "a-secret-of-more-than-32-bytes-for-tests"
HEALTH: dict[str, Any] = {
    "status": "pass",
    "version": "9.9.9",
    "checks": {
        "journal:age": [{"status": "pass", "observedValue": 3, "observedUnit": "ms"}],
        "evolution": {"status": "warn", "output": "[bold]away[/bold]"},
        "odd": "text",
    },
}


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


class Health(BaseHTTPRequestHandler):
    """Answers only ``GET /webhook/health``; remembers the credential."""

    body: bytes
    status: int
    credential: str | None

    def do_GET(self) -> None:
        type(self).credential = self.headers["Authorization"]
        found = self.path == "/webhook/health"
        self.send_response(self.status if found else 404)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, format: str, *args: object) -> None: ...

    def address_string(self) -> str:
        return "client"


@contextmanager
def serving(
    body: bytes, status: int = 200, *, unix: str | None = None, tls: tuple[Path, Path] | None = None
) -> Iterator[tuple[str, type[Health]]]:
    """Yield the bind and the handler class."""
    handler = type("Handler", (Health,), {"body": body, "status": status, "credential": None})
    server: UnixStreamServer | HTTPServer
    if unix:
        server, bind = UnixStreamServer(unix, handler), f"unix:{unix}"
    else:
        server = HTTPServer(("127.0.0.1", 0), handler)
        bind = f"127.0.0.1:{server.server_port}"
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield bind, handler
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def status(bind: str, *args: str, **environ: str) -> Result:
    env = {"EVORELAY_SERVER__BIND": bind, "EVORELAY_AUTH__JWT_SECRET": SECRET, "COLUMNS": "100"}
    return CliRunner().invoke(main, ["status", *args], env=env | environ)


def test_the_health_is_asked_with_a_credential_and_shown_as_a_table() -> None:
    with serving(json.dumps(HEALTH).encode()) as (bind, handler):
        result = status(bind)
    assert result.exit_code == 0
    for shown in ("9.9.9: pass", "journal:age", "3 ms", "warn", "[bold]away[/bold]", "odd", "text"):
        assert shown in result.stdout
    assert handler.credential is not None
    claims = jwt.decode(handler.credential.removeprefix("Bearer "), SECRET, algorithms=["HS256"])
    assert claims["app_metadata"]["evorelay"]["role"] == "admin"


def test_the_worst_comes_first_and_each_instance_has_its_line() -> None:
    checks = {
        "a:well": [{"status": "pass", "observedValue": 0.0123, "observedUnit": "s"}],
        "b:late": [{"status": "warn", "output": "late"}],
        "instance:silence": [
            {
                "componentId": "loja",
                "status": "pass",
                "observedValue": 7500,
                "observedUnit": "s",
                "state": "open",
            }
        ],
        "c:broken": [{"status": "fail", "output": "broken"}],
    }
    body = HEALTH | {"status": "fail", "uptime_seconds": 7300, "checks": checks}
    with serving(json.dumps(body).encode(), 503) as (bind, _):
        result = status(bind)
    head, _, _, *rows = [line.split() for line in result.stdout.splitlines()]
    assert " ".join(head) == "EvoRelay 9.9.9: fail, 2 of 4 checks, up for 2 h"
    assert rows == [
        ["c:broken", "fail", "broken"],
        ["b:late", "warn", "late"],
        ["a:well", "pass", "12", "ms"],
        ["instance:silence", "loja", "pass", "open,", "2", "h"],
    ]
    assert result.exit_code == 1


def test_what_an_instance_is_called_does_not_steer_the_terminal() -> None:
    """P7: whoever may post webhooks chooses the name."""
    checks = {"instances:down": [{"status": "warn", "output": "down: lo\x1b[31mja\nok"}]}
    with serving(json.dumps(HEALTH | {"checks": checks}).encode()) as (bind, _):
        shown = status(bind).stdout
    assert r"lo\u001b[31mja\nok" in shown


def test_a_daemon_that_tells_us_nothing_is_perhaps_not_ours() -> None:
    """Health is for everybody, so a wrong state_dir is not refused."""
    hidden = HEALTH | {"checks": {"journal:age": [{"status": "pass"}]}}
    for body, is_said in ((hidden, True), (HEALTH, False)):
        with serving(json.dumps(body).encode()) as (bind, _):
            assert ("does not accept our token" in status(bind).output) is is_said


def test_watching_is_for_people() -> None:
    result = status("127.0.0.1:1", "--watch", "--json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "--watch is for people" in result.stderr


def test_watching_ends_well_by_ctrl_c_and_says_when_the_daemon_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", pause)
    with serving(json.dumps(HEALTH).encode()) as (bind, _):
        shown = status(bind, "--watch")
    assert (shown.exit_code, len(pauses)) == (0, 2)
    assert "9.9.9: pass" in shown.stdout
    pauses.clear()
    gone = status(bind, "--watch")
    assert gone.exit_code == 0
    assert "cannot be reached" in gone.stdout


def test_a_daemon_that_is_stuck_is_told_from_one_that_is_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, monkeypatched_patience(0.2):
        bind = f"127.0.0.1:{silent.getsockname()[1]}"
        result = status(bind)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "does not answer: it is stuck" in result.stderr


@contextmanager
def monkeypatched_patience(seconds: float) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evorelay.cli.status._TIMEOUT_S", seconds)
        yield


def test_sizes_are_for_people_and_a_trouble_is_not_preceded_by_its_number() -> None:
    checks = {
        "disk:free": [{"status": "pass", "observedValue": 77437337600, "observedUnit": "bytes"}],
        "journal:commit": [
            {
                "status": "fail",
                "observedValue": 0.0,
                "observedUnit": "s",
                "output": "webhooks are refused: the disk is almost full",
            }
        ],
    }
    with serving(json.dumps(HEALTH | {"checks": checks}).encode()) as (bind, _):
        shown = status(bind).stdout
    assert "72.1 GiB" in shown
    assert "webhooks are refused: the disk is almost full" in shown
    assert "0.0" not in shown


@pytest.mark.parametrize(("health", "http", "exit_code"), [("warn", 200, 0), ("fail", 503, 1)])
def test_the_exit_status_follows_the_health(health: str, http: int, exit_code: int) -> None:
    body = HEALTH | {"status": health}
    with serving(json.dumps(body).encode(), http) as (bind, _):
        result = status(bind, "--json")
    assert (exit_code, body) == (result.exit_code, json.loads(result.stdout))


def test_over_a_unix_socket(tmp_path: Path) -> None:
    with serving(json.dumps(HEALTH).encode(), unix=str(tmp_path / "e.sock")) as (bind, _):
        assert status(bind).exit_code == 0


def test_over_tls_the_daemons_own_certificate_is_trusted_and_no_other(tmp_path: Path) -> None:
    """P7."""
    cert, key = self_signed(tmp_path)
    other_cert, other_key = self_signed(tmp_path, "other.example")
    ours = {"EVORELAY_SERVER__TLS_CERT": str(cert), "EVORELAY_SERVER__TLS_KEY": str(key)}
    with serving(json.dumps(HEALTH).encode(), tls=(cert, key)) as (bind, _):
        assert status(bind, **ours).exit_code == 0
    with serving(json.dumps(HEALTH).encode(), tls=(other_cert, other_key)) as (bind, handler):
        result = status(bind, **ours)
    assert result.exit_code == 1
    assert "cannot be reached" in result.stderr
    assert handler.credential is None


def test_a_proxy_of_the_environment_never_sees_the_credential() -> None:
    """P7."""
    with (
        serving(b"{}") as (proxy, proxied),
        serving(json.dumps(HEALTH).encode()) as (bind, _),
    ):
        assert (
            status(bind, HTTP_PROXY=f"http://{proxy}", ALL_PROXY=f"http://{proxy}").exit_code == 0
        )
    assert proxied.credential is None


def test_a_daemon_that_is_not_there_is_one_line() -> None:
    with serving(b"") as (bind, _):
        pass
    result = status(bind)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"evorelay: the daemon at {bind} cannot be reached (")
    assert result.stderr.endswith("start it with `systemctl start evorelay`, or `evorelay serve`\n")


@pytest.mark.parametrize("body", [b"<html>", b"[]", b"{}", b"\xff"])
def test_somebody_elses_server_is_told_apart(body: bytes) -> None:
    with serving(body, 404) as (bind, _):
        result = status(bind)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "is not EvoRelay (HTTP 404); check server.bind" in result.stderr


def test_a_daemon_with_other_secrets_is_told_apart() -> None:
    with serving(b'{"error":{"code":"unauthorized"}}', 401) as (bind, _):
        result = status(bind)
    assert result.exit_code == 1
    assert "does not accept our token; run this with the configuration" in result.stderr


def test_before_the_first_start_it_asks_without_a_credential_and_makes_no_secrets() -> None:
    with serving(json.dumps(HEALTH).encode()) as (bind, handler):
        result = status(bind, EVORELAY_AUTH__JWT_SECRET="")
    assert result.exit_code == 0
    assert handler.credential is None
    assert not Path("var").exists()


def test_the_generated_secret_signs_the_credential() -> None:
    CliRunner().invoke(main, ["urls"])
    with serving(json.dumps(HEALTH).encode()) as (bind, handler):
        assert status(bind, EVORELAY_AUTH__JWT_SECRET="").exit_code == 0
    kept = json.loads(Path("var/secrets.json").read_text())
    assert handler.credential is not None
    jwt.decode(handler.credential.split()[1], kept["jwt_secret"], algorithms=["HS256"])
