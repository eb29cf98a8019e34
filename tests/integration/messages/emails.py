"""Emails for tests of the store, of workers and of outcomes, and looks into the tables they end up in."""

import asyncio
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from core.ids import uuid7
from core.queues import Lane
from messages.accept import write_emails
from messages.model import MessageRef, NewEmail, Recipient, Submission
from store import partitions
from store.database import Database

APPLICATION = UUID(int=7)
DOMAIN = UUID(int=8)

_numbers = itertools.count(1)

_WAITS = """
SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted AND a.datname = current_database()
"""


def recipient(address: str = "", kind: str = "to") -> Recipient:
    """A receiver; without an address a new one at example.com."""
    wire = address or f"user{next(_numbers)}@example.com"
    return Recipient(wire, wire.lower(), wire.rpartition("@")[2].lower(), kind)  # type: ignore[arg-type]


def new_email(*addresses: str, **changes: Any) -> NewEmail:
    """An email to these addresses (one new one by default), accepted now for the transactional lane."""
    receivers = tuple(recipient(address) for address in addresses or ("",))
    identifier = uuid7()
    facts: dict[str, Any] = {
        "id": identifier,
        "application_id": APPLICATION,
        "domain_id": DOMAIN,
        "lane": Lane.TRANSACTIONAL,
        "created_at": datetime.now(UTC),
        "message_id": f"<{identifier}@acme.example>",
        "sender": "Acme <hello@acme.example>",
        "subject": "Your receipt",
        "recipients": receivers,
        "to": tuple(one.recipient for one in receivers),
        "text": "Thank you.",
    }
    return NewEmail(**{**facts, **changes})


def submission(*emails: NewEmail, **changes: Any) -> Submission:
    """One request of the test application."""
    return Submission(**{"application_id": APPLICATION, "emails": emails or (new_email(),), **changes})


def refs(email: NewEmail) -> list[MessageRef]:
    """Its messages."""
    return [MessageRef(email.id, position) for position in range(len(email.recipients))]


async def store(database: Database, *emails: NewEmail) -> None:
    """Accept without the door: straight into the tables."""
    async with database.transaction() as connection:
        await write_emails(connection, emails)


async def delivered(database: Database, email_id: UUID) -> None:
    """All of it was."""
    await execute(database, "DELETE FROM delivery_queue WHERE email_id = %s", [email_id])
    await execute(database, "UPDATE messages SET state = 'delivered' WHERE email_id = %s", [email_id])


async def make_partitions(database: Database) -> None:
    """Those of these days, if midnight has passed since the run began: else they are there."""
    async with database.connection() as connection:
        await partitions.ensure(connection, datetime.now(UTC).date())


async def rows(database: Database, statement: str, parameters: Sequence[object] = ()) -> list[tuple[Any, ...]]:
    """Rows of a statement."""
    async with database.connection() as connection:
        return list(await (await connection.execute(statement, parameters)).fetchall())


async def execute(database: Database, statement: str, parameters: Sequence[object] = ()) -> int:
    """Run a statement; how many rows it touched."""
    async with database.connection() as connection:
        return (await connection.execute(statement, parameters)).rowcount


async def states(database: Database) -> dict[MessageRef, str]:
    """State of every message."""
    found = await rows(database, "SELECT email_id, position, state FROM messages")
    return {MessageRef(email, position): state for email, position, state in found}


async def waiting(database: Database) -> dict[MessageRef, datetime]:
    """When every message on its way is due."""
    found = await rows(database, "SELECT email_id, position, due_at FROM delivery_queue")
    return {MessageRef(email, position): due for email, position, due in found}


async def until_somebody_waits(database: Database) -> None:
    """For a lock that another transaction holds."""
    async with asyncio.timeout(10):
        while not await rows(database, _WAITS):
            await asyncio.sleep(0.01)


async def suppress(database: Database, address: str, scope: str = "all", expires_in: timedelta | None = None) -> None:
    """Add an entry to the suppression list."""
    await execute(
        database,
        "INSERT INTO suppressions (id, address, scope, reason, source, expires_at)"
        " VALUES (%s, %s, %s, 'manual', 'api', now() + %s)",
        [uuid7(), address, scope, expires_in],
    )


_FULL_DISK = "CREATE OR REPLACE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {does}; END $$"


async def fill_disk(database: Database, table: str) -> None:
    """Rows of this table cannot be written: PostgreSQL's disk is full (SQLSTATE 53100)."""
    refuses = "RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'"
    await execute(database, _FULL_DISK.format(does=refuses))
    await execute(
        database,
        f"CREATE OR REPLACE TRIGGER full_disk BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION full_disk()",
    )


async def make_room(database: Database) -> None:
    """They can again. The trigger stays: to drop it would take locks, in another order than whoever tries to write."""
    await execute(database, _FULL_DISK.format(does="RETURN NEW"))
