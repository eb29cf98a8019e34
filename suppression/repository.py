"""The suppression list in PostgreSQL: add, read, search, remove; one entry per address and scope.

Called by the API, the CLI and imports. Takes folded addresses (`core.addresses.fold_address`) and never folds, checks
or decides: what an outcome suppresses is `suppression/rules`, whether a message may leave is the claim's statement.
Every function works on the caller's connection and never commits; once the caller has, the next claim sees the change.

Two decisions about one address and scope: the one that lasts longer stands; between equals the older, so an import
does not wash away that somebody complained. An entry whose time is over counts for nothing: it is not shown, and any
new decision takes its place. What two have decided only an operator removes: else whoever makes another's entry last
longer could then take it away.

Built for 10 million entries: every read is a range of one index, pages are found by key and never by counting rows.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from psycopg.rows import TupleRow

from core.ids import uuid7
from core.paging import Page, Window, cut
from store.database import Connection, Database
from store.tables import compiled
from suppression.predicate import IN_FORCE
from suppression.query import Question, Search, question, question_by_address
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope

LARGEST_BATCH: Final = 10_000
"""Entries of one `add` or `remove`: well under a second, so that nobody waits long for the rows it holds."""

_STEP: Final = 1000
"""Entries of one statement: making and reading it takes about 15 ms, so that the event loop of the API is never held
for long by somebody's batch."""

EXPIRED_DAYS: Final = 30
"""Days an entry stays in the table after its time is over, for whoever asks why a mail was not sent."""

_COLUMNS = "s.id, s.address, s.scope, s.reason, s.source, s.detail, s.created_at, s.expires_at, s.owner_id"

_ADD = """
INSERT INTO suppressions AS s (id, address, scope, reason, source, detail, expires_at, owner_id)
SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::timestamptz[],
                     %s::uuid[])
ON CONFLICT (address, scope) DO UPDATE SET reason = EXCLUDED.reason, source = EXCLUDED.source,
  detail = EXCLUDED.detail, expires_at = EXCLUDED.expires_at, created_at = now(),
  owner_id = CASE WHEN s.owner_id = EXCLUDED.owner_id OR s.expires_at <= now() THEN EXCLUDED.owner_id END
  WHERE coalesce(EXCLUDED.expires_at, 'infinity') > coalesce(s.expires_at, 'infinity')
RETURNING id, address, scope, xmax = 0
"""

_SAME = """
SELECT s.id, s.address, s.scope FROM unnest(%s::text[], %s::text[]) AS given(address, scope)
  JOIN suppressions s ON s.address = given.address AND s.scope = given.scope
"""

# Rows are locked in one order, as `add` does: two batches with the same addresses wait instead of deadlocking.
_REMOVE = """
DELETE FROM suppressions WHERE id IN (
  SELECT s.id FROM suppressions s WHERE {which} AND (%(by)s::uuid IS NULL OR s.owner_id = %(by)s)
   ORDER BY s.address, s.scope FOR UPDATE)
RETURNING id, address, scope
"""


@dataclass(frozen=True, slots=True)
class Addition:
    """An entry to add. `address` is folded."""

    address: str
    entry: SuppressionEntry
    owner: UUID | None = None
    """The application that may remove it: the one that adds it, or whose mail led to it. None: only an operator, as
    for an entry that lengthens another's."""
    only_for: UUID | None = None
    """The application whose mail it forbids. None: everybody's."""

    @property
    def key(self) -> tuple[str, str]:
        """What is unique in the list."""
        return self.address, scope_key(self.entry.scope, self.only_for)


@dataclass(frozen=True, slots=True)
class Added:
    """The entry that stands now for an address and scope that was added."""

    id: UUID
    address: str
    scope: SuppressionScope
    created: bool
    """False: there was an entry before, which stayed or was taken over."""


@dataclass(frozen=True, slots=True)
class Removed:
    """An entry that is gone."""

    id: UUID
    address: str
    scope: SuppressionScope


@dataclass(frozen=True, slots=True)
class Suppression:
    """One stored entry."""

    id: UUID
    address: str
    scope: SuppressionScope
    reason: Reason
    source: Source
    detail: str
    created_at: datetime
    expires_at: datetime | None
    owner: UUID | None = None
    """The application that may remove it; None: only an operator."""
    only_for: UUID | None = None
    """The application whose mail it forbids; None: everybody's."""

    def seen_by(self, application: UUID) -> "Suppression":
        """As this application may see it: what led to an entry of another's is not its business."""
        return self if self.owner == application else replace(self, detail="")


def scope_key(scope: SuppressionScope, only_for: UUID | None) -> str:
    """The stored form of a scope: its word, or the application with the lane's word behind it."""
    if only_for is None:
        return scope.value
    return str(only_for) if scope is SuppressionScope.ALL else f"{only_for} {scope}"


def _scope(key: str) -> tuple[SuppressionScope, UUID | None]:
    """What `scope_key` made."""
    if key in tuple(SuppressionScope):
        return SuppressionScope(key), None
    application, _, lane = key.partition(" ")
    return SuppressionScope(lane or SuppressionScope.ALL), UUID(application)


async def add(connection: Connection, additions: Sequence[Addition]) -> list[Added]:
    """Add entries, at most `LARGEST_BATCH`; returns one `Added` per different address and scope, in their order.

    Needs a transaction of the caller to be all or nothing. Goes in steps of `_STEP` entries.
    """
    wanted = _without_repeats(additions)
    keys = sorted(wanted)
    added: list[Added] = []
    for start in range(0, len(keys), _STEP):
        step = keys[start : start + _STEP]
        added += await _add_step(connection, step, [wanted[key] for key in step])
    return added


async def _add_step(
    connection: Connection, keys: Sequence[tuple[str, str]], additions: Sequence[Addition]
) -> list[Added]:
    """Add one step; `keys` are those of `additions`, sorted: two writers never wait for each other in a circle."""
    entries = [addition.entry for addition in additions]
    addresses, scopes = [key[0] for key in keys], [key[1] for key in keys]
    cursor = await connection.execute(
        _ADD,
        [
            [uuid7() for _ in keys],
            addresses,
            scopes,
            [entry.reason.value for entry in entries],
            [entry.source.value for entry in entries],
            [entry.detail for entry in entries],
            [entry.expires_at for entry in entries],
            [addition.owner for addition in additions],
        ],
    )
    added = {(row[1], row[2]): Added(row[0], row[1], _scope(row[2])[0], row[3]) for row in await cursor.fetchall()}
    if len(added) < len(keys):
        # A second statement sees entries that another transaction committed while the first one waited for them.
        cursor = await connection.execute(_SAME, [addresses, scopes])
        for row in await cursor.fetchall():
            added.setdefault((row[1], row[2]), Added(row[0], row[1], _scope(row[2])[0], False))
    return [added[key] for key in keys if key in added]


async def get(connection: Connection, identifier: UUID) -> Suppression | None:
    """The entry in force with this id."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM suppressions s WHERE s.id = %s AND {IN_FORCE}", [identifier]
    )
    row = await cursor.fetchone()
    return _suppression(row) if row else None


async def of_address(connection: Connection, address: str) -> list[Suppression]:
    """The entries in force for a folded address, the one with scope `all` first; [] when it is not suppressed."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM suppressions s WHERE s.address = %s AND {IN_FORCE} ORDER BY s.scope <> 'all', s.scope",
        [address],
    )
    return [_suppression(row) for row in await cursor.fetchall()]


async def page(connection: Connection, search: Search, wanted: Window[UUID]) -> Page[Suppression] | None:
    """One page of the entries in force: newest first, or by address when `search.prefix` is given.

    None when a page of a search by prefix is asked for relative to an entry that is gone.
    """
    if not search.prefix:
        return await _fetch_page(connection, question(search, wanted), wanted)
    start = None
    identifier = wanted.before or wanted.after
    if identifier is not None:
        # (address, scope) is the key, the cursor's id only names it.
        cursor = await connection.execute("SELECT address, scope FROM suppressions WHERE id = %s", [identifier])
        start = await cursor.fetchone()
        if start is None:
            return None
    asked = question_by_address(search, wanted, start and (start[0], start[1]))
    return await _fetch_page(connection, asked, wanted)


async def each_page(
    connection: Connection, search: Search, size: int = LARGEST_BATCH
) -> AsyncIterator[list[Suppression]]:
    """The whole result of a search, page by page, for an export. Holds no transaction open between pages."""
    wanted = Window(size)
    while True:
        found = await page(connection, search, wanted)
        if found is None or not found.entries:
            return
        yield list(found.entries)
        if not found.has_more:
            return
        wanted = Window(size, after=found.entries[-1].id)


async def remove_ids(connection: Connection, identifiers: Sequence[UUID], by: UUID | None) -> list[Removed]:
    """Delete entries by id. `by` is the application that asks, None an operator; what is not there, or another
    application's, is left out of the answer."""
    return await _remove(connection, "s.id = ANY(%(ids)s)", {"ids": list(identifiers), "by": by})


async def remove_addresses(
    connection: Connection,
    addresses: Sequence[str],
    by: UUID | None,
    scopes: Sequence[SuppressionScope] = tuple(SuppressionScope),
) -> list[Removed]:
    """Delete the entries of folded addresses in these scopes; `by` and the answer as in `remove_ids`."""
    keys = [scope_key(scope, application) for scope in scopes for application in {None, by}]
    which = "s.address = ANY(%(addresses)s) AND s.scope = ANY(%(scopes)s)"
    return await _remove(connection, which, {"addresses": list(addresses), "scopes": keys, "by": by})


async def remove_expired(connection: Connection, limit: int = LARGEST_BATCH) -> int:
    """Delete up to `limit` entries whose time was over `EXPIRED_DAYS` ago; returns how many."""
    cursor = await connection.execute(
        "DELETE FROM suppressions WHERE id IN (SELECT id FROM suppressions"
        " WHERE expires_at < now() - make_interval(days => %s) LIMIT %s FOR UPDATE SKIP LOCKED)",
        [EXPIRED_DAYS, limit],
    )
    return cursor.rowcount


async def forget_expired(database: Database) -> None:
    """Retention: all such entries, a batch a transaction."""
    async with database.connection() as connection:
        while await remove_expired(connection):
            pass


def _without_repeats(additions: Sequence[Addition]) -> dict[tuple[str, str], Addition]:
    """By address and scope, by the rule of the list: the longer one, between equals the first."""
    wanted: dict[tuple[str, str], Addition] = {}
    for addition in additions:
        known = wanted.get(addition.key)
        if known is None or _end(addition.entry) > _end(known.entry):
            wanted[addition.key] = addition
    return wanted


def _end(entry: SuppressionEntry) -> datetime:
    return entry.expires_at or datetime.max.replace(tzinfo=UTC)


async def _fetch_page(connection: Connection, asked: Question, wanted: Window[UUID]) -> Page[Suppression]:
    cursor = await connection.execute(*compiled(asked))
    return cut(await cursor.fetchall(), wanted).map(_suppression)


async def _remove(connection: Connection, which: str, parameters: Mapping[str, object]) -> list[Removed]:
    cursor = await connection.execute(_REMOVE.format(which=which), parameters, prepare=False)
    return [Removed(row[0], row[1], _scope(row[2])[0]) for row in await cursor.fetchall()]


def _suppression(row: TupleRow) -> Suppression:
    identifier, address, key, reason, source, detail, created_at, expires_at, owner = row
    scope, only_for = _scope(key)
    return Suppression(
        identifier, address, scope, Reason(reason), Source(source), detail, created_at, expires_at, owner, only_for
    )
