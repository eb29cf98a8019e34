"""Rows of versions and their languages, on the caller's connection."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson

from core.ids import uuid7
from core.refusal import Refused, conflict
from store.database import Connection
from templates.build import Built, Kind, Source, build
from templates.faults import SourceError
from templates.model import DEFAULT, Variable, VariableType, Version, Writing, language_for

MOST_LAYOUTS: Final = 5
"""Layouts within layouts."""

_READ: Final = (
    "SELECT id, template_id, number, sender, reply_to, variables, layout_id, created_at, published_at"
    " FROM template_versions WHERE id = ANY(%s)"
)
_LANGUAGES: Final = (
    "SELECT version_id, language, kind, subject, source, text_source, html, plain FROM template_languages"
    " WHERE version_id = ANY(%s) ORDER BY language"
)


async def read(connection: Connection, version_ids: Sequence[UUID]) -> dict[UUID, Version]:
    """The versions of these ids that there are."""
    cursor = await connection.execute(_LANGUAGES, [list(version_ids)])
    languages: dict[UUID, list[Any]] = {}
    for version_id, *row in await cursor.fetchall():
        languages.setdefault(version_id, []).append(row)
    cursor = await connection.execute(_READ, [list(version_ids)])
    return {row[0]: _version(row, languages.get(row[0], [])) for row in await cursor.fetchall()}


@dataclass(frozen=True, slots=True)
class Listed:
    """A version in the list of all of a template's."""

    id: UUID
    number: int
    created_at: datetime
    published_at: datetime | None


async def numbers(connection: Connection, template_id: UUID, most: int) -> list[Listed]:
    """The newest versions, without what is written in them."""
    cursor = await connection.execute(
        "SELECT id, number, created_at, published_at FROM template_versions WHERE template_id = %s"
        " ORDER BY number DESC LIMIT %s",
        [template_id, most],
    )
    return [Listed(*row) for row in await cursor.fetchall()]


async def write(connection: Connection, template_id: UUID, writing: Writing, draft_id: UUID | None) -> UUID:
    """Stores what is written as the draft: the one there is, or a new one. Raises Refused with what is wrong in it."""
    built = await built_of(connection, template_id, writing)
    if draft_id is None:
        draft_id = uuid7()
        await connection.execute(
            "INSERT INTO template_versions (id, template_id, number) SELECT %(id)s, %(template)s, coalesce(max(number),"
            " 0) + 1 FROM template_versions WHERE template_id = %(template)s",
            {"id": draft_id, "template": template_id},
        )
    variables = orjson.dumps([_variable_row(one) for one in writing.variables]).decode()
    await connection.execute(
        "UPDATE template_versions SET sender = %s, reply_to = %s, variables = %s::jsonb, layout_id = %s"
        " WHERE id = %s AND published_at IS NULL",
        [writing.sender, list(writing.reply_to), variables, writing.layout_id, draft_id],
    )
    await _write_languages(connection, draft_id, writing.sources, built)
    return draft_id


async def _write_languages(
    connection: Connection, version_id: UUID, sources: Mapping[str, Source], built: Mapping[str, Built]
) -> None:
    await connection.execute("DELETE FROM template_languages WHERE version_id = %s", [version_id])
    for language, source in sources.items():
        made = built[language]
        await connection.execute(
            "INSERT INTO template_languages (version_id, language, kind, subject, source, text_source, html, plain)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [version_id, language, source.kind.value, source.subject, source.body, source.text, made.html, made.text],
        )


async def built_of(connection: Connection, template_id: UUID, writing: Writing) -> dict[str, Built]:
    """What each language becomes within the layouts as they are published now. Raises Refused."""
    layouts = await _layouts(connection, template_id, writing.layout_id)
    built: dict[str, Built] = {}
    for language, source in writing.sources.items():
        around = [one.writing.sources[language_for(one.writing.sources, language)] for one in layouts]
        try:
            built[language] = await asyncio.to_thread(build, source, around)  # up to a second of processor time
        except SourceError as error:
            place = f"languages.{language}." if language != DEFAULT else ""
            raise Refused(
                "invalid", str(error), f"{place}{source.kind.value}"
            ) from error  # with the line of each fault
    return built


async def _layouts(connection: Connection, template_id: UUID, layout_id: UUID | None) -> list[Version]:
    """The published versions of the layouts around a template, the innermost first. Raises Refused where they go round
    in a circle, or one is not published."""
    found: list[Version] = []
    passed = {template_id}
    while layout_id is not None:
        if layout_id in passed or len(found) >= MOST_LAYOUTS:
            reason = "the layouts go round in a circle" if layout_id in passed else f"more than {MOST_LAYOUTS} layouts"
            raise Refused("invalid", reason, "layout")
        passed.add(layout_id)
        cursor = await connection.execute("SELECT name, published_id FROM templates WHERE id = %s", [layout_id])
        row = await cursor.fetchone()
        if row is None or row[1] is None:
            raise conflict(f"the layout {row[0] if row else layout_id} is not published", "Publish it first.")
        version = (await read(connection, [row[1]]))[row[1]]
        found.append(version)
        layout_id = version.writing.layout_id
    return found


def _variable_row(variable: Variable) -> dict[str, object]:
    return {"key": variable.key, "type": variable.type.value, "fallback_value": variable.fallback}


def _version(row: Sequence[Any], languages: Sequence[Sequence[Any]]) -> Version:
    identifier, template_id, number, sender, reply_to, variables, layout_id, created, published = row
    sources = {name: Source(Kind(kind), source, subject, text) for name, kind, subject, source, text, _, _ in languages}
    built = {name: Built(subject, html, plain) for name, _, subject, _, _, html, plain in languages}
    declared = tuple(Variable(one["key"], VariableType(one["type"]), one["fallback_value"]) for one in variables)
    writing = Writing(sources, sender, tuple(reply_to), declared, layout_id)
    return Version(identifier, template_id, number, writing, built, created, published)
