"""Look at a server's certificate without sending it anything, for ``evorelay doctor``."""

import hashlib
import ssl
from datetime import datetime
from typing import Final

import trio
from cryptography import x509
from msgspec import Struct

from evorelay.edge.evolution.trust import Trust, context_for, trouble
from evorelay.model.outcome import FaultKind, GatewayFault

PEEK_S: Final = 10.0


class CertificateSeen(Struct, frozen=True, kw_only=True):
    subject: str
    issuer: str
    names: list[str]
    """The host names and addresses it is for."""
    not_before: datetime
    not_after: datetime
    sha256: str
    """What ``evolution.fingerprint_sha256`` pins."""
    is_trusted: bool
    """By the trust that was asked about."""
    why_not: str | None


async def peek_certificate(host: str, port: int, trust: Trust | None = None) -> CertificateSeen:
    """Connect twice: to see the certificate, and to have it verified by ``trust`` (None: the
    system's). Raises ``GatewayFault`` when there is no TLS server; ``OSError`` for its CA file."""
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname = False
    anyone.verify_mode = ssl.CERT_NONE  # to look at it; not a byte is sent on this connection
    try:
        certificate = await _handshake(host, port, anyone)
    except (OSError, trio.BrokenResourceError, ssl.SSLError) as error:
        raise GatewayFault(
            FaultKind.GATEWAY_DOWN, "unreachable", f"No TLS connection: {trouble(error)}."
        ) from error
    except trio.TooSlowError:
        raise GatewayFault(
            FaultKind.GATEWAY_DOWN, "unreachable", f"No TLS connection within {PEEK_S:g} s."
        ) from None
    why_not = None
    try:
        await _handshake(host, port, context_for(trust or Trust()))
    except (OSError, trio.BrokenResourceError, trio.TooSlowError) as error:
        why_not = trouble(error)
    return _seen(certificate, why_not)


async def _handshake(host: str, port: int, context: ssl.SSLContext) -> bytes:
    """The certificate in DER."""
    with trio.fail_after(PEEK_S):
        stream = await trio.open_ssl_over_tcp_stream(
            host, port, ssl_context=context, https_compatible=True
        )
        try:
            await stream.do_handshake()
            found = stream.getpeercert(binary_form=True)
        finally:
            await trio.aclose_forcefully(stream)
    assert isinstance(found, bytes)  # a TLS server has one
    return found


def _seen(der: bytes, why_not: str | None) -> CertificateSeen:
    try:
        certificate = x509.load_der_x509_certificate(der)
        names = [str(name.value) for name in _alternative_names(certificate)]
    except ValueError as error:
        raise GatewayFault(
            FaultKind.GATEWAY_DOWN, "tls", f"Its certificate cannot be read: {error}."
        ) from error
    return CertificateSeen(
        subject=certificate.subject.rfc4514_string(),
        issuer=certificate.issuer.rfc4514_string(),
        names=names,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        sha256=hashlib.sha256(der).hexdigest(),
        is_trusted=why_not is None,
        why_not=why_not,
    )


def _alternative_names(certificate: x509.Certificate) -> list[x509.GeneralName]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return list(extension.value)
