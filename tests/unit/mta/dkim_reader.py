"""dkimpy as an independent verifier for the signer's tests.

dkimpy verifies RSA as it is. For Ed25519 it wants PyNaCl: here it reads, selects and canonicalises by itself, and only
the curve operation on the hash it computed is done with `cryptography`.
"""

import base64
import logging
from collections.abc import Mapping

import dkim  # type: ignore[import-untyped]
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

Records = Mapping[str, str]
"""TXT records by full name with a final dot, such as `s1._domainkey.acme.example.`."""


class _Ed25519:
    """What dkimpy expects of a PyNaCl VerifyKey."""

    def __init__(self, record: str) -> None:
        raw = base64.b64decode(record.partition("p=")[2])
        self._key = Ed25519PublicKey.from_public_bytes(raw)
        self.failed = False

    def verify(self, digest: bytes, signature: bytes) -> None:
        try:
            self._key.verify(signature, digest)
        except InvalidSignature:
            self.failed = True


def verifies(message: bytes, records: Records, index: int = 0) -> bool:
    """Whether the DKIM-Signature number `index`, from the top, of `message` is valid."""
    logging.getLogger("dkimpy").setLevel(logging.CRITICAL)
    reader = dkim.DKIM(message)
    signature, names, headers = reader.verify_headerprep(index)
    try:
        if signature[b"a"] != b"ed25519-sha256":
            return bool(reader.verify(index, dnsfunc=lambda name, timeout=5: records[name.decode()].encode()))
        name = f"{signature[b's'].decode()}._domainkey.{signature[b'd'].decode()}."
        reader.pk, reader.ktag, reader.seqtlsrpt = _Ed25519(records[name]), b"ed25519", False
        reader.verify_sig_process(signature, names, headers[index], None)
        return not reader.pk.failed
    except dkim.ValidationError:
        return False
