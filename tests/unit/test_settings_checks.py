from pathlib import Path
from typing import Any

import msgspec
import pytest

from evorelay.config import Config
from evorelay.settings.checks import check
from tests.certificates import self_signed


def problems(**sections: Any) -> dict[str, str]:
    config = msgspec.convert(sections, Config)
    return dict(check(config))


def test_the_defaults_are_fine() -> None:
    assert problems() == {}


@pytest.mark.parametrize("bind", ["127.0.0.1:4000", "localhost:0", "[::1]:1", "unix:/run/e.sock"])
def test_open_is_accepted_where_only_this_machine_connects(bind: str) -> None:
    assert problems(auth={"mode": "open"}, server={"bind": bind}) == {}


@pytest.mark.parametrize("bind", ["0.0.0.0:4000", "[::]:4000", "192.0.2.1:1", "relay.example:1"])
def test_open_is_refused_on_any_other_address(bind: str) -> None:
    """P7."""
    assert {"auth.mode"} == set(problems(auth={"mode": "open"}, server={"bind": bind}))


@pytest.mark.parametrize(
    ("section", "key", "short", "enough"),
    [
        ("webhook", "secret", "s" * 15, "s" * 16),
        ("webhook", "previous_secret", "s" * 15, "s" * 16),
        ("auth", "jwt_secret", "s" * 31, "s" * 32),
        ("auth", "previous_jwt_secret", "é" * 15, "é" * 16),
    ],
)
def test_short_secrets_are_refused_without_being_shown(
    section: str, key: str, short: str, enough: str
) -> None:
    """P7."""
    found = problems(**{section: {key: short}})
    assert {f"{section}.{key}"} == set(found)
    assert short not in found[f"{section}.{key}"]
    assert problems(**{section: {key: enough}}) == {}


@pytest.mark.parametrize("character", ["/", "?", "#", "%", " ", "é", '"'])
def test_a_webhook_secret_must_stand_in_a_path_as_it_is(character: str) -> None:
    found = problems(webhook={"secret": "0123456789abcdef" + character})
    assert "URL's path" in found["webhook.secret"]


@pytest.mark.parametrize(
    ("section", "key"),
    [("server", "trusted_proxies"), ("webhook", "allow_from"), ("metrics", "allow_from")],
)
def test_networks_are_cidrs(section: str, key: str) -> None:
    assert problems(**{section: {key: ["10.0.0.0/8", "::1"]}}) == {}
    assert {f"{section}.{key}"} == set(problems(**{section: {key: ["10.0.0.0/8", "all"]}}))


def test_a_tls_pair_is_whole_readable_and_fits(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    other_cert, _ = self_signed(tmp_path, "other.example")
    whole = {"tls_cert": str(cert), "tls_key": str(key)}
    assert problems(server=whole) == {}
    assert {"server.tls_key"} == set(problems(server={"tls_cert": str(cert)}))
    assert {"server.tls_cert"} == set(problems(server={"tls_key": str(key)}))
    assert {"server.tls_cert"} == set(problems(server=whole | {"tls_cert": str(other_cert)}))
    missing = {"tls_cert": str(tmp_path / "no"), "tls_key": str(tmp_path / "none")}
    assert {"server.tls_cert", "server.tls_key"} == set(problems(server=missing))


def test_a_ca_file_holds_a_certificate(tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    assert problems(evolution={"ca_file": str(cert)}) == {}
    assert "no PEM" in problems(evolution={"ca_file": str(key)})["evolution.ca_file"]
    found = problems(evolution={"instances": {"loja": {"ca_file": str(tmp_path / "no")}}})
    assert "cannot be read" in found["evolution.instances.loja.ca_file"]


@pytest.mark.parametrize("url", ["ftp://e.example", "e.example", "http://", "http://[::1", "//e"])
def test_evolution_is_reached_over_http(url: str) -> None:
    assert {"evolution.url"} == set(problems(evolution={"url": url}))


@pytest.mark.parametrize(
    "url",
    [
        *("http://a..b:8080", "http://xn--/", "http://xn--a.example", "http://e.example:0"),
        *(
            "http://e.example:port",
            "http://1.2.3.4.5",
            "http://300.1.1.1",
            "http://[e]",
            "http://[::1]n",
            "http://[::1]8080",
            "relay:4000",
        ),
        *(
            "https://e.example/?key=1",
            "https://e.example/#x",
            "http://e e.example",
            "http://é.example",
        ),
        *("http://e.example/a b", " http://e.example", "http://" + "a" * 64 + ".example"),
    ],
)
def test_an_address_that_cannot_be_is_said_before_the_start(url: str) -> None:
    assert {"evolution.url"} == set(problems(evolution={"url": url}))
    assert {"server.public_url"} == set(problems(server={"public_url": url}))
    found = problems(evolution={"instances": {"loja": {"url": url}}})
    assert {"evolution.instances.loja.url"} == set(found)


@pytest.mark.parametrize(
    "url",
    [
        *("http://evolution_api:8080/", "https://evo.example/whatsapp/", "http://[::1]:8080"),
        *("http://10.0.0.7", "https://xn--caf-dma.example", "HTTPS://Evo.Example."),
    ],
)
def test_addresses_as_people_have_them(url: str) -> None:
    assert problems(evolution={"url": url}, server={"public_url": url}) == {}


@pytest.mark.parametrize("key", ["chave-é", "two\nlines", " blank", "\x7f"])
def test_a_key_that_cannot_be_sent_is_refused_without_being_shown(key: str) -> None:
    """P7."""
    found = problems(evolution={"api_key": key, "instances": {"loja": {"api_key": key}}})
    assert set(found) == {"evolution.api_key", "evolution.instances.loja.api_key"}
    assert key not in "".join(found.values())


def test_trust_in_what_is_not_verified_is_refused(tmp_path: Path) -> None:
    """P7: whoever pins a certificate believes that it is looked at."""
    cert, _ = self_signed(tmp_path)
    pinned = {"fingerprint_sha256": "ab" * 32}
    plain = problems(evolution={"url": "http://e.example", "ca_file": str(cert)} | pinned)
    assert set(plain) == {"evolution.ca_file", "evolution.fingerprint_sha256"}
    inherited = {"url": "http://e.example", "instances": {"loja": pinned}}
    found = problems(evolution=inherited)
    assert set(found) == {"evolution.instances.loja.fingerprint_sha256"}
    own = pinned | {"url": "https://own.example"}
    assert problems(evolution={"url": "http://e.example", "instances": {"loja": own}}) == {}


@pytest.mark.parametrize("host", ["http://", "ftp://minio", "a:b", ":9000", "a..b", "http://xn--/"])
def test_hosts_of_files_are_hosts(host: str) -> None:
    assert {"media.allow_hosts"} == set(problems(media={"allow_hosts": ["minio:9000", host]}))
    assert problems(media={"allow_hosts": ["minio", "[::1]:9000", "https://s3.example/"]}) == {}


def test_a_password_in_evolutions_url_is_refused_without_being_shown() -> None:
    """P7."""
    found = problems(evolution={"url": "https://user:hunter2@e.example"})
    assert "hunter2" not in found["evolution.url"]


@pytest.mark.parametrize(
    ("url", "accepted"),
    [
        ("https://p.supabase.co/auth/v1/.well-known/jwks.json", True),
        ("http://127.0.0.1:9999/jwks.json", True),
        ("http://p.supabase.co/jwks.json", False),
        ("http://localhost.example/jwks.json", False),
    ],
)
def test_public_keys_come_over_tls_or_loopback(url: str, accepted: bool) -> None:
    """P7: whoever can change the keys on their way can sign any token."""
    assert accepted is (problems(auth={"jwks_url": url}) == {})


@pytest.mark.parametrize(
    ("path", "accepted"),
    [
        ("app_metadata.evorelay", True),
        ("evorelay", True),
        ("", False),
        ("app_metadata..evorelay", False),
        ("user_metadata.evorelay", False),
        ("user_metadata", False),
        ("role", False),
    ],
)
def test_rights_are_read_from_a_claim_users_cannot_edit(path: str, accepted: bool) -> None:
    """P7."""
    assert accepted is (problems(auth={"claims_path": path}) == {})


@pytest.mark.parametrize(
    ("origin", "accepted"),
    [
        ("https://crm.example.com", True),
        ("http://localhost:5173", True),
        ("capacitor://localhost", True),
        ("*", False),
        ("https://*.example.com", False),
        ("https://crm.example.com/", False),
        ("crm.example.com", False),
        ("null", False),
    ],
)
def test_origins_are_exact(origin: str, accepted: bool) -> None:
    assert accepted is (problems(auth={"allowed_origins": [origin]}) == {})


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@db/x", "postgres://u:hunter2@db/x"])
def test_postgresql_is_refused_saying_what_to_change(url: str) -> None:
    found = problems(storage={"url": url})
    assert "one machine with SQLite only; remove it" in found["storage.url"]
    assert "hunter2" not in found["storage.url"]


def test_several_nodes_are_told_in_one_line_what_they_lack() -> None:
    for more in ({}, {"storage": {"url": "postgresql://db/x"}, "redis": {"url": "redis://r"}}):
        found = problems(server={"reuse_port": True}, **more)
        assert found.keys() == {"server.reuse_port"}
        assert "PostgreSQL (storage.url) and Redis (redis.url)" in found["server.reuse_port"]


def test_redis_is_refused_saying_what_to_change() -> None:
    found = problems(redis={"url": "redis://:hunter2@r"})
    assert "one machine with SQLite only; remove it" in found["redis.url"]
    assert "hunter2" not in found["redis.url"]


def test_the_store_is_a_sqlite_file() -> None:
    assert problems(storage={"url": "sqlite:///var/lib/evorelay/store.db"}) == {}
    assert {"storage.url"} == set(problems(storage={"url": "sqlite:///"}))
    assert {"storage.url"} == set(problems(storage={"url": "mysql://db"}))


def test_waits_between_attempts_grow() -> None:
    assert {"outbox.retry_max"} == set(problems(outbox={"retry_initial": 5, "retry_max": 4}))


def test_a_schedule_has_five_fields_and_a_known_time_zone() -> None:
    assert problems(backup={"schedule": "*/15 0-6 * JAN,feb mon", "timezone": "UTC"}) == {}
    found = problems(backup={"schedule": "0 2 * *", "timezone": "../etc/passwd"})
    assert {"backup.schedule", "backup.timezone"} == set(found)


def test_the_state_directory_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert {"state_dir"} == set(problems(state_dir=str(tmp_path / "file")))


@pytest.mark.parametrize(
    ("health", "key"),
    [
        ({"canary_every": 0.9}, "health.canary_every"),
        ({"canary_warn": 61}, "health.canary_fail"),
        ({"commit_warn": 3, "commit_fail": 2.9}, "health.commit_fail"),
        ({"pipeline_warn": 31}, "health.pipeline_fail"),
    ],
)
def test_thresholds_of_health_must_make_sense_together(health: dict[str, Any], key: str) -> None:
    """P8: a failure that comes before its warning would never be a warning."""
    assert {key} == set(problems(health=health))


@pytest.mark.parametrize(
    "health", [{"canary_every": 0}, {"canary_every": 1}, {"commit_warn": 3, "commit_fail": 3}]
)
def test_thresholds_of_health_at_their_bounds(health: dict[str, Any]) -> None:
    assert problems(health=health) == {}
