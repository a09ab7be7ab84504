"""P7: what a verified token's claims grant, and that everything malformed grants nothing."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.config import AuthConfig
from evorelay.model.errors import Code, ConfigError, Refusal
from evorelay.model.principal import Principal
from evorelay.protocol.claims import ClaimReader, numeric_date

EXP = 1_795_000_000
DEFAULTS = AuthConfig(default_role="supervisor", default_instances=("sales",))


def read(config: AuthConfig = DEFAULTS, **claims: Any) -> Principal:
    return ClaimReader(config).read({"sub": "ana", "exp": EXP} | claims)


def granted(claim: object) -> Principal:
    return read(app_metadata={"evorelay": claim})


def test_a_supabase_session_with_the_claim_becomes_its_agent() -> None:
    principal = read(
        aud="authenticated",
        role="authenticated",
        name="Ana  Souza\u00a0",
        app_metadata={"provider": "email", "evorelay": {"role": "agent", "instances": ["a", "b"]}},
        user_metadata={"evorelay": {"role": "admin", "instances": "*"}},
    )
    assert principal == Principal(
        sub="ana",
        name="Ana Souza",
        role="agent",
        instances=frozenset({"a", "b"}),
        expires_at=EXP,
    )
    assert principal.may_see("a")
    assert not principal.may_see("c")


def test_a_star_is_every_instance() -> None:
    principal = granted({"role": "supervisor", "instances": "*"})
    assert principal.instances == "*"
    assert principal.may_see("anything")


def test_instances_may_be_left_out() -> None:
    assert granted({"role": "admin"}).sees_all
    assert not granted({"role": "agent"}).may_see("a")


def test_other_members_of_the_claim_are_ignored() -> None:
    assert granted({"role": "agent", "instances": ["a"], "team": 7}).may_see("a")


@pytest.mark.parametrize("claims", [{}, {"app_metadata": {}}, {"app_metadata": {"provider": "x"}}])
def test_without_the_claim_the_defaults_apply(claims: dict[str, Any]) -> None:
    principal = read(**claims)
    assert (principal.role, principal.instances) == ("supervisor", frozenset({"sales"}))


def test_without_the_claim_and_without_defaults_nothing_is_granted() -> None:
    principal = read(AuthConfig())
    assert (principal.role, principal.instances) == (None, frozenset())
    assert not principal.may_see("sales")


def test_a_default_of_star_is_every_instance() -> None:
    assert read(AuthConfig(default_role="agent", default_instances=("*",))).instances == "*"


MALFORMED: list[object] = [
    None,
    "admin",
    ["admin"],
    7,
    {},
    {"instances": "*"},
    {"role": None, "instances": "*"},
    {"role": "root", "instances": "*"},
    {"role": "Admin", "instances": "*"},
    {"role": ["admin"], "instances": "*"},
    {"role": {"admin": True}},
    {"role": True},
    {"role": "agent", "instances": "sales"},
    {"role": "agent", "instances": None},
    {"role": "agent", "instances": {"sales": True}},
    {"role": "agent", "instances": ["*"]},
    {"role": "agent", "instances": ["sales", "*"]},
    {"role": "agent", "instances": ["sales", 7]},
    {"role": "agent", "instances": ["sales", ""]},
    {"role": "agent", "instances": [["sales"]]},
    {"role": "agent", "instances": ["sales\n"]},
    {"role": "admin", "instances": 7},
]


@pytest.mark.parametrize("claim", MALFORMED)
def test_a_malformed_claim_grants_nothing_not_even_the_defaults(claim: object) -> None:
    principal = granted(claim)
    assert (principal.role, principal.instances) == (None, frozenset())


@pytest.mark.parametrize("metadata", [None, "x", [], 7])
def test_a_path_through_something_else_than_objects_grants_nothing(metadata: object) -> None:
    assert read(app_metadata=metadata).role is None


@pytest.mark.parametrize(
    ("app_metadata", "fault"),
    [
        ("x", "app_metadata is not an object"),
        ({"evorelay": "admin"}, "app_metadata.evorelay is not an object"),
        (
            {"evorelay": {"role": "agent", "instances": "sales"}},
            'app_metadata.evorelay.instances is neither a list of names nor "*"',
        ),
        (
            {"evorelay": {"role": "root"}},
            "app_metadata.evorelay.role is none of agent, supervisor, admin",
        ),
        ({"evorelay": {"role": "agent", "instances": ["sales"]}}, None),
        ({"evorelay": {"role": "agent"}}, None),
        ({}, None),
    ],
)
def test_an_operator_can_learn_why_a_claim_grants_nothing(
    app_metadata: object, fault: str | None
) -> None:
    assert ClaimReader(DEFAULTS).fault({"app_metadata": app_metadata}) == fault


@pytest.mark.parametrize("claim", MALFORMED)
def test_every_malformed_claim_has_a_fault(claim: object) -> None:
    assert ClaimReader(DEFAULTS).fault({"app_metadata": {"evorelay": claim}})


def test_what_users_may_edit_never_decides() -> None:
    grant = {"evorelay": {"role": "admin", "instances": "*"}}
    principal = read(AuthConfig(), user_metadata=grant, raw_user_meta_data=grant, **grant)
    assert principal.role is None


@pytest.mark.parametrize("path", ["user_metadata", "user_metadata.evorelay", "raw_user_meta_data"])
def test_a_path_that_users_may_edit_is_a_configuration_error(path: str) -> None:
    with pytest.raises(ConfigError, match=r"^auth\.claims_path: "):
        ClaimReader(AuthConfig(claims_path=path))


@pytest.mark.parametrize("path", ["", ".", "app_metadata.", ".evorelay", "a..b"])
def test_a_path_with_an_empty_name_is_a_configuration_error(path: str) -> None:
    with pytest.raises(ConfigError, match=r"^auth\.claims_path: "):
        ClaimReader(AuthConfig(claims_path=path))


@pytest.mark.parametrize("names", [("*", "a"), ("a", "")])
def test_default_instances_without_sense_are_a_configuration_error(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match=r"^auth\.default_instances: "):
        ClaimReader(AuthConfig(default_instances=names))


def test_another_path_is_followed() -> None:
    config = AuthConfig(claims_path="relay", default_role="admin")
    assert read(config, relay={"role": "agent", "instances": ["a"]}).role == "agent"
    elsewhere = {"evorelay": {"role": "agent"}}
    assert read(config, relay={}, app_metadata=elsewhere).role is None


@pytest.mark.parametrize("role", ["anon", "service_role"])
def test_supabases_api_keys_are_no_session(role: str) -> None:
    with pytest.raises(Refusal) as caught:
        read(role=role, app_metadata={"evorelay": {"role": "admin"}})
    assert caught.value.code is Code.UNAUTHORIZED


@pytest.mark.parametrize("sub", [None, "", 7, ["ana"], "a" * 257, "a\nb", "a\0", "\ud800"])
def test_a_sub_that_names_nobody_is_refused(sub: object) -> None:
    with pytest.raises(Refusal, match="sub") as caught:
        read(sub=sub)
    assert caught.value.code is Code.UNAUTHORIZED


@pytest.mark.parametrize("exp", [None, "1795000000", True, float("nan"), float("inf"), -1, 10**40])
def test_an_exp_that_is_no_date_is_refused(exp: object) -> None:
    with pytest.raises(Refusal, match="exp"):
        read(exp=exp)


def test_a_fractional_date_is_one() -> None:
    assert numeric_date(1.9) == 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (7, None),
        ("", None),
        (" \n ", None),
        ("Zoë 🙂", "Zoë 🙂"),
        ("Ana\n\u202eevil\ud800", "Ana evil"),
        ("x" * 5000, "x" * 200),
    ],
)
def test_a_name_is_cleaned_and_bounded(name: object, shown: str | None) -> None:
    assert read(name=name).name == shown


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(claim=JSON, name=JSON, metadata=JSON)
def test_no_json_causes_an_error_or_grants_by_accident(
    claim: object, name: object, metadata: object
) -> None:
    principal = read(name=name, app_metadata={"evorelay": claim}, user_metadata=metadata)
    assert principal.role is None
