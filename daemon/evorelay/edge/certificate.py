"""How long the certificate holds that we serve."""

from pathlib import Path

from cryptography import x509


def certificate_until(pem_file: str) -> int:
    """Unix milliseconds. Of a chain its first one, the server's own.

    Read once, with the certificate itself: a file that was renewed since is not what is served.
    Raises ``OSError`` and ``ValueError``; a configuration that was checked has neither.
    """
    certificate = x509.load_pem_x509_certificate(Path(pem_file).read_bytes())
    return int(certificate.not_valid_after_utc.timestamp() * 1000)
