"""One-time links to the console: for the first user, for whoever has no password (any more), to sign in once. The table
`console_links`.

The link holds a random token, the database its hash. It works once and for a while; a new one for the same user and
purpose makes those before it worthless. Whoever can run `postlane` on this machine can have one: they own the database
anyway.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from accounts.sessions import hash_of
from accounts.users import User, any_exists, by_id
from store.database import Connection

_LONGEST_TOKEN: Final = 100

_READ: Final = "SELECT user_id, purpose FROM console_links WHERE token_hash = %s AND expires_at > now()"
# Whoever opens the same link at the same time waits here, and then finds nothing.
_USE: Final = "DELETE FROM console_links WHERE token_hash = %s AND expires_at > now() RETURNING user_id, purpose"
_REPLACED: Final = (
    "DELETE FROM console_links WHERE user_id IS NOT DISTINCT FROM %s AND purpose = %s OR expires_at <= now()"
)


class Purpose(StrEnum):
    """What a link is for. The values are stored."""

    FIRST = "first"
    """Make the first user, an admin. Worth nothing once there is one."""
    PASSWORD = "password"  # a word, not one of them
    """Set a password, and be signed in."""
    SIGN_IN = "sign_in"
    """Be signed in."""


VALID: Final = {
    Purpose.FIRST: timedelta(days=1),
    Purpose.PASSWORD: timedelta(days=3),
    Purpose.SIGN_IN: timedelta(hours=1),
}


@dataclass(frozen=True, slots=True)
class Link:
    """A link that works."""

    purpose: Purpose
    user: User | None
    """Whom it is for; None for the first."""


async def make(connection: Connection, purpose: Purpose, user_id: UUID | None = None) -> str:
    """A new link; its token."""
    await connection.execute(_REPLACED, [user_id, purpose.value])
    token = secrets.token_urlsafe(24)
    await connection.execute(
        "INSERT INTO console_links (token_hash, user_id, purpose, expires_at) VALUES (%s, %s, %s, now() + %s)",
        [hash_of(token), user_id, purpose.value, VALID[purpose]],
    )
    return token


async def look(connection: Connection, token: str) -> Link | None:
    """What a link is good for, without using it."""
    return await _link(connection, _READ, token)


async def use(connection: Connection, token: str) -> Link | None:
    """The same, this once."""
    return await _link(connection, _USE, token)


async def _link(connection: Connection, statement: str, token: str) -> Link | None:
    if len(token) > _LONGEST_TOKEN:
        return None
    row = await (await connection.execute(statement, [hash_of(token)])).fetchone()
    if row is None:
        return None
    purpose = Purpose(row[1])
    if purpose is Purpose.FIRST:
        return None if await any_exists(connection) else Link(purpose, None)
    user = await by_id(connection, row[0])
    return Link(purpose, user) if user is not None and user.disabled_at is None else None
