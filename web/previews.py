"""Looks at public pages before anybody sees them: the console names what is to be shown, the public pages show it.

The console seals what it is about, and which page may frame it, under the instance secret; the address is good for
some minutes and shows nothing of anybody. Pure.
"""

import binascii
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from core.secrets import InstanceSecret

PATH: Final = "/preview/{token}"
GOOD_FOR: Final = timedelta(minutes=15)
_PURPOSE: Final = "page-preview"
_MAC: Final = 16
_LONGEST: Final = 600
_ORIGIN: Final = re.compile(r"https?://(?:[a-z0-9.-]{1,253}|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?", re.A)


class What(StrEnum):
    """What is looked at."""

    FORM = "form"
    TOPIC = "topic"


@dataclass(frozen=True, slots=True)
class Preview:
    """One look."""

    what: What
    id: UUID
    application_id: UUID
    framed_by: str
    """Origin of the page that may show it in a frame."""
    until: datetime


def preview(what: What, identifier: UUID, application_id: UUID, framed_by: str, now: datetime) -> Preview | None:
    """A look from now on; None for a frame of which no policy could speak."""
    origin = framed_by.lower()
    if not _ORIGIN.fullmatch(origin):
        return None
    return Preview(what, identifier, application_id, origin, now + GOOD_FOR)


class PreviewSeal:
    """Makes and reads their addresses under the instance secret."""

    __slots__ = ("_secret",)

    def __init__(self, secret: InstanceSecret) -> None:
        self._secret = secret

    def address(self, one: Preview) -> str:
        """Where it is, below the public address."""
        words = (one.what.value, str(one.id), str(one.application_id), one.framed_by, str(int(one.until.timestamp())))
        said = " ".join(words).encode()
        return PATH.format(token=urlsafe_b64encode(self._mac(said) + said).decode().rstrip("="))

    def read(self, token: str, now: datetime) -> Preview | None:
        """What a token is about; None for one that is none of ours, or too old."""
        if len(token) > _LONGEST or not token.isascii():
            return None
        try:
            told = urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (ValueError, binascii.Error):
            return None
        mac, said = told[:_MAC], told[_MAC:]
        if not hmac.compare_digest(mac, self._mac(said)):
            return None
        found = _of_words(said.decode())
        return found if now < found.until else None

    def _mac(self, said: bytes) -> bytes:
        return self._secret.mac(_PURPOSE, said, _MAC)


def _of_words(said: str) -> Preview:
    what, identifier, application, framed_by, until = said.split(" ")
    ends = datetime.fromtimestamp(int(until), UTC)
    return Preview(What(what), UUID(identifier), UUID(application), framed_by, ends)
