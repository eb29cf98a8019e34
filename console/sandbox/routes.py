"""`/sandbox`: mail that was caught instead of sent, rules that catch more, recipients that are only simulated.

Thin: `sandbox/mailbox` and `accounts/capture_rules`. What a mail says is shown as a foreign page (`console/frames`);
its source, headers and names of files are text. The content wants the right to see contents, besides that to this page.
"""

import asyncio
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Response

from accounts import capture_rules
from accounts.audit import Entry
from accounts.roles import Right
from console.frames import framed
from console.guard import ConsoleRoute, NotAllowed, needs
from console.listing import Listed, listed, window
from console.owners import chosen
from console.rendering import page
from console.sandbox import words
from console.visit import Visit, Visiting
from core.addresses import AddressError, fold_address
from core.paging import Page, Window
from core.refusal import Refused, invalid, not_found
from sandbox import mailbox
from sandbox.mailbox import MailView, Wanted
from sandbox.reading import Parsed, parsed
from store.database import Connection

router = APIRouter(route_class=ConsoleRoute)

TABS: Final = (("", "HTML"), ("text", "Text"), ("headers", "Headers"), ("source", "Source"))
_SHOWN_SOURCE: Final = 512 * 1024
"""Bytes of a source that a page shows; the file has all of them."""


@dataclass(frozen=True, slots=True)
class Content:
    """What one mail holds, for its page."""

    parts: Parsed
    source: str
    cut: bool


@router.get("/sandbox")
@needs(Right.SENDING_SEE)
async def list_mails(visit: Visiting) -> Response:
    """What was caught of an application, newest first."""
    return await show_list(visit)


@router.get("/sandbox/{mail_id}")
@needs(Right.SENDING_SEE)
async def show(visit: Visiting, mail_id: UUID) -> Response:
    """One mail: what would have gone out?"""
    tab = visit.asked("tab")
    async with visit.given.database.connection() as connection:
        mail, raw = await the_one(connection, visit, mail_id)
    content = await _content(raw) if visit.may(Right.MAIL_CONTENT) else None
    days = visit.given.settings.sandbox_days
    return page(
        visit, "sandbox/mail.html", mail=mail, content=content, tab=tab, tabs=TABS, words=words, days=days,
        domain=_domain(visit),
        path=f"/sandbox/{mail_id}",
    )  # fmt: skip


@router.get("/sandbox/{mail_id}/frame")
@needs(Right.MAIL_CONTENT)
async def frame(visit: Visiting, mail_id: UUID) -> Response:
    """The HTML of a mail, for the frame that it is shown in."""
    _also_the_sandbox(visit)
    async with visit.given.database.connection() as connection:
        _, raw = await the_one(connection, visit, mail_id)
    return framed((await asyncio.to_thread(parsed, raw)).html or "")


@router.get("/sandbox/{mail_id}/source.eml")
@needs(Right.MAIL_CONTENT)
async def download(visit: Visiting, mail_id: UUID) -> Response:
    """The bytes as they would have gone out. Whoever takes them is noted."""
    _also_the_sandbox(visit)
    async with visit.given.database.transaction() as connection:
        mail, raw = await the_one(connection, visit, mail_id)
        await visit.note(connection, Entry("sandbox.download", str(mail_id), application_id=mail.application_id))
    headers = {"content-disposition": f'attachment; filename="{mail_id}.eml"'}
    return Response(raw, headers=headers, media_type="message/rfc822")


async def show_list(visit: Visit, error: Refused | None = None) -> Response:
    """The list; with what an act was refused for."""
    part, to = window(visit), visit.asked("to")
    async with visit.given.database.connection() as connection:
        owner = await chosen(connection, visit)
        rules = (await capture_rules.rules(connection, owner.chosen)).entries
        count = await mailbox.count(connection, owner.chosen)
        newest = await mailbox.page(connection, Wanted(owner.chosen), Window(1))
        found, trouble = await _found(connection, Wanted(owner.chosen), to, part)
    last = next(iter(newest.entries), None)
    return page(
        visit, "sandbox/list.html", 422 if error or trouble else 200, owners=owner, rules=rules, words=words,
        list=Listed(found.entries) if error else listed(visit, found, part, lambda mail: mail.id), to=to,
        count=count, error=error, trouble=trouble,
        answered=words.overall(owner.names[owner.chosen], count, last, rules, visit.now), domain=_domain(visit),
        settings=visit.given.settings,
    )  # fmt: skip


async def the_one(connection: Connection, visit: Visit, mail_id: UUID) -> tuple[MailView, bytes]:
    """A mail that this person may see, with its bytes. Raises Refused."""
    found = await mailbox.find(connection, mailbox.EVERY, mail_id)
    if found is None:
        days = visit.given.settings.sandbox_days
        raise not_found("there is no such captured mail", f"It is kept for {days} days (POSTLANE_SANDBOX_DAYS).")
    visit.sees(found[0].application_id)
    return found


async def _found(
    connection: Connection, wanted: Wanted, to: str, part: Window[UUID]
) -> tuple[Page[MailView], Refused | None]:
    try:
        address = fold_address(to) if to else ""
    except AddressError as error:
        return Page([]), invalid("to", error.reason.rstrip("."))
    return await mailbox.page(connection, Wanted(wanted.application_id, to=address), part), None


async def _content(raw: bytes) -> Content:
    """In a thread: a large mail takes long enough for other requests to notice."""
    parts = await asyncio.to_thread(parsed, raw)
    return Content(parts, raw[:_SHOWN_SOURCE].decode("utf-8", "replace"), len(raw) > _SHOWN_SOURCE)


def _domain(visit: Visit) -> str:
    return visit.given.settings.sandbox_domain


def _also_the_sandbox(visit: Visit) -> None:
    if not visit.may(Right.SENDING_SEE):
        raise NotAllowed(Right.SENDING_SEE)
