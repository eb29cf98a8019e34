"""The signed token of one recipient of one mail: in the return path, and in a header of the mail itself.

Owns the token in `b+<token>@<return path domain>` and in `Postlane-Ref: <token>`. The worker makes one for each
recipient of each mail; whatever comes back is placed by it: a bounce by the address it is sent to, a report that quotes
nothing but headers by any of them. Never looks anything up: a token that is not ours is None.

The token is base32 in lower case (servers may change the case of a local part, base32 does not mind) of 30 bytes: the
email's UUID, the recipient's position as 16 bits, and 12 bytes of HMAC-SHA256 under the instance secret, so that nobody
can invent a bounce. 30 bytes are 48 characters without padding or spare bits: exactly one spelling for each token.
The domain is not in the MAC: whether it is one of ours is for the listener to ask.
"""

import base64
import binascii
import hmac
import re
import struct
from itertools import islice
from typing import Final
from uuid import UUID

from core.secrets import InstanceSecret

HEADER: Final = "Postlane-Ref"
"""Without `X-Postlane-`: those headers are an application's options and never leave."""

_PREFIX = "b+"
_UNSUBSCRIBE = "unsubscribe+"
_PAYLOAD = struct.Struct(">16sH")
_MAC_BYTES = 12
_TOKEN_LENGTH = 48
_PURPOSE = "return-path"
_CANDIDATES: Final = 200
"""Words of a token's shape that are looked at: base64 has some by chance, each costs 5 µs."""
_BASE32 = bytes.maketrans(bytes(range(32)), b"abcdefghijklmnopqrstuvwxyz234567")
_HALVES = tuple(
    (sum((1 << bits) - 1 << at for at in range(0, 512, bits * 16 // 5)), bits * 3 // 5)
    for bits in (160, 80, 40, 20, 10, 5)
)
"""For halves of so many bits: where the lower ones lie, and how far the upper ones move."""
_SHAPE = re.compile(rf"(?<![A-Za-z2-7])[A-Za-z2-7]{{{_TOKEN_LENGTH}}}(?![A-Za-z2-7])")


def make_token(secret: InstanceSecret, email_id: UUID, position: int) -> str:
    """The token of the recipient at `position` (0 to 65,535) of an email: 48 characters."""
    if not 0 <= position <= 0xFFFF:
        raise ValueError(f"a recipient's position is 0 to 65535, not {position}")
    payload = _PAYLOAD.pack(email_id.bytes, position)
    return _base32(payload + secret.mac(_PURPOSE, payload, _MAC_BYTES))


def _base32(token: bytes) -> str:
    """In lower case. Five bits are moved away from five, by halves, until each have a byte of their own: in a third of
    the time that `base64` takes."""
    bits = int.from_bytes(token)
    for lower, distance in _HALVES:
        kept = bits & lower
        bits = kept | (bits ^ kept) << distance
    return bits.to_bytes(_TOKEN_LENGTH).translate(_BASE32).decode("ascii")


def address_of(token: str, domain: str) -> str:
    """The return path with this token. 50 characters before the `@`."""
    return f"{_PREFIX}{token}@{domain}"


def make(secret: InstanceSecret, email_id: UUID, position: int, domain: str) -> str:
    """The return path of the recipient at `position` of an email."""
    return address_of(make_token(secret, email_id, position), domain)


def parse(secret: InstanceSecret, address: str) -> tuple[UUID, int] | None:
    """Email id and recipient's position, or None for every address that `make` did not make. Never raises."""
    local = address.rpartition("@")[0]
    return read_token(secret, local[len(_PREFIX) :]) if local[: len(_PREFIX)].lower() == _PREFIX else None


def find_token(secret: InstanceSecret, text: str) -> tuple[UUID, int] | None:
    """What the first genuine token in a text stands for. Ours stands on top of the mail: one that an application put
    into its own headers or text comes behind it."""
    found = (read_token(secret, match[0]) for match in islice(_SHAPE.finditer(text), _CANDIDATES))
    return next((named for named in found if named is not None), None)


def unsubscribe_address(token: str, domain: str) -> str:
    """Where a mail unsubscribes the recipient that the token names. 60 characters before the `@`, of 64."""
    return f"{_UNSUBSCRIBE}{token}@{domain}"


def parse_unsubscribe(secret: InstanceSecret, address: str) -> tuple[UUID, int] | None:
    """Email id and recipient's position, or None for every address that `unsubscribe_address` did not make."""
    local = address.rpartition("@")[0]
    known = local[: len(_UNSUBSCRIBE)].lower() == _UNSUBSCRIBE
    return read_token(secret, local[len(_UNSUBSCRIBE) :]) if known else None


def read_token(secret: InstanceSecret, token: str) -> tuple[UUID, int] | None:
    """Email id and recipient's position, or None for every text that `make_token` did not make. Never raises."""
    # Outside ASCII, upper() would turn letters such as U+017F into base32's.
    if len(token) != _TOKEN_LENGTH or not token.isascii():
        return None
    try:
        raw = base64.b32decode(token.upper())
    except binascii.Error:
        return None
    payload, mac = raw[: _PAYLOAD.size], raw[_PAYLOAD.size :]
    if not hmac.compare_digest(mac, secret.mac(_PURPOSE, payload, _MAC_BYTES)):
        return None
    identity, position = _PAYLOAD.unpack(payload)
    return UUID(bytes=identity), position
