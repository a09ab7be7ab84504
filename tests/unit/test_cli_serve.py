"""``evorelay serve`` with a stand-in for the daemon: what it is given, and what is printed."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from click.testing import CliRunner

from evorelay.cli.main import main
from evorelay.config import Config


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the stand-in was called with. It reports port 5555 and ends with status 3."""
    calls: list[dict[str, Any]] = []

    async def serve(config: Config, *, demo: bool, on_ready: Callable[[str], None]) -> int:
        calls.append({"config": config, "demo": demo})
        on_ready("http://127.0.0.1:5555")
        return 3

    app = ModuleType("evorelay.app")
    app.serve = serve  # type: ignore[attr-defined]  # a module made on the spot
    monkeypatch.setitem(sys.modules, "evorelay.app", app)
    return calls


def test_the_daemon_gets_a_whole_configuration_and_its_status_is_ours(
    served: list[dict[str, Any]],
) -> None:
    result = CliRunner().invoke(main, ["serve", "--demo"])
    (call,) = served
    assert (result.exit_code, result.stderr) == (3, "")
    assert call["demo"] is True
    assert call["config"].webhook.secret
    assert call["config"].auth.jwt_secret


def test_away_from_a_terminal_the_secrets_are_masked(served: list[dict[str, Any]]) -> None:
    """P7: standard output of a service is systemd's journal."""
    result = CliRunner().invoke(main, ["serve"])
    assert "http://127.0.0.1:5555/hook/********" in result.stdout
    assert "http://127.0.0.1:5555/console#token=********" in result.stdout
    assert served[0]["config"].webhook.secret not in result.stdout
    assert "`evorelay urls` prints them" in result.stdout


def test_as_json_it_is_one_line(served: list[dict[str, Any]]) -> None:
    result = CliRunner().invoke(main, ["serve", "--json"])
    assert result.stdout.count("\n") == 1
    found = json.loads(result.stdout)
    assert found["ready"] is True
    assert found["webhook"] == "http://127.0.0.1:5555/hook/********"
    assert served[0]["demo"] is False


def test_the_demo_says_what_is_posting(served: list[dict[str, Any]]) -> None:
    said = "A simulated Evolution API with 3 instances is posting; Ctrl-C ends it."
    assert said in CliRunner().invoke(main, ["serve", "--demo"]).stdout
    assert said not in CliRunner().invoke(main, ["serve"]).stdout
    assert [call["demo"] for call in served] == [True, False]


def test_the_demo_cannot_post_to_a_unix_socket(served: list[dict[str, Any]]) -> None:
    env = {"EVORELAY_SERVER__BIND": "unix:/run/e.sock"}
    result = CliRunner().invoke(main, ["serve", "--demo"], env=env)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "give server.bind as host:port" in result.stderr
    assert served == []


def test_a_unix_socket_is_named_in_the_curl(served: list[dict[str, Any]]) -> None:
    env = {"EVORELAY_SERVER__BIND": "unix:/run/e.sock"}
    result = CliRunner().invoke(main, ["serve"], env=env)
    assert "curl -sS --unix-socket /run/e.sock" in result.stdout
    assert "http://localhost/hook/" in result.stdout
    assert "the public URL of your reverse proxy" in result.stdout
    assert len(served) == 1


def test_on_a_terminal_the_secrets_are_shown(tmp_path: Path) -> None:
    program = (
        "import sys, types\n"
        "async def serve(config, *, demo, on_ready):\n"
        "    on_ready('http://127.0.0.1:5555'); return 0\n"
        "sys.modules['evorelay.app'] = types.SimpleNamespace(serve=serve)\n"
        "from evorelay.cli.main import main; main(['serve'])\n"
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", program], stdout=theirs, cwd=tmp_path)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 4096):
            shown += chunk
    except OSError:
        pass  # how Linux says that the other end of a terminal is closed
    finally:
        os.close(ours)
    assert process.wait() == 0
    kept = json.loads((tmp_path / "var" / "secrets.json").read_text())
    assert f"http://127.0.0.1:5555/hook/{kept['webhook_secret']}" in shown.decode()
    assert "console#token=ey" in shown.decode()
    assert "masked" not in shown.decode()
