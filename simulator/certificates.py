"""Certificates for the simulated mail hosts, made anew at each start.

A practice authority signs one certificate per listening address with the names of the hosts there; `selfsigned` hosts
sign their own. All share one P-256 key (fast to make and to use). Files live in a folder that `simulator/main.py` gives
and removes. Nothing here is a secret: the names end in `.sim`.
"""

import ssl
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from simulator.model import Door, MxHost, TlsKind

_VALID = timedelta(days=30)
_HANDSHAKE_FAILURE = ssl.AlertDescription.ALERT_DESCRIPTION_HANDSHAKE_FAILURE


class Certificates:
    """Makes TLS contexts as they are first needed. `folder` must exist and be writable."""

    def __init__(self, folder: Path, hosts: Mapping[str, MxHost]) -> None:
        self._folder = folder
        self._hosts = hosts
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._authority_key = ec.generate_private_key(ec.SECP256R1())
        self._authority = _authority(self._authority_key)
        self._contexts: dict[str, ssl.SSLContext] = {}
        self.authority_file = folder / "practice-authority.pem"
        self.authority_file.write_bytes(self._authority.public_bytes(serialization.Encoding.PEM))

    def context(self, door: Door) -> ssl.SSLContext:
        """The server context of a door; further names there or behind a shared door are served by SNI."""
        context = self._contexts.get(door.address)
        if context is None:
            names = sorted(host.name for host in self._hosts.values() if door.address in (host.address, host.address6))
            self_signed = door.tls is TlsKind.SELF_SIGNED
            shared = door.provider is None
            context = self._load(door.address, [door.name] if shared else names, self_signed=self_signed)
            if shared:
                context.sni_callback = self._by_name
            self._contexts[door.address] = context
        return context

    def _by_name(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> int | None:
        """Behind a shared door the asked name decides, also whether TLS is broken."""
        host = self._hosts.get((name or "").lower())
        if host is None:
            return None
        if host.tls is TlsKind.BROKEN:
            return _HANDSHAKE_FAILURE
        if host.name not in self._contexts:
            self_signed = host.tls is TlsKind.SELF_SIGNED
            self._contexts[host.name] = self._load(host.name, [host.name], self_signed=self_signed)
        connection.context = self._contexts[host.name]
        return None

    def _load(self, label: str, names: list[str], *, self_signed: bool) -> ssl.SSLContext:
        certificate = self._leaf(names, self_signed=self_signed)
        path = self._folder / f"{label}.pem"
        path.write_bytes(
            self._key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _leaf(self, names: list[str], *, self_signed: bool) -> x509.Certificate:
        subject = _name(names[0][:64])
        builder = _builder(subject, subject if self_signed else self._authority.subject)
        builder = builder.public_key(self._key.public_key())
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(n) for n in names]), critical=False)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        signer = self._key if self_signed else self._authority_key
        issuer_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        return builder.add_extension(issuer_key, critical=False).sign(signer, hashes.SHA256())


def _authority(key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = _name("Practice internet authority")
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = _builder(name, name).public_key(key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(usage, critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return builder.sign(key, hashes.SHA256())


def _builder(subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer)
    builder = builder.serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + _VALID)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
