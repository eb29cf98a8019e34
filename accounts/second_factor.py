"""The second factor of a sign-in: six digits that an application on a phone shows (TOTP, RFC 6238). The edge of pyotp.

Keys are sealed with the instance secret. A code counts once, and one step of 30 seconds around now.
"""

from datetime import datetime
from typing import Final
from uuid import UUID

import pyotp

from core.secrets import InstanceSecret

_STEP: Final = 30
_ISSUER: Final = "Postlane"


def fresh_key() -> str:
    """A new key, as people type it."""
    return pyotp.random_base32()


def address_of(key: str, email: str) -> str:
    """The `otpauth:` address that an application reads."""
    return pyotp.TOTP(key).provisioning_uri(name=email, issuer_name=_ISSUER)


def step_of(key: str, code: str, now: datetime) -> int | None:
    """Which step of 30 seconds a code is of; None for a wrong one."""
    code = code.replace(" ", "")
    if len(code) != 6 or not (code.isascii() and code.isdigit()):
        return None
    at = int(now.timestamp()) // _STEP
    totp = pyotp.TOTP(key)
    return next(
        (step for step in (at, at - 1, at + 1) if pyotp.utils.strings_equal(totp.generate_otp(step), code)), None
    )


def sealed(key: str, user_id: UUID, secret: InstanceSecret) -> bytes:
    """What is stored."""
    return secret.seal(key.encode(), f"totp:{user_id}")


def opened(stored: bytes, user_id: UUID, secret: InstanceSecret) -> str:
    """The key again."""
    return secret.open(stored, f"totp:{user_id}").decode()
