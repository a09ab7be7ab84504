"""P7: a place is trusted only when the direct peer really is there."""

import pytest

from evorelay.model.errors import ConfigError
from evorelay.protocol.peers import (
    UNIX_PEER,
    Networks,
    is_forwarded,
    is_loopback,
    names_this_machine,
)


@pytest.mark.parametrize(
    ("peer", "inside"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("fd00::7", True),
        ("10.2.0.1", False),
        ("2001:db8::1", False),
        (UNIX_PEER, False),
        (None, False),
        ("", False),
        ("10.1.2.3:80", False),
    ],
)
def test_networks_contain_addresses_and_nothing_else(peer: str | None, inside: bool) -> None:
    assert (peer in Networks("k", ("10.1.0.0/16", "fd00::/8"))) is inside


def test_no_networks_contain_nobody() -> None:
    assert "127.0.0.1" not in Networks("k", ())


def test_a_malformed_network_is_named_with_its_key() -> None:
    with pytest.raises(ConfigError, match=r"webhook\.allow_from: .*10\.0\.0\.0/33"):
        Networks("webhook.allow_from", ("10.0.0.0/33",))


@pytest.mark.parametrize(
    "name",
    [b"X-Forwarded-For", b"x-forwarded-proto", b"FORWARDED", b"Via", b"X-Real-IP"],
)
def test_every_forwarding_header_shows_a_proxy(name: bytes) -> None:
    assert is_forwarded([(b"Host", b"a"), (name, b"")])


def test_ordinary_headers_show_no_proxy() -> None:
    assert not is_forwarded([(b"Host", b"a"), (b"User-Agent", b"Via"), (b"X-Request-Id", b"1")])


def test_loopback_is_both_families_and_the_mapped_form() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1")))
    assert not any(map(is_loopback, ("10.0.0.1", "::2", "localhost", UNIX_PEER, None)))


def test_only_loopback_names_name_this_machine() -> None:
    for host in ("localhost", "LocalHost:4000", "127.0.0.1:4000", "[::1]:4000", "[::1]"):
        assert names_this_machine(host)
    for host in ("", "evil.example:4000", "localhost.evil.example", "127.0.0.1.nip.io", "[::2]"):
        assert not names_this_machine(host)
