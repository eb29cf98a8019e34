"""A database for one request, or one command, whose transactions leave a line in the audit log of what they changed.

Triggers (the migration `audited`) keep what rows were and are, for a transaction that asks; the line is written in it,
right before its commit. A transaction that changes nothing of what people set up leaves none. So a route or command
that changes something needs no word about the log: it is given this database instead of the plain one.

Which tables are noted, and why others are not, is held by tests/integration/accounts/test_audited.py.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, Final
from uuid import UUID

import orjson
from psycopg.pq import TransactionStatus

from accounts import audit
from accounts.audit import Actor, Entry
from store.database import Connection, Database

_ASK: Final = "SELECT set_config('postlane.audited', 'on', true)"
# The setting of a transaction that has ended reads as ''.
_TOLD: Final = "SELECT current_setting('postlane.changes', true), current_setting('postlane.changed', true)"

_NAMES: Final[Mapping[str, str]] = {
    "pool_id": "SELECT name FROM pools WHERE id = %s",
    "overflow_pool_id": "SELECT name FROM pools WHERE id = %s",
    "egress_ip_id": "SELECT address FROM egress_ips WHERE id = %s",
    "domain_id": "SELECT name FROM domains WHERE id = %s",
    "topic_id": "SELECT name FROM topics WHERE id = %s",
    "version_id": "SELECT template_id::text FROM template_versions WHERE id = %s",
}
"""What people know a row by that another one points at. One that is gone keeps its id."""
_ALSO: Final = 20
"""Rows that are shown beside the one that the line is about."""
_MANY: Final = 5
"""So many rows of one kind are told by their number."""

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody does: the request or command that the transactions belong to."""

    action: str
    """A noun and a verb: `pool.update`."""
    who: Callable[[Connection], Awaitable[Actor]]
    about: Collection[str] = ()
    """What they named: ids, names. Tells which row the line is about."""
    application_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """What became of a row. `before` is None for a new one, `after` for one that is gone."""

    table: str
    noun: str
    name: str
    """What people know it by."""
    before: Values | None
    after: Values | None

    @property
    def values(self) -> Values:
        """As it is, or was last."""
        return self.after or self.before or {}


class AuditedDatabase(Database):
    """Every connection of it is a transaction that is noted."""

    def __init__(self, database: Database, act: Act) -> None:
        self._database = database
        self._act = act

    async def open(self) -> None:
        """Whoever made the database opens it."""

    async def close(self) -> None:
        """And closes it."""

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A transaction as well: what a single statement changes has its line, too."""
        async with self.transaction() as connection:
            yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction whose changes are noted before it commits."""
        async with self._database.transaction() as connection:
            await connection.execute(_ASK)
            yield connection
            if connection.info.transaction_status is TransactionStatus.INTRANS:
                await _note(connection, self._act)


async def _note(connection: Connection, act: Act) -> None:
    told, counted = await (await connection.execute(_TOLD)).fetchone() or ("", "")
    if not told:
        return
    lines = [orjson.loads(line) for line in told.removesuffix("\n").split("\n")]
    names = await _names(connection, lines)
    rows = netted(row_of(line, names) for line in lines)
    entry = entry_of(act, rows, int(counted) - len(lines))
    if entry is not None:
        await audit.write(connection, await act.who(connection), entry)


async def _names(connection: Connection, lines: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Id → name of what the rows point at."""
    values = [side for line in lines for side in (line["before"], line["after"]) if side]
    wanted = {(column, side[column]) for side in values for column in _NAMES if side.get(column)}
    found: dict[str, str] = {}
    for column, identifier in sorted(wanted):
        row = await (await connection.execute(_NAMES[column], [identifier])).fetchone()
        if row is not None:
            found[identifier] = row[0]
    return found


def row_of(line: Mapping[str, Any], names: Mapping[str, str]) -> Row:
    """A row as it was told, with names where it has ids."""
    before, after = _named(line["before"], names), _named(line["after"], names)
    told = str(((line["after"] or line["before"]) or {}).get(line["name"]) or "")
    return Row(line["table"], line["noun"], names.get(told, told), before, after)


def netted(told: Iterable[Row]) -> list[Row]:
    """Each row once, from what it was at first to what it is at last. What was only tried, or put back, is left out."""
    rows: list[Row] = []
    for row in told:
        at = next((at for at, one in enumerate(rows) if _goes_on(one, row)), None)
        if at is None:
            rows.append(row)
        else:
            rows[at] = replace(row, before=rows[at].before)
    return [row for row in rows if row.before != row.after]


def entry_of(act: Act, rows: Sequence[Row], more: int) -> Entry | None:
    """The line about these rows, and `more` that were only counted; None for none."""
    if not rows:
        return None
    of_the_noun = [row for row in rows if row.noun == act.action.partition(".")[0]]
    if of_the_noun and len(of_the_noun) + more > _MANY:
        return _about_many(act, of_the_noun, more)
    row = next((row for row in of_the_noun or rows if _is_meant(row, act.about)), (of_the_noun or rows)[0])
    beside = _beside([one for one in rows if one is not row], more)
    after = {**(row.after or {}), **beside} if beside else row.after
    return Entry(act.action, row.name, row.before, after, _owner(row, act))


def _about_many(act: Act, rows: Sequence[Row], more: int) -> Entry:
    number = len(rows) + more
    subject = f"{number:,} {rows[0].noun.replace('_', ' ')}s"
    named = [_brief(row) for row in rows[:_ALSO]]
    return Entry(act.action, subject, None, {"rows": number, "among them": named}, _owner(rows[0], act))


def _beside(others: Sequence[Row], more: int) -> Values:
    """What else was changed."""
    further = max(0, len(others) - _ALSO) + more
    told = {"also": [_brief(row) for row in others[:_ALSO]]} if others else {}
    return told | ({"further rows": further} if further else {})


def _goes_on(one: Row, row: Row) -> bool:
    """Whether it is the same row, changed once more."""
    return one.table == row.table and one.after is not None and one.after == row.before


def _is_meant(row: Row, about: Collection[str]) -> bool:
    return row.name in about or any(str(row.values.get(name)) in about for name in ("id", "name", "key", "ip"))


def _brief(row: Row) -> Values:
    """A row beside others."""
    before, after = audit.different(row.before, row.after)
    return {"what": f"{row.noun} {row.name}".strip(), "before": before, "after": after}


def _owner(row: Row, act: Act) -> UUID | None:
    owner = row.values.get("application_id")
    return UUID(owner) if owner else act.application_id


def _named(values: Values | None, names: Mapping[str, str]) -> Values | None:
    """The values, with the name of what they point at in place of its id."""
    if values is None:
        return None
    found = {name: names[values[name]] for name in _NAMES if values.get(name) in names}
    return {name.removesuffix("_id") if name in found else name: found.get(name, value)
            for name, value in values.items()}  # fmt: skip
