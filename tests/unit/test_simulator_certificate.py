"""A certificate as self-made gateways have them: for one host, signed by nobody else."""

import hashlib
import ssl

import pytest

from evorelay.simulator.certificate import self_signed


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "evolution.example.test"])
def test_it_is_for_its_host_and_trusted_by_whoever_has_it(host: str) -> None:
    """P7 is proven with it: trusted as a CA, with the host name checked, or by its fingerprint."""
    made = self_signed(host)
    der = ssl.PEM_cert_to_DER_cert(made.pem.decode())
    assert hashlib.sha256(der).hexdigest() == made.fingerprint
    assert b"PRIVATE" not in made.pem
    for expected, fits in ((host, True), ("elsewhere.example.test", False)):
        assert _shakes_hands(made.context, made.pem, expected) is fits


def _shakes_hands(server: ssl.SSLContext, trusted: bytes, hostname: str) -> bool:
    client = ssl.create_default_context(cadata=trusted.decode())
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    here = client.wrap_bio(to_client, to_server, server_hostname=hostname)
    there = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(5):
        for side in (here, there):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return here.version() is not None
