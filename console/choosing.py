"""Choosing one of many: up to `MOST` a form lists them, of more it takes the name, and a part of it that says which.

A page with a thousand options would weigh more than all else on it. What is typed is an id or a name; to look for
something also a part of one name only, which no form that changes something takes. The macro `select` of
`layout/macros.html` draws either, and suggests while somebody types.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from console.kinds import KINDS, Kind
from console.visit import Visit
from core.refusal import invalid
from store.database import Connection

MOST: Final = 50
"""Options that a form lists: about 5 KB."""
_SUGGESTED: Final = 8
Option = tuple[str, str] | str
"""A value and what is shown for it, or both in one."""


def both(option: Option) -> tuple[str, str]:
    """Value and what is shown."""
    return (option, option) if isinstance(option, str) else (option[0], option[1])


def meant(options: Sequence[Option], text: str) -> list[tuple[str, str]]:
    """Those that a text may mean: the one with that value, those called so, else those whose name holds it."""
    every = [both(one) for one in options]
    wanted = text.strip().lower()
    exact = [one for one in every if one[0] == text] or [one for one in every if one[1].lower() == wanted]
    return exact or [one for one in every if wanted and wanted in one[1].lower()]


def exactly(options: Sequence[Option], text: str) -> str | None:
    """The value of the one that has that value, or is called so: what a form may change."""
    found = meant(options, text)
    wanted = text.strip().lower()
    return next((value for value, name in found if len(found) == 1 and wanted in (value.lower(), name.lower())), None)


def pick(options: Sequence[Option], text: str) -> str | None:
    """The value that is meant, if one is."""
    found = meant(options, text)
    return found[0][0] if len(found) == 1 else None


def trouble(options: Sequence[Option], text: str) -> str:
    """Why a text names none of them, or several; "" where it names one or a part of its name, or nothing was typed."""
    found = [name for _, name in meant(options, text)] if text else [""]
    if not found and is_id(text):
        return "it is gone, or none of yours any more; load the page again"
    if not found:
        return f"nothing here is called “{text}”"
    if len(found) == 1:
        return ""
    more = f" and {len(found) - _SUGGESTED:,} more" if len(found) > _SUGGESTED else ""
    return f"“{text}” may be {len(found):,} of them: {', '.join(found[:_SUGGESTED])}{more}"


def unset(options: Sequence[Option]) -> str:
    """What an empty field means, if it may be empty."""
    return next((name for value, name in map(both, options) if not value), "")


def shown(options: Sequence[Option], text: str) -> str:
    """What stands in the field: the name of what is chosen, else what was typed; nothing where nothing is."""
    if not text:
        return ""
    value = pick(options, text)
    return next((name for key, name in map(both, options) if key == value), text)


def picked(options: Sequence[Option], text: str, field: str) -> str:
    """The value that a form means: by a part of a name it would change what nobody has read. Raises Refused naming its
    field."""
    value = exactly(options, text)
    if value is None:
        raise invalid(field, trouble(options, text) or _whole(options, text))
    return value


def _whole(options: Sequence[Option], text: str) -> str:
    found = meant(options, text) if text else []
    return f"“{text}” is only a part of “{found[0][1]}”: type the whole name" if found else "choose one"


async def chosen_id(connection: Connection, visit: Visit, field: str, title: str, owner: UUID) -> str:
    """The id that a field of a form holds, or that of what it names among those of an application; "" for an empty
    one. An id is taken as it is: whoever stores it knows whether it is there. Raises Refused."""
    return await name_id(connection, title, owner, visit.field(field), field)


async def name_id(connection: Connection, title: str, owner: UUID, text: str, field: str) -> str:
    """The same of a text of a field. Raises Refused."""
    if not text or is_id(text):
        return text
    return picked(await named_like(connection, _kind(title), owner, text), text, field)


async def named_like(connection: Connection, kind: Kind, owner: UUID | None, text: str) -> list[Option]:
    """At most `MOST` of an application, or of nobody's, whose name holds a text: those called just so first."""
    cursor = await connection.execute(
        f"SELECT {kind.id or kind.name}::text, {kind.name} FROM {kind.table} WHERE {kind.where}"
        f" AND {kind.owner} IS NOT DISTINCT FROM %(owner)s::uuid AND strpos(lower({kind.name}), lower(%(text)s)) > 0"
        f" ORDER BY lower({kind.name}) <> lower(%(text)s), {kind.name} LIMIT {MOST}",
        {"owner": owner, "text": text},
    )
    return [(row[0], row[1]) for row in await cursor.fetchall()]


def _kind(title: str) -> Kind:
    return next(one for one in KINDS if one.title == title)


def is_id(text: str) -> bool:
    """Whether it looks like one."""
    try:
        UUID(text)
    except ValueError:
        return False
    return True
