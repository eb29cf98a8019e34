"""Which pool an application or a sender domain has for a lane, instead of the lane's default.

The pipeline asks in this order: the pool that the mail names, the domain's, the application's, the lane's default.
Raises `Refused`; never touches mail.
"""

from dataclasses import dataclass
from typing import Final, Literal
from uuid import UUID

from core.queues import Lane
from core.refusal import Refused, invalid
from pools.administration import pool_head
from store.database import Connection

SubjectKind = Literal["application", "domain"]

_OF: Final[dict[SubjectKind, str]] = {"application": "applications", "domain": "domains"}

_SELECT: Final = """
SELECT a.kind, a.subject_id, coalesce(ap.name, d.name), o.name, a.lane, p.id, p.name
  FROM pool_assignments a JOIN pools p ON p.id = a.pool_id
  LEFT JOIN applications ap ON a.kind = 'application' AND ap.id = a.subject_id
  LEFT JOIN domains d ON a.kind = 'domain' AND d.id = a.subject_id
  LEFT JOIN applications o ON o.id = d.application_id
"""


@dataclass(frozen=True, slots=True)
class Assignment:
    """One row: this application or domain uses this pool in this lane."""

    kind: SubjectKind
    subject_id: UUID
    subject: str | None
    """Its name; None when it was deleted since."""
    application: str | None
    """Of a domain: whose it is."""
    lane: Lane
    pool_id: UUID
    pool: str


async def assignments(connection: Connection) -> list[Assignment]:
    """All of them, by kind and name."""
    cursor = await connection.execute(f"{_SELECT} ORDER BY a.kind, 3, 4, a.lane, a.subject_id")
    return [_assignment(row) for row in await cursor.fetchall()]


async def assign(
    connection: Connection, kind: SubjectKind, subject_id: UUID, pool: str, lane: Lane | None
) -> Assignment:
    """Give an application or domain a pool in the pool's lane. `lane` may be said again, and must be that one."""
    pool_id, name, serves, reserved = await pool_head(connection, pool, "pool")
    if reserved:
        raise invalid("pool", f"pool {name} is reserved: it takes only mail that names it")
    if lane is not None and lane is not serves:
        raise invalid("lane", f"pool {name} serves the {serves} lane, not the {lane} lane")
    cursor = await connection.execute(f"SELECT FROM {_OF[kind]} WHERE id = %s FOR KEY SHARE", [subject_id])
    if not cursor.rowcount:
        raise Refused("not_found", f"there is no {kind} {subject_id}")
    await connection.execute(
        "INSERT INTO pool_assignments (kind, subject_id, lane, pool_id) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT (kind, subject_id, lane) DO UPDATE SET pool_id = excluded.pool_id",
        [kind, subject_id, serves.value, pool_id],
    )
    cursor = await connection.execute(
        f"{_SELECT} WHERE a.kind = %s AND a.subject_id = %s AND a.lane = %s", [kind, subject_id, serves.value]
    )
    row = await cursor.fetchone()
    assert row is not None
    return _assignment(row)


async def unassign(connection: Connection, kind: SubjectKind, subject_id: UUID, lane: Lane) -> None:
    """Back to the lane's default. Raises Refused when there is no such assignment."""
    cursor = await connection.execute(
        "DELETE FROM pool_assignments WHERE kind = %s AND subject_id = %s AND lane = %s", [kind, subject_id, lane.value]
    )
    if not cursor.rowcount:
        raise Refused("not_found", f"the {kind} {subject_id} has no pool of its own in the {lane} lane")


async def forget_gone(connection: Connection) -> None:
    """Drop the assignments of applications and domains that were deleted."""
    await connection.execute(
        "DELETE FROM pool_assignments a WHERE CASE a.kind"
        " WHEN 'application' THEN NOT EXISTS (SELECT FROM applications WHERE id = a.subject_id)"
        " ELSE NOT EXISTS (SELECT FROM domains WHERE id = a.subject_id) END"
    )


async def subject_named(connection: Connection, kind: SubjectKind, text: str, application: str = "") -> UUID:
    """The id of an application or domain by its name or id. `application` tells domains of one name apart.

    Raises Refused when there is none, or more than one.
    """
    try:
        return UUID(text)
    except ValueError:
        pass
    if not text.isprintable() or not application.isprintable():
        raise Refused("not_found", f"there is no {kind} {text!r}")
    if kind == "application":
        cursor = await connection.execute("SELECT id FROM applications WHERE name = %s", [text])
    else:
        cursor = await connection.execute(
            "SELECT d.id FROM domains d JOIN applications a ON a.id = d.application_id"
            " WHERE d.name = %s AND (%s = '' OR a.name = %s)",
            [text, application, application],
        )
    rows = await cursor.fetchall()
    if len(rows) > 1:
        raise Refused("conflict", f"{len(rows)} applications have a domain {text}: say which with --application")
    if not rows:
        raise Refused("not_found", f"there is no {kind} {text!r}")
    found: UUID = rows[0][0]
    return found


def _assignment(row: tuple[object, ...]) -> Assignment:
    kind, subject_id, subject, application, lane, pool_id, pool = row
    return Assignment(kind, subject_id, subject, application, Lane(lane), pool_id, pool)  # type: ignore[arg-type]
