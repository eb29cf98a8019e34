"""Endpoints and events for tests, and looks into the outbox."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from core.ids import uuid7
from store.database import Database
from tests.integration.messages.emails import APPLICATION, execute, rows
from tests.integration.webhooks.receiver import Receiver
from webhooks import outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent


async def make_endpoint(
    database: Database,
    application: UUID | None = APPLICATION,
    events: Sequence[str] | None = None,
    url: str = "https://shop.example/hook",
) -> UUID:
    """An enabled endpoint without a secret."""
    identifier = uuid7()
    if application is not None:
        await execute(
            database,
            "INSERT INTO applications (id, name) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [application, str(application)],
        )
    await execute(
        database,
        "INSERT INTO webhook_endpoints (id, application_id, url, events) VALUES (%s, %s, %s, %s)",
        [identifier, application, url, list(events) if events is not None else None],
    )
    return identifier


EACH = """
(SELECT endpoint_id, id, type, key, payload, state FROM webhook_events UNION ALL
 SELECT endpoint_id, webhook_id_ahead(id), 'email.sent', key, webhook_body_ahead(type, payload, ahead), state
   FROM webhook_events WHERE ahead IS NOT NULL)
"""
"""Every event, for FROM: what is told ahead of another has no row of its own (`webhooks/pairs`)."""


async def told(database: Database, endpoint: UUID) -> list[dict[str, Any]]:
    """Bodies in the order they are sent in."""
    found = await rows(database, f"SELECT payload FROM {EACH} e WHERE endpoint_id = %s ORDER BY id", [endpoint])
    return [orjson.loads(payload) for (payload,) in found]


async def types(database: Database, endpoint: UUID) -> list[str]:
    """What it is told of."""
    return [event["type"] for event in await told(database, endpoint)]


async def plan_of(database: Database, statement: str) -> str:
    """How PostgreSQL goes about a statement whose parameters it does not know."""
    numbers: dict[str, str] = {}
    asked = re.sub(r"%\((\w+)\)s", lambda found: numbers.setdefault(found[1], f"${len(numbers) + 1}"), statement)
    async with database.connection() as connection:
        cursor = await connection.execute(f"EXPLAIN (GENERIC_PLAN) {asked}", prepare=False)
        return "\n".join(line for (line,) in await cursor.fetchall())


async def tell(database: Database, *names: str, key: str = "", application: UUID = APPLICATION) -> None:
    """One event for each name."""
    told = [OutboxEvent(EventType.EMAIL_OPENED, application, datetime.now(UTC), {"n": n}, key) for n in names]
    async with database.transaction() as connection:
        await outbox.append(connection, told)


def names(receiver: Receiver) -> list[str]:
    """What came, by the names that `tell` was given."""
    return [one.event["data"]["n"] for one in receiver.got]
