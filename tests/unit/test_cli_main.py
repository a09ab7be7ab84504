"""The command line as a person or a script meets it: exit status and one line per mistake."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from evorelay import __version__
from evorelay.cli.main import main
from evorelay.model.errors import ConfigError, RelayError, StoreInUse, StoreUnavailable
from evorelay.runtime.supervisor import ServiceFailed


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("EVORELAY_")]:
        monkeypatch.delenv(name)


def evorelay(*args: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "evorelay", *args],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | environ,
    )


def test_version_in_a_real_process() -> None:
    done = evorelay("version")
    assert (0, f"evorelay {__version__}\n", "") == (done.returncode, done.stdout, done.stderr)
    assert __version__ == json.loads(evorelay("version", "--json").stdout)["version"]


def test_version_loads_none_of_the_heavy_parts() -> None:
    program = (
        "import sys\nfrom evorelay.cli.main import main\n"
        "try: main(['version'])\nexcept SystemExit: pass\n"
        "print(sorted({'trio', 'httpx', 'rich', 'jwt', 'msgspec', 'quart'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_wrong_configuration_is_told_line_by_line_in_a_real_process() -> None:
    done = evorelay(
        "check-config", EVORELAY_SERVER__BIND="4000", EVORELAY_AUTH__JWT_SECRET="hunter2"
    )
    assert (done.returncode, done.stdout) == (2, "")
    bind, secret = done.stderr.splitlines()
    assert bind.startswith("evorelay: server.bind: is not host:port")
    assert secret.startswith("evorelay: auth.jwt_secret: is shorter")
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("command", ["serve", "urls", "status", "check-config"])
def test_every_command_refuses_a_wrong_configuration_with_status_2(command: str) -> None:
    result = CliRunner().invoke(main, [command], env={"EVORELAY_REDIS__URL": "redis://r"})
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("evorelay: redis.url: is set, but this version")
    assert not Path("var").exists()


def test_check_config_as_json() -> None:
    fine = CliRunner().invoke(main, ["check-config", "--json"])
    assert (fine.exit_code, json.loads(fine.stdout)) == (0, {"ok": True, "problems": []})
    wrong = CliRunner().invoke(
        main, ["check-config", "--json"], env={"EVORELAY_LOG__LEVEL": "x", "EVORELAY_X": "y"}
    )
    found = json.loads(wrong.stdout)
    assert (wrong.exit_code, found["ok"], len(found["problems"])) == (2, False, 2)


def test_check_config_reads_the_file_it_is_given_and_changes_nothing() -> None:
    Path("mine.toml").write_text('[server]\nbind = "unix:/run/e.sock"\n')
    result = CliRunner().invoke(main, ["check-config", "--config", "mine.toml"])
    assert (result.exit_code, result.stdout) == (0, "The configuration is fine.\n")
    assert os.listdir() == ["mine.toml"]


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["bogus"], "evorelay: No such command 'bogus'. (see evorelay --help)\n"),
        (
            ["version", "--nope"],
            "evorelay: No such option '--nope'. (see evorelay version --help)\n",
        ),
        (["token"], "evorelay: Missing option '--sub'. (see evorelay token --help)\n"),
        (
            ["check-config", "--config", "/nowhere/e.toml"],
            "evorelay: /nowhere/e.toml: cannot be read: No such file or directory;"
            " name a configuration file that is there\n",
        ),
    ],
)
def test_unusable_arguments_are_one_line_and_status_2(args: list[str], line: str) -> None:
    result = CliRunner().invoke(main, args, prog_name="evorelay")
    assert (2, "", line) == (result.exit_code, result.stdout, result.stderr)


def test_help_lists_every_command_and_no_command_is_a_usage_error() -> None:
    helped = CliRunner().invoke(main, ["--help"])
    assert helped.exit_code == 0
    for command in ("serve", "urls", "token", "status", "check-config", "simulate", "version"):
        assert f"\n  {command} " in helped.stdout
    assert CliRunner().invoke(main, []).exit_code == 2


@pytest.mark.parametrize("command", [["serve"], ["urls"], ["token", "--sub", "a"]])
def test_a_state_directory_that_cannot_be_is_one_line(command: list[str]) -> None:
    result = CliRunner().invoke(main, command, env={"EVORELAY_STATE_DIR": "a" * 300})
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert "File name too long; make state_dir writable for this user" in result.stderr


def given_up(error: Exception) -> ServiceFailed:
    """What the supervisor raises for a service that this error ended again and again."""
    failure = ServiceFailed("pipeline", "crashed 6 times in 60 s")
    failure.__cause__ = error
    return failure


@pytest.mark.parametrize(
    ("raised", "status", "stderr"),
    [
        (RelayError("the disk is full; free some"), 1, "evorelay: the disk is full; free some\n"),
        (StoreUnavailable("locked; try again"), 1, "evorelay: locked; try again\n"),
        (ConfigError("a: b; c\nd: e; f"), 2, "evorelay: a: b; c\nevorelay: d: e; f\n"),
        (StoreInUse("in use; stop it"), 2, "evorelay: in use; stop it\n"),
        (
            ExceptionGroup("", [ExceptionGroup("", [StoreInUse("in use; stop it")])]),
            2,
            "evorelay: in use; stop it\n",
        ),
        (
            ExceptionGroup("", [given_up(ExceptionGroup("", [RelayError("x.db is damaged")]))]),
            1,
            "evorelay: x.db is damaged\n",
        ),
        (KeyboardInterrupt(), 130, "\n"),
    ],
)
def test_operational_errors_are_lines_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, status: int, stderr: str
) -> None:
    async def serve(*_: object, **__: object) -> int:
        raise raised

    app = ModuleType("evorelay.app")
    app.serve = serve  # type: ignore[attr-defined]  # a module made on the spot
    monkeypatch.setitem(sys.modules, "evorelay.app", app)
    result = CliRunner().invoke(main, ["serve"])
    assert (status, stderr) == (result.exit_code, result.stderr)


@pytest.mark.parametrize(
    "bug",
    [
        ValueError("x"),
        ExceptionGroup("", [ValueError(), RelayError()]),
        ExceptionGroup("", [given_up(ValueError())]),
    ],
)
def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch, bug: Exception) -> None:
    async def serve(*_: object, **__: object) -> int:
        raise bug

    app = ModuleType("evorelay.app")
    app.serve = serve  # type: ignore[attr-defined]  # a module made on the spot
    monkeypatch.setitem(sys.modules, "evorelay.app", app)
    assert bug is CliRunner().invoke(main, ["serve"]).exception
