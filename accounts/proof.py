"""Would a receiver accept what we sign? A mail is signed as any other, and verified against the keys really published.

The judge is dkimpy, which shares no code with our signer (`mta/sign`): what both of us read wrongly in the same way is
what is left. It finds what a comparison of records does not: a private key that does not belong to the published one,
or tags of a record (`h=`, `s=`, `v=`) that make it useless. Pure but for the time: the answers of DNS are handed in.
"""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime

import dkim

from mta.sign import DkimKey, sign

_SMALLEST_KEY = 1024
"""Bits of RSA that receivers take at least (RFC 8301 section 3.2)."""


def refused_signatures(
    domain: str, keys: Sequence[DkimKey], txt: Mapping[str, list[str]], now: datetime
) -> dict[str, str]:
    """Why signatures do not verify, by the name of the key's record; nothing for those that do. `txt` holds the TXT
    records by name; keys whose name is missing there are left out."""
    found: dict[str, str] = {}
    for key in keys:
        name = f"{key.selector}._domainkey.{key.domain}"
        if name in txt:
            why = _refused(_signed(domain, key, now), txt)
            if why:
                found[name] = why
    return found


def _signed(domain: str, key: DkimKey, now: datetime) -> bytes:
    mail = (
        f"From: postmaster@{domain}\r\nTo: postmaster@{domain}\r\nSubject: Signed to be verified\r\n"
        f"Date: {format_datetime(now)}\r\nMessage-ID: <proof@{domain}>\r\n\r\nNothing is sent.\r\n"
    ).encode()
    return sign(mail, [key], now) + mail


def _refused(mail: bytes, txt: Mapping[str, list[str]]) -> str:
    said = _Said()

    def published(name: bytes, timeout: int = 0) -> bytes | None:
        texts = txt.get(name.decode().rstrip(".").lower(), [])
        return texts[0].encode() if len(texts) == 1 else None

    try:
        good = dkim.DKIM(mail, logger=said.logger, minkey=_SMALLEST_KEY).verify(dnsfunc=published)
    except (dkim.DKIMException, ValueError, TypeError, AttributeError) as error:
        # dkimpy trips over keys it cannot use in more ways than it has exceptions for.
        return str(error) or type(error).__name__
    return "" if good else said.last or "the signature does not fit the published key"


class _Said(logging.Handler):
    """What dkimpy has to say: it logs why, and returns only that."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.last = ""
        self.logger = logging.Logger("dkim")
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.last = record.getMessage()
