"""The address of the console that a terminal shows: with a one-time link where nobody could come in otherwise.

Whoever runs `postlane up` owns the database, so a link costs no safety. With the demo there is a user for it, and the
link signs them in with one press; else it makes the first user, or there are users, who know their passwords.
"""

import asyncio
from typing import Final

from accounts import sign_in_links, users
from accounts.roles import Role
from accounts.sign_in_links import Purpose
from accounts.users import NewUser
from store.database import Connection, Database

DEMO_USER: Final = "demo@postlane.example"


def console_link(database_url: str, address: str, *, demo: bool) -> str:
    """Where to go, and for what."""
    return asyncio.run(_asked(database_url, address, demo=demo))


async def _asked(database_url: str, address: str, *, demo: bool) -> str:
    database = Database(database_url, 2, "postlane-up")
    await database.open()
    try:
        async with database.transaction() as connection:
            token = await _token(connection, demo=demo)
    finally:
        await database.close()
    return f"{address}/link/{token}  (works once)" if token else address


async def _token(connection: Connection, *, demo: bool) -> str:
    if not await users.any_exists(connection):
        if not demo:
            return await sign_in_links.make(connection, Purpose.FIRST)
        await users.create(connection, NewUser(DEMO_USER, Role.ADMIN, "Demo"))
    known = [one for one in await users.every(connection) if one.email == DEMO_USER and one.disabled_at is None]
    return await sign_in_links.make(connection, Purpose.SIGN_IN, known[0].id) if demo and known else ""
