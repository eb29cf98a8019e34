"""The certificate our own listeners show for STARTTLS: the operator's, or one made here.

One PEM file holds key and chain. When it is missing, a self-signed P-256 certificate is made and kept, so that clients
that pin it do not have to change with each start. Sending mail servers encrypt without verifying (RFC 7435), so a
self-signed one does for bounces; mail programs that submit verify, and want the operator to put a real one there.
"""

import datetime
import ipaddress
import os
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from core.errors import ConfigurationError

_LIFE = datetime.timedelta(days=3650)
_MAX_COMMON_NAME = 64
"""RFC 5280 appendix A.1, ub-common-name."""
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def server_context(file: Path, hostname: str, now: datetime.datetime) -> ssl.SSLContext:
    """A TLS server context from `file`, which is made first when it is missing. Raises ConfigurationError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        if not file.exists():
            _keep(file, self_signed(hostname, now))
        context.load_cert_chain(file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"{file}: key and certificate for STARTTLS cannot be read ({error}). The file holds a private key and the "
            "certificate chain in PEM; remove it, and a self-signed one is made."
        ) from error
    return context


def self_signed(hostname: str, now: datetime.datetime) -> bytes:
    """Key and certificate in PEM for a host name or an address, good for ten years from `now` (aware).

    Good for loopback too: a client that trusts the file (Go with SSL_CERT_FILE) then verifies it on this machine.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:_MAX_COMMON_NAME])])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + _LIFE)
        .add_extension(_names(hostname, *_LOOPBACK), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + certificate.public_bytes(Encoding.PEM)


def _names(*hostnames: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_alternative(name) for name in hostnames])


def _alternative(hostname: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(hostname))
    except ValueError:
        return x509.DNSName(hostname)


def _keep(file: Path, pem: bytes) -> None:
    """Readable for us alone, and whole or not at all: two processes may start at once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, pem)
    finally:
        os.close(handle)
    draft.replace(file)
