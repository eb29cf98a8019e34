"""What all pages of a template begin with: the template, for somebody who may see it."""

import hashlib
from uuid import UUID

from accounts.audit import Values
from console.visit import Visit
from core.refusal import invalid, not_found
from store.database import Connection
from templates import service
from templates.model import Template, Version


async def the_one(connection: Connection, visit: Visit, template_id: UUID) -> tuple[Template, Version]:
    """A template that this person may see, and its newest version. Raises Refused."""
    cursor = await connection.execute("SELECT application_id FROM templates WHERE id = %s", [template_id])
    row = await cursor.fetchone()
    if row is None:
        raise not_found("Template not found")
    visit.sees(row[0])
    return await service.get(connection, row[0], str(template_id))


def seen(visit: Visit) -> int:
    """The revision that the page showed on which somebody pressed a button. Raises Refused."""
    text = visit.field("revision")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise invalid("revision", "load the page again: it does not say what it showed")
    return int(text)


def values(found: Template, version: Version | None = None) -> Values:
    """What the audit log keeps of it: of its content only whether it is another one."""
    kept: dict[str, object] = {
        "name": found.name, "alias": found.alias, "version": found.published_id, "published_at": found.published_at,
    }  # fmt: skip
    if version is not None:
        kept["content"] = hashlib.sha256(repr(version.writing).encode("utf-8", "replace")).hexdigest()[:12]
    return kept
