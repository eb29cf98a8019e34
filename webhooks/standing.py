"""How endpoints stand, for whoever looks at them: when something was taken last, what waits, what has failed.

Reads only, over the endpoints of several owners. What is counted is counted up to `MOST`, so that an endpoint with
millions of events costs no more than one with thousands.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg.rows import TupleRow

from core.ids import lowest_at
from core.paging import Page, Window, cut
from store.database import Connection
from store.paging import newest_first
from webhooks.endpoints import Endpoint, unknown
from webhooks.events import EVENT_STATES, Which

MOST: Final = 10_000
"""Events that are counted."""
_LOOKED_AT: Final = 20
"""Successes that are looked at for the last one: by their events they are in order but for what was replayed."""

_COLUMNS: Final = "w.id, w.application_id, w.url, w.events, w.status, w.disabled_reason, w.created_at, w.failing_since"
# What failed, did so alone (`webhooks/pairs`).
_COUNT: Final = """
(SELECT least(count(*) + count(ahead), %(most)s)
   FROM (SELECT {ahead} AS ahead FROM webhook_events e WHERE e.endpoint_id = w.id AND e.state = '{state}'
          LIMIT %(most)s) counted)
"""
_STANDING: Final = f"""
SELECT {_COLUMNS}, w.rest_until,
       greatest(w.taken_at, (SELECT max(sent_at) FROM (
          SELECT a.sent_at FROM webhook_attempts a WHERE a.endpoint_id = w.id AND a.status BETWEEN 200 AND 299
           ORDER BY a.event_id DESC, a.id DESC LIMIT {_LOOKED_AT}) taken)),
       {_COUNT.format(state="pending", ahead="e.ahead")}, {_COUNT.format(state="failed", ahead="NULL")}
  FROM webhook_endpoints w WHERE w.url <> ''
"""
_WHOSE: Final = """
 (cardinality(%(applications)s::uuid[]) = 0 OR w.application_id = ANY(%(applications)s::uuid[]))
 AND (%(operators)s OR w.application_id IS NOT NULL)
"""
# Of an endpoint, and together, no more are looked at than are counted.
_EVENTS: Final = """
SELECT least(count(*) + count(ahead), %(most)s), count(DISTINCT endpoint_id)
  FROM (SELECT e.endpoint_id, e.ahead FROM webhook_endpoints w
         CROSS JOIN LATERAL (SELECT e.endpoint_id, {ahead} AS ahead FROM webhook_events e
                              WHERE e.endpoint_id = w.id AND e.state = '{state}' LIMIT %(most)s) e
         WHERE w.url <> '' AND {whose} LIMIT %(most)s) counted
"""
_FAILED: Final = _EVENTS.format(state="failed", ahead="NULL", whose=_WHOSE)
_PENDING: Final = _EVENTS.format(state="pending", ahead="e.ahead", whose=_WHOSE)
_TALLY: Final = f"""
SELECT count(*), count(*) FILTER (WHERE w.status = 'disabled'),
       count(*) FILTER (WHERE w.status = 'disabled' AND w.disabled_reason <> ''),
       count(*) FILTER (WHERE w.status = 'enabled' AND w.failing_since IS NOT NULL)
  FROM webhook_endpoints w WHERE w.url <> '' AND {_WHOSE}
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """An endpoint and how it stands."""

    endpoint: Endpoint
    rest_until: datetime | None
    """It is left alone until then, because it was in trouble."""
    last_taken: datetime | None
    waiting: int
    """Events that are not taken yet and will be tried, up to `MOST`."""
    failed: int
    """Events that were given up, up to `MOST`."""


@dataclass(frozen=True, slots=True)
class Whose:
    """Which owners' endpoints."""

    applications: tuple[UUID, ...] = ()
    """() for all."""
    operators: bool = False
    """Those of the installation, too."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Endpoints, counted."""

    all: int
    off: int
    given_up: int
    """Of those that are off: by us."""
    failing: int
    """On, and nothing is taken."""
    failed: int = 0
    """Events that were given up, up to `MOST`."""
    missing: int = 0
    """Endpoints that they were for."""
    waiting: int = 0
    """Events that are not taken yet and will be tried, up to `MOST`."""


@dataclass(frozen=True, slots=True)
class SigningSecret:
    """A secret that signs, without itself."""

    created_at: datetime
    expires_at: datetime | None
    """Of one that was replaced."""


async def page(connection: Connection, whose: Whose, window: Window[UUID]) -> Page[Standing]:
    """Endpoints of these owners, newest first."""
    place, order, names = newest_first(window, "w.id")
    cursor = await connection.execute(
        f"{_STANDING} AND {_WHOSE} AND {place} ORDER BY w.id {order} LIMIT %(limit)s",
        names | _names(whose) | {"most": MOST + 1},
    )
    return cut([_standing(row) for row in await cursor.fetchall()], window)


async def get(connection: Connection, endpoint_id: UUID) -> Standing:
    """One endpoint, whoever owns it: the caller has to look. Raises Refused."""
    cursor = await connection.execute(f"{_STANDING} AND w.id = %(id)s", {"id": endpoint_id, "most": MOST + 1})
    row = await cursor.fetchone()
    if row is None:
        raise unknown(endpoint_id)
    return _standing(row)


async def tally(connection: Connection, whose: Whose) -> Tally:
    """How many of these owners' endpoints stand how, and how many events."""
    names = _names(whose) | {"most": MOST + 1}
    row = await (await connection.execute(_TALLY, names)).fetchone()
    failed = await (await connection.execute(_FAILED, names)).fetchone()
    waiting = await (await connection.execute(_PENDING, names)).fetchone()
    assert row and failed and waiting
    return Tally(row[0], row[1], row[2], row[3], failed[0], failed[1], waiting[0])


async def signing(connection: Connection, endpoint_id: UUID) -> Sequence[SigningSecret]:
    """Secrets that sign now, the newest first."""
    cursor = await connection.execute(
        "SELECT created_at, expires_at FROM webhook_secrets WHERE endpoint_id = %s"
        " AND (expires_at IS NULL OR expires_at > now()) ORDER BY id DESC",
        [endpoint_id],
    )
    return [SigningSecret(*row) for row in await cursor.fetchall()]


async def count(connection: Connection, endpoint_id: UUID, since: datetime, until: datetime, which: Which) -> int:
    """How many events a replay of this range would send, up to `MOST`."""
    cursor = await connection.execute(
        "SELECT count(*) + count(ahead) FROM (SELECT ahead FROM webhook_events WHERE endpoint_id = %s AND id >= %s"
        " AND id < %s AND state = ANY(%s) LIMIT %s) counted",
        [endpoint_id, lowest_at(since), lowest_at(until), EVENT_STATES[which], MOST + 1],
    )
    row = await cursor.fetchone()
    return min(int(row[0]), MOST + 1) if row else 0


def _names(whose: Whose) -> dict[str, Any]:
    return {"applications": list(whose.applications), "operators": whose.operators}


def _standing(row: TupleRow | Sequence[Any]) -> Standing:
    return Standing(Endpoint(*row[:8]), *row[8:])
