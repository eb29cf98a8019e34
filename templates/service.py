"""Templates of an application: made, changed, published, found by id or alias.

A change goes into the draft; publishing makes the draft the version that mail is made of, and that one never changes
again. What cannot be built is refused when it is saved, so that a stored version can always be rendered. A layout is a
template like others: its published version goes around those that name it, when they are saved and when they are
published. The last changes of a draft can be undone (`templates/steps`).

Every function works on the caller's connection and never commits. `names` are ids or aliases.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from core.ids import uuid7
from core.paging import Page, Window, cut
from core.refusal import Refused, conflict, invalid, not_found
from store.database import Connection
from store.paging import newest_first
from templates import steps, versions
from templates.editing import NOTHING, checked_name, edited
from templates.model import UNSAID, Change, Edit, Template, Unsaid, Version, Writing

MOST: Final = 5_000
"""Templates of one application."""
MOST_VERSIONS: Final = 50
"""Versions that are listed and can be brought back."""
UNTOLD: Final = Change()
CHANGED: Final = "changed_meanwhile"
"""Code of a refusal: somebody else has written it since."""

_COLUMNS: Final = (
    "id, application_id, name, alias, created_at, updated_at, published_at, published_id, draft_id, revision,"
    " step, campaign_id"
)


async def create(
    connection: Connection, application_id: UUID, edit: Edit, *, campaign_id: UUID | None = None
) -> Template:
    """A new template with a draft; `campaign_id`: as the content of this campaign alone. Raises Refused."""
    await _take_turns(connection, application_id)
    checked_name(edit)
    if not isinstance(edit.name, str):
        raise Refused("invalid", "a template needs a name", "name", code="missing_required_field")
    writing = await _with_layout(connection, application_id, edited(NOTHING, edit), edit)
    template_id = uuid7()
    cursor = await connection.execute(
        "INSERT INTO templates (id, application_id, name, alias, campaign_id) SELECT %(id)s, %(application)s, %(name)s,"
        " %(alias)s, %(campaign)s WHERE (SELECT count(*) FROM templates WHERE application_id = %(application)s AND"
        " campaign_id IS NULL) < %(most)s RETURNING id",
        {
            "id": template_id, "application": application_id, "name": edit.name, "campaign": campaign_id,
            "alias": await _free_alias(connection, application_id, edit.alias), "most": MOST,
        },
    )  # fmt: skip
    if await cursor.fetchone() is None:
        raise conflict(f"an application has at most {MOST} templates", "Delete those that are no longer used.")
    return await _drafted(connection, template_id, writing, None)


async def update(
    connection: Connection, application_id: UUID, name: str, edit: Edit, change: Change = UNTOLD
) -> Template:
    """Change a template; what is versioned goes into its draft. Raises Refused."""
    await _take_turns(connection, application_id)
    checked_name(edit)
    found, version = await get(connection, application_id, name)
    writing = await _with_layout(connection, application_id, edited(version.writing, edit), edit)
    named = _named(found, edit)
    if (writing, named) == (version.writing, (found.name, found.alias)):
        return found  # whoever got no answer says it again, and nobody's work is written over
    _unchanged_since(found, change.seen)
    if named != (found.name, found.alias):
        await _rename(connection, found, *named)
    if writing == version.writing:
        return await _by_id(connection, found.id)
    await steps.note(connection, found.id, (version.writing, writing), change)
    return await _drafted(connection, found.id, writing, found.draft_id)


async def undo(connection: Connection, application_id: UUID, name: str, seen: int | None = None) -> Template:
    """The draft as it was before the last change. Raises Refused."""
    found, around = await _at_its_step(connection, application_id, name, seen)
    if around.undo is None:
        raise conflict("there is nothing to undo", f"The last {steps.MOST} changes are kept.", "nothing_to_undo")
    writing = await steps.go(connection, found.id, around.undo)
    return await _drafted(connection, found.id, writing, found.draft_id)


async def redo(connection: Connection, application_id: UUID, name: str, seen: int | None = None) -> Template:
    """The draft with the change that was undone last. Raises Refused."""
    found, around = await _at_its_step(connection, application_id, name, seen)
    if around.redo is None:
        raise conflict(
            "there is nothing to redo", "A change after an undo ends what could be redone.", "nothing_to_redo"
        )
    writing = await steps.go(connection, found.id, around.redo)
    return await _drafted(connection, found.id, writing, found.draft_id)


async def history(connection: Connection, application_id: UUID, name: str) -> list[versions.Listed]:
    """Its versions, the newest first. Raises Refused."""
    found = await find(connection, application_id, name)
    return await versions.numbers(connection, found.id, MOST_VERSIONS)


async def bring_back(
    connection: Connection, application_id: UUID, name: str, number: int, seen: int | None = None
) -> Template:
    """What an earlier version said, as the draft. Raises Refused."""
    await _take_turns(connection, application_id)
    found, version = await get(connection, application_id, name)
    _unchanged_since(found, seen)
    known = {one.number: one.id for one in await versions.numbers(connection, found.id, MOST_VERSIONS)}
    if number not in known:
        raise not_found(f"it has no version {number}")
    writing = (await versions.read(connection, [known[number]]))[known[number]].writing
    if writing == version.writing:
        return found
    await steps.note(connection, found.id, (version.writing, writing), Change(what=f"version {number}"))
    return await _drafted(connection, found.id, writing, found.draft_id)


async def publish(connection: Connection, application_id: UUID, name: str, seen: int | None = None) -> Template:
    """Make the draft what mail is made of, in its layouts as they are now. Without a draft, the published version is
    built anew where a layout has changed. Raises Refused."""
    await _take_turns(connection, application_id)
    found, version = await get(connection, application_id, name)
    _unchanged_since(found, seen)
    built = await versions.built_of(connection, found.id, version.writing)
    if found.draft_id is None and built == version.built:
        return found
    draft = await versions.write(connection, found.id, version.writing, found.draft_id)
    await connection.execute("UPDATE template_versions SET published_at = now() WHERE id = %s", [draft])
    await connection.execute(
        "UPDATE templates SET published_id = %s, draft_id = NULL, published_at = now(), updated_at = now(),"
        " revision = revision + 1 WHERE id = %s",
        [draft, found.id],
    )
    return await _by_id(connection, found.id)


async def duplicate(connection: Connection, application_id: UUID, name: str) -> Template:
    """A draft of the same content under another name, without alias."""
    await _take_turns(connection, application_id)
    found, version = await get(connection, application_id, name)
    cursor = await connection.execute(
        "INSERT INTO templates (id, application_id, name) VALUES (%s, %s, %s) RETURNING id",
        [uuid7(), application_id, f"{found.name[:90]} (copy)"],
    )
    row = await cursor.fetchone()
    assert row is not None
    return await _drafted(connection, row[0], version.writing, None)


async def delete(connection: Connection, application_id: UUID, name: str) -> Template:
    """Remove a template with all its versions. Mail that was accepted has its content already. Raises Refused when it
    is the layout of others."""
    await _take_turns(connection, application_id)
    found = await find(connection, application_id, name)
    cursor = await connection.execute(
        "SELECT t.name FROM template_versions v JOIN templates t ON t.id = v.template_id WHERE v.layout_id = %s"
        " AND v.id IN (t.published_id, t.draft_id) LIMIT 3",
        [found.id],
    )
    users = [row[0] for row in await cursor.fetchall()]
    if users:
        raise conflict(f"it is the layout of {', '.join(users)}", "Give those another layout first.")
    await connection.execute("DELETE FROM templates WHERE id = %s", [found.id])
    return found


async def page(connection: Connection, application_id: UUID, window: Window[UUID]) -> Page[Template]:
    """The application's templates, newest first."""
    condition, order, names = newest_first(window)
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM templates WHERE application_id = %(application)s AND campaign_id IS NULL"
        f" AND {condition} ORDER BY id {order} LIMIT %(limit)s",
        names | {"application": application_id},
    )
    return cut(await cursor.fetchall(), window).map(_template)


async def layouts(connection: Connection, application_id: UUID) -> list[Template]:
    """Templates that others can stand in: published ones with a place for content."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM templates t WHERE application_id = %s AND campaign_id IS NULL AND EXISTS ("
        " SELECT FROM template_languages l WHERE l.version_id = t.published_id AND l.language = ''"
        r" AND l.source ~ '\{\{\{?\s*content\s*\}') ORDER BY name LIMIT %s",
        [application_id, MOST],
    )
    return [_template(row) for row in await cursor.fetchall()]


async def find(connection: Connection, application_id: UUID, name: str) -> Template:
    """A template by id or alias. Raises Refused when there is none."""
    identifier = _as_id(name)
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM templates WHERE application_id = %s AND (id = %s OR alias = %s)"
        " ORDER BY (id = %s) DESC LIMIT 1",
        [application_id, identifier, name.replace("\0", "\ufffd"), identifier],
    )
    row = await cursor.fetchone()
    if row is None:
        raise not_found("Template not found")
    return _template(row)


async def get(connection: Connection, application_id: UUID, name: str) -> tuple[Template, Version]:
    """A template and its newest version, draft or not. Raises Refused."""
    found = await find(connection, application_id, name)
    newest = found.draft_id or found.published_id
    assert newest is not None, "a template is stored with its first draft"
    return found, (await versions.read(connection, [newest]))[newest]


async def published(connection: Connection, application_id: UUID, name: str) -> Version:
    """The version that mail is made of. Raises Refused: no such template, or never published."""
    found = await find(connection, application_id, name)
    if found.published_id is None:
        raise conflict(f"the template {found.alias or found.id} was never published", "Publish it first.")
    return (await versions.read(connection, [found.published_id]))[found.published_id]


async def of_campaign(connection: Connection, campaign_id: UUID) -> Template | None:
    """The template that is the content of a campaign alone, if it has one."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM templates WHERE campaign_id = %s ORDER BY id DESC LIMIT 1", [campaign_id]
    )
    row = await cursor.fetchone()
    return _template(row) if row else None


async def forget_campaign(connection: Connection, campaign_id: UUID) -> None:
    """The template of a campaign that is deleted, or gets another content."""
    await connection.execute("DELETE FROM templates WHERE campaign_id = %s", [campaign_id])


async def forget_application(connection: Connection, application_id: UUID) -> None:
    """All templates of an application that is deleted."""
    await connection.execute("DELETE FROM templates WHERE application_id = %s", [application_id])


async def _take_turns(connection: Connection, application_id: UUID) -> None:
    """Two that change layouts at one time could close a circle that neither sees; two could take one alias."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 22))", [f"templates {application_id}"])


async def _at_its_step(
    connection: Connection, application_id: UUID, name: str, seen: int | None
) -> tuple[Template, steps.Around]:
    await _take_turns(connection, application_id)
    found = await find(connection, application_id, name)
    _unchanged_since(found, seen)
    return found, await steps.around(connection, found.id)


def _unchanged_since(found: Template, seen: int | None) -> None:
    if seen is not None and seen != found.revision:
        raise conflict(
            "it was changed elsewhere since you loaded it", "Load it again, and make your change there.", CHANGED
        )


def _named(found: Template, edit: Edit) -> tuple[str, str | None]:
    """Name and alias after an edit."""
    name = found.name if isinstance(edit.name, Unsaid) else edit.name
    return name, found.alias if isinstance(edit.alias, Unsaid) else edit.alias or None


async def _rename(connection: Connection, found: Template, name: str, alias: str | None) -> None:
    """Another name or alias: a revision as well, or whoever has the old one on their page would write it back."""
    await connection.execute(
        "UPDATE templates SET name = %s, alias = %s, updated_at = now(), revision = revision + 1 WHERE id = %s",
        [name, await _free_alias(connection, found.application_id, alias, found.id), found.id],
    )


async def _drafted(connection: Connection, template_id: UUID, writing: Writing, draft_id: UUID | None) -> Template:
    draft = await versions.write(connection, template_id, writing, draft_id)
    await connection.execute(
        "UPDATE templates SET draft_id = %s, revision = revision + 1, updated_at = now() WHERE id = %s",
        [draft, template_id],
    )
    return await _by_id(connection, template_id)


async def _with_layout(connection: Connection, application_id: UUID, writing: Writing, edit: Edit) -> Writing:
    if edit.layout is UNSAID:
        return writing
    if not isinstance(edit.layout, str):
        return replace(writing, layout_id=None)
    try:
        return replace(writing, layout_id=(await find(connection, application_id, edit.layout)).id)
    except Refused:
        raise invalid("layout", "there is no such template") from None


async def _free_alias(
    connection: Connection, application_id: UUID, alias: str | Unsaid | None, but: UUID | None = None
) -> str | None:
    """The alias, if no other template has it."""
    if not isinstance(alias, str) or not alias:
        return None
    cursor = await connection.execute(
        "SELECT id FROM templates WHERE application_id = %s AND alias = %s AND id IS DISTINCT FROM %s",
        [application_id, alias, but],
    )
    row = await cursor.fetchone()
    if row is not None:
        raise conflict(f"there is a template with the alias {alias} already", f"Its id is {row[0]}.")
    return alias


async def _by_id(connection: Connection, template_id: UUID) -> Template:
    cursor = await connection.execute(f"SELECT {_COLUMNS} FROM templates WHERE id = %s", [template_id])
    row = await cursor.fetchone()
    assert row is not None
    return _template(row)


def _as_id(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None


def _template(row: Sequence[Any]) -> Template:
    return Template(*row)
