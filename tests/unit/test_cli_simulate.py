import sys
from types import ModuleType
from typing import get_args

import pytest
from click.testing import CliRunner

from evorelay.cli.main import main
from evorelay.simulator.misbehaviour import Chances, Kind, Misbehaviour
from evorelay.simulator.options import SimulatorOptions


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> list[tuple[SimulatorOptions, bool]]:
    """What the stand-in for the simulator was called with; it ends with status 1."""
    calls: list[tuple[SimulatorOptions, bool]] = []

    def run(options: SimulatorOptions, *, json_output: bool) -> int:
        calls.append((options, json_output))
        return 1

    module = ModuleType("evorelay.simulator.run")
    module.main = run  # type: ignore[attr-defined]  # a module made on the spot
    monkeypatch.setitem(sys.modules, "evorelay.simulator.run", module)
    return calls


def test_arguments_become_options(simulated: list[tuple[SimulatorOptions, bool]]) -> None:
    result = CliRunner().invoke(
        main,
        "simulate --target http://h/hook/s --instances 5 --rate 90 --for 2m"
        " --listen 127.0.0.1:8080 --seed 7 --json",
    )
    assert result.exit_code == 1
    expected = SimulatorOptions(
        target="http://h/hook/s",
        instances=5,
        rate_per_minute=90,
        duration_s=120,
        listen="127.0.0.1:8080",
        seed=7,
    )
    assert [(expected, True)] == simulated


def test_everything_that_can_go_wrong_can_be_asked_for(
    simulated: list[tuple[SimulatorOptions, bool]],
) -> None:
    CliRunner().invoke(
        main,
        "simulate --target http://h/hook/s --evolution 2.4.0 --tls --files url --forget"
        " --misbehave reset:3 --misbehave hang --chance drop-answer=0.1 --chance delay=0.2",
    )
    [(options, _)] = simulated
    assert options.dialects == ("2.4.0 baileys",)
    assert (options.tls, options.files_in, options.keeps_messages) == (True, "url", False)
    assert options.trouble == (Misbehaviour("reset", count=3), Misbehaviour("hang"))
    assert options.chances == Chances(drop_answer=0.1, delay=0.2)


def test_what_is_left_out_takes_the_simulators_defaults(
    simulated: list[tuple[SimulatorOptions, bool]],
) -> None:
    CliRunner().invoke(main, ["simulate", "--target", "http://h/hook/s"])
    assert [(SimulatorOptions(target="http://h/hook/s"), False)] == simulated


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        ([], "Missing option '--target'"),
        (["--target", "nowhere"], "target: give the webhook URL"),
        (["--target", "http://h/", "--instances", "0"], "instances: give a number"),
        (["--target", "http://h/", "--for", "-1"], "must be more than 0"),
        (["--target", "http://h/", "--evolution", "3"], "evolution: give one of 1.8.2, 2.2.3"),
        (["--target", "http://h/", "--misbehave", "explode"], "misbehave: 'explode' is none"),
        (["--target", "http://h/", "--misbehave", "hang:x"], "misbehave: 'hang:x' is none"),
        (["--target", "http://h/", "--chance", "rain=0.5"], "chance: give drop-before"),
        (["--target", "http://h/", "--chance", "delay=2"], "chance: give drop-before"),
    ],
)
def test_unusable_arguments_are_one_line(
    simulated: list[tuple[SimulatorOptions, bool]], args: list[str], complaint: str
) -> None:
    result = CliRunner().invoke(main, ["simulate", *args])
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert complaint in result.stderr
    assert simulated == []


def test_the_help_says_what_is_counted_and_with_which_key_to_call() -> None:
    shown = " ".join(CliRunner().invoke(main, ["simulate", "--help"]).stdout.split())
    options = SimulatorOptions(target="http://h/hook/s")
    assert "New messages per minute, all instances together" in shown
    assert f"[default: {float(options.rate_per_minute)}]" in shown
    assert f"[default: {options.instances}]" in shown
    assert f"apikey: {options.api_key}" in shown
    assert f"kind: {', '.join(get_args(Kind))} " in shown
