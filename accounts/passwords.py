"""Passwords of people: argon2id at the library's defaults (RFC 9106's low-memory choice). The one edge of argon2.

Hashing takes some 50 ms and 64 MB, so it happens in a thread, a few at a time: who tries passwords in parallel waits in
line and takes no memory.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from core.refusal import invalid

LEAST: Final = 12
LARGEST: Final = 256
_POOL: Final = ThreadPoolExecutor(2, "passwords")

_hasher: Final = argon2.PasswordHasher()
_NOBODY: Final = _hasher.hash("nobody's password")
"""Verified where there is no such user, so that an answer takes as long."""


def check(password: str, email: str = "") -> None:
    """Raise Refused for a password that would be guessed: short, one character, or the address itself."""
    if len(password) < LEAST:
        raise invalid("password", f"it needs {LEAST} characters or more; a sentence is easy to remember")
    if len(password) > LARGEST:
        raise invalid("password", f"it has more than {LARGEST} characters")
    plain = password.casefold()
    if len(set(plain)) < 4 or plain in {email.casefold(), "password1234", "passwordpassword", "123456789012"}:
        raise invalid("password", "it is among the first that would be tried")


async def hashed(password: str) -> str:
    """What is stored."""
    return await asyncio.get_running_loop().run_in_executor(_POOL, _hasher.hash, password)


async def matches(stored: str | None, password: str) -> bool:
    """Whether this is the password. Takes as long where nothing is stored."""
    right = await asyncio.get_running_loop().run_in_executor(_POOL, _matches, stored, password[:LARGEST])
    return right and stored is not None


def _matches(stored: str | None, password: str) -> bool:
    try:
        return _hasher.verify(stored or _NOBODY, password)
    except (VerificationError, InvalidHashError):
        return False
