"""P7: Evolution's certificate is verified always, inside the handshake: without trust not one byte
of HTTP leaves, and so no key."""

import datetime
import hashlib
import ssl
from functools import partial
from pathlib import Path

import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from evorelay.config import EvolutionConfig, MediaConfig
from evorelay.edge.evolution.client import open_gateway
from evorelay.edge.evolution.peek import peek_certificate
from evorelay.edge.evolution.trust import Trust
from evorelay.model.outcome import FaultKind, GatewayFault
from evorelay.model.outgoing import Delivery, Outgoing
from evorelay.relay.blobs import BlobStore
from tests.edge.key_server import ec_key
from tests.support.evolution import RawEvolution, open_evolution

HELLO = Delivery(number="5511990000001", outgoing=Outgoing(type="text", content="oi"))
DAY = datetime.timedelta(days=1)


class Certificate:
    """Self-signed; for ``name``, valid from a day ago for ``days``."""

    def __init__(self, directory: Path, name: str = "localhost", days: float = 2) -> None:
        key = ec_key("evolution")
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - DAY)
            .not_valid_after(now - DAY + days * DAY)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        self.path = directory / "certificate.pem"
        self.path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        key_path = directory / "key.pem"
        key_path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(self.path, key_path)

    @property
    def sha256(self) -> str:
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        return hashlib.sha256(der).hexdigest()


async def send(
    server: RawEvolution, directory: Path, *, ca: Path | None = None, pin: str | None = None
) -> str:
    config = EvolutionConfig(
        url=server.url,
        api_key="sesame-open-the-door",
        ca_file=str(ca) if ca else None,
        fingerprint_sha256=pin,
    )
    blobs = await BlobStore.open(directory / "blobs")
    async with open_gateway(config, MediaConfig(), blobs) as gateway:
        return (await gateway.send("loja", HELLO)).whatsapp_id


async def refused(
    server: RawEvolution, directory: Path, *, ca: Path | None = None, pin: str | None = None
) -> str:
    """What the fault says, whose kind means that nothing was sent."""
    with pytest.raises(GatewayFault) as caught:
        await send(server, directory, ca=ca, pin=pin)
    assert (caught.value.kind, caught.value.code) == (FaultKind.GATEWAY_DOWN, "tls")
    assert server.bytes_received == 0
    return caught.value.message


async def test_a_certificate_nobody_signed_is_refused(tmp_path: Path) -> None:
    async with open_evolution(Certificate(tmp_path).context) as server:
        message = await refused(server, tmp_path)
        assert "self-signed" in message
        assert "evorelay doctor" in message
        assert "evolution.ca_file" not in message  # it may be an instance's own


async def test_the_servers_own_certificate_as_ca_file_is_trusted(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    async with open_evolution(certificate.context) as server:
        assert await send(server, tmp_path, ca=certificate.path)


async def test_a_ca_file_still_asks_for_the_host_name(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path, "elsewhere.example")
    async with open_evolution(certificate.context) as server:
        assert "ostname mismatch" in await refused(server, tmp_path, ca=certificate.path)


async def test_a_ca_file_still_asks_for_the_dates(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path, days=0.5)
    async with open_evolution(certificate.context) as server:
        assert "expired" in await refused(server, tmp_path, ca=certificate.path)


@pytest.mark.parametrize(("name", "days"), [("localhost", 2), ("elsewhere.example", 0.5)])
async def test_a_pinned_certificate_is_trusted_by_its_pin_alone(
    tmp_path: Path, name: str, days: float
) -> None:
    certificate = Certificate(tmp_path, name, days)
    async with open_evolution(certificate.context) as server:
        assert await send(server, tmp_path, pin=certificate.sha256)
        assert server.requests


async def test_another_certificate_than_the_pinned_names_both(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    async with open_evolution(certificate.context) as server:
        message = await refused(server, tmp_path, pin="0" * 64)
        assert "0" * 64 in message
        assert certificate.sha256 in message
        assert "evorelay doctor" in message
        assert "evolution.fingerprint_sha256" not in message  # it may be an instance's own


async def test_a_pin_decides_even_against_a_ca_file_that_would_do(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    async with open_evolution(certificate.context) as server:
        await refused(server, tmp_path, ca=certificate.path, pin="f" * 64)


async def test_a_server_without_tls_is_not_talked_to_in_clear(tmp_path: Path) -> None:
    received = bytearray()

    async def plain(stream: trio.SocketStream) -> None:
        received.extend(await stream.receive_some())
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, plain, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serve)
        server = RawEvolution(f"https://127.0.0.1:{listener.socket.getsockname()[1]}")
        await refused(server, tmp_path, pin="0" * 64)
        nursery.cancel_scope.cancel()
    assert b"sesame" not in received
    assert b"HTTP" not in received


async def test_peeking_shows_the_certificate_and_sends_nothing(tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    async with open_evolution(certificate.context) as server:
        port = int(server.url.rpartition(":")[2])
        seen = await peek_certificate("localhost", port)
        assert seen.sha256 == certificate.sha256
        assert (seen.subject, seen.issuer, seen.names) == (
            "CN=localhost",
            "CN=localhost",
            ["localhost"],
        )
        assert seen.not_after - seen.not_before == 2 * DAY
        assert not seen.is_trusted
        assert "self-signed" in str(seen.why_not)
        for trust in (Trust(str(certificate.path)), Trust(fingerprint=certificate.sha256)):
            assert (await peek_certificate("localhost", port, trust)).is_trusted
        assert server.bytes_received == 0


async def test_peeking_at_what_speaks_no_tls_says_so() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    with pytest.raises(GatewayFault, match="No TLS connection") as caught:
        await peek_certificate("127.0.0.1", port)
    assert caught.value.kind is FaultKind.GATEWAY_DOWN
