import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.config import Config, EvolutionInstanceConfig
from evorelay.config_load import load_config
from evorelay.model.errors import ConfigError
from evorelay.settings import sources
from evorelay.settings.keys import ANY_INSTANCE, KEYS

EXAMPLES = Path(__file__).parents[2] / "systemd"


@pytest.fixture(autouse=True)
def no_default_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "DEFAULT_FILE", tmp_path / "default.toml")


def load(tmp_path: Path, text: str = "", **environ: str) -> Config:
    path = tmp_path / "evorelay.toml"
    path.write_text(text)
    return load_config(path, environ)


def lines(tmp_path: Path, text: str = "", **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **environ)
    return str(caught.value).splitlines()


def test_with_nothing_configured_the_defaults_hold() -> None:
    assert Config() == load_config(None, {})


def test_units_and_lists_read_alike_in_the_file_and_the_environment(tmp_path: Path) -> None:
    from_file = load(
        tmp_path,
        """
        [server]
        drain_timeout = "30s"
        max_connections = 5
        trusted_proxies = ["10.0.0.0/8", "::1/128"]
        [webhook]
        max_body_bytes = "1MiB"
        [outbox]
        rate = 2
        [tickets]
        store_status_posts = true
        """,
    )
    from_environment = load(
        tmp_path,
        EVORELAY_SERVER__DRAIN_TIMEOUT="30",
        EVORELAY_SERVER__MAX_CONNECTIONS="5",
        EVORELAY_SERVER__TRUSTED_PROXIES="10.0.0.0/8, ::1/128",
        EVORELAY_WEBHOOK__MAX_BODY_BYTES="1048576",
        EVORELAY_OUTBOX__RATE="2.0",
        EVORELAY_TICKETS__STORE_STATUS_POSTS="yes",
    )
    assert from_file == from_environment
    assert from_file.server.drain_timeout == 30.0
    assert from_file.server.trusted_proxies == ("10.0.0.0/8", "::1/128")
    assert from_file.webhook.max_body_bytes == 1 << 20


def test_an_empty_variable_takes_a_value_away(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        '[metrics]\nallow_from = ["10.0.0.0/8"]\n[auth]\nissuer = "x"',
        EVORELAY_METRICS__ALLOW_FROM="",
        EVORELAY_AUTH__ISSUER="",
    )
    assert config.metrics.allow_from == ()
    assert config.auth.issuer is None


def test_an_instance_is_built_from_all_sources(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        f'[evolution.instances.loja-1]\nfingerprint_sha256 = "{":".join(["AB"] * 32)}"',
        EVORELAY_EVOLUTION__INSTANCES__LOJA_1__API_KEY="key",
    )
    assert {
        "loja-1": EvolutionInstanceConfig(api_key="key", fingerprint_sha256="ab" * 32)
    } == config.evolution.instances


def test_every_problem_is_told_at_once_in_the_order_of_the_sections(tmp_path: Path) -> None:
    found = lines(
        tmp_path,
        """
        webhok.secret = "hunter2-hunter2"
        cache = 5
        [server]
        bind = "4000"
        drain_timeout = -1
        max_connections = true
        [webhook]
        secret = "hunter2"
        max_body_bytes = "a lot"
        [auth]
        mode = "opn"
        [log]
        level = 3
        """,
        EVORELAY_WEBHOOK_SECRET="hunter2-hunter2",
        EVORELAY_REDIS__URL="redis://:hunter2@r",
    )
    keys = [line.split(":")[0] for line in found]
    assert keys == [
        "webhok.secret",
        "cache",
        "EVORELAY_WEBHOOK_SECRET",
        "server.drain_timeout",
        "server.max_connections",
        "webhook.max_body_bytes",
        "auth.mode",
        "log.level",
        "server.bind",
        "webhook.secret",
        "redis.url",
    ]
    assert all(re.fullmatch(r"[\w.]+: .+(; |, did | mean ).+", line) for line in found)
    assert "hunter2" not in "\n".join(found)
    assert found[0] == "webhok.secret: is unknown; did you mean webhook.secret?"
    assert found[1] == "cache: is a section; write its keys under [cache]"
    assert found[2].endswith("did you mean EVORELAY_WEBHOOK__SECRET?")
    assert found[3] == "server.drain_timeout: is too small; it must be at least 0"
    assert found[6] == "auth.mode: is none of the choices; write jwt or open"
    assert found[-1].endswith("(set by EVORELAY_REDIS__URL)")


def test_a_key_like_no_other_is_named_without_a_guess(tmp_path: Path) -> None:
    assert lines(tmp_path, EVORELAY_FOO="1") == [
        "EVORELAY_FOO: is unknown; correct or remove it",
    ]


def test_one_key_is_complained_about_once(tmp_path: Path) -> None:
    assert lines(tmp_path, "storage.url = 5") == ["storage.url: is not text; put it in quotes"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("server.header_timeout = 0", "must be more than 0"),
        ("server.header_timeout = inf", "not a finite number"),
        ("server.header_timeout = nan", "not a finite number"),
        ("server.header_timeout = 1" + "0" * 400, "not a number"),
        ("server.header_timeout = 1e12", "at most"),
        ("outbox.burst = 0", "at least 1"),
        ("outbox.burst = 1.5", "whole number"),
        ('outbox.burst = "x"', "whole number"),
        ('outbox.rate = "x"', "not a number"),
        ("webhook.max_body_bytes = 10", "at least 1024"),
        ("server.reuse_port = 1", "true nor false"),
        ("webhook.allow_from = 1", "not a list"),
        ("webhook.allow_from = [1]", "not text"),
        ('auth.issuer = "a\\nb"', "control characters"),
        ('auth.default_role = "root"', "write admin or agent or supervisor"),
        ('evolution.fingerprint_sha256 = "ab"', "64 hex digits"),
        ("state_dir = 2026-01-01", "not text"),
    ],
)
def test_values_of_the_wrong_kind_or_size(tmp_path: Path, text: str, complaint: str) -> None:
    (line,) = lines(tmp_path, text)
    assert line.startswith(text.split(" =")[0] + ": ")
    assert complaint in line


def test_an_undecodable_variable_is_refused(tmp_path: Path) -> None:
    (line,) = lines(tmp_path, EVORELAY_AUTH__JWT_SECRET="\udcff" * 40)
    assert line.startswith("auth.jwt_secret: is not UTF-8 text")


def test_an_unknown_name_cannot_break_the_line_or_the_terminal(tmp_path: Path) -> None:
    (line,) = lines(tmp_path, '"a\\n\\u001b[31m" = 1')
    assert line.isprintable()


def test_a_flood_of_mistakes_is_cut(tmp_path: Path) -> None:
    text = "\n".join(f"key{i} = 1" for i in range(5000))
    assert len(lines(tmp_path, text)) == 100


@given(st.dictionaries(st.sampled_from(sorted(".".join(key) for key in KEYS)), st.text()))
def test_any_text_in_any_variable_is_loaded_or_refused(texts: dict[str, str]) -> None:
    """P7: and no complaint repeats what was written."""
    environ = {
        "EVORELAY_" + key.upper().replace(".", "__"): f"{text}hunter2"
        for key, text in texts.items()
    }
    complaint = ""
    try:
        load_config(None, environ)
    except ConfigError as error:
        complaint = str(error)
    assert "hunter2" not in complaint


def test_no_section_shows_its_secrets(tmp_path: Path) -> None:
    """P7."""
    config = load(
        tmp_path,
        EVORELAY_WEBHOOK__SECRET="hunter2-hunter2-hunter2",
        EVORELAY_AUTH__JWT_SECRET="hunter2-" * 5,
        EVORELAY_EVOLUTION__API_KEY="hunter2",
        EVORELAY_EVOLUTION__INSTANCES__loja__API_KEY="hunter2",
    )
    assert "hunter2" not in repr(config)
    assert "bind='127.0.0.1:4000'" in repr(config)


def test_the_example_file_loads_as_it_is_and_shows_the_defaults(tmp_path: Path) -> None:
    """Its commented keys are every key there is; those with a default show that default."""
    text = (EXAMPLES / "evorelay.toml.example").read_text()
    assert Config() == load(tmp_path, text)

    uncommented = re.sub(r"^#(?=[a-z_]+ = |\[)", "", text, flags=re.MULTILINE)
    for line in re.findall(r"^(?:tls_|.*ca_file).*\n", uncommented, flags=re.MULTILINE):
        uncommented = uncommented.replace(line, "")
    example = load(tmp_path, uncommented)
    shown_differently = {"jwks_url", "issuer", "audience", "default_role", "public_url"}
    for section in Config.__struct_fields__:
        found, default = getattr(example, section), getattr(Config(), section)
        if section in ("evolution", "storage", "backup"):
            continue
        for name in getattr(default, "__struct_fields__", ()):
            if name not in shown_differently:
                assert getattr(default, name) == getattr(found, name), f"{section}.{name}"


def test_the_example_file_names_every_key() -> None:
    named: set[tuple[str, ...]] = set()
    section: tuple[str, ...] = ()
    for line in (EXAMPLES / "evorelay.toml.example").read_text().splitlines():
        if match := re.fullmatch(r"#?\[(.+)\]", line):
            section = tuple(match[1].split("."))
            if section[:2] == ("evolution", "instances"):
                section = (*section[:2], ANY_INSTANCE)
        elif match := re.match(r"#([a-z0-9_]+) = ", line):
            named.add((*section, match[1]))
    assert set(KEYS) == named


def test_the_example_environment_names_known_variables(tmp_path: Path) -> None:
    text = (EXAMPLES / "evorelay.env.example").read_text()
    found = dict(re.findall(r"^#(EVORELAY_\w+)=(.*)$", text, flags=re.MULTILINE))
    for name in found:
        if name.endswith("_FILE"):
            (tmp_path / name).write_text("x" * 40)
            found[name] = str(tmp_path / name)
    del found["EVORELAY_CONFIG"]
    assert len(found) > 5
    assert "loja" in load(tmp_path, **found).evolution.instances
