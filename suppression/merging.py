"""Many entries at once, for an import: into the list like any others, in a fraction of the time, and told to nobody.

They are copied into a table that only this connection has, and come from there in the order of the list's index: in a
list of millions each page of it is met once a batch then, and not once a row. What weighs more stands, as
`suppression/adding` has it.
"""

from collections.abc import Sequence
from typing import Final

from core.ids import uuid7_texts
from store.database import Connection
from suppression.adding import ADD, COLUMNS, REPLACE, without_repeats
from suppression.entries import Addition
from suppression.rows import NAMES

_TABLE: Final = f"CREATE TEMPORARY TABLE IF NOT EXISTS staged ({COLUMNS}) ON COMMIT DELETE ROWS"
_COPY: Final = f"COPY pg_temp.staged ({', '.join(NAMES)}) FROM STDIN"

# In one order, as all who add: two writers never wait for each other in a circle.
_ADD: Final = ADD.format(given='pg_temp.staged g ORDER BY g.address COLLATE "C", g.scope')
_REPLACE: Final = REPLACE.format(given="pg_temp.staged")

_NULL: Final = "\\N"
_ESCAPES: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
"""What means something else in the text of a COPY."""


def packed(additions: Sequence[Addition]) -> tuple[bytes, int]:
    """The text of these entries for `merge`, and how many different ones they are. Pure, and most of the work that is
    not PostgreSQL's: for a thread of its own."""
    wanted = without_repeats(additions)
    known: dict[tuple[object, ...], tuple[str, str]] = {}
    lines: list[str] = []
    for identifier, ((address, scope), one) in zip(uuid7_texts(len(wanted)), wanted.items(), strict=True):
        kind = (id(one.entry), scope, one.owner, one.source_id, one.actor)
        parts = known.get(kind)
        if parts is None:
            known[kind] = parts = _around_since(one, scope)
        since = one.since.isoformat() if one.since else _NULL
        lines.append(f"{identifier}\t{address.translate(_ESCAPES)}\t{parts[0]}\t{since}\t{parts[1]}\n")
    return "".join(lines).encode(), len(lines)


async def merge(connection: Connection, text: bytes, count: int) -> int:
    """Add what `packed` made, within the caller's transaction; how many of them are new."""
    await connection.execute(_TABLE)
    await connection.execute("SET LOCAL work_mem = '64MB'")  # else a batch is sorted on the disk
    async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
        await copy.write(text)
    fresh = (await connection.execute(_ADD)).rowcount
    if fresh < count:
        await connection.execute(_REPLACE)
    return fresh


def _around_since(one: Addition, scope: str) -> tuple[str, str]:
    """What stands before and behind the time it began: the same for most lines of a list."""
    entry = one.entry
    before = (scope, entry.reason.value, entry.source.value, entry.detail, entry.note)
    behind = (entry.expires_at, one.owner, one.source_id, one.actor)
    return "\t".join(map(_cell, before)), "\t".join(map(_cell, behind))


def _cell(value: object) -> str:
    return _NULL if value is None else str(value).translate(_ESCAPES)
