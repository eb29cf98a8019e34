"""Who is signed in: sessions of the console. The table `console_sessions`.

The browser holds a random token, the database its hash. A session ends when nobody used it for `IDLE`, `LONGEST` after
it began, when somebody ends it, and with the password or the user. It is made anew at every sign-in: a token that was
planted in a browser before is worth nothing.
"""

import hashlib
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from accounts.users import User, by_id
from core.ids import uuid7
from core.refusal import not_found
from store.database import Connection

IDLE: Final = timedelta(hours=12)
LONGEST: Final = timedelta(days=14)
_SEEN: Final = timedelta(minutes=1)
"""When it was used last is this fine: one small UPDATE a minute."""
AGENT: Final = 300
"""Characters that are kept of what a browser calls itself."""
_LONGEST_TOKEN: Final = 100

_ALIVE: Final = "s.seen_at > now() - %(idle)s AND s.created_at > now() - %(longest)s"
# On a standby pages can still be read.
_WRITABLE: Final = "current_setting('transaction_read_only') = 'off'"
_COLUMNS: Final = "s.id, s.user_id, s.zone, s.ip, s.agent, s.created_at, s.seen_at"
_TIMES: Final = {"idle": IDLE, "longest": LONGEST}


@dataclass(frozen=True, slots=True)
class Session:
    """One browser in which somebody is signed in."""

    id: UUID
    user_id: UUID
    zone: str
    """The browser's time zone, "" when it did not say."""
    ip: str
    agent: str
    created_at: datetime
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Browser:
    """Where somebody signs in."""

    ip: str
    agent: str
    zone: str = ""


async def begin(connection: Connection, user_id: UUID, browser: Browser) -> str:
    """A new session; its token. Those of this user that are over go."""
    await connection.execute(
        f"DELETE FROM console_sessions s WHERE s.user_id = %(user)s AND NOT ({_ALIVE})", {"user": user_id, **_TIMES}
    )
    token = secrets.token_urlsafe(32)
    await connection.execute(
        "INSERT INTO console_sessions (id, user_id, token_hash, zone, ip, agent) VALUES (%s, %s, %s, %s, %s, %s)",
        [uuid7(), user_id, hash_of(token), browser.zone, browser.ip, browser.agent[:AGENT]],
    )
    return token


async def whose(connection: Connection, token: str, *, used: bool = True) -> tuple[Session, User] | None:
    """The session of this token and its user, as they are now; None when there is none, or they may not sign in.

    `used`: somebody did something, which keeps it alive. A page that refreshes itself does not.
    """
    if not token or len(token) > _LONGEST_TOKEN:
        return None
    cursor = await connection.execute(
        f"SELECT {_COLUMNS}, s.seen_at < now() - %(seen)s AND {_WRITABLE} FROM console_sessions s"
        f" WHERE s.token_hash = %(hash)s AND {_ALIVE}",
        {"hash": hash_of(token), "seen": _SEEN, **_TIMES},
    )
    row = await cursor.fetchone()
    user = await by_id(connection, row[1]) if row else None
    if row is None or user is None or user.disabled_at is not None:
        return None
    if used and row[-1]:
        await connection.execute("UPDATE console_sessions SET seen_at = now() WHERE id = %s", [row[0]])
    return _session(row[:-1]), user


async def alive(connection: Connection, identifiers: Collection[UUID]) -> dict[UUID, User]:
    """The users of those of these sessions that are not over, as they are now. To be asked for is no use of one."""
    cursor = await connection.execute(
        f"SELECT s.id, s.user_id FROM console_sessions s WHERE s.id = ANY(%(ids)s) AND {_ALIVE}",
        {"ids": list(identifiers), **_TIMES},
    )
    rows = await cursor.fetchall()
    users = {user: await by_id(connection, user) for user in {row[1] for row in rows}}
    found = {session: users[user] for session, user in rows}
    return {session: user for session, user in found.items() if user is not None and user.disabled_at is None}


async def of_user(connection: Connection, user_id: UUID) -> list[Session]:
    """Those that are not over, the one used last first."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM console_sessions s WHERE s.user_id = %(user)s AND {_ALIVE} ORDER BY s.seen_at DESC",
        {"user": user_id, **_TIMES},
    )
    return [_session(row) for row in await cursor.fetchall()]


async def end(connection: Connection, user_id: UUID, session_id: UUID) -> Session:
    """Sign a browser out. Raises Refused."""
    cursor = await connection.execute(
        f"DELETE FROM console_sessions s WHERE s.id = %s AND s.user_id = %s RETURNING {_COLUMNS}", [session_id, user_id]
    )
    row = await cursor.fetchone()
    if row is None:
        raise not_found("that session is over already")
    return _session(row)


async def end_others(connection: Connection, user_id: UUID, kept: UUID | None) -> int:
    """Sign a user out everywhere, but for one session; how many there were."""
    cursor = await connection.execute(
        "DELETE FROM console_sessions WHERE user_id = %s AND id IS DISTINCT FROM %s", [user_id, kept]
    )
    return cursor.rowcount


async def forget(connection: Connection) -> None:
    """Retention: sessions that are over."""
    await connection.execute(f"DELETE FROM console_sessions s WHERE NOT ({_ALIVE})", _TIMES)


def hash_of(token: str) -> bytes:
    """What the database holds instead of a token. It is random, so no salt or stretching."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


def _session(row: Sequence[Any]) -> Session:
    return Session(*row)
