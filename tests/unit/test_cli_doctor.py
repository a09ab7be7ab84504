"""``evorelay doctor`` before a simulated Evolution: what it finds, what it sets, what it hides."""

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from click.testing import CliRunner, Result

from evorelay.cli.main import main
from evorelay.cli.printable import printable
from evorelay.simulator.controls import Simulator
from evorelay.simulator.options import SimulatorOptions
from evorelay.simulator.run import open_simulator

SECRET = "the-webhook-secret-of-this-relay"
API_KEY = "the-global-key-of-this-evolution"
PUBLIC = "https://relay.example"
OTHER_PIN = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("EVORELAY_")]:
        monkeypatch.delenv(name)
    # A port nobody listens on: no daemon runs beside these.
    monkeypatch.setenv("EVORELAY_SERVER__BIND", "127.0.0.1:9")
    monkeypatch.setenv("EVORELAY_SERVER__PUBLIC_URL", PUBLIC)
    monkeypatch.setenv("EVORELAY_WEBHOOK__SECRET", SECRET)


@asynccontextmanager
async def evolution(
    monkeypatch: pytest.MonkeyPatch, *, dialect: str = "2.3.6 baileys", **options: Any
) -> AsyncIterator[Simulator]:
    settings = SimulatorOptions(
        None, instances=1, rate_per_minute=0, api_key=API_KEY, dialects=(dialect,), **options
    )
    async with open_simulator(settings) as simulator:
        monkeypatch.setenv("EVORELAY_EVOLUTION__URL", simulator.url)
        monkeypatch.setenv("EVORELAY_EVOLUTION__API_KEY", API_KEY)
        for name in simulator.instances:
            await simulator.set_state(name, "open")
        yield simulator


async def doctor(*args: str) -> Result:
    return await trio.to_thread.run_sync(
        partial(CliRunner().invoke, main, ["doctor", *args], catch_exceptions=False)
    )


async def findings(*args: str) -> tuple[int, list[tuple[str, str]]]:
    """Exit status, and (status, message) of every finding."""
    result = await doctor("--json", *args)
    document = json.loads(result.stdout)
    assert document["ok"] is (result.exit_code == 0)
    return result.exit_code, [(one["status"], one["message"]) for one in document["findings"]]


def said(found: list[tuple[str, str]], words: str) -> str:
    """The status of the one finding that says so."""
    (status,) = [status for status, message in found if words in message]
    return status


async def test_fix_webhook_sets_ours_reads_it_back_and_then_all_is_well(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with evolution(monkeypatch) as simulator:
        exit_code, found = await findings()
        assert exit_code == 1
        assert said(found, "no webhook is set there") == "fail"
        assert said(found, "which sets https://relay.example:443/hook/****") == "fail"
        exit_code, found = await findings("--fix-webhook")
        assert (exit_code, said(found, "its webhook is set to")) == (0, "ok")
        (station,) = simulator.stations.values()
        assert station.webhook_url == f"{PUBLIC}/hook/{SECRET}"
        assert "SEND_MESSAGE_UPDATE" in station.webhook_events
        assert "PRESENCE_UPDATE" not in station.webhook_events
        assert (station.webhook_by_events, station.webhook_base64) == (False, False)
        exit_code, found = await findings()
        assert (exit_code, said(found, "ours and complete")) == (0, "ok")
        assert said(found, "takes our API key") == "ok"
        assert said(found, "connected to WhatsApp") == "ok"


async def test_one_eight_is_set_in_its_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    async with evolution(monkeypatch, dialect="1.8.2 baileys") as simulator:
        exit_code, found = await findings("--fix-webhook")
        assert (exit_code, said(found, "its webhook is set to")) == (0, "ok")
        (station,) = simulator.stations.values()
        assert station.webhook_url == f"{PUBLIC}/hook/{SECRET}"
        assert "MESSAGES_EDITED" not in station.webhook_events


async def test_a_wiped_webhook_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    async with evolution(monkeypatch) as simulator:
        await findings("--fix-webhook")
        simulator.wipe_webhook(*simulator.instances)
        exit_code, found = await findings()
        assert (exit_code, said(found, "wiped setting")) == (1, "fail")


@pytest.mark.parametrize("path", ["in", "hook", "webhook/evolution?key="])
async def test_somebody_elses_webhook_is_left_unless_it_is_named(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    async with evolution(monkeypatch) as simulator:
        (station,) = simulator.stations.values()
        theirs = f"https://n8n.example/{path}/their-secret"
        station.webhook_url, station.webhook_was_set = theirs, True
        result = await doctor("--fix-webhook")
        assert result.exit_code == 1
        assert "n8n.example:443, somebody else's" in result.output
        assert "their-secret" not in result.output
        assert station.webhook_url == theirs
        exit_code, _ = await findings("--fix-webhook", "--instance", station.instance.name)
        assert exit_code == 0
        assert station.webhook_url == f"{PUBLIC}/hook/{SECRET}"


async def test_the_url_of_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    async with evolution(monkeypatch) as simulator:
        exit_code, _ = await findings("--fix-webhook", "--url", "http://10.0.0.7:4000/relay/")
        (station,) = simulator.stations.values()
        assert exit_code == 0
        assert station.webhook_url == f"http://10.0.0.7:4000/relay/hook/{SECRET}"
        result = await doctor("--url", "relay.example")
        assert result.exit_code == 2
        assert "--url" in result.output


async def test_without_any_address_of_ours_it_asks_for_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("EVORELAY_SERVER__PUBLIC_URL")
    monkeypatch.setenv("EVORELAY_SERVER__BIND", f"unix:{tmp_path}/relay.sock")
    async with evolution(monkeypatch):
        exit_code, found = await findings("--fix-webhook")
        assert (exit_code, said(found, "give --url")) == (1, "fail")


async def test_an_instance_that_is_closed_or_unknown_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with evolution(monkeypatch) as simulator:
        (name,) = simulator.instances
        await simulator.set_state(name, "close", reason=401)
        _, found = await findings()
        assert said(found, "not connected to WhatsApp") == "fail"
        exit_code, found = await findings("--instance", "nobody")
        assert (exit_code, said(found, "no instance of this name")) == (1, "fail")


async def test_a_wrong_key_is_said_once_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    async with evolution(monkeypatch):
        monkeypatch.setenv("EVORELAY_EVOLUTION__API_KEY", "another-key-altogether")
        exit_code, found = await findings()
        assert (exit_code, said(found, "correct evolution.api_key")) == (1, "fail")


async def test_an_evolution_that_is_away_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVORELAY_EVOLUTION__URL", "http://127.0.0.1:9")
    monkeypatch.setenv("EVORELAY_EVOLUTION__API_KEY", API_KEY)
    exit_code, found = await findings()
    assert (exit_code, said(found, "Check evolution.url")) == (1, "fail")


async def test_a_certificate_nobody_signed_is_shown_with_the_line_that_pins_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """P7: trusted after somebody looked at it, never by turning verification off."""
    async with evolution(monkeypatch, tls=True) as simulator:
        assert simulator.fingerprint is not None
        exit_code, found = await findings()
        assert exit_code == 1
        (message,) = [message for _, message in found if "fingerprint_sha256" in message]
        assert "[evolution]" in message
        assert "Its certificate is not trusted: self-signed certificate. If you" in message
        assert "valid 20" in message
        pin = message.partition('fingerprint_sha256 = "')[2].rstrip('"')
        assert pin.replace(":", "").lower() == simulator.fingerprint.replace(":", "").lower()
        monkeypatch.setenv("EVORELAY_EVOLUTION__FINGERPRINT_SHA256", pin)
        exit_code, found = await findings("--fix-webhook")
        assert (exit_code, said(found, "trusted by its pinned fingerprint")) == (0, "ok")


async def test_the_line_that_pins_stands_under_a_header_toml_can_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Names of instances have blanks and dots."""
    async with evolution(monkeypatch, tls=True) as simulator:
        monkeypatch.delenv("EVORELAY_EVOLUTION__URL")
        section = '[evolution.instances."Loja 1.2"]'
        file = tmp_path / "evorelay.toml"
        file.write_text(f'{section}\nurl = "{simulator.url}"\n')
        _, found = await findings("--config", str(file))
        (message,) = [message for _, message in found if "fingerprint_sha256" in message]
        assert f"under {section}: fingerprint_sha256 = " in message


async def test_a_wrong_pin_names_both_fingerprints(monkeypatch: pytest.MonkeyPatch) -> None:
    """P7"""
    async with evolution(monkeypatch, tls=True) as simulator:
        assert simulator.fingerprint is not None
        monkeypatch.setenv("EVORELAY_EVOLUTION__FINGERPRINT_SHA256", OTHER_PIN)
        result = await doctor()
        output = result.output.replace(":", "").lower()
        assert result.exit_code == 1
        assert OTHER_PIN in output
        assert simulator.fingerprint.replace(":", "").lower() in output


async def test_a_ca_file_is_trust_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async with evolution(monkeypatch, tls=True) as simulator:
        assert simulator.certificate is not None
        (tmp_path / "ca.pem").write_bytes(simulator.certificate)
        monkeypatch.setenv("EVORELAY_EVOLUTION__CA_FILE", str(tmp_path / "ca.pem"))
        _, found = await findings()
        assert said(found, "trusted by your CA file") == "ok"


async def test_nothing_secret_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """P7: not by what is well, nor by what is wrong, nor by what was set."""
    async with evolution(monkeypatch) as simulator:
        outputs = [(await doctor(*args)).output for args in ((), ("--fix-webhook",), ("--json",))]
        (station,) = simulator.stations.values()
        station.webhook_url = f"https://relay.example/hook/{'x' * 30}"
        outputs.append((await doctor()).output)
        monkeypatch.setenv("EVORELAY_EVOLUTION__API_KEY", f"{API_KEY}-wrong")
        outputs.append((await doctor()).output)
    for output in outputs:
        assert output
        for secret in (SECRET, API_KEY, station.instance.token, "x" * 30):
            assert secret not in output


async def test_it_makes_nothing_unless_it_sets_something(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Secrets made by somebody who only looks would be others than the daemon's."""
    monkeypatch.delenv("EVORELAY_WEBHOOK__SECRET")
    async with evolution(monkeypatch) as simulator:
        await findings()
        assert not (tmp_path / "var").exists()
        exit_code, _ = await findings("--fix-webhook")
        (station,) = simulator.stations.values()
        made = json.loads((tmp_path / "var" / "secrets.json").read_text())
        assert exit_code == 0
        assert station.webhook_url == f"{PUBLIC}/hook/{made['webhook_secret']}"


async def test_the_place_itself_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "var").mkdir(mode=0o755)
    monkeypatch.setenv("EVORELAY_WEBHOOK__MIN_FREE_BYTES", str(1 << 50))
    exit_code, found = await findings()
    assert exit_code == 1
    assert said(found, "chmod 700") == "warn"
    assert said(found, "webhooks are refused; free some space") == "fail"
    assert said(found, "no replies are sent") == "warn"
    assert said(found, "cannot be reached") == "warn"


async def test_secrets_that_others_may_read_are_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "var").mkdir(mode=0o700)
    (tmp_path / "var" / "secrets.json").write_text("{}")
    (tmp_path / "var" / "secrets.json").chmod(0o644)
    exit_code, found = await findings()
    assert exit_code == 1
    assert "fail" in [status for status, message in found if "chmod 600" in message]


async def test_what_a_server_says_does_not_steer_the_terminal() -> None:
    assert printable("olá ✓") == "olá ✓"
    assert printable("a\x1b[2Jb\nc") == r"a\u001b[2Jb\nc"
