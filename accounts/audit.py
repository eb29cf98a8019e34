"""Who changed what, from what to what: the table `audit_log`, written in the transaction of the change.

The doors write it, not the services: a door knows who acts. `Actor` says who, `Entry` what; API, console and command
line call the same `write`. Values of `before` and `after` are those that an answer would show, never secrets; only what
differs is kept when both are there. Nothing here is ever changed; retention is `AUDIT_DAYS`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from psycopg.types.json import Jsonb

from core.ids import uuid7
from core.paging import Page, Window, cut
from store.database import Connection
from store.paging import newest_first

AUDIT_DAYS: Final = 400
"""A year, and the month in which somebody looks back at it."""
_LONGEST: Final = 20_000
"""Bytes of JSON that are kept of one side; beyond that it only says how much there was."""

Values = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts, and through which door."""

    name: str
    """As people know them: an address, the name of a key, of an account of the machine."""
    door: str
    """`console`, `api` or `cli`; `worker` for what happens by itself once somebody has begun it."""
    id: UUID | None = None
    """Of the user or the key."""
    ip: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """One change. `action` is a noun and a verb: `message.cancel`."""

    action: str
    subject: str
    """What was changed: its id, address or name."""
    before: Values | None = None
    after: Values | None = None
    application_id: UUID | None = None

    @property
    def kind(self) -> str:
        """The noun."""
        return self.action.partition(".")[0]


@dataclass(frozen=True, slots=True)
class Logged:
    """One line of the log."""

    id: UUID
    at: datetime
    actor: str
    actor_id: UUID | None
    door: str
    ip: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines. Empty fields do not matter."""

    actor: str = ""
    action: str = ""
    """A whole action, or a noun for all of its actions."""
    subject: str = ""


_READ: Final = "SELECT id, at, actor, actor_id, door, ip, action, subject, before, after FROM audit_log"
_WHICH: Final = """(%(actor)s = '' OR actor = %(actor)s) AND (%(subject)s = '' OR subject = %(subject)s)
   AND (%(action)s = '' OR action = %(action)s OR subject_kind = %(action)s)"""


async def write(connection: Connection, actor: Actor, entry: Entry) -> None:
    """Note a change that this transaction makes."""
    before, after = different(entry.before, entry.after)
    await connection.execute(
        "INSERT INTO audit_log (id, actor, actor_id, door, ip, action, subject_kind, subject, application_id, before,"
        " after) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            uuid7(), actor.name, actor.id, actor.door, actor.ip, entry.action, entry.kind, entry.subject,
            entry.application_id, _kept(before), _kept(after),
        ],
    )  # fmt: skip


async def page(connection: Connection, wanted: Wanted, window: Window[UUID]) -> Page[Logged]:
    """The log, newest first."""
    condition, order, names = newest_first(window)
    names |= {"actor": wanted.actor, "action": wanted.action, "subject": wanted.subject}
    cursor = await connection.execute(
        f"{_READ} WHERE {_WHICH} AND {condition} ORDER BY id {order} LIMIT %(limit)s", names
    )
    return cut([Logged(*row) for row in await cursor.fetchall()], window)


async def find(connection: Connection, identifier: UUID) -> Logged | None:
    """One line."""
    row = await (await connection.execute(f"{_READ} WHERE id = %s", [identifier])).fetchone()
    return Logged(*row) if row else None


async def forget(connection: Connection) -> None:
    """Retention."""
    await connection.execute("DELETE FROM audit_log WHERE at < now() - make_interval(days => %s)", [AUDIT_DAYS])


def different(before: Values | None, after: Values | None) -> tuple[Values | None, Values | None]:
    """What differs between the two; both as they are when one is missing."""
    if before is None or after is None:
        return before, after
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return (
        {name: before[name] for name in names if name in before},
        {name: after[name] for name in names if name in after},
    )


def _kept(values: Values | None) -> Jsonb | None:
    if values is None:
        return None
    text = orjson.dumps(_without_nul(values), default=str, option=orjson.OPT_NON_STR_KEYS)
    if len(text) > _LONGEST:
        return Jsonb({"too long to keep": f"{len(text):,} bytes"})
    return Jsonb(orjson.loads(text))


def _without_nul(value: object) -> object:
    """PostgreSQL keeps no NUL. Not taken out of the JSON: there a backslash before it may be one of the text."""
    if isinstance(value, str):
        return str(value).replace("\0", "")
    if isinstance(value, Mapping):
        return {_without_nul(name): _without_nul(one) for name, one in value.items()}
    return [_without_nul(one) for one in value] if isinstance(value, list | tuple) else value
