"""People who use the console: made, found, given a role, disabled, given a password. The table `console_users`.

A user has an address to sign in with; its folded form is the key. Without a password they can sign in by a one-time
link only (`accounts/sign_in_links`). Whoever is disabled or gets another password loses all sessions in the same
transaction. The last admin who may sign in can be neither disabled nor made less.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from accounts.roles import Right, Role, rights_of
from core.addresses import AddressError, fold_address
from core.ids import uuid7
from core.refusal import Refused, conflict, invalid, not_found
from store.database import Connection

LONGEST_NAME: Final = 200

_COLUMNS: Final = """u.id, u.email, u.name, u.role, u.applications, u.zone, u.created_at, u.signed_in_at, u.disabled_at,
       u.password_hash IS NOT NULL, u.sealed_totp IS NOT NULL"""
_SELECT: Final = f"SELECT {_COLUMNS} FROM console_users u"

# Taken by whoever takes an admin away, so that two cannot take each other's.
_ADMINS: Final = """
SELECT id, password_hash IS NOT NULL FROM console_users
 WHERE role = 'admin' AND applications = '{}' AND disabled_at IS NULL ORDER BY id FOR UPDATE
"""
# Not FOR SHARE: the sign-in updates the row after this, and two at once would wait for each other.
_HOLD: Final = """
SELECT 1 FROM console_users WHERE id = %s AND disabled_at IS NULL AND password_hash IS NOT DISTINCT FROM %s
   FOR NO KEY UPDATE
"""


@dataclass(frozen=True, slots=True)
class User:
    """A person, without their secrets."""

    id: UUID
    email: str
    name: str
    role: Role
    applications: tuple[UUID, ...]
    """The only ones they see; () for all."""
    zone: str
    """Of the times they are shown; "" takes that of their browser."""
    created_at: datetime
    signed_in_at: datetime | None
    disabled_at: datetime | None
    has_password: bool
    has_totp: bool

    @property
    def rights(self) -> frozenset[Right]:
        """What they may do."""
        return rights_of(self.role, limited=bool(self.applications))

    @property
    def shown(self) -> str:
        """What they are called."""
        return self.name or self.email


@dataclass(frozen=True, slots=True)
class NewUser:
    """A person to be made."""

    email: str
    role: Role
    name: str = ""
    applications: tuple[UUID, ...] = ()


async def create(connection: Connection, wanted: NewUser) -> User:
    """A user without a password. Raises Refused."""
    email, key = _address(wanted.email)
    cursor = await connection.execute(
        "INSERT INTO console_users AS u (id, email, key, name, role, applications) VALUES (%s, %s, %s, %s, %s, %s)"
        f" ON CONFLICT (key) DO NOTHING RETURNING {_COLUMNS}",
        [uuid7(), email, key, _name(wanted.name), wanted.role.value, list(wanted.applications)],
    )
    row = await cursor.fetchone()
    if row is None:
        raise conflict(f"there is a user {email} already", code="user_exists")
    return _user(row)


async def every(connection: Connection) -> list[User]:
    """All of them, by address."""
    return [_user(row) for row in await (await connection.execute(f"{_SELECT} ORDER BY u.key")).fetchall()]


async def developers_of(connection: Connection, application_id: UUID) -> list[User]:
    """Who looks after this application's sending: its own developers, else those of all; not who is disabled."""
    mine = [
        one
        for one in await every(connection)
        if one.role is Role.DEVELOPER
        and one.disabled_at is None
        and (not one.applications or application_id in one.applications)
    ]
    return [one for one in mine if one.applications] or mine


async def any_exists(connection: Connection) -> bool:
    """Whether somebody can be signed in at all."""
    return await (await connection.execute("SELECT 1 FROM console_users LIMIT 1")).fetchone() is not None


async def by_id(connection: Connection, user_id: UUID) -> User | None:
    """The user of this id."""
    row = await (await connection.execute(f"{_SELECT} WHERE u.id = %s", [user_id])).fetchone()
    return _user(row) if row else None


async def get(connection: Connection, email: str) -> User:
    """The user who signs in with this address. Raises Refused."""
    found = await find(connection, email)
    if found is None:
        raise not_found(f"there is no user {email[:200]}", hint="`postlane users list` shows them")
    return found


async def find(connection: Connection, email: str) -> User | None:
    """The same; None when there is none."""
    try:
        key = fold_address(email.strip())
    except AddressError:
        return None
    row = await (await connection.execute(f"{_SELECT} WHERE u.key = %s", [key])).fetchone()
    return _user(row) if row else None


async def secrets_of(connection: Connection, email: str) -> tuple[User, str | None, bytes | None] | None:
    """A user with the hash of their password and the sealed key of their second factor; None: no such user."""
    try:
        key = fold_address(email.strip())
    except AddressError:
        return None
    cursor = await connection.execute(
        f"SELECT {_COLUMNS}, u.password_hash, u.sealed_totp FROM console_users u WHERE u.key = %s", [key]
    )
    row = await cursor.fetchone()
    return (_user(row[:-2]), row[-2], row[-1]) if row else None


async def set_password(connection: Connection, user_id: UUID, password_hash: str) -> None:
    """Another password; every session ends, and every link that was on its way."""
    await connection.execute("UPDATE console_users SET password_hash = %s WHERE id = %s", [password_hash, user_id])
    await _shut_out(connection, user_id)


async def hold(connection: Connection, user_id: UUID, password_hash: str | None) -> bool:
    """Whether they may sign in, by this password still; nobody changes either before the transaction ends.

    A password is looked at before the transaction that begins its session: it takes 50 ms, and a code minutes.
    """
    cursor = await connection.execute(_HOLD, [user_id, password_hash])
    return await cursor.fetchone() is not None


async def set_totp(connection: Connection, user_id: UUID, sealed: bytes | None) -> None:
    """A second factor, or none."""
    await connection.execute(
        "UPDATE console_users SET sealed_totp = %s, totp_step = 0 WHERE id = %s", [sealed, user_id]
    )


async def use_totp_step(connection: Connection, user_id: UUID, step: int) -> bool:
    """Note that a code was used; False when it, or a later one, was used before (RFC 6238 section 5.2)."""
    cursor = await connection.execute(
        "UPDATE console_users SET totp_step = %s WHERE id = %s AND totp_step < %s", [step, user_id, step]
    )
    return cursor.rowcount == 1


async def set_profile(connection: Connection, user_id: UUID, name: str, zone: str) -> None:
    """What they are called, and the zone of their times ("" takes their browser's). Raises Refused."""
    await connection.execute(
        "UPDATE console_users SET name = %s, zone = %s WHERE id = %s", [_name(name), known_zone(zone), user_id]
    )


async def set_role(connection: Connection, known: User, role: Role, applications: Sequence[UUID] | None) -> None:
    """What they may do, from their next request on. Raises Refused for the last admin.

    `applications`: the only ones they see, None for all. () takes no limit away: it is what a form sends in which
    nothing is ticked, because those that they were limited to are gone.
    """
    if known.applications and applications is not None and not applications:
        raise invalid("applications", "name one application at least, or all of them", code="no_application")
    if role is not Role.ADMIN or applications:
        await _not_the_last_admin(connection, known)
    await connection.execute(
        "UPDATE console_users SET role = %s, applications = %s WHERE id = %s",
        [role.value, list(applications or ()), known.id],
    )


async def disable(connection: Connection, known: User) -> None:
    """They may not sign in, and are signed out. Raises Refused for the last admin."""
    await _not_the_last_admin(connection, known)
    await connection.execute(
        "UPDATE console_users SET disabled_at = coalesce(disabled_at, now()) WHERE id = %s", [known.id]
    )
    await _shut_out(connection, known.id)


async def enable(connection: Connection, known: User) -> None:
    """They may sign in again."""
    await connection.execute("UPDATE console_users SET disabled_at = NULL WHERE id = %s", [known.id])


async def note_sign_in(connection: Connection, user_id: UUID) -> None:
    """They signed in just now."""
    await connection.execute("UPDATE console_users SET signed_in_at = now() WHERE id = %s", [user_id])


def known_zone(text: str) -> str:
    """The name of a time zone, or "". Raises Refused."""
    if not text:
        return ""
    try:
        return ZoneInfo(text).key
    except (ValueError, OSError, KeyError):  # a path, a folder of the data, no such name
        raise invalid("zone", f"there is no time zone {text[:60]!r}") from None


async def _not_the_last_admin(connection: Connection, known: User) -> None:
    """One who never chose a password counts only where none has one: nobody has seen them come in."""
    admins = await (await connection.execute(_ADMINS)).fetchall()
    able = [admin for admin, has_password in admins if has_password] or [admin for admin, _ in admins]
    if able == [known.id]:
        raise conflict(
            f"{known.email} is the last admin",
            hint="Make another one first, who has a password: `postlane users create ADDRESS --role admin`.",
            code="last_admin",
        )


async def _shut_out(connection: Connection, user_id: UUID) -> None:
    await connection.execute("DELETE FROM console_sessions WHERE user_id = %s", [user_id])
    await connection.execute("DELETE FROM console_links WHERE user_id = %s", [user_id])


def _address(text: str) -> tuple[str, str]:
    try:
        return text.strip(), fold_address(text.strip())
    except AddressError as error:
        raise invalid("email", error.reason) from None


def _name(text: str) -> str:
    text = text.strip()
    if not text.isprintable() or len(text) > LONGEST_NAME:
        raise Refused("invalid", f"it has to be one line of at most {LONGEST_NAME} printable characters", "name")
    return text


def _user(row: Sequence[Any]) -> User:
    identifier, email, name, role, applications, *rest = row
    return User(identifier, email, name, Role(role), tuple(applications), *rest)
