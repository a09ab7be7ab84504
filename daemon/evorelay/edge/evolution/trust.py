"""How one Evolution's certificate is verified. It always is: there is no switch (P7).

By the system's authorities, by a CA file, or by a pin: the SHA-256 of the certificate itself. A pin
stands for everything else a verification looks at. It says "this one certificate", so neither the
host name nor the dates are looked at: self-signed certificates name anything and expire unnoticed,
and ``evorelay doctor`` shows both. The handshake proves that the server has the certificate's key.
"""

import hashlib
import ssl

import httpx
from msgspec import Struct


class Trust(Struct, frozen=True):
    """A fingerprint decides alone; a CA file takes the place of the system's authorities."""

    ca_file: str | None = None
    fingerprint: str | None = None
    """64 lower-case hex digits."""


class WrongCertificate(ssl.SSLCertVerificationError):
    """Not the pinned one. Raised inside the handshake: not a byte of HTTP has been sent."""

    def __init__(self, expected: str, presented: str) -> None:
        super().__init__(
            f"the server's certificate has the fingerprint {presented}, not {expected} as "
            "configured. If Evolution's certificate was renewed, have `evorelay doctor` show the "
            "new one and the line to configure it; if not, somebody is in between"
        )
        self.expected = expected
        self.presented = presented


def context_for(trust: Trust) -> ssl.SSLContext:
    """Raises ``OSError`` when the CA file cannot be read. Takes milliseconds: make it once."""
    if trust.fingerprint is not None:
        return _pinned(trust.fingerprint)
    if trust.ca_file is not None:
        context = ssl.create_default_context(cafile=trust.ca_file)
        # The file may hold the server's own certificate, or that of an intermediate authority.
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context
    context = httpx.create_ssl_context(trust_env=False)  # certifi's authorities …
    context.load_default_certs()  # … and this machine's, where a company adds its own
    return context


def trouble(error: BaseException) -> str:
    """What is wrong, along the causes of a failed connection: httpx's own texts are empty for TLS
    failures on Trio (research/libraries.md §5)."""
    cause: BaseException | None = error
    text = ""
    while cause is not None:
        if isinstance(cause, WrongCertificate):
            return str(cause.args[0])
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted: {cause.verify_message}. Have `evorelay doctor` "
                "show it, then configure its ca_file or fingerprint_sha256"
            )
        text = text or str(cause)
        cause = cause.__cause__ or cause.__context__
    return text or type(error).__name__


def is_about_tls(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _pinned(expected: str) -> ssl.SSLContext:
    class Pinned(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            certificate = self.getpeercert(binary_form=True) or b""
            presented = hashlib.sha256(certificate).hexdigest()
            if presented != expected:
                raise WrongCertificate(expected, presented)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # OpenSSL would refuse a self-signed one before its fingerprint could be looked at.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.options |= ssl.OP_NO_RENEGOTIATION  # nobody else takes over later
    context.sslobject_class = Pinned
    return context
