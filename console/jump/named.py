"""What an id or a part of a name leads to, of all that somebody may see. One statement each, whatever there are.

Names in the code (providers, presets of plans, flags, pages) are looked through here too.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

from accounts.roles import Right
from audience import contacts
from console.kinds import KINDS, Kind
from console.menu import menu_of
from console.visit import Visit
from flags.declared import FLAGS
from mta.from_settings import providers_of
from store import arrays
from store.database import Connection
from warmup.presets import PRESETS
from webhooks import pairs

MOST: Final = 20
"""Of each kind; whoever finds more types more of the name."""

# Whoever is limited to some applications sees theirs, and nothing without one.
_OF_THEIRS: Final = "(%(mine)s::uuid[] = '{{}}' OR {owner} = ANY(%(mine)s::uuid[]))"
# A key is enough: nothing is read but the row that is meant.
_BY_ID: Final = f"""
SELECT {{kind}} AS kind, %(id)s::text, {{name}}::text, {{owner}}::text, {{place}}::text FROM {{table}}
 WHERE {{meant}} AND {{where}} AND {_OF_THEIRS}
"""
# Tables that people fill by hand are read whole: their names have no index that finds a part of one.
_BY_NAME: Final = f"""
(SELECT {{kind}} AS kind, {{id}}::text, {{name}}::text, {{owner}}::text, {{place}}::text FROM {{table}}
  WHERE strpos(lower({{name}}), lower(%(text)s)) > 0 AND {{where}} AND {_OF_THEIRS}
  ORDER BY lower({{name}}) <> lower(%(text)s), {{newest}} DESC LIMIT {MOST})
"""


PERSON: Final = "Person"


@dataclass(frozen=True, slots=True)
class Named:
    """One thing."""

    kind: str
    name: str
    path: str


async def with_id(connection: Connection, visit: Visit, identifier: UUID) -> Named | None:
    """Whatever has this id, if they may see it."""
    kinds = [number for number, one in enumerate(KINDS) if one.id and visit.may(one.right)]
    given = {"id": identifier, "row": pairs.row_of(identifier)}
    found = await _ask(connection, visit.applications, _BY_ID, kinds, given)
    return found[0] if found else None


async def named(connection: Connection, visit: Visit, text: str) -> list[Named]:
    """Those whose name holds the text, in any case; those that are called just so first."""
    kinds = [number for number, one in enumerate(KINDS) if one.is_named and visit.may(one.right)]
    found = [*await _ask(connection, visit.applications, _BY_NAME, kinds, {"text": text}), *_in_the_code(visit, text)]
    return sorted(found, key=lambda one: one.name.lower() != text.lower())


async def called_like(
    connection: Connection, visit: Visit, title: str, application: UUID | None, text: str
) -> list[str]:
    """Names of one kind that hold a text, of what they see, or of one application of that."""
    if title == PERSON:
        return await _people(connection, visit, application, text)
    kinds = [n for n, one in enumerate(KINDS) if one.title == title and one.is_named and visit.may(one.right)]
    mine = visit.applications
    if application is not None:
        visit.sees(application)
        mine = (application,)
    return [one.name for one in await _ask(connection, mine, _BY_NAME, kinds, {"text": text})]


async def _people(connection: Connection, visit: Visit, application: UUID | None, text: str) -> list[str]:
    """Addresses that begin with a text, of one application: an index finds them, however many there are."""
    if application is None or not visit.may(Right.PEOPLE_SEE):
        return []
    visit.sees(application)
    return await contacts.beginning_with(connection, application, text.lower(), MOST)


def the_one(found: list[Named], text: str) -> Named | None:
    """The only one, or the only one that is called just so: where a search leads at once."""
    exact = [one for one in found if one.name.lower() == text.lower()]
    some = exact or found
    return some[0] if len(some) == 1 else None


async def _ask(
    connection: Connection, mine: Sequence[UUID], statement: str, kinds: Sequence[int], given: Mapping[str, Any]
) -> list[Named]:
    if not kinds:
        return []
    parts = [_of(statement, number, KINDS[number]) for number in kinds]
    cursor = await connection.execute(" UNION ALL ".join(parts), {**given, "mine": arrays.uuids(mine)})
    return [_named(KINDS[row[0]], *row[1:]) for row in await cursor.fetchall()]


def _of(statement: str, number: int, kind: Kind) -> str:
    return statement.format(
        kind=number, id=kind.id or "''", name=kind.name, owner=kind.owner, place=kind.place, table=kind.table,
        where=kind.where, newest=kind.id or kind.name, meant=kind.is_meant,
    )  # fmt: skip


def _named(kind: Kind, identifier: str, name: str, owner: str | None, place: str) -> Named:
    path = kind.path.format(id=identifier, name=quote(name, safe=":"), owner=owner or "", place=place)
    return Named(kind.title, name or identifier, path)


def _in_the_code(visit: Visit, text: str) -> Iterable[Named]:
    """Providers, presets, flags and pages."""
    wanted = text.lower()
    pages = [line.entry for _, lines in menu_of(visit) for line in lines]
    yield from (Named("Page", one.title, one.path) for one in pages if wanted in one.title.lower())
    if visit.may(Right.MACHINE_SEE):
        sites = sorted(providers_of(visit.given.settings).names)
        yield from (Named("Provider", one, f"/providers/{one}") for one in sites if wanted in one)
        yield from (Named("Plan", one.name, f"/warmup/plans/{one.name}") for one in PRESETS if wanted in one.name)
    if visit.may(Right.SYSTEM_SEE):
        yield from (Named("Flag", one.name, f"/flags?open={one.name}") for one in FLAGS if wanted in one.name)
