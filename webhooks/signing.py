"""Signatures by Standard Webhooks: HMAC-SHA256 over `id.timestamp.body`. Pure but for `new_secret`.

A secret is `whsec_` and base64 of the key; receivers decode it before they use it. While a secret is being replaced
there is a signature by each, so that a receiver may change at its leisure. Both sets of header names are sent with the
same values: `webhook-*` of the standard, and `svix-*`, which code written for Resend reads.
"""

import base64
import secrets
from binascii import b2a_base64
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

PREFIX: Final = "whsec_"
_KEY_BYTES: Final = 32
"""The standard wants 24 to 64."""


def new_secret() -> str:
    """A fresh secret as its owner sees it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()


def head(secrets_in_force: Sequence[str], identifier: str, timestamp: int, body: bytes) -> str:
    """The lines of a request that prove where a body comes from and when it was sent. The newest secret comes first."""
    at = str(timestamp)
    signed = f"{identifier}.{at}.".encode() + body
    signatures = ""  # each with its blank ahead
    for secret in secrets_in_force:
        signatures += f" v1,{_signature(secret, signed)}"
    return (
        f"webhook-id: {identifier}\r\nwebhook-timestamp: {at}\r\nwebhook-signature:{signatures}\r\n"
        f"svix-id: {identifier}\r\nsvix-timestamp: {at}\r\nsvix-signature:{signatures}\r\n"
    )


@lru_cache(maxsize=256)
def _keyed(secret: str) -> HMAC:
    """What signs, ready to be copied: endpoints are told of much and have few secrets, and a digest is looked up by its
    name each time that one is made."""
    return HMAC(base64.b64decode(secret.removeprefix(PREFIX)), SHA256())


def _signature(secret: str, signed: bytes) -> str:
    mac = _keyed(secret).copy()
    mac.update(signed)
    return b2a_base64(mac.finalize(), newline=False).decode()
