"""Who signs in by a provider: the table `console_identities`. One identity is one user, and a user has one at most.

A provider's subject is for ever the same, an address is not: it decides the first time only, and only a verified one.
Nobody is let in whom nobody added, unless the provider gives them a role: then it also takes it away, by whichever
identity they come (`made_by_provider` of `console_users`, which outlives an identity that is forgotten).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from accounts import users
from accounts.roles import Role
from accounts.users import NewUser, User
from core.refusal import Refused, conflict, not_found
from store.database import Connection

# `made` of the identity is what the version before this one looks at.
_FIND: Final = """
SELECT i.user_id, i.made OR u.made_by_provider FROM console_identities i JOIN console_users u ON u.id = i.user_id
 WHERE i.issuer = %s AND i.subject = %s
"""
# Two sign-ins at once: the second one waits here, and then finds it.
_TIE: Final = """
INSERT INTO console_identities (issuer, subject, user_id, made) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING
"""
_MADE: Final = "UPDATE console_users SET made_by_provider = true WHERE id = %s AND NOT made_by_provider"
_WAS_MADE: Final = "SELECT made_by_provider FROM console_users WHERE id = %s"
_FORGET: Final = "DELETE FROM console_identities WHERE user_id = %s RETURNING issuer, made"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who somebody is, as the provider says."""

    subject: str
    """Of the provider, for ever the same."""
    email: str
    """"" without one that the provider has verified."""
    name: str
    claims: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Known:
    """A user who signs in by a provider."""

    user: User
    made: bool
    """Whether it was the provider who let them in at all: its roles are theirs."""


@dataclass(frozen=True, slots=True)
class CameIn:
    """Who came, and what that changed."""

    user: User
    before: User | None
    """As they were; None for somebody new."""
    tied: bool = False
    """Whether they came by this identity for the first time."""


async def come_in(connection: Connection, issuer: str, identity: Identity, role: Role | None) -> CameIn:
    """The user of an identity. `role`: what the provider gives them. Raises Refused."""
    known = await find(connection, issuer, identity.subject)
    if known is not None:
        return CameIn(await _with_role(connection, known, role), known.user)
    user = await users.find(connection, identity.email) if identity.email else None
    if user is not None:
        again = Known(user, await _was_made(connection, user))
        await tie(connection, user, issuer, identity.subject, made=again.made)
        return CameIn(await _with_role(connection, again, role), user, tied=True)
    if role is None or not identity.email:
        raise nobody(identity.email)
    made = await users.create(connection, NewUser(identity.email, role, identity.name[: users.LONGEST_NAME]))
    await tie(connection, made, issuer, identity.subject, made=True)
    return CameIn(made, None, tied=True)


async def _with_role(connection: Connection, known: Known, role: Role | None) -> User:
    """Whom the provider let in has the role that it gives. Raises Refused when it gives none any more."""
    if not known.made or role is known.user.role:
        return known.user
    if role is None:
        raise Refused("invalid", "the provider gives you no role here any more", code="no_role")
    await users.set_role(connection, known.user, role, known.user.applications or None)
    return await users.get(connection, known.user.email)


async def find(connection: Connection, issuer: str, subject: str) -> Known | None:
    """Whose identity it is."""
    row = await (await connection.execute(_FIND, [issuer, subject])).fetchone()
    user = await users.by_id(connection, row[0]) if row else None
    return Known(user, row[1]) if row and user else None


async def tie(connection: Connection, user: User, issuer: str, subject: str, *, made: bool = False) -> None:
    """From now on this identity is that user. Raises Refused when either has another one."""
    cursor = await connection.execute(_TIE, [issuer, subject, user.id, made])
    if not cursor.rowcount:
        raise conflict(
            f"{user.email} signs in by another identity of the provider",
            hint=f"`postlane users unlink {user.email}` forgets it.",
            code="other_identity",
        )
    if made:
        await connection.execute(_MADE, [user.id])


async def _was_made(connection: Connection, user: User) -> bool:
    """Whether it was the provider who let them in, by an identity that is forgotten."""
    row = await (await connection.execute(_WAS_MADE, [user.id])).fetchone()
    return bool(row and row[0])


async def issuer_of(connection: Connection, user_id: UUID) -> str:
    """By which provider somebody signs in; "" for none."""
    cursor = await connection.execute("SELECT issuer FROM console_identities WHERE user_id = %s", [user_id])
    row = await cursor.fetchone()
    return str(row[0]) if row else ""


async def forget(connection: Connection, user: User) -> str:
    """The next identity with their verified address is theirs, and whom the provider let in it still gives their role;
    the issuer of the one before. Raises Refused."""
    row = await (await connection.execute(_FORGET, [user.id])).fetchone()
    if row is None:
        raise not_found(f"{user.email} does not sign in by a provider")
    if row[1]:
        await connection.execute(_MADE, [user.id])
    return str(row[0])


def nobody(email: str) -> Refused:
    """Nobody is let in by an address alone."""
    return Refused(
        "invalid",
        f"nobody here has the address {email[:200]}" if email else "the provider has verified no address of yours",
        hint="Ask an admin to add you with it: `postlane users create ADDRESS`." if email else "",
        code="not_a_user",
    )
