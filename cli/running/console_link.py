"""The address of the console that a terminal shows: with a one-time link where nobody could come in otherwise.

Whoever runs `postlane up` owns the database, so a link costs no safety. With the demo there is a user for it, and the
link signs them in with one press; else it makes the first user, or there are users, who know their passwords. Where
nobody looks at the output it goes into a log, which more people read: then it only says how to make a link.
"""

import asyncio
from typing import Final

from accounts import audit, sign_in_links, users
from accounts.audit import Entry
from accounts.roles import Role
from accounts.sign_in_links import Purpose
from accounts.users import NewUser
from cli.operating import actor
from store.database import Connection, Database
from web.faces.users import user_audit

DEMO_USER: Final = "demo@postlane.example"


def console_link(database_url: str, address: str, *, demo: bool, seen: bool) -> str:
    """Where to go, and for what. `seen`: somebody looks at the terminal."""
    return asyncio.run(_asked(database_url, address, demo=demo, seen=seen))


async def _asked(database_url: str, address: str, *, demo: bool, seen: bool) -> str:
    database = Database(database_url, 2, "postlane-up")
    await database.open()
    try:
        async with database.transaction() as connection:
            who = await _who(connection, demo=demo)
            if who is None:
                return address
            if not seen:
                return f"{address}  (to come in: {' '.join(['postlane console link', *who])})"
            return f"{address}/link/{await _link(connection, *who)}  works once"
    finally:
        await database.close()


async def _who(connection: Connection, *, demo: bool) -> list[str] | None:
    """Whom a link is for: the user of the demo, or nobody yet; None: there are users, who come in by themselves."""
    if not await users.any_exists(connection):
        if not demo:
            return []
        made = await users.create(connection, NewUser(DEMO_USER, Role.ADMIN, "Demo"))
        await audit.write(connection, actor(), Entry("user.create", made.email, after=user_audit(made)))
    known = (one for one in await users.every(connection) if one.email == DEMO_USER and one.disabled_at is None)
    return [DEMO_USER] if demo and next(known, None) else None


async def _link(connection: Connection, email: str = "") -> str:
    await audit.write(connection, actor(), Entry("user.link", email or "the first user"))
    if not email:
        return await sign_in_links.make(connection, Purpose.FIRST)
    return await sign_in_links.make(connection, Purpose.SIGN_IN, (await users.get(connection, email)).id)
