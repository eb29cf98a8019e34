"""A template as a mail for somebody, without sending it: for the API, the command line, and whoever shows previews."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from audience import contacts, properties
from audience.variables import variables_of
from store.database import Connection
from templates import service
from templates.checks import Remark, remarks_on
from templates.filling import Filled, fill
from templates.model import Template

Wanted = tuple[Mapping[str, object], str | None, str | None]
"""Variables; a contact by id or address; a language."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What would be sent, and what to mend before it is."""

    template: Template
    filled: Filled
    remarks: list[Remark]


async def preview(connection: Connection, application_id: UUID, name: str, wanted: Wanted) -> Preview:
    """The newest content of a template for these variables, over those of the contact. Raises Refused."""
    variables, contact, language = wanted
    found, version = await service.get(connection, application_id, name)
    if contact:
        known = await contacts.get(connection, application_id, contacts.named(contact))
        definitions = await properties.known(connection, application_id)
        variables = {**variables_of(known, definitions), **variables}
        language = language or known.language
    filled = await asyncio.to_thread(fill, version, variables, language)
    return Preview(found, filled, remarks_on(filled.subject, filled.html, filled.text))
