"""Sealed links in mail: what recipients unsubscribe, choose and confirm with. Pure.

A link carries all it needs, for ever: application, topic, mail and address, also when the mail it stood in is long
forgotten. Nobody can read, change or invent one: it is AES-SIV (RFC 5297) under a key of the instance secret, in
base64 for URLs. The same link is the same text each time it is made, so that a mail that is tried again is the same
mail. Lose the secret, and links in mail that was sent lead nowhere.
"""

import binascii
import struct
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from audience.predicate import ALL
from core.secrets import InstanceSecret

LONGEST: Final = 900
"""Characters: an address has 254 octets, and a header line takes 998."""

_MAIL: Final = struct.Struct(">16s16s16sH")
_MOVE: Final = struct.Struct(">16s16sHI")
_CONFIRM: Final = struct.Struct(">16s16s")
_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")


class MailLink(NamedTuple):
    """One recipient of one mail, and the type of mail it was."""

    application_id: UUID
    topic_id: UUID | None
    """None: all marketing mail of the application."""
    email_id: UUID
    position: int
    address: str
    """Folded."""


@dataclass(frozen=True, slots=True)
class MoveLink:
    """Somebody's wish to get the mail at another address: sent there, and followed by whoever reads mail there."""

    application_id: UUID
    email_id: UUID
    position: int
    asked_at: datetime
    address: str
    """Folded."""
    to: str
    """As it was written."""


@dataclass(frozen=True, slots=True)
class ConfirmLink:
    """Somebody's sign-up: sent to the address it is about, and followed by whoever reads mail there. What it is about
    is stored (`audience/confirmations`), and ends."""

    application_id: UUID
    confirmation_id: UUID


class LinkSeal:
    """Makes and reads links under the instance secret. Safe to share between threads."""

    __slots__ = ("_confirm", "_mail", "_move")

    def __init__(self, secret: InstanceSecret) -> None:
        self._mail = AESSIV(secret.key("mail-link"))
        self._move = AESSIV(secret.key("move-link"))
        self._confirm = AESSIV(secret.key("confirm-link"))

    def seal(self, link: MailLink) -> str:
        """The link as text."""
        head = _MAIL.pack(link.application_id.bytes, (link.topic_id or ALL).bytes, link.email_id.bytes, link.position)
        return _text(self._mail.encrypt(head + link.address.encode(), None))

    def read(self, text: str) -> MailLink | None:
        """What `seal` was given; None for every other text. Never raises."""
        plain = _opened(self._mail, text)
        if plain is None or len(plain) <= _MAIL.size:
            return None
        application, topic, email, position = _MAIL.unpack(plain[: _MAIL.size])
        topic_id = UUID(bytes=topic)
        return MailLink(
            UUID(bytes=application), None if topic_id == ALL else topic_id, UUID(bytes=email), position,
            plain[_MAIL.size :].decode(),
        )  # fmt: skip

    def seal_move(self, link: MoveLink) -> str:
        """The link as text."""
        head = _MOVE.pack(link.application_id.bytes, link.email_id.bytes, link.position, int(link.asked_at.timestamp()))
        return _text(self._move.encrypt(head + f"{link.address}\0{link.to}".encode(), None))

    def read_move(self, text: str) -> MoveLink | None:
        """What `seal_move` was given; None for every other text. Never raises."""
        plain = _opened(self._move, text)
        if plain is None or len(plain) <= _MOVE.size:
            return None
        application, email, position, at = _MOVE.unpack(plain[: _MOVE.size])
        address, _, to = plain[_MOVE.size :].decode().partition("\0")
        asked = datetime.fromtimestamp(at, UTC)
        return MoveLink(UUID(bytes=application), UUID(bytes=email), position, asked, address, to)

    def seal_confirmation(self, link: ConfirmLink) -> str:
        """The link as text."""
        plain = _CONFIRM.pack(link.application_id.bytes, link.confirmation_id.bytes)
        return _text(self._confirm.encrypt(plain, None))

    def read_confirmation(self, text: str) -> ConfirmLink | None:
        """What `seal_confirmation` was given; None for every other text. Never raises."""
        plain = _opened(self._confirm, text)
        if plain is None or len(plain) != _CONFIRM.size:
            return None
        application, confirmation = _CONFIRM.unpack(plain)
        return ConfirmLink(UUID(bytes=application), UUID(bytes=confirmation))


def _text(sealed: bytes) -> str:
    return binascii.b2a_base64(sealed, newline=False).rstrip(b"=").translate(_URL_SAFE).decode("ascii")


def _opened(cipher: AESSIV, text: str) -> bytes | None:
    if len(text) > LONGEST or not text.isascii():
        return None
    try:
        sealed = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        # The decoder passes over what is no base64: one link has one spelling.
        return cipher.decrypt(sealed, None) if len(sealed) > 16 and _text(sealed) == text else None
    except (binascii.Error, InvalidTag):
        return None
