"""Signed tokens of tracked links: who opened or clicked, and where a click leads. Pure.

A token holds all that a redirect needs, so that a link works without the database, for years, and after the mail it
stood in is forgotten. It is 44 characters for the recipient, then the target in base64:

    email id 16 | position 2 | place 4 | MAC 11     the MAC is over all that, the kind, and the target

The target is under the MAC of this one recipient's link: whoever changes either gets nothing, so that no link of ours
leads where its sender did not want to go. The *place* is the host name that the link was made for, in four bytes that
only we can make: on the tracking host of another sender a link does not count, so that nobody lends the good name of
that host to links of his own.

The MAC is keyed BLAKE2s (RFC 7693), a third of the time of an HMAC: a mail has one for each of its links. Lose the
instance secret, and links in mail that was sent lead nowhere.
"""

import binascii
import hmac
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import b2a_base64
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2s
from typing import Final
from uuid import UUID

from core.secrets import InstanceSecret

LONGEST: Final = 2000
"""Characters of a whole link; some mail programs cut longer ones. What would become longer is not tracked."""

HEAD: Final = 44
"""Characters before the target: 33 bytes in base64, without padding or spare bits."""

_PAYLOAD: Final = struct.Struct(">16sH4s")
_MAC_BYTES: Final = 11
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
_PLACE_BYTES: Final = 4


class Kind(StrEnum):
    """What a token is for; it stands in the path of the link, and under the MAC."""

    OPEN = "o"
    CLICK = "c"
    TRAP = "t"
    """A link that no person sees."""


@dataclass(frozen=True, slots=True)
class Token:
    """What a token says. `target` is "" but for clicks."""

    email_id: UUID
    position: int
    place: bytes
    target: str


class LinkTokens:
    """Makes and reads tokens under the instance secret. Safe to share between threads."""

    __slots__ = ("_macs", "_secret")

    def __init__(self, secret: InstanceSecret) -> None:
        self._secret = secret
        self._macs = {kind: blake2s(digest_size=_MAC_BYTES, key=secret.key(f"link:{kind}")) for kind in Kind}

    def place_of(self, host: str) -> bytes:
        """The mark of a host name, without a port."""
        return self._secret.mac("link-place", host.lower().encode(), _PLACE_BYTES)

    def mark(self) -> str:
        """What marks a link in a template before it is rendered: nobody but us can write it."""
        return f"@{self._secret.mac('link-mark', b'', _MAC_BYTES).hex()}"

    def head(self, kind: Kind, payload: bytes, target: bytes = b"") -> str:
        """The part of a token that is one recipient's. `payload` is from `payload_of`, `target` plain."""
        return urlsafe_b64encode(payload + self._mac(kind, payload, target)).decode("ascii")

    def heads(self, slots: Iterable[tuple[Kind, bytes]], payload: bytes) -> list[str]:
        """`head` of each of these, for one mail: a head has no bits to spare, so that all are encoded at once."""
        macs: list[bytes] = []
        begun = last = None
        for kind, target in slots:
            if begun is None or kind is not last:  # the key and the payload are worked in once for all of a kind
                begun, last = self._macs[kind].copy(), kind
                begun.update(payload)
            mac = begun.copy()
            mac.update(target)
            macs.append(mac.digest())
        raw = payload + payload.join(macs) if macs else b""  # each MAC behind what it is over
        text = b2a_base64(raw, newline=False).translate(_URL_SAFE).decode("ascii")
        return [text[at : at + HEAD] for at in range(0, len(text), HEAD)]

    def read(self, kind: Kind, text: str) -> Token | None:
        """What a token says; None for every text that is not one of ours, of this kind. Never raises."""
        if not HEAD <= len(text) <= LONGEST or not text.isascii():
            return None
        try:
            raw = urlsafe_b64decode(text[:HEAD])
            target = urlsafe_b64decode(text[HEAD:] + "=" * (-len(text) % 4))
        except binascii.Error:
            return None
        payload, mac = raw[: _PAYLOAD.size], raw[_PAYLOAD.size :]
        if not hmac.compare_digest(mac, self._mac(kind, payload, target)) or coded(target) != text[HEAD:]:
            return None  # forged, or spelt otherwise: the decoder passes over what is no base64
        email_id, position, place = _PAYLOAD.unpack(payload)
        return Token(UUID(bytes=email_id), position, place, target.decode("ascii", "replace"))

    def _mac(self, kind: Kind, payload: bytes, target: bytes) -> bytes:
        mac = self._macs[kind].copy()
        mac.update(payload + target)
        return mac.digest()


def payload_of(email_id: UUID, position: int, place: bytes) -> bytes:
    """What the tokens of one recipient's mail say about it."""
    return _PAYLOAD.pack(email_id.bytes, position, place)


def coded(target: bytes) -> str:
    """The part of a token that is the same for all recipients."""
    return urlsafe_b64encode(target).rstrip(b"=").decode("ascii")
