"""An application leaves: its keys stop, what waits is cancelled if that was asked for, then it is deleted.

A campaign that is sending is mail under way, also while nothing of it is in the queue. Campaigns end with the keys, so
that nobody makes new mail while the old is being cancelled.

Mail under way needs the application's domains to be signed with. So an application with mail in the queue is not
deleted: the operator waits until its mail has ended, or asks to cancel what waits. Mail that is on the wire at that
moment ends by itself within minutes; until then the answer is to ask again, and no key of the application works.

Its people, who may be a million, are taken away afterwards in slices (`audience/forgetting`, a duty).
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from accounts import repository as accounts
from accounts.directory import KEEP_SECONDS
from accounts.repository import Application
from audience import choices, confirmations, contacts, forgetting, forms, newly_confirmed, segments
from audience.importing import imports, uploads
from campaigns import repository as campaigns
from campaigns.automations import forgetting as automations
from core.refusal import Refused, conflict
from messages import repository
from pools import assignments
from store.database import Connection, Database
from suppression import removing as suppressions
from templates import images
from templates import service as templates

_STEP: Final = 500
"""Emails cancelled in one transaction."""

# Rows of a version before 0005 name no application; their email does.
_UNDER_WAY = """
SELECT DISTINCT q.email_id FROM delivery_queue q JOIN emails e ON e.id = q.email_id
 WHERE e.application_id = %(application)s AND (%(after)s::uuid IS NULL OR q.email_id > %(after)s)
 ORDER BY q.email_id LIMIT %(limit)s
"""


MANY: Final = 10_000
"""Rows are counted up to this: nobody decides otherwise because there are more."""
# One statement for a page that asks whether to go on. Each part ends at the bound, however much there is.
_LEAVING: Final = """
SELECT (SELECT count(*) FROM api_keys WHERE application_id = %(id)s),
       (SELECT count(*) FROM domains WHERE application_id = %(id)s),
       (SELECT count(*) FROM (SELECT FROM contacts WHERE application_id = %(id)s LIMIT %(most)s) c),
       (SELECT count(*) FROM (SELECT FROM templates WHERE application_id = %(id)s LIMIT %(most)s) t),
       (SELECT count(*) FROM campaigns WHERE application_id = %(id)s AND state = 'sending'),
       (SELECT count(*) FROM (SELECT FROM delivery_queue WHERE application_id = %(id)s LIMIT %(most)s) q)
"""


@dataclass(frozen=True, slots=True)
class Leaving:
    """What goes with an application. Each is counted up to `MANY` + 1."""

    keys: int
    domains: int
    contacts: int
    templates: int
    sending: int
    """Campaigns."""
    waiting: int
    """Messages in the queue."""

    @property
    def parts(self) -> Iterator[str]:
        """Each with its number; what there is none of is left out."""
        for number, one, many in (
            (self.keys, "key", "keys"),
            (self.domains, "domain", "domains"),
            (self.contacts, "contact", "contacts"),
            (self.templates, "template", "templates"),
            (self.sending, "campaign under way", "campaigns under way"),
            (self.waiting, "message that waits", "messages that wait"),
        ):
            if number:
                yield f"more than {MANY:,} {many}" if number > MANY else f"{number:,} {one if number == 1 else many}"

    @property
    def sentence(self) -> str:
        """`2 keys, 1 domain and 5 contacts`."""
        parts = list(self.parts)
        if not parts:
            return "nothing in it"
        return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]


async def leaving(connection: Connection, identifier: UUID) -> Leaving:
    """What would go with it."""
    names = {"id": identifier, "most": MANY + 1}
    row = await (await connection.execute(_LEAVING, names)).fetchone()
    assert row is not None
    return Leaving(*row)


async def _nothing(connection: Connection, application: Application) -> None: ...


async def delete_application(
    database: Database,
    identifier: UUID,
    *,
    cancel: bool = False,
    note: Callable[[Connection, Application], Awaitable[None]] = _nothing,
    settle: Callable[[], Awaitable[None]] = lambda: asyncio.sleep(KEEP_SECONDS),
) -> Application:
    """Delete an application. Raises Refused, and then says what to do.

    `settle` waits until no process takes mail with a key that was deleted; `note` writes into the transaction that
    deletes.
    """
    async with database.transaction() as connection:
        found = await _found(connection, identifier)
        if not cancel and (
            await campaigns.is_sending(connection, identifier) or await _under_way(connection, identifier, limit=1)
        ):
            raise _has_mail(found)
        stopped = await accounts.delete_keys(connection, identifier)
        await campaigns.cancel_all(connection, identifier, "its application was deleted")
        await automations.stop_all(connection, identifier)
    if stopped:
        await settle()
    if cancel:
        await _cancel_all(database, identifier)
    async with database.transaction() as connection:
        if await _under_way(connection, identifier, limit=1):
            raise _has_mail(found) if not cancel else _being_sent(found)
        await accounts.delete_application(connection, identifier)
        await forgetting.application(connection, identifier)
        await choices.forget_application(connection, identifier)
        await contacts.forget_application(connection, identifier)
        await segments.forget_application(connection, identifier)
        await forms.forget_application(connection, identifier)
        await automations.forget_application(connection, identifier)
        await newly_confirmed.forget_application(connection, identifier)
        await templates.forget_application(connection, identifier)
        await images.forget_application(connection, identifier)
        await confirmations.forget_application(connection, identifier)
        await imports.forget_application(connection, identifier)
        await uploads.forget_application(connection, identifier)
        await suppressions.forget_application(connection, identifier)
        await assignments.forget_gone(connection)
        await note(connection, found)
    return found


async def _found(connection: Connection, identifier: UUID) -> Application:
    found = await accounts.application_by_id(connection, identifier)
    if found is None:
        raise Refused("not_found", f"there is no application {identifier}")
    return found


async def _cancel_all(database: Database, application_id: UUID) -> None:
    """In steps: an application may have millions of mails waiting."""
    after: UUID | None = None
    while True:
        async with database.transaction() as connection:
            emails = await _under_way(connection, application_id, limit=_STEP, after=after)
            for email in emails:
                await repository.cancel(connection, application_id, email, "the application was deleted")
        if len(emails) < _STEP:
            return
        after = emails[-1]


async def _under_way(
    connection: Connection, application_id: UUID, *, limit: int, after: UUID | None = None
) -> list[UUID]:
    """Emails of which something is in the queue."""
    names = {"application": application_id, "limit": limit, "after": after}
    return [row[0] for row in await (await connection.execute(_UNDER_WAY, names)).fetchall()]


def _has_mail(found: Application) -> Refused:
    return conflict(
        f"mail of {found.name} is under way",
        hint="Wait until it has ended, or cancel what waits: `cancel=true`, on the command line --cancel.",
    )


def _being_sent(found: Application) -> Refused:
    return conflict(
        f"some mail of {found.name} is being sent right now; its keys work no more and what waited is cancelled",
        hint="Ask again in a few minutes.",
    )
