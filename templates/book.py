"""Published versions as the door for mail asks for them.

Which version is published is asked each time, so that mail sent right after publishing is of the new one; a version
itself never changes and stays in memory. One with loops or much in it is compiled and rendered in a thread: that may
take a second of processor time, and the event loop has others to answer. For all others the way to a thread would cost
five times the rendering.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final
from uuid import UUID

from core.refusal import Refused, invalid
from store.database import Database
from templates import service, versions
from templates.build import Built
from templates.filling import Filled, content_of, fill
from templates.limits import QUICK
from templates.model import Version

KEPT: Final = 128


class TemplateBook:
    """One per process and event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._versions: OrderedDict[UUID, Version] = OrderedDict()

    def reading(self, application_id: UUID) -> "TemplateReading":
        """For one request: what it asks twice is looked up once."""
        return TemplateReading(self, application_id)

    async def published(self, application_id: UUID, name: str, field: str) -> Version:
        """The version that mail is made of. Raises Refused naming the field, and DatabaseUnavailableError."""
        async with self._database.connection() as connection:
            try:
                found = await service.find(connection, application_id, name)
            except Refused:
                raise invalid(field, "there is no such template") from None
            if found.published_id is None:
                raise invalid(field, "the template was never published: publish it first")
            known = self._versions.get(found.published_id)
            if known is None:
                known = (await versions.read(connection, [found.published_id]))[found.published_id]
            self._keep(known)
            return known

    def _keep(self, version: Version) -> None:
        self._versions[version.id] = version
        self._versions.move_to_end(version.id)
        while len(self._versions) > KEPT:
            self._versions.popitem(last=False)


class TemplateReading:
    """The templates of one request."""

    __slots__ = ("_application_id", "_book", "_found", "_small")

    def __init__(self, book: TemplateBook, application_id: UUID) -> None:
        self._book = book
        self._application_id = application_id
        self._found: dict[str, Version] = {}
        self._small: set[str] = set()

    async def filled(self, name: str, variables: Mapping[str, object], language: str | None) -> Filled:
        """The mail for these variables. Raises Refused naming the field."""
        version = await self.version(name)
        if name in self._small and content_of(version, language).quick:
            return fill(version, variables, language)
        return await asyncio.to_thread(fill, version, variables, language)

    async def version(self, name: str, field: str = "template.id") -> Version:
        """The published version. Raises Refused naming the field."""
        version = self._found.get(name)
        if version is None:
            version = self._found[name] = await self._book.published(self._application_id, name, field)
            if all(_is_small(built) for built in version.built.values()):
                self._small.add(name)
        return version


def _is_small(built: Built) -> bool:
    """Whether compiling it takes no more than milliseconds."""
    whole = built.subject + built.html + built.text
    return whole.count("{{") + whole.count("{%") <= QUICK
