import json
import os
import shlex
from pathlib import Path

import jwt
import pytest
from click.testing import CliRunner

from evorelay.cli.addresses import MASK, addresses, base_url, hints
from evorelay.cli.main import main
from evorelay.config import AuthConfig, Config, ServerConfig, WebhookConfig
from evorelay.model.errors import ConfigError
from evorelay.simulator.cast import make_instances
from evorelay.simulator.options import demo_options

NOW_MS = 1_795_000_000_123


def config(bind: str, *, tls: bool = False) -> Config:
    pair = {"tls_cert": "/c.pem", "tls_key": "/k.pem"} if tls else {}
    return Config(
        server=ServerConfig(bind=bind, **pair),  # type: ignore[arg-type]  # str keywords only
        webhook=WebhookConfig(secret="s$cret-of-16-chars"),
    )


@pytest.mark.parametrize(
    ("bind", "tls", "base"),
    [
        ("127.0.0.1:4000", False, "http://127.0.0.1:4000"),
        ("relay.example:443", True, "https://relay.example:443"),
        ("0.0.0.0:80", False, "http://127.0.0.1:80"),
        ("[::]:80", False, "http://[::1]:80"),
        ("[fd00::1]:80", False, "http://[fd00::1]:80"),
        ("unix:/run/e.sock", False, "http://localhost"),
    ],
)
def test_the_base_url_is_one_this_machine_can_use(bind: str, tls: bool, base: str) -> None:
    assert base == base_url(config(bind, tls=tls))


def test_a_port_chosen_at_start_is_not_guessed() -> None:
    with pytest.raises(ConfigError, match="port 0 is chosen at each start"):
        base_url(config("127.0.0.1:0"))


def test_the_secret_is_in_the_path_and_the_token_in_the_fragment() -> None:
    """P7: neither is in a query string, which servers and proxies log."""
    found = addresses(
        config("127.0.0.1:0"), base="http://127.0.0.1:5555", token="to.ke.n", now_ms=NOW_MS
    )
    assert found.webhook == "http://127.0.0.1:5555/hook/s$cret-of-16-chars"
    assert found.console == "http://127.0.0.1:5555/console#token=to.ke.n"


def test_without_a_token_the_console_is_open() -> None:
    found = addresses(config("127.0.0.1:1"), base="http://127.0.0.1:1", token=None, now_ms=NOW_MS)
    assert found.console == "http://127.0.0.1:1/console"


def test_masked_shows_no_secret() -> None:
    """P7."""
    found = addresses(
        config("127.0.0.1:1"), base="http://x", token="to.ke.n", now_ms=NOW_MS, masked=True
    )
    assert "s$cret" not in "".join(found)
    assert "to.ke.n" not in "".join(found)
    assert found.webhook.endswith(MASK)


def test_the_curl_survives_a_shell_and_posts_a_new_message_each_time() -> None:
    first, second = (
        shlex.split(
            addresses(config("unix:/r/a b"), base="http://localhost", token=None, now_ms=now).curl
        )
        for now in (NOW_MS, NOW_MS + 1)
    )
    assert first[:4] == ["curl", "-sS", "--unix-socket", "/r/a b"]
    assert first[-1] == "http://localhost/hook/s$cret-of-16-chars"
    body, next_body = (json.loads(command[-2]) for command in (first, second))
    assert body["event"] == "messages.upsert"
    assert body["data"]["messageTimestamp"] == NOW_MS // 1000
    assert body["data"]["key"]["id"] != next_body["data"]["key"]["id"]


@pytest.mark.parametrize(
    ("bind", "hint"),
    [
        ("unix:/run/e.sock", "in place of http://localhost give it the public URL of your reverse"),
        ("0.0.0.0:80", "put your public host name in place of 127.0.0.1."),
        ("[::]:80", "put your public host name in place of [::1]."),
    ],
)
def test_an_address_that_works_only_here_says_what_to_do_elsewhere(bind: str, hint: str) -> None:
    first, second = hints(config(bind))
    assert hint in first
    assert second == "The console link works for 12 h; `evorelay urls` prints a new one."


def test_an_open_daemon_on_an_address_of_its_own_needs_no_hints() -> None:
    open_to_this_machine = Config(
        server=ServerConfig(bind="127.0.0.1:4000"), auth=AuthConfig(mode="open")
    )
    assert hints(open_to_this_machine) == []


def test_urls_prints_what_the_daemon_will_accept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """New secrets are announced once; after that the URLs are the same."""
    monkeypatch.chdir(tmp_path)
    first = CliRunner().invoke(main, ["urls", "--json"])
    assert "made new secrets in var/secrets.json" in first.stderr
    kept = json.loads((tmp_path / "var" / "secrets.json").read_text())
    found = json.loads(first.stdout)
    assert {"webhook", "console", "curl"} == set(found)
    assert f"http://127.0.0.1:4000/hook/{kept['webhook_secret']}" == found["webhook"]
    token = found["console"].split("#token=")[1]
    claims = jwt.decode(token, kept["jwt_secret"], algorithms=["HS256"])
    assert claims["app_metadata"]["evorelay"] == {"role": "admin", "instances": "*"}

    again = CliRunner().invoke(main, ["urls"])
    assert again.stderr == ""
    assert found["webhook"] in again.stdout
    assert "curl -sS" in again.stdout
    assert "The console link works for 12 h" in again.stdout
    assert os.listdir(tmp_path) == ["var"]


def test_urls_of_an_open_daemon_have_no_token(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["urls", "--json"], env={"EVORELAY_AUTH__MODE": "open"})
    assert json.loads(result.stdout)["console"] == "http://127.0.0.1:4000/console"


def test_the_sample_is_of_an_instance_that_the_demo_has() -> None:
    """P8: Evolution has no other, and health would say so of it."""
    options = demo_options("http://127.0.0.1:4000/hook/secret")
    names = {one.name for one in make_instances(options.instances, options.seed, options.dialects)}
    curl = addresses(config("127.0.0.1:4000"), base="http://h", token=None, now_ms=NOW_MS).curl
    sample = json.loads(shlex.split(curl)[5])
    assert sample["instance"] in names
