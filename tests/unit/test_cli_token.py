import json
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from click.testing import CliRunner, Result

from evorelay.cli.main import main
from evorelay.cli.tokens import sign_token
from evorelay.config import AuthConfig

SECRET = "a-secret-of-more-than-32-bytes-for-tests"


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def token(*args: str, **environ: str) -> Result:
    env = {"EVORELAY_AUTH__JWT_SECRET": SECRET} | environ
    return CliRunner().invoke(main, ["token", *args], env=env)


def claims_of(text: str, **verify: Any) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(text.strip(), SECRET, algorithms=["HS256"], **verify)
    return claims


def test_an_agent_for_twelve_hours_on_every_instance_by_default() -> None:
    before = int(time.time())
    claims = claims_of(token("--sub", "ana").stdout)
    assert claims["sub"] == "ana"
    assert claims["app_metadata"]["evorelay"] == {"role": "agent", "instances": "*"}
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] - claims["iat"] == 12 * 3600
    assert {"sub", "iat", "exp", "app_metadata"} == set(claims)


def test_everything_said_is_in_the_token() -> None:
    result = token(
        *("--sub", "ana", "--name", "Ana Lima", "--role", "supervisor"),
        *("--instances", "loja, vendas", "--ttl", "30m"),
        EVORELAY_AUTH__ISSUER="https://issuer.example",
        EVORELAY_AUTH__AUDIENCE="authenticated",
        EVORELAY_AUTH__CLAIMS_PATH="relay",
    )
    claims = claims_of(result.stdout, audience="authenticated", issuer="https://issuer.example")
    assert claims["name"] == "Ana Lima"
    assert claims["relay"] == {"role": "supervisor", "instances": ["loja", "vendas"]}
    assert claims["exp"] - claims["iat"] == 1800


def test_as_json_with_the_moment_it_expires() -> None:
    found = json.loads(token("--sub", "ana", "--ttl", "1h", "--json").stdout)
    expires_at = datetime.fromisoformat(found["expires_at"])
    assert found["expires_at"].endswith("Z")
    assert claims_of(found["token"])["exp"] == expires_at.timestamp()


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["--sub", " "], "'--sub': must not be empty"),
        (["--sub", "a", "--name", ""], "'--name': must not be empty"),
        (["--sub", "a", "--instances", ""], "'--instances': has an empty name"),
        (["--sub", "a", "--instances", "loja,"], "'--instances': has an empty name"),
        (["--sub", "a", "--instances", "loja,*"], "'--instances': has an empty name, or *"),
        (["--sub", "a", "--role", "root"], "'--role': 'root' is not one of"),
        (["--sub", "a", "--ttl", "0"], "'--ttl': must be more than 0"),
        (["--sub", "a", "--ttl", "-5m"], "'--ttl': must be more than 0"),
        (["--sub", "a", "--ttl", "1e9"], "'--ttl': is not a duration"),
        (["--sub", "a", "--ttl", "9" * 18], "'--ttl': must be at most 100 years"),
    ],
)
def test_unusable_arguments_are_one_line(args: list[str], complaint: str) -> None:
    result = token(*args)
    assert (result.exit_code, len(result.stderr.splitlines())) == (2, 1)
    assert complaint in result.stderr


def test_a_claim_deep_inside_others() -> None:
    signed = sign_token(
        AuthConfig(jwt_secret=SECRET, claims_path="a.b.c"),
        sub="ana",
        name=None,
        role="admin",
        instances=[],
        now_s=int(time.time()),
        ttl_s=60,
    )
    assert claims_of(signed)["a"] == {"b": {"c": {"role": "admin", "instances": []}}}


def test_with_a_configured_secret_no_other_is_made() -> None:
    result = token("--sub", "ana")
    assert result.stderr == ""
    assert not Path("var").exists()
