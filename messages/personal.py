"""Mail of campaigns: one content for many people, rendered for each of them when their mail leaves.

A content never changes, so each process reads it once, finds its links once and compiles it once; of a person the batch
loads the contact, and of their application the properties: one that was made a moment ago is known. What cannot be
rendered for one person fails for that person alone. Who was erased meanwhile has no contact any more, and their mail
ends unsent.

`PersonalMail` loads; `Personal` renders, and knows no database.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from uuid import UUID

from audience import contacts, properties
from audience.properties import Definitions
from audience.variables import variables_of
from core.records import record
from messages.links import Marked, Tracking, marked
from messages.model import StoredContent, StoredEmail
from messages.unsubscribe_headers import PLACEHOLDERS
from store import arrays
from store.database import Connection
from templates.limits import MAX_OUTPUT, Bounds
from templates.render import Compiled, RenderError, compile_text

KEPT: Final = 200
"""Contents a process keeps: a campaign has one for each variant and language."""

EACH: Final = Bounds(seconds=0.1, output=MAX_OUTPUT // 2)
"""What rendering one person's HTML or text may take: everybody's mail waits for it. A 5 KB mail takes 50 µs."""
LINE: Final = Bounds(seconds=0.01)
"""The same of a subject, which is rendered while the feed holds the campaign."""

ERASED: Final = "its recipient was erased"

LATER: Final = {name.strip("{}"): name for name in PLACEHOLDERS}
"""Variables that each mail gets after it was rendered (`messages/unsubscribe_headers`)."""

_CONTENTS: Final = """
SELECT id, html, body, headers FROM campaign_contents WHERE id = ANY(%s::uuid[])
"""


@dataclass(frozen=True, slots=True)
class CampaignContent:
    """What a campaign sends to those of one variant and language: templates, never changed."""

    id: UUID
    html: str | None = field(compare=False)
    text: str | None = field(compare=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @property
    def size(self) -> int:
        """Characters."""
        return len(self.html or "") + len(self.text or "")


@record(frozen=True, slots=True)
class Personal:
    """The content of one person's mail, still to be rendered."""

    content: CampaignContent
    variables: Mapping[str, object]

    @property
    def size(self) -> int:
        """Characters of its templates; what comes of them is about as long."""
        return self.content.size

    @property
    def is_quick(self) -> bool:
        """Whether it was compiled before, and whatever the values, rendering it takes no more than milliseconds."""
        return self.content.id in _quick

    def rendered(self, tracking: Tracking | None) -> tuple[StoredContent, Marked | None]:
        """The content, and where its links are when they are tracked. Raises RenderError."""
        html, links = _html(self.content, tracking)
        text = _text(self.content)
        _learn(self.content.id, html, text)
        written = StoredContent(
            html.render(self.variables, EACH) if html else None,
            text.render(self.variables, EACH) if text else None,
            self.content.headers,
            None,
        )
        return written, links


_quick: Final[set[UUID]] = set()
"""Contents of this process."""


def _learn(content_id: UUID, *bodies: Compiled | None) -> None:
    if content_id not in _quick and all(body is None or body.quick for body in bodies):
        if len(_quick) >= KEPT:
            _quick.clear()
        _quick.add(content_id)


@lru_cache(KEPT)
def _html(content: CampaignContent, tracking: Tracking | None) -> tuple[Compiled | None, Marked | None]:
    if content.html is None:
        return None, None
    if tracking is None:
        return compile_text(content.html, html=True), None
    found = marked(content.html, tracking)
    return compile_text(found.source, html=True), found


@lru_cache(KEPT)
def _text(content: CampaignContent) -> Compiled | None:
    return compile_text(content.text, html=False) if content.text is not None else None


def variables(contact: contacts.Contact, definitions: Definitions) -> Mapping[str, object]:
    """What a campaign's templates see of a contact."""
    return {**variables_of(contact, definitions), **LATER}


Loaded = tuple[StoredEmail, "StoredContent | Personal | None"]


class PersonalMail:
    """One per process that sends."""

    def __init__(self) -> None:
        self._contents: dict[UUID, CampaignContent] = {}

    async def fill(
        self, connection: Connection, found: Mapping[UUID, tuple[StoredEmail, StoredContent | None]]
    ) -> dict[UUID, Loaded]:
        """The emails with the content of each that is a campaign's. None where its person or its content is gone."""
        ours = [email for email, _ in found.values() if email.campaign_id is not None]
        filled: dict[UUID, Loaded] = dict(found)
        if not ours:
            return filled
        contents = await self._known(connection, {email.content_id for email in ours})
        people = await contacts.by_ids(connection, [one.contact_id for one in ours if one.contact_id is not None])
        owners = {email.application_id for email in ours}
        definitions = {owner: await properties.known(connection, owner) for owner in owners}
        for email in ours:
            contact = people.get(email.contact_id) if email.contact_id else None
            content = contents.get(email.content_id)
            known = contact and variables(contact, definitions[email.application_id])
            filled[email.id] = email, Personal(content, known) if content and known else None
        return filled

    async def _known(self, connection: Connection, wanted: set[UUID]) -> dict[UUID, CampaignContent]:
        """These contents. What is kept for the next call may be fewer: others learn too."""
        found = {identifier: kept for identifier in wanted if (kept := self._contents.get(identifier)) is not None}
        for content in await read_contents(connection, wanted - found.keys()):
            while len(self._contents) >= KEPT:
                self._contents.pop(next(iter(self._contents)))
            self._contents[content.id] = found[content.id] = content
        return found


async def read_contents(connection: Connection, wanted: Iterable[UUID]) -> Sequence[CampaignContent]:
    """Contents of campaigns by id; what is gone is left out."""
    ids = list(wanted)
    if not ids:
        return ()
    rows = await (await connection.execute(_CONTENTS, [arrays.uuids(ids)])).fetchall()
    return [
        CampaignContent(found, html, text, tuple((name, value) for name, value in headers))
        for found, html, text, headers in rows
    ]


async def shown(connection: Connection, content_id: UUID, contact_id: UUID) -> tuple[str | None, str | None]:
    """HTML and text of one person's mail, for whoever looks at it later: as the person is known now, without tracking.
    Nothing when the person or the campaign is gone, or it cannot be rendered."""
    found = await read_contents(connection, [content_id])
    known = (await contacts.by_ids(connection, [contact_id])).get(contact_id)
    if not found or known is None:
        return None, None
    definitions = await properties.known(connection, known.application_id)
    try:
        written, _ = Personal(found[0], variables(known, definitions)).rendered(None)
    except RenderError:
        return None, None
    return written.html, written.text


def fault_of(error: RenderError) -> str:
    """Why a mail cannot be made for somebody."""
    return f"it cannot be rendered: {error}"
