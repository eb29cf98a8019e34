"""What campaigns are told of their mail: a row of `campaign_news` for each thing that happened to it.

Written with the timeline, in its transaction, so that news is as true as the event; taken once by `campaigns/settle`. A
worker knows the campaign of the mail it sends; what comes later (reports, clicks, cancelling) is looked up. Mail
without a campaign costs nothing here.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

import orjson

from messages.entries import Entry, EventKind
from store.copying import begin, boolean, kept_text, moment, send, text, uuid
from store.database import Connection

_TOLD: Final = frozenset(
    {
        EventKind.DELIVERED, EventKind.DEFERRED, EventKind.BOUNCED, EventKind.SUPPRESSED, EventKind.EXPIRED,
        EventKind.CANCELLED, EventKind.FAILED, EventKind.COMPLAINED, EventKind.COMPLAINT_WITHDRAWN, EventKind.OPENED,
        EventKind.CLICKED, EventKind.UNSUBSCRIBED,
    }
)  # fmt: skip

_COPY: Final = (
    "COPY campaign_news (campaign_id, contact_id, email_id, kind, at, detail, ip, provider, class, link, machine)"
    " FROM STDIN (FORMAT BINARY)"
)
_ROW: Final = begin(11)

_OF_CAMPAIGNS: Final = """
SELECT id, campaign_id, contact_id FROM emails
 WHERE id = ANY(%s) AND campaign_id IS NOT NULL AND contact_id IS NOT NULL
"""

_TAKE: Final = """
DELETE FROM campaign_news WHERE id = ANY(ARRAY(SELECT id FROM campaign_news ORDER BY id LIMIT %s))
RETURNING id, campaign_id, contact_id, email_id, kind, at, detail, ip, provider, class, link, machine
"""

WAIT: Final = "(SELECT true FROM campaign_news ORDER BY id LIMIT 1) IS NOT NULL"
"""Condition: there is some."""


class News(NamedTuple):
    """One row of `campaign_news`."""

    id: int
    campaign_id: UUID
    contact_id: UUID
    email_id: UUID
    kind: str
    at: datetime
    detail: str | None
    ip: str | None
    provider: str | None
    klass: str | None
    link: str | None
    machine: bool

    @property
    def person(self) -> tuple[UUID, UUID]:
        """Campaign and contact."""
        return self.campaign_id, self.contact_id


Whose = tuple[UUID, UUID]
"""Campaign and contact."""


async def tell(connection: Connection, entries: Sequence[Entry]) -> None:
    """Write down what these entries mean for campaigns, within the caller's transaction."""
    told = [entry for entry in entries if entry.kind in _TOLD and not entry.noted and _may_be_ours(entry)]
    if not told:
        return
    unknown = {entry.email_id for entry in told if entry.words is None}
    found = await people_of(connection, unknown) if unknown else {}
    rows = [_row(whose, entry) for entry in told if (whose := _known(entry) or found.get(entry.email_id))]
    if rows:
        async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            await send(copy, rows)


async def take(connection: Connection, most: int) -> list[News]:
    """The oldest news, which is gone with the caller's commit. One caller at a time."""
    rows = await (await connection.execute(_TAKE, [most])).fetchall()
    return sorted((News(*row) for row in rows), key=lambda one: one.id)


def _may_be_ours(entry: Entry) -> bool:
    return entry.words is None or entry.words.email.campaign_id is not None


def _known(entry: Entry) -> Whose | None:
    email = entry.words.email if entry.words else None
    if email is None or email.campaign_id is None or email.contact_id is None:
        return None
    return email.campaign_id, email.contact_id


async def pass_on(connection: Connection, email_id: UUID, contact_id: UUID) -> None:
    """The mail is another contact's from now on. What was told of it before names the one that it was (`people_of`)."""
    await connection.execute("UPDATE emails SET contact_id = %s WHERE id = %s", [contact_id, email_id])


async def people_of(connection: Connection, emails: set[UUID]) -> dict[UUID, Whose]:
    """Campaign and contact of each of these emails, as it stands now."""
    rows = await (await connection.execute(_OF_CAMPAIGNS, [list(emails)])).fetchall()
    return {email: (campaign, contact) for email, campaign, contact in rows}


def _row(whose: Whose, entry: Entry) -> bytes:
    about = orjson.loads(entry.engagement) if entry.engagement else {}
    campaign, contact = whose
    return b"".join(
        (
            _ROW, uuid(campaign), uuid(contact), uuid(entry.email_id), kept_text(entry.kind.value), moment(entry.at),
            text(_detail(entry)), kept_text(entry.ip), kept_text(entry.provider), kept_text(entry.klass),
            text(about.get("link")), boolean(about.get("machine") is not None),
        )
    )  # fmt: skip


def _detail(entry: Entry) -> str | None:
    """The server's words, or ours."""
    if entry.kind in (EventKind.DELIVERED, EventKind.OPENED, EventKind.CLICKED):
        return None
    reply = " ".join(part for part in (str(entry.code or ""), entry.enhanced or "", entry.reply or "") if part)
    return (entry.detail or reply)[:500] or None
