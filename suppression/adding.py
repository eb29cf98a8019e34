"""The one way into the suppression list: the statements that add, and which of two decisions stands.

Two decisions about one address and scope: a complaint stands, whatever else is said and however long; then that the
person unsubscribed; else the one that lasts longer, and between equals the older, so an import does not wash away what
is known better. An entry whose time is over counts for nothing: any new decision takes its place. What is replaced goes
into the history. What two have decided belongs to neither: else whoever makes another's entry last longer could then
take it away.

Works on the caller's connection and never commits; once the caller has, the next claim sees the entries.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson

from core.ids import uuid7
from flags import declared
from store.database import Connection
from suppression.entries import NEVER, Added, Addition, Suppression
from suppression.history import KEEP
from suppression.reasons import ORIGINS, WEIGHTS, Source
from suppression.rows import NAMES, columns, suppression
from suppression.scopes import reach_of
from suppression.telling import tell
from webhooks.kinds import EventType

LARGEST_BATCH: Final = 10_000
"""Entries of one `add`: well under a second, so that nobody waits long for the rows it holds."""

STEP: Final = 1000
"""Entries of one statement: making and reading it takes about 15 ms, so that the event loop of the API is never held
for long by somebody's batch."""

_TYPES = (
    "uuid", "text", "text", "text", "text", "text", "text", "timestamptz", "timestamptz", "uuid", "uuid", "text",
)  # fmt: skip
# One text with all rows: several times faster to make than an array for each column.
COLUMNS: Final = ", ".join(f"{name} {kind}" for name, kind in zip(NAMES, _TYPES, strict=True))
"""Of rows to add, with their types."""
_GIVEN = f"json_to_recordset(%s) AS g({COLUMNS})"

# An entry that is there is locked and left as it is: `_REPLACE` then finds it as it stands, and nobody can take it away
# in between.
ADD: Final = f"""
INSERT INTO suppressions AS s ({", ".join(NAMES)})
SELECT {", ".join("coalesce(g.created_at, now())" if name == "created_at" else f"g.{name}" for name in NAMES)}
  FROM {{given}}
ON CONFLICT (address, scope) DO UPDATE SET id = s.id WHERE false
"""
"""Adds the rows of `given`, called `g`; what is on the list already stays as it is, locked."""
_ADD = f"{ADD.format(given=_GIVEN)} RETURNING {columns('s')}"

_OVER = "coalesce(s.expires_at <= now(), false)"
_LONGER = "coalesce(g.expires_at, 'infinity') > coalesce(s.expires_at, 'infinity')"
_OWN_WORD = " ".join(f"WHEN '{reason}' THEN {weight}" for reason, weight in WEIGHTS.items())
_GIVEN_WEIGHS, _STANDING_WEIGHS = (f"CASE {row}.reason {_OWN_WORD} ELSE 0 END" for row in "gs")
_WEIGHS_MORE = f"({_OVER} OR {_LONGER} OR {_GIVEN_WEIGHS} > {_STANDING_WEIGHS})"
_STAYS = f"{_STANDING_WEIGHS} > {_GIVEN_WEIGHS} AND NOT {_OVER}"
_DECIDED = ("reason", "source", "detail", "note", "source_id", "actor")

REPLACE: Final = f"""
WITH g AS (SELECT * FROM {{given}}), kept AS (
  {KEEP}, 'replaced', g.actor, g.reason FROM g JOIN suppressions s ON s.address = g.address AND s.scope = g.scope
    WHERE {_WEIGHS_MORE})
UPDATE suppressions s SET
  {", ".join(f"{name} = CASE WHEN {_STAYS} THEN s.{name} ELSE g.{name} END" for name in _DECIDED)},
  created_at = CASE WHEN {_STAYS} THEN s.created_at ELSE coalesce(g.created_at, now()) END,
  expires_at = CASE WHEN {_LONGER} OR {_OVER} THEN g.expires_at ELSE s.expires_at END,
  owner_id = CASE WHEN s.owner_id = g.owner_id OR {_OVER} THEN g.owner_id END
  FROM g WHERE s.address = g.address AND s.scope = g.scope AND {_WEIGHS_MORE}
"""
"""Of entries that `ADD` found on the list, those that weigh less than what is given give way to it."""
_REPLACE = f"{REPLACE.format(given=_GIVEN)} RETURNING {columns('s')}"

_SAME = """
SELECT s.id, s.address, s.scope FROM unnest(%s::text[], %s::text[]) AS given(address, scope)
  JOIN suppressions s ON s.address = given.address AND s.scope = given.scope
"""

Key = tuple[str, str]
_SERVERS: Final = (Source.SMTP, Source.BOUNCE_REPORT)


async def add(connection: Connection, additions: Sequence[Addition], *, told: bool = True) -> list[Added]:
    """Add entries, at most `LARGEST_BATCH`; returns one `Added` per different address and scope, in their order.
    `told`: applications hear of it.

    Needs a transaction of the caller, to be all or nothing and to be right beside others.
    """
    wanted = without_repeats([one for one in additions if _is_believed(one)])
    keys = sorted(wanted)  # two writers never wait for each other in a circle
    added: list[Added] = []
    for start in range(0, len(keys), STEP):
        step = keys[start : start + STEP]
        added += await _add_step(connection, step, [wanted[key] for key in step], told)
    return added


def _is_believed(addition: Addition) -> bool:
    """Whether what a server says of a mailbox suppresses just now; what people say always does."""
    by_server = addition.entry.source in _SERVERS and addition.entry.reason in ORIGINS["bounce"]
    return not by_server or declared.BOUNCE_SUPPRESSIONS.on(addition.owner)


async def _add_step(
    connection: Connection, keys: Sequence[Key], additions: Sequence[Addition], told: bool
) -> list[Added]:
    values = _rows(keys, additions)
    fresh = await _changed(connection, _ADD, values)
    if told:
        await tell(connection, EventType.SUPPRESSION_ADDED, list(fresh.values()))
    if len(fresh) == len(keys):
        return [_added(key, fresh[key].id, created=True) for key in keys]
    changed = await _changed(connection, _REPLACE, values)
    if told:
        await tell(connection, EventType.SUPPRESSION_ADDED, list(changed.values()))
    cursor = await connection.execute(_SAME, [[key[0] for key in keys], [key[1] for key in keys]])
    found: dict[Key, UUID] = {(row[1], row[2]): row[0] for row in await cursor.fetchall()}
    return [_added(key, found[key], created=key in fresh, changed=key in changed) for key in keys]


async def _changed(connection: Connection, statement: str, values: str) -> dict[Key, Suppression]:
    """The entries that a statement made or changed."""
    rows = await (await connection.execute(statement, [values])).fetchall()
    return {(row[1], row[2]): suppression(row) for row in rows}


def _rows(keys: Sequence[Key], additions: Sequence[Addition]) -> str:
    rows = [_row(key, addition) for key, addition in zip(keys, additions, strict=True)]
    return orjson.dumps(rows).decode()


def _row(key: Key, a: Addition) -> dict[str, object]:
    return {
        "id": uuid7(),
        "address": key[0],
        "scope": key[1],
        "reason": a.entry.reason,
        "source": a.entry.source,
        "detail": a.entry.detail,
        "note": a.entry.note,
        "created_at": a.since,
        "expires_at": a.entry.expires_at,
        "owner_id": a.owner,
        "source_id": a.source_id,
        "actor": a.actor,
    }


def _added(key: Key, identifier: UUID, *, created: bool, changed: bool = False) -> Added:
    return Added(identifier, key[0], reach_of(key[1]).scope, created, changed)


def without_repeats(additions: Sequence[Addition]) -> dict[Key, Addition]:
    """By address and scope, as if they were added one after the other."""
    wanted: dict[Key, Addition] = {}
    for addition in additions:
        known = wanted.get(addition.key)
        wanted[addition.key] = addition if known is None else _joined(known, addition)
    return wanted


def _joined(first: Addition, second: Addition) -> Addition:
    """The one that weighs more, until the later end; between equals the first."""
    stands = second if second.rank > first.rank else first
    end = max(first.end, second.end)
    return stands if end == stands.end else replace(stands, entry=replace(stands.entry, expires_at=_stored(end)))


def _stored(end: datetime) -> datetime | None:
    return None if end == NEVER else end
