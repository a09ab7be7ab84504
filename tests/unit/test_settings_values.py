from ipaddress import ip_network

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evorelay.settings.values import (
    TcpBind,
    UnixBind,
    parse_base_url,
    parse_bind,
    parse_bool,
    parse_bytes,
    parse_fingerprint,
    parse_host,
    parse_list,
    parse_network,
    parse_seconds,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("2.5", 2.5), ("250ms", 0.25), ("30m", 1800), ("12 h", 43200), ("7D", 604800)],
)
def test_durations_are_numbers_or_have_a_unit(text: str, seconds: float) -> None:
    assert seconds == parse_seconds(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1024", 1024), ("64MiB", 64 << 20), ("1.5 KiB", 1536), ("2GB", 2 * 10**9), ("3b", 3)],
)
def test_sizes_are_numbers_or_have_a_unit(text: str, size: int) -> None:
    assert size == parse_bytes(text)


@pytest.mark.parametrize("text", ["", "m", "1y", "1h30m", "٣s", "1e3", "inf", "nan", "9" * 50])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration; write"):
        parse_seconds(text)
    with pytest.raises(ValueError, match="is not a size; write"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "value"), [("TRUE", True), (" on", True), ("1", True), ("no", False), ("0", False)]
)
def test_booleans_in_the_words_people_use(text: str, value: bool) -> None:
    assert value is parse_bool(text)


def test_any_other_word_is_no_boolean() -> None:
    with pytest.raises(ValueError, match="neither true nor false"):
        parse_bool("maybe")


def test_lists_are_separated_by_commas_and_empty_items_are_dropped() -> None:
    assert parse_list(" a, b c,,") == ("a", "b c")
    assert parse_list("") == ()


def test_fingerprints_ignore_colons_and_case() -> None:
    assert parse_fingerprint(":".join(["AB"] * 32)) == "ab" * 32


@pytest.mark.parametrize("text", ["", "ab" * 31, "ab" * 33, "zz" * 32])
def test_other_lengths_and_digits_are_no_fingerprint(text: str) -> None:
    with pytest.raises(ValueError, match="64 hex digits"):
        parse_fingerprint(text)


def test_networks_are_cidrs_or_single_addresses() -> None:
    assert ip_network("10.0.0.0/8") == parse_network("10.0.0.0/8")
    assert ip_network("::1/128") == parse_network("::1")


def test_host_bits_beyond_the_mask_name_the_network_that_was_meant() -> None:
    with pytest.raises(ValueError, match=r"write 10\.0\.0\.0/8"):
        parse_network("10.1.2.3/8")


@pytest.mark.parametrize(
    ("text", "bind", "loopback"),
    [
        ("127.0.0.1:4000", TcpBind("127.0.0.1", 4000), True),
        ("127.9.9.9:0", TcpBind("127.9.9.9", 0), True),
        ("localhost:1", TcpBind("localhost", 1), True),
        ("[::1]:65535", TcpBind("::1", 65535), True),
        ("0.0.0.0:4000", TcpBind("0.0.0.0", 4000), False),
        ("[::]:4000", TcpBind("::", 4000), False),
        ("relay.example:80", TcpBind("relay.example", 80), False),
        ("127.0.0.1.example:80", TcpBind("127.0.0.1.example", 80), False),
        ("unix:/run/e.sock", UnixBind("/run/e.sock"), True),
    ],
)
def test_binds(text: str, bind: TcpBind | UnixBind, loopback: bool) -> None:
    assert bind == parse_bind(text)
    assert loopback is parse_bind(text).is_loopback


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("4000", "127.0.0.1:4000"),
        (":4000", "0.0.0.0:4000"),
        ("::1:4000", r"\[::1\]:4000"),
        ("[nope]:1", r"\[::1\]:4000"),
        ("127.0.0.1:65536", "host:port"),
        ("127.0.0.1:-1", "host:port"),
        ("a b:1", "127.0.0.1:4000"),
        ("unix:e.sock", "unix:/run"),
        ("unix:/" + "a" * 107, "shorter"),
        ("http://127.0.0.1:4000", "brackets|host"),
    ],
)
def test_a_bad_bind_says_how_to_write_it(text: str, fix: str) -> None:
    with pytest.raises(ValueError, match=fix):
        parse_bind(text)


@given(st.text())
def test_a_refusal_does_not_repeat_the_text(text: str) -> None:
    """P7: a secret under the wrong key must not come out in the message."""
    planted = f"hunter2 {text}"
    for parse in (
        parse_seconds,
        parse_bytes,
        parse_bool,
        parse_fingerprint,
        parse_network,
        parse_bind,
    ):
        with pytest.raises(ValueError, match="; ") as refused:
            parse(planted)
        assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://evolution:8080/", "http://evolution:8080"),
        ("HTTPS://Evo.Example/WhatsApp//", "https://evo.example/WhatsApp"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_a_base_url_is_one_spelling_of_it(text: str, url: str) -> None:
    assert parse_base_url(text) == url


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("MinIO", ("minio", None)),
        ("minio:9000", ("minio", 9000)),
        ("minio:80", ("minio", 80)),
        ("[::1]:9000", ("::1", 9000)),
        ("https://evo.example/x", ("evo.example", 443)),
        ("http://evolution:8080", ("evolution", 8080)),
    ],
)
def test_a_host_has_a_port_or_all_of_them(text: str, host: tuple[str, int | None]) -> None:
    assert parse_host(text) == host


@given(
    st.text(st.sampled_from("ax-_.:/@[]%?#019é \n\\")).map(lambda text: f"http://{text}")
    | st.text(max_size=30)
    | st.from_regex(r"http://\[::1?\]?[!-~]{0,4}", fullmatch=True)
    | st.from_regex(r"https?://(xn--)?[a-z0-9.-]{0,12}(:[0-9]{1,5})?/[!-~]{0,5}", fullmatch=True)
)
def test_whatever_is_taken_for_a_base_url_can_be_called(text: str) -> None:
    try:
        url = parse_base_url(text)
    except ValueError:
        return
    parsed = httpx.URL(f"{url}/instance")
    assert parsed.raw_host
    assert parsed.scheme in ("http", "https")
    assert parsed.port != 0
    assert parse_base_url(url) == url
