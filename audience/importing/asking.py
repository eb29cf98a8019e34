"""What somebody asks of an import, before it is taken: columns, lists, topics and properties that have to be there.

Shared by the API and the command line; raises Refused, naming the field. Works on the caller's connection and never
commits.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, TextIO
from uuid import UUID

from audience import forms, membership, properties, topics
from audience.importing.columns import FIELDS, ColumnMap, Layout
from audience.importing.merging import Terms
from audience.importing.rows import ContactReader
from audience.properties import Definitions, PropertyType
from core.list_rows import bounded
from core.queues import Lane
from core.refusal import conflict, invalid
from store.database import Connection

LARGEST: Final = 50 * 1024 * 1024
"""Bytes of an upload, packed or not. Larger lists come in by the command line."""
MOST_UNPACKED: Final = 1024 * 1024 * 1024
"""Bytes that an upload may unpack to: ten million people."""


async def check(connection: Connection, terms: Terms) -> Definitions:
    """See that all that the terms name is there, and that those who are to be asked can be; the properties that columns
    may hold."""
    if terms.asks:
        await _check_sender(connection, terms)
    await membership.lists(connection, terms.application_id, terms.segments)
    known = {one.id for one in await topics.every(connection, terms.application_id) if one.lane is Lane.MARKETING}
    for number, topic in enumerate(terms.topics):
        if topic not in known:
            raise invalid(f"topics[{number}].id", "there is no such topic of the marketing stream")
    return await properties.known(connection, terms.application_id)


async def _check_sender(connection: Connection, terms: Terms) -> None:
    """Else a whole list would wait, and nobody knew why."""
    form = await forms.get(connection, terms.application_id, terms.form_id) if terms.form_id else None
    name = form.sender.domain if form else None
    cursor = await connection.execute(
        "SELECT FROM domains WHERE application_id = %s AND status = 'verified' AND (%s::text IS NULL OR name = %s)"
        " LIMIT 1",
        [terms.application_id, name, name],
    )
    if await cursor.fetchone() is None:
        raise conflict(
            f"people cannot be asked: {name} is not verified"
            if name
            else "people cannot be asked: this application has no verified domain to write from",
            "Verify it, or import without mails: then these people are stored, and get nothing before they sign up.",
            "no_sender",
        )


async def language_of(connection: Connection, application_id: UUID, form_id: UUID | None) -> str:
    """In which people are asked whose own the list does not say: the form's. Raises Refused when there is no such
    form."""
    return (await forms.get(connection, application_id, form_id)).facts.language if form_id else "en"


async def columns_of(connection: Connection, application_id: UUID, given: Mapping[str, Any]) -> ColumnMap:
    """Resend's `column_map`. A property that has a type there and is not defined yet is defined now."""
    fields = {name: column for name, column in given.items() if name != "properties"}
    for name, column in fields.items():
        if name not in FIELDS or not isinstance(column, str):
            raise invalid("column_map", f"{name[:60]!r} is no field with a column; there are {', '.join(FIELDS)}")
    wanted = given.get("properties") or {}
    if not isinstance(wanted, Mapping):
        raise invalid("column_map", "`properties` holds columns by the keys of properties")
    known = await properties.known(connection, application_id)
    found: dict[str, str] = {}
    for key, said in wanted.items():
        column, kind = (said.get("column"), said.get("type")) if isinstance(said, Mapping) else (said, None)
        if not isinstance(column, str):
            raise invalid("column_map", f"property {str(key)[:60]!r} names no column")
        if key not in known:
            await _define(connection, application_id, key, kind)
        found[key] = column
    return ColumnMap(fields, found)


async def _define(connection: Connection, application_id: UUID, key: str, kind: object) -> None:
    if kind not in tuple(PropertyType):
        raise invalid("column_map", f"there is no property {key[:60]!r}; with a `type` it would be made now")
    await properties.create(connection, application_id, key, PropertyType(str(kind)))


def reader(text: TextIO, known: Definitions, columns: ColumnMap) -> ContactReader:
    """Of a list that `core/list_files.decoded` opened."""
    return ContactReader(bounded(text), known, columns)


def shown(layout: Layout) -> list[tuple[str, str]]:
    """What is taken from which column, for people: in the order of the list."""
    ordered: Sequence[tuple[str, int]] = sorted(layout.places.items(), key=lambda one: one[1])
    return [(layout.header[place] if layout.header else f"column {place + 1}", name) for name, place in ordered]
