"""Endpoints and their secrets in PostgreSQL: who wants to be told of what, and where.

Every function works on the caller's connection and never commits. An owner is an application, or None for the
operators; nobody sees another's endpoints. Secrets are stored sealed, each bound to its endpoint.

A *listener* is an endpoint without URL: it fetches what it is told of itself (`webhooks/listening`) and is not listed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from psycopg.rows import TupleRow

from core.ids import uuid7
from core.paging import Page, Window, cut
from core.refusal import conflict, not_found
from core.secrets import InstanceSecret
from store.database import Connection
from webhooks.outbox import OPERATORS
from webhooks.signing import new_secret

MOST: Final = 50
"""Endpoints of one owner: each costs a row and a request for every event."""

OVERLAP: Final = timedelta(hours=24)
"""So long a secret that was replaced goes on signing beside the new one."""

SIGNING: Final = 4
"""Secrets that sign at the same time: the newest, and those replaced last."""

Status = Literal["enabled", "disabled"]
ENABLED: Final[Status] = "enabled"
DISABLED: Final[Status] = "disabled"

_COLUMNS = "id, application_id, url, events, status, disabled_reason, created_at, failing_since"
_OWN = "id = %(id)s AND owner_id = %(owner)s AND url <> ''"

# What was said about it is forgotten when somebody sets it up anew: it is asked at once.
_CHANGE = f"""
UPDATE webhook_endpoints SET url = coalesce(%(url)s, url),
       events = CASE WHEN %(change_events)s THEN %(events)s::text[] ELSE events END,
       status = coalesce(%(status)s, status), disabled_reason = '', failing_since = NULL, failures = 0,
       rest_until = NULL
 WHERE {_OWN} RETURNING {_COLUMNS}
"""
_REPLACE = """
UPDATE webhook_secrets SET expires_at = now() + %(overlap)s WHERE endpoint_id = %(id)s AND expires_at IS NULL
"""
_FORGET_OLDEST = """
DELETE FROM webhook_secrets WHERE endpoint_id = %(id)s AND (expires_at <= now() OR id NOT IN (
  SELECT id FROM webhook_secrets WHERE endpoint_id = %(id)s ORDER BY id DESC LIMIT %(most)s))
"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where events go."""

    id: UUID
    application_id: UUID | None
    url: str
    events: Sequence[str] | None
    """None: all."""
    status: Status
    disabled_reason: str
    """Why we switched it off; "" when somebody else did, or nobody."""
    created_at: datetime
    failing_since: datetime | None
    """Nothing was taken since."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different; None leaves it."""

    url: str | None = None
    events: Sequence[str] | None = None
    every_event: bool = False
    """All types from now on."""
    status: Status | None = None


def owner_of(application_id: UUID | None) -> UUID:
    """The owner as the table has it."""
    return application_id or OPERATORS


def secret_context(endpoint_id: UUID) -> str:
    """What a sealed secret is bound to."""
    return f"webhook:{endpoint_id}"


async def create(
    connection: Connection, secret: InstanceSecret, application_id: UUID | None, url: str, events: Sequence[str] | None
) -> tuple[Endpoint, str]:
    """A new endpoint, told of all that is written from the commit on, and its signing secret. Raises Refused."""
    await _room(connection, application_id)
    cursor = await connection.execute(
        f"INSERT INTO webhook_endpoints (id, application_id, url, events) VALUES (%s, %s, %s, %s) RETURNING {_COLUMNS}",
        [uuid7(), application_id, url, _list(events)],
    )
    made = _endpoint(await _one(cursor))
    return made, await _add_secret(connection, secret, made.id)


async def page(connection: Connection, application_id: UUID | None, window: Window[UUID]) -> Page[Endpoint]:
    """Endpoints of an owner, newest first."""
    back = window.before is not None
    place = window.before or window.after
    condition = "" if place is None else f" AND id {'>' if back else '<'} %(place)s"
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM webhook_endpoints WHERE owner_id = %(owner)s AND url <> ''{condition}"
        f" ORDER BY id {'' if back else 'DESC'} LIMIT %(limit)s",
        {"owner": owner_of(application_id), "place": place, "limit": window.limit and window.limit + 1},
    )
    return cut(await cursor.fetchall(), window).map(_endpoint)


async def get(connection: Connection, application_id: UUID | None, endpoint_id: UUID) -> Endpoint:
    """One endpoint. Raises Refused."""
    names = {"id": endpoint_id, "owner": owner_of(application_id)}
    cursor = await connection.execute(f"SELECT {_COLUMNS} FROM webhook_endpoints WHERE {_OWN}", names)
    row = await cursor.fetchone()
    if row is None:
        raise unknown(endpoint_id)
    return _endpoint(row)


async def sending(connection: Connection, application_id: UUID | None, endpoint_id: UUID) -> Endpoint:
    """One endpoint that is on, for whoever wants something sent there. Raises Refused."""
    found = await get(connection, application_id, endpoint_id)
    if found.status == "disabled":
        raise conflict("the webhook is disabled, nothing is sent there", hint="Enable it first.")
    return found


async def change(connection: Connection, application_id: UUID | None, endpoint_id: UUID, wanted: Change) -> Endpoint:
    """Change an endpoint; what was known of its troubles is forgotten. Raises Refused."""
    names = {
        "id": endpoint_id, "owner": owner_of(application_id), "url": wanted.url, "status": wanted.status,
        "change_events": wanted.every_event or wanted.events is not None, "events": _list(wanted.events),
    }  # fmt: skip
    row = await (await connection.execute(_CHANGE, names)).fetchone()
    if row is None:
        raise unknown(endpoint_id)
    return _endpoint(row)


async def delete(connection: Connection, application_id: UUID | None, endpoint_id: UUID) -> None:
    """Delete an endpoint; its events go within a minute (`webhooks/retention`). Raises Refused."""
    names = {"id": endpoint_id, "owner": owner_of(application_id)}
    cursor = await connection.execute(f"DELETE FROM webhook_endpoints WHERE {_OWN}", names)
    if not cursor.rowcount:
        raise unknown(endpoint_id)


async def rotate(connection: Connection, secret: InstanceSecret, application_id: UUID | None, endpoint_id: UUID) -> str:
    """Replace the signing secret; the old one signs too for `OVERLAP`. Raises Refused."""
    await get(connection, application_id, endpoint_id)
    names = {"id": endpoint_id, "overlap": OVERLAP, "most": SIGNING - 1}
    await connection.execute(_REPLACE, names)
    await connection.execute(_FORGET_OLDEST, names)
    return await _add_secret(connection, secret, endpoint_id)


async def secrets_of(connection: Connection, secret: InstanceSecret, endpoint_id: UUID) -> list[str]:
    """The secrets that sign now, the newest first. Raises ConfigurationError."""
    cursor = await connection.execute(
        "SELECT sealed FROM webhook_secrets WHERE endpoint_id = %s AND (expires_at IS NULL OR expires_at > now())"
        " ORDER BY id DESC LIMIT %s",
        [endpoint_id, SIGNING],
    )
    context = secret_context(endpoint_id)
    return [secret.open(bytes(sealed), context).decode() for (sealed,) in await cursor.fetchall()]


async def switched_off(connection: Connection) -> list[Endpoint]:
    """Endpoints that we have switched off, of whatever owner, oldest first."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM webhook_endpoints WHERE status = 'disabled' AND disabled_reason <> '' ORDER BY id"
    )
    return [_endpoint(row) for row in await cursor.fetchall()]


def unknown(endpoint_id: object) -> Exception:
    """The refusal for what is not there, or not the caller's."""
    return not_found(f"there is no webhook {endpoint_id}")


async def _room(connection: Connection, application_id: UUID | None) -> None:
    owner = owner_of(application_id)
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"webhooks {owner}"])
    cursor = await connection.execute(
        "SELECT count(*) FROM webhook_endpoints WHERE owner_id = %s AND url <> ''", [owner]
    )
    if (await _one(cursor))[0] >= MOST:
        raise conflict(f"there are {MOST} webhooks already, and no more are possible", hint="Delete one first.")


async def _add_secret(connection: Connection, secret: InstanceSecret, endpoint_id: UUID) -> str:
    made = new_secret()
    await connection.execute(
        "INSERT INTO webhook_secrets (id, endpoint_id, sealed) VALUES (%s, %s, %s)",
        [uuid7(), endpoint_id, secret.seal(made.encode(), secret_context(endpoint_id))],
    )
    return made


def _list(events: Sequence[str] | None) -> list[str] | None:
    return list(events) if events is not None else None


def _endpoint(row: TupleRow) -> Endpoint:
    return Endpoint(*row)


async def _one(cursor: Any) -> TupleRow:
    row: TupleRow | None = await cursor.fetchone()
    assert row is not None
    return row
