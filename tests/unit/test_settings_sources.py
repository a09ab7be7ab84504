import re
from pathlib import Path

import pytest

from evorelay.settings import sources
from evorelay.settings.keys import Key
from evorelay.settings.sources import Collected, collect


@pytest.fixture(autouse=True)
def no_default_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    default = tmp_path / "default.toml"
    monkeypatch.setattr(sources, "DEFAULT_FILE", default)
    return default


def toml(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "evorelay.toml"
    path.write_text(text)
    return path


def values(found: Collected) -> dict[Key, object]:
    assert found.problems == []
    assert found.unknown == []
    return {key: setting.value for key, setting in found.settings.items()}


def test_nothing_configured_is_nothing_set() -> None:
    assert values(collect(None, {"PATH": "/bin", "EVO": "x"})) == {}


def test_the_file_is_flattened_to_keys_with_toml_types(tmp_path: Path) -> None:
    path = toml(
        tmp_path,
        """
        state_dir = "/s"
        cache.ttl = 60
        [evolution.instances."Loja 1.a"]
        url = "https://e.example"
        [log]
        """,
    )
    assert values(collect(path, {})) == {
        ("state_dir",): "/s",
        ("cache", "ttl"): 60,
        ("evolution", "instances", "Loja 1.a", "url"): "https://e.example",
    }


def test_which_file_argument_then_variable_then_default(
    tmp_path: Path, no_default_file: Path
) -> None:
    no_default_file.write_text('state_dir = "default"')
    (tmp_path / "variable.toml").write_text('state_dir = "variable"')
    argument = toml(tmp_path, 'state_dir = "argument"')
    environ = {"EVORELAY_CONFIG": str(tmp_path / "variable.toml")}
    assert values(collect(argument, environ))[("state_dir",)] == "argument"
    assert values(collect(None, environ))[("state_dir",)] == "variable"
    assert values(collect(None, {}))[("state_dir",)] == "default"


def test_environment_over_credentials_over_file(tmp_path: Path) -> None:
    path = toml(
        tmp_path, '[webhook]\nsecret = "file"\n[auth]\njwt_secret = "file"\nissuer = "file"'
    )
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "webhook.secret").write_text("credential\n")
    (credentials / "EVORELAY_AUTH__JWT_SECRET").write_text("credential\n")
    (credentials / "evolution.instances.loja.br.api_key").write_text("credential")
    (credentials / "somebody-elses").write_text("x")
    (credentials / ".hidden.thing").write_text("x")
    found = collect(
        path,
        {"CREDENTIALS_DIRECTORY": str(credentials), "EVORELAY_AUTH__JWT_SECRET": "environment"},
    )
    assert values(found) == {
        ("webhook", "secret"): "credential",
        ("auth", "jwt_secret"): "environment",
        ("auth", "issuer"): "file",
        ("evolution", "instances", "loja.br", "api_key"): "credential",
    }


def test_a_credential_that_looks_like_ours_but_is_not_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "webhook.secrt").write_text("x")
    (tmp_path / "EVORELAY_NOPE").write_text("x")
    found = collect(None, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert [name for name, _ in found.unknown] == ["EVORELAY_NOPE", "webhook.secrt"]


def test_a_file_variable_gives_the_content_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("the secret\n")
    found = collect(None, {"EVORELAY_WEBHOOK__SECRET_FILE": str(tmp_path / "s")})
    assert values(found) == {("webhook", "secret"): "the secret"}


def test_a_key_that_is_a_path_takes_the_path_of_its_file(tmp_path: Path) -> None:
    """A PEM handed over as a credential is used where it lies."""
    (tmp_path / "server.tls_key").write_text("-----BEGIN")
    found = collect(
        None,
        {
            "CREDENTIALS_DIRECTORY": str(tmp_path),
            "EVORELAY_SERVER__TLS_CERT_FILE": "/etc/cert.pem",
            "EVORELAY_EVOLUTION__CA_FILE": "/etc/ca.pem",
        },
    )
    assert {
        ("server", "tls_key"): str(tmp_path / "server.tls_key"),
        ("server", "tls_cert"): "/etc/cert.pem",
        ("evolution", "ca_file"): "/etc/ca.pem",
    } == values(found)


def test_a_value_and_its_file_at_once_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("x")
    environ = {
        "EVORELAY_WEBHOOK__SECRET": "x",
        "EVORELAY_WEBHOOK__SECRET_FILE": str(tmp_path / "s"),
    }
    (problem,) = collect(None, environ).problems
    assert (
        problem == "EVORELAY_WEBHOOK__SECRET_FILE: EVORELAY_WEBHOOK__SECRET is set as well;"
        " keep one of the two"
    )


def test_state_directory_of_systemd_is_only_a_default(tmp_path: Path) -> None:
    environ = {"STATE_DIRECTORY": "/var/lib/evorelay:/var/lib/other"}
    assert values(collect(None, environ)) == {("state_dir",): "/var/lib/evorelay"}
    path = toml(tmp_path, 'state_dir = "/file"')
    assert values(collect(path, environ)) == {("state_dir",): "/file"}
    environ["EVORELAY_STATE_DIR"] = "/variable"
    assert values(collect(path, environ)) == {("state_dir",): "/variable"}


def test_instances_in_variables_are_taken_as_written_or_matched_with_the_file(
    tmp_path: Path,
) -> None:
    path = toml(tmp_path, '[evolution.instances.loja-1]\nurl = "https://a.example"')
    found = collect(
        path,
        {
            "EVORELAY_EVOLUTION__INSTANCES__LOJA_1__API_KEY": "k",
            "EVORELAY_EVOLUTION__INSTANCES__Nova__x__URL": "https://b.example",
        },
    )
    assert values(found) == {
        ("evolution", "instances", "loja-1", "url"): "https://a.example",
        ("evolution", "instances", "loja-1", "api_key"): "k",
        ("evolution", "instances", "Nova__x", "url"): "https://b.example",
    }


@pytest.mark.parametrize(
    "name", ["EVORELAY_WEBHOOK_SECRET", "EVORELAY_NOPE__NOPE", "EVORELAY_", "EVORELAY_X_FILE"]
)
def test_unknown_variables_are_reported(name: str) -> None:
    assert [name] == [written for written, _ in collect(None, {name: "x"}).unknown]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"= 1", "is not TOML: .*line 1"),
        (b"a = 1\na = 2", "is not TOML: "),
        (b"\xff", "not UTF-8"),
        (b"a = " + b"[" * 100_000, "nested too deeply|not TOML"),
        (b"a." * 5000 + b"a = 1", "nested too deeply"),
        (b"a = " + b"9" * 5000, "not TOML"),
        (b"#" * (1024 * 1024 + 1), "over 1048576 bytes"),
    ],
)
def test_an_unusable_file_is_one_problem(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    (problem,) = collect(path, {}).problems
    assert re.match(rf"{path}: .*({complaint})", problem)
    assert "\n" not in problem


def test_what_cannot_be_read_is_a_problem_that_names_it(tmp_path: Path) -> None:
    environ = {
        "EVORELAY_WEBHOOK__SECRET_FILE": "/nowhere/secret",
        "CREDENTIALS_DIRECTORY": "/nowhere/credentials",
    }
    assert [
        f"{tmp_path}: cannot be read: Is a directory; let this user read it, or name another",
        "CREDENTIALS_DIRECTORY: cannot be read: No such file or directory; let systemd set it",
        "EVORELAY_WEBHOOK__SECRET_FILE: cannot be read: No such file or directory;"
        " name a file that holds the value",
    ] == collect(tmp_path, environ).problems
