"""People who are being erased: their address stays here until nothing of their mail is under way any more.

A worker may hold a mail to them at this moment, and what it writes afterwards names them again. So an erasure is gone
over until that is over, and then its row goes, too. Owns `erasures`.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from audience.choices import Person
from store.database import Connection

SETTLED: Final = timedelta(minutes=15)
"""So long after the wish nothing comes any more of what was under way: a lease is a minute, and journals are written
after at most a few."""

_DUE: Final = """
SELECT application_id, address, asked_at FROM erasures WHERE due_at <= now() ORDER BY due_at LIMIT 1
   FOR UPDATE SKIP LOCKED
"""


@dataclass(frozen=True, slots=True)
class Erasure:
    """One that is not over."""

    person: Person
    asked_at: datetime


async def note(connection: Connection, person: Person) -> datetime:
    """Remember the wish, asked now; the moment of it."""
    cursor = await connection.execute(
        "INSERT INTO erasures (application_id, address, asked_at, due_at)"
        " VALUES (%s, %s, now(), now() + interval '1 minute')"
        " ON CONFLICT (application_id, address) DO UPDATE SET asked_at = excluded.asked_at, due_at = excluded.due_at"
        " RETURNING asked_at",
        [person.application_id, person.address],
    )
    row = await cursor.fetchone()
    assert row is not None
    asked: datetime = row[0]
    return asked


async def due(connection: Connection) -> Erasure | None:
    """One to go over again, held by this transaction."""
    row = await (await connection.execute(_DUE)).fetchone()
    return Erasure(Person(row[0], row[1]), row[2]) if row else None


async def gone_over(connection: Connection, erasure: Erasure, *, left: bool) -> None:
    """It was gone over; whether something of it is under way still. Over, once that is not so and its time has come."""
    person = erasure.person
    names = {"application": person.application_id, "address": person.address, "left": left, "settled": SETTLED}
    which = "WHERE application_id = %(application)s AND address = %(address)s"
    await connection.execute(f"DELETE FROM erasures {which} AND NOT %(left)s AND asked_at < now() - %(settled)s", names)
    await connection.execute(f"UPDATE erasures SET due_at = now() + interval '1 minute' {which}", names)
