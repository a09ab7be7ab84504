"""P7: TLS is always verified. P5: no server holds us up or fills our memory."""

import datetime
import ssl
from ipaddress import ip_address
from pathlib import Path

import pytest
import trio
import trio.testing
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from evorelay.edge.http_client import FetchFailed, open_http_client
from tests.edge.key_server import ec_key, open_key_server


async def test_a_200_answers_body_is_returned() -> None:
    async with open_key_server() as server, open_http_client() as client:
        server.body = b"x" * 1000
        assert await client.get(server.url) == b"x" * 1000
        assert await client.get(server.url, bytes_max=1000) == b"x" * 1000


async def test_a_body_over_the_bound_is_refused() -> None:
    async with open_key_server() as server, open_http_client() as client:
        server.body = b"x" * 300_000
        with pytest.raises(FetchFailed, match="more than 262144 bytes"):
            await client.get(server.url)


async def test_a_redirect_is_not_followed() -> None:
    async with open_key_server() as server, open_http_client() as client:
        server.status = "302 Found"
        server.headers = f"Location: {server.url}\r\n"
        with pytest.raises(FetchFailed, match="answered 302; configure the final URL"):
            await client.get(server.url)
        assert server.requests == 1


async def test_a_compressed_answer_is_refused_unread() -> None:
    async with open_key_server() as server, open_http_client() as client:
        server.headers = "Content-Encoding: gzip\r\n"
        with pytest.raises(FetchFailed, match="compressed"):
            await client.get(server.url)


async def test_a_silent_server_meets_the_deadline(mock_clock: trio.testing.MockClock) -> None:
    async with open_key_server() as server, open_http_client() as client:
        server.silent = True

        async def pass_time() -> None:
            await server.asked.wait()
            mock_clock.jump(7)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pass_time)
            with pytest.raises(FetchFailed, match="no complete answer within 7 s"):
                await client.get(server.url, deadline_s=7)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1/", "ftp://127.0.0.1/", "http://[::1", "http://a\x00b/", ""]
)
async def test_an_url_that_cannot_be_fetched_says_so_without_naming_it(url: str) -> None:
    async with open_http_client() as client:
        with pytest.raises(FetchFailed) as caught:
            await client.get(url)
    assert str(caught.value)
    assert url == "" or url not in str(caught.value)


async def test_a_certificate_nobody_signed_is_refused(tmp_path: Path) -> None:
    async with open_key_server(_self_signed(tmp_path)) as server, open_http_client() as client:
        with pytest.raises(FetchFailed, match="certificate verify failed"):
            await client.get(server.url)
        assert server.requests == 0


async def test_proxy_variables_of_the_environment_decide_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with open_key_server() as server, open_http_client() as client:
        server.body = b"direct"
        assert await client.get(server.url) == b"direct"


def _self_signed(directory: Path) -> ssl.SSLContext:
    key = ec_key("tls")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path = directory / "self-signed.pem"
    path.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
