import pytest

from evorelay.model.errors import ConfigError
from evorelay.simulator.dialects import DIALECTS
from evorelay.simulator.options import SimulatorOptions, demo_options, dialects_of, split_bind

TARGET = "https://relay.example/hook/very-secret"


def test_the_defaults_are_a_quiet_simulator_without_a_rest_api() -> None:
    options = SimulatorOptions(TARGET)
    assert (options.instances, options.rate_per_minute, options.listen) == (3, 60, None)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"target": "relay.example/hook"}, "target"),
        ({"target": "ftp://relay.example"}, "target"),
        ({"target": "http://[bad"}, "target"),
        ({"instances": 0}, "instances"),
        ({"rate_per_minute": -1}, "rate"),
        ({"duration_s": -1.0}, "for"),
        ({"duplicates": 1.5}, "duplicates"),
        ({"shuffle": -0.1}, "shuffle"),
        ({"max_in_flight": 0}, "max_in_flight"),
        ({"dialects": ("3.0 telegram",)}, "dialects"),
        ({"dialects": ()}, "dialects"),
        ({"listen": "8080"}, "listen"),
        ({"listen": "127.0.0.1:99999"}, "listen"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(wrong: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=f"^{named}: ") as caught:
        SimulatorOptions(**{"target": TARGET, **wrong})  # type: ignore[arg-type]  # wrong on purpose
    assert "\n" not in str(caught.value)


def test_the_secrets_are_in_no_repr() -> None:
    """P7."""
    options = SimulatorOptions(TARGET, secret_header="s3cret", jwt_key="k3y", api_key="4pi")
    for secret in ("very-secret", "s3cret", "k3y", "4pi"):
        assert secret not in repr(options)


def test_the_demo_is_one_evolution_with_a_rest_api() -> None:
    options = demo_options(TARGET)
    assert {name.split()[0] for name in options.dialects} == {"2.3.6"}
    assert options.listen is not None


def test_a_version_has_the_channels_it_is_known_with() -> None:
    assert dialects_of("1.8.2") == ("1.8.2 baileys", "1.8.2 business")
    assert set(dialects_of(None)) == set(DIALECTS)
    with pytest.raises(ConfigError, match=r"^evolution: give one of 1\.8\.2, "):
        dialects_of("2.3")


def test_a_bind_is_host_and_port() -> None:
    assert split_bind("127.0.0.1:8080") == ("127.0.0.1", 8080)
    assert split_bind("[::1]:0") == ("::1", 0)
    assert split_bind("localhost") is None
    assert split_bind("localhost:x") is None
