"""Signed return paths (variable envelope return paths): which mail a bounce speaks about, in its address.

Owns the token in `b+<token>@<return path domain>`. The worker makes one for each recipient of each mail; the inbound
server takes it apart again when a bounce arrives. Never looks anything up: a token that is not ours is None.

The token is base32 in lower case (servers may change the case of a local part, base32 does not mind) of 30 bytes: the
email's UUID, the recipient's position as 16 bits, and 12 bytes of HMAC-SHA256 under the instance secret, so that nobody
can invent a bounce. 30 bytes are 48 characters without padding or spare bits: exactly one spelling for each token.
The domain is not in the MAC: whether it is one of ours is for the listener to ask.
"""

import base64
import binascii
import hmac
import struct
from uuid import UUID

from core.secrets import InstanceSecret

_PREFIX = "b+"
_PAYLOAD = struct.Struct(">16sH")
_MAC_BYTES = 12
_TOKEN_LENGTH = 48
_PURPOSE = "return-path"


def make(secret: InstanceSecret, email_id: UUID, position: int, domain: str) -> str:
    """The return path of the recipient at `position` (0 to 65,535) of an email. 50 characters before the `@`."""
    if not 0 <= position <= 0xFFFF:
        raise ValueError(f"a recipient's position is 0 to 65535, not {position}")
    payload = _PAYLOAD.pack(email_id.bytes, position)
    token = base64.b32encode(payload + secret.mac(_PURPOSE, payload, _MAC_BYTES))
    return f"{_PREFIX}{token.decode('ascii').lower()}@{domain}"


def parse(secret: InstanceSecret, address: str) -> tuple[UUID, int] | None:
    """Email id and recipient's position, or None for every address that `make` did not make. Never raises."""
    local = address.rpartition("@")[0]
    # Outside ASCII, upper() would turn letters such as U+017F into base32's.
    if len(local) != len(_PREFIX) + _TOKEN_LENGTH or not local.isascii() or local[:2].lower() != _PREFIX:
        return None
    try:
        raw = base64.b32decode(local[len(_PREFIX) :].upper())
    except binascii.Error:
        return None
    payload, mac = raw[: _PAYLOAD.size], raw[_PAYLOAD.size :]
    if not hmac.compare_digest(mac, secret.mac(_PURPOSE, payload, _MAC_BYTES)):
        return None
    identity, position = _PAYLOAD.unpack(payload)
    return UUID(bytes=identity), position
