"""Addresses that somebody had before: whoever is exported or erased is so at these, too.

The history of choices knows them (`MOVED_FROM`, `MOVED_TO`). One where there is a contact again counts no more: whoever
is written to there is somebody of their own. What names an address elsewhere in these histories is `unname`'s.

Works on the caller's connection and never commits.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple
from uuid import UUID

from audience.choices import Person, What
from store.database import Connection

ERASED: Final = "erased"
"""Stands where an address stood."""

# Both sides tell of a move. What came along with one (`as ann@…: …`) is told by its own address.
_MOVE: Final = (
    f"h.what IN ('{What.MOVED_FROM}', '{What.MOVED_TO}') AND h.detail LIKE '%%@%%' AND h.detail NOT LIKE 'as %%'"
)
_MOVES: Final = f"""
WITH RECURSIVE told AS (
  SELECT h.address, h.what, h.detail FROM choice_history h
   WHERE h.application_id = %(application)s AND h.address = %(address)s AND {_MOVE}
  UNION
  SELECT h.address, h.what, h.detail FROM told t JOIN choice_history h ON h.address = t.detail COLLATE "C"
   WHERE h.application_id = %(application)s AND {_MOVE}
)
SELECT address, what, detail FROM told
"""

_TAKEN: Final = "SELECT address FROM contacts WHERE application_id = %s AND address = ANY(%s)"

_NAMING: Final = """
SELECT id, detail FROM choice_history WHERE application_id = %s AND address = ANY(%s) AND detail LIKE '%%@%%'
"""

_UNNAME: Final = """
UPDATE choice_history h SET detail = u.detail FROM unnest(%s::bigint[], %s::text[]) AS u(id, detail) WHERE h.id = u.id
"""


class Move(NamedTuple):
    """Mail of one address went to another."""

    gone: str
    to: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """What the moves of somebody tell."""

    addresses: tuple[str, ...]
    """That they had before, in order."""
    beside: tuple[str, ...]
    """Others whose history names one of theirs: where they went from here, or who is a contact again."""


async def of(connection: Connection, person: Person) -> Earlier:
    """The addresses of somebody beside the one that they are named by."""
    names = {"application": person.application_id, "address": person.address}
    rows = await (await connection.execute(_MOVES, names)).fetchall()
    moves = {Move(other, at) if what == What.MOVED_FROM else Move(at, other) for at, what, other in rows}
    every = {address for move in moves for address in move} - {person.address}
    taken = await (await connection.execute(_TAKEN, [person.application_id, sorted(every)])).fetchall()
    theirs = before(person.address, moves, {address for (address,) in taken})
    return Earlier(tuple(sorted(theirs)), tuple(sorted(every - theirs)))


def before(address: str, moves: Iterable[Move], taken: Collection[str]) -> set[str]:
    """The addresses whose mail came to this one, by whatever way that leads past none that is `taken`. Pure."""
    sources: dict[str, set[str]] = defaultdict(set)
    for move in moves:
        sources[move.to].add(move.gone)
    found: set[str] = set()
    ahead = [address]
    while ahead:
        fresh = sources[ahead.pop()] - found - {address} - set(taken)
        found |= fresh
        ahead += fresh
    return found


async def unname(connection: Connection, application_id: UUID, at: Collection[str], addresses: Collection[str]) -> None:
    """The histories `at` these addresses stay, and do not name those of somebody who is erased."""
    rows = await (await connection.execute(_NAMING, [application_id, sorted(at)])).fetchall()
    said = {row: without(detail, addresses) for row, detail in rows}
    changed = {row: said[row] for row, detail in rows if said[row] != detail}
    if changed:
        await connection.execute(_UNNAME, [list(changed), list(changed.values())])


def without(detail: str, addresses: Collection[str]) -> str:
    """The detail of a row of history without these addresses. Pure."""
    for address in addresses:
        detail = re.sub(rf"(?<![^ ]){re.escape(address)}(?=$|: )", ERASED, detail)
    return detail
