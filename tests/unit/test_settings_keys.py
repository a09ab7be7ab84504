import msgspec

from evorelay.config import Config
from evorelay.settings.keys import (
    KEYS,
    env_name,
    is_path,
    is_section,
    nearest,
    type_of,
)


def test_every_field_of_the_configuration_is_a_key() -> None:
    defaults = msgspec.to_builtins(Config())
    plain = {(name,) for name, value in defaults.items() if not isinstance(value, dict)}
    nested = {
        (section, name)
        for section, values in defaults.items()
        if isinstance(values, dict)
        for name in values
        if name != "instances"
    }
    assert plain | nested == {key for key in KEYS if len(key) <= 2}
    assert {"url", "api_key", "ca_file", "fingerprint_sha256", "timeout"} == {
        key[3] for key in KEYS if len(key) == 4
    }


def test_an_instance_may_have_any_name() -> None:
    assert type_of(("evolution", "instances", "Loja 1", "url")) is not None
    assert type_of(("evolution", "instances", "Loja 1", "ulr")) is None


def test_paths_and_sections_are_known_as_such() -> None:
    assert is_path(("server", "tls_key"))
    assert is_path(("evolution", "instances", "loja", "ca_file"))
    assert not is_path(("webhook", "secret"))
    assert is_section("webhook")
    assert not is_section("state_dir")


def test_variables_are_named_after_their_key() -> None:
    assert env_name(("state_dir",)) == "EVORELAY_STATE_DIR"
    assert env_name(("webhook", "secret")) == "EVORELAY_WEBHOOK__SECRET"
    key = ("evolution", "instances", "Loja", "api_key")
    assert env_name(key) == "EVORELAY_EVOLUTION__INSTANCES__Loja__API_KEY"


def test_the_nearest_key_is_spelled_as_the_operator_spelled_it() -> None:
    assert nearest("webhok.secrt", ("webhok", "secrt")) == "webhook.secret"
    assert nearest("EVORELAY_LOG_LEVEL", ("log_level",)) == "EVORELAY_LOG__LEVEL"
    assert nearest("EVORELAY_JWT_SECRET", ("jwt_secret",)) == "EVORELAY_AUTH__JWT_SECRET"
    misspelled = ("evolution", "instances", "loja", "ulr")
    assert nearest(".".join(misspelled), misspelled) == "evolution.instances.loja.url"


def test_what_is_like_no_key_gets_no_guess() -> None:
    """The prefix that all variables have makes none of them alike."""
    assert nearest("EVORELAY_FOO", ("foo",)) is None
    assert nearest("EVORELAY_", ("",)) is None
    assert nearest("foo.bar", ("foo", "bar")) is None
