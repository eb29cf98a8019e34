"""The ways out of the suppression list: somebody takes entries away, or their time is over. History keeps them.

An application removes what it owns; the rest is for an operator. A complaint is locked: the person said that our mail
is spam, and writing again costs the reputation of everybody. Only an operator removes it, and says why.

Works on the caller's connection and never commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from core.refusal import Refused, conflict
from store.database import Connection, Database
from suppression.adding import LARGEST_BATCH
from suppression.entries import Removed, Suppression
from suppression.history import KEEP
from suppression.reasons import Reason, SuppressionScope
from suppression.rows import columns, suppression
from suppression.scopes import ID_LENGTH, OWN, WORD
from suppression.telling import tell
from webhooks.kinds import EventType

EXPIRED_DAYS: Final = 30
"""Days an entry stays in the table after its time is over, for whoever asks why a mail was not sent."""

# In one order, as entries are added: two batches with the same addresses wait for each other, never in a circle.
_LOCK = f"SELECT {columns('s')} FROM suppressions s WHERE {{which}} ORDER BY s.address, s.scope FOR UPDATE"

_REMOVE = f"""
WITH s AS (DELETE FROM suppressions WHERE id = ANY(%(ids)s) RETURNING *)
{KEEP}, %(ended)s, %(by)s, %(why)s FROM s
"""


_FORGET: Final = (
    f"DELETE FROM suppressions s WHERE ({OWN}) = %(id)s AND ({OWN}) IS NOT NULL AND length(s.scope) >= {ID_LENGTH}",
    f"DELETE FROM suppression_history s WHERE left(s.scope, {ID_LENGTH}) = %(id)s",
)


@dataclass(frozen=True, slots=True)
class Remover:
    """Who asks for removals, and why."""

    name: str
    """In words, for the history."""
    application: UUID | None
    """None: an operator, who may remove every entry."""
    why: str = ""


class Lock(StrEnum):
    """Why an entry stays."""

    OTHERS = "others"
    """It belongs to another application, or to the operators."""
    COMPLAINT = "complaint"
    """Only an operator removes a complaint, and says why."""


@dataclass(frozen=True, slots=True)
class Kept:
    """An entry that was not removed."""

    entry: Suppression
    lock: Lock


@dataclass(frozen=True, slots=True)
class Removal:
    """What went, and what stayed though it was named."""

    removed: list[Removed]
    kept: list[Kept]


def lock_on(entry: Suppression, who: Remover) -> Lock | None:
    """What keeps somebody from removing an entry. Pure."""
    if who.application is not None and entry.owner != who.application:
        return Lock.OTHERS
    if entry.reason is Reason.COMPLAINT and (who.application is not None or not who.why):
        return Lock.COMPLAINT
    return None


async def remove_ids(connection: Connection, identifiers: Sequence[UUID], who: Remover) -> Removal:
    """Delete entries by id. What is not there, or is none of the asker's business, is in neither list."""
    return await _remove(connection, await _locked(connection, "s.id = ANY(%s)", [list(identifiers)]), who)


async def remove_subjects(
    connection: Connection, subjects: Sequence[str], who: Remover, scopes: Sequence[SuppressionScope] = ()
) -> Removal:
    """Delete the entries of these stored texts, in these scopes (none: in all); else as `remove_ids`."""
    which, values = "s.address = ANY(%s)", [list(subjects)]
    if scopes:
        which, values = f"{which} AND {WORD} = ANY(%s)", [*values, [scope.value for scope in scopes]]
    return await _remove(connection, await _locked(connection, which, values), who)


async def remove_expired(connection: Connection, limit: int = LARGEST_BATCH) -> int:
    """Delete up to `limit` entries whose time was over `EXPIRED_DAYS` ago; returns how many."""
    cursor = await connection.execute(
        "SELECT id FROM suppressions WHERE expires_at < now() - make_interval(days => %s)"
        " LIMIT %s FOR UPDATE SKIP LOCKED",
        [EXPIRED_DAYS, limit],
    )
    old = [row[0] for row in await cursor.fetchall()]
    if old:
        await connection.execute(_REMOVE, {"ids": old, "ended": "expired", "by": "the clock", "why": ""})
    return len(old)


async def forget_expired(database: Database) -> None:
    """Retention: all such entries, a batch a transaction."""
    more = True
    while more:
        async with database.transaction() as connection:
            more = bool(await remove_expired(connection))


async def forget_application(connection: Connection, identifier: UUID) -> None:
    """An application is gone, and with it what forbade its mail alone. What its mail led to for everybody stays."""
    for statement in _FORGET:
        await connection.execute(statement, {"id": str(identifier)})


def refusal(kept: Sequence[Kept]) -> Refused:
    """What to say when nothing could be removed. It names no other application and nothing that led to the entry."""
    if any(one.lock is Lock.COMPLAINT for one in kept):
        return conflict(
            "the recipient complained, and a complaint is locked",
            hint="An operator can remove it, and has to say why (`why`, on the command line --why).",
            code="locked",
        )
    return conflict(
        "the entry belongs to another application or to the operators", hint="An operator can remove it.", code="locked"
    )


async def _locked(connection: Connection, which: str, values: Sequence[object]) -> list[Suppression]:
    cursor = await connection.execute(_LOCK.format(which=which), values)
    return [suppression(row) for row in await cursor.fetchall()]


async def _remove(connection: Connection, found: Sequence[Suppression], who: Remover) -> Removal:
    known = [one for one in found if who.application is None or one.concerns(who.application)]
    locks = [(one, lock_on(one, who)) for one in known]
    free = [one for one, lock in locks if lock is None]
    if free:
        names = {"ids": [one.id for one in free], "ended": "removed", "by": who.name, "why": who.why}
        await connection.execute(_REMOVE, names)
        await tell(connection, EventType.SUPPRESSION_REMOVED, free)
    removed = [Removed(one.id, one.address, one.scope) for one in free]
    return Removal(removed, [Kept(one, lock) for one, lock in locks if lock is not None])
