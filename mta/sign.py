"""DKIM signatures (RFC 6376; Ed25519 by RFC 8463) over the bytes that are sent.

Owns keys as objects, the relaxed canonical forms, and the DKIM-Signature header. Never reads a key from a store, never
asks DNS, never changes the message: what it returns is put in front. The message is 7-bit but for UTF-8 addresses
(`mta/compose`, `mta/seven_bit`), as RFC 6376 section 5.3 advises: a body that a relay had to re-encode would no longer
fit its signature, and no mail has to wait for a server with 8BITMIME.

dkimpy sets the rules (tests verify with it) but is not used for signing: its RSA is pure Python (150 signatures a
second and core in research of 2026-11), and its canonical form is quadratic in a run of blanks. Everything here is
linear in the length of the message.
"""

import base64
import hashlib
import re
from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import cast

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from core.errors import ConfigurationError


class Algorithm(StrEnum):
    """The `a=` tag (RFC 6376 section 3.3, RFC 8463 section 3)."""

    RSA = "rsa-sha256"
    ED25519 = "ed25519-sha256"


OVERSIGNED = ("From", "To", "Subject", "Date", "Reply-To")
"""Listed once more than present, so that nobody can add another one (RFC 6376 section 8.15)."""

SIGNED = (
    *OVERSIGNED,
    "Cc",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Feedback-ID",
    "Postlane-Ref",
)
"""Every header signed when present. RFC 8058 section 4 wants the List-Unsubscribe pair in `h=`."""

MIN_RSA_BITS = 1024
"""Verifiers ignore shorter keys (RFC 8301 section 3.2). We make 2048."""

_RSA_BITS = 2048
_LINE = 76
_SIGNED_LOWER = tuple((name, name.lower().encode("ascii"), name in OVERSIGNED) for name in SIGNED)
_FEW = 40
"""Fields of a mail up to which their order is remembered: a foreign one may have thousands."""
_PADDING = PKCS1v15()
_SHA256 = SHA256()
_FEW_RUNS = 8
"""Pairs of blanks up to which a text is cut and joined: MJML writes three into each mail."""
_RUN = re.compile(rb"  +")
"""No anchor behind the run: that is what makes a pattern try again from each of its blanks, quadratically."""


@dataclass(frozen=True, slots=True)
class DkimKey:
    """One private key in use. `domain` and `selector` are ASCII; together they name the DNS record."""

    domain: str
    selector: str
    algorithm: Algorithm
    private_key: RSAPrivateKey | Ed25519PrivateKey = field(repr=False)
    opening: bytes = field(repr=False)
    """Of its signatures, up to the time."""


@lru_cache(maxsize=4096)
def load_key(domain: str, selector: str, pem_or_der: bytes) -> DkimKey:
    """A key from PEM or DER (PKCS #8, for RSA also PKCS #1), parsed once per process.

    Parsing checks the key and takes about as long as many signatures. Raises `ConfigurationError`.
    """
    try:
        if pem_or_der.lstrip().startswith(b"-----BEGIN"):
            loaded = serialization.load_pem_private_key(pem_or_der, password=None)
        else:
            loaded = serialization.load_der_private_key(pem_or_der, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as problem:
        raise ConfigurationError(f"The DKIM key {selector} of {domain} cannot be read: {problem}") from None
    if isinstance(loaded, Ed25519PrivateKey):
        return _key(domain, selector, Algorithm.ED25519, loaded)
    if not isinstance(loaded, RSAPrivateKey) or loaded.key_size < MIN_RSA_BITS:
        raise ConfigurationError(
            f"The DKIM key {selector} of {domain} must be Ed25519, or RSA of at least {MIN_RSA_BITS} bits."
        )
    return _key(domain, selector, Algorithm.RSA, loaded)


def _key(domain: str, selector: str, algorithm: Algorithm, loaded: RSAPrivateKey | Ed25519PrivateKey) -> DkimKey:
    opening = f"DKIM-Signature: v=1; a={algorithm}; c=relaxed/relaxed;\r\n d={domain};\r\n s={selector}; "
    return DkimKey(domain, selector, algorithm, loaded, opening.encode("ascii"))


def generate_rsa() -> tuple[bytes, str]:
    """A new RSA-2048 key: private as PKCS #8 DER, public as base64 of SubjectPublicKeyInfo. Takes 50 ms or more."""
    key = generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return _private_der(key), base64.b64encode(public).decode("ascii")


def generate_ed25519() -> tuple[bytes, str]:
    """A new Ed25519 key: private as PKCS #8 DER, public as base64 of its 32 bytes (RFC 8463 section 4.2)."""
    key = Ed25519PrivateKey.generate()
    return _private_der(key), base64.b64encode(key.public_key().public_bytes_raw()).decode("ascii")


def _private_der(key: RSAPrivateKey | Ed25519PrivateKey) -> bytes:
    encoding, form = serialization.Encoding.DER, serialization.PrivateFormat.PKCS8
    return key.private_bytes(encoding, form, serialization.NoEncryption())


def dns_record(public_base64: str, algorithm: Algorithm) -> str:
    """The TXT record at `<selector>._domainkey.<domain>` (RFC 6376 section 3.6.1), as one string."""
    kind = "rsa" if algorithm is Algorithm.RSA else "ed25519"
    return f"v=DKIM1; k={kind}; p={public_base64}"


def sign(message: bytes, keys: Sequence[DkimKey], now: datetime) -> bytes:
    """One DKIM-Signature header per key, folded, each ending with CRLF, to be put in front of `message`.

    `message` has CRLF line ends; `now` is timezone-aware and becomes `t=`. relaxed/relaxed, never `l=` (it would let
    others append). The body is hashed once for all keys.
    """
    head, _, body = message.partition(b"\r\n\r\n")
    return sign_head(head, hash_of(body), keys, now)


def hash_of(body: bytes) -> bytes:
    """`bh=`: the same for all mails with this body."""
    return b2a_base64(hashlib.sha256(relaxed_body(body)).digest(), newline=False)


def sign_head(head: bytes, body_hash: bytes, keys: Sequence[DkimKey], now: datetime) -> bytes:
    """As `sign`, for a mail whose body was hashed before. `head` is without the blank line behind it."""
    h_tag, signed_headers = _signed_headers(head)
    tail = b"t=%d;\r\n %b;\r\n bh=%b;\r\n b=" % (int(now.timestamp()), h_tag, body_hash)
    return b"".join([_signature(key, tail, signed_headers) for key in keys])


def _signature(key: DkimKey, tail: bytes, signed_headers: bytes) -> bytes:
    """The whole header. Its own canonical form, with an empty `b=`, closes the signed data (RFC 6376 section 3.7)."""
    unsigned = key.opening + tail
    canonical = b"dkim-signature:" + unsigned[16:].replace(b"\r\n ", b" ")
    data = signed_headers + canonical
    if key.algorithm is Algorithm.RSA:  # abstract classes take long to say what is theirs
        signature = cast(RSAPrivateKey, key.private_key).sign(data, _PADDING, _SHA256)
    else:
        signature = cast(Ed25519PrivateKey, key.private_key).sign(hashlib.sha256(data).digest())
    text = b2a_base64(signature, newline=False)
    lines = [text[start : start + _LINE - 3] for start in range(0, len(text), _LINE - 3)]
    return unsigned + b"\r\n ".join(lines) + b"\r\n"


def _h_tag(names: Sequence[str]) -> bytes:
    """`h=` folded after colons, where blanks are allowed (RFC 6376 section 3.5)."""
    lines, current = [], "h="
    for index, name in enumerate(names):
        item = name if index == len(names) - 1 else f"{name}:"
        if len(current) + len(item) >= _LINE:
            lines.append(current)
            current = ""
        current += item
    return "\r\n ".join([*lines, current]).encode("ascii")


def _signed_headers(head: bytes) -> tuple[bytes, bytes]:
    """`h=`, and the canonical headers in that order."""
    if b"\r\n\t" in head:
        head = head.replace(b"\r\n\t", b" ")
    fields = _relaxed(head.replace(b"\r\n ", b" ")).split(b"\r\n")
    names = tuple([field.partition(b":")[0] for field in fields])
    h_tag, form, order = (_order if len(names) <= _FEW else _ordered)(names)
    return h_tag, form % tuple([fields[at][start:].strip(b" ") for at, start in order])


def _ordered(written: tuple[bytes, ...]) -> tuple[bytes, bytes, Sequence[tuple[int, int]]]:
    """`h=` of a mail whose fields have these names, top to bottom, and the canonical headers but for their values: for
    each of those the index of its field, and where in it the value begins.

    A name that occurs n times stands n times and is taken from the bottom up (RFC 6376 section 5.4.2); one more
    stands for "no further one".
    """
    present: dict[bytes, list[int]] = {}
    for at, field_name in enumerate(written):
        present.setdefault(field_name.rstrip(b" ").lower(), []).append(at)
    names: list[str] = []
    form = b""
    order: list[tuple[int, int]] = []
    for name, lower, oversigned in _SIGNED_LOWER:
        places = present.get(lower, [])
        form += (lower + b":%b\r\n") * len(places)
        order += [(at, len(written[at]) + 1) for at in reversed(places)]
        names += [name] * (len(places) + oversigned)
    return _h_tag(names), form, order


_order = lru_cache(maxsize=256)(_ordered)
"""Nearly all mail has the fields of the mail before."""


def _relaxed(text: bytes) -> bytes:
    """With one blank for each run of blanks and tabs (RFC 6376 section 3.4.2)."""
    if b"\t" in text:
        text = text.replace(b"\t", b" ")
    # Backwards: CPython finds what is short, and mostly not there, in a third of the time.
    pieces = text.rsplit(b"  ", _FEW_RUNS)
    if len(pieces) > _FEW_RUNS:
        return _RUN.sub(b" ", text)
    if len(pieces) == 1:
        return text
    first, *others = [piece.rstrip(b" ") for piece in pieces[:-1]]  # of an odd number of blanks one is left
    return b" ".join([first, *filter(None, others), pieces[-1]])


def relaxed_body(body: bytes) -> bytes:
    """A body in relaxed form (RFC 6376 section 3.4.4), in time linear in its length.

    A last line without CRLF is taken as if it had one, as SMTP will send it.
    """
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    if b"\t" in body:
        body = body.replace(b"\t", b" ")
    if body.replace(b"\r", b" ").rfind(b"  ") >= 0:  # one search for runs and for blanks at line ends
        body = b"\r\n".join(_relaxed(body).rsplit(b" \r\n"))
    return _without_empty_lines_at_end(body)


def _without_empty_lines_at_end(body: bytes) -> bytes:
    end = len(body.rstrip(b"\r\n"))
    if len(body) - end <= 2:
        return body if end else b""
    tail = body[end:]
    if tail.count(b"\r\n") * 2 == len(tail):
        return body[: end + 2] if end else b""
    keep = len(tail)
    # A bare CR or LF is content (and a fault of the caller): everything up to the last one stays.
    while tail[keep - 2 : keep] == b"\r\n":
        keep -= 2
    return body[: end + keep] + b"\r\n"
