"""`/messages`: search, the story of one message, its content, and what may be done to it.

What a mail says is shown as a foreign page: in a frame without scripts, with a policy of its own that loads nothing
from anywhere, so that looking at it opens no pixel and follows no link.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

import psycopg
from fastapi import APIRouter, Response

from accounts.audit import Entry
from accounts.roles import Right
from console import menu
from console.frames import framed, height_of
from console.guard import ConsoleRoute, needs
from console.listing import ROWS, Listed, listed, opened, text_window, with_more
from console.messages import asked, found
from console.messages.asked import Asked
from console.messages.found import Found
from console.noun import Noun
from console.rendering import page
from console.visit import Visit, Visiting
from core.addresses import fold_address
from core.ids import moment_of
from core.paging import Page, Window
from core.refusal import Refused, conflict
from messages import again, repository, search
from messages.model import MessageRef
from messages.search import Filter, Look, MessageRow
from messages.source import source
from sandbox.reading import parsed
from store import figures
from store.database import Connection
from store.figures import Question
from store.tally import Tally
from suppression import adding
from suppression.asking import Asker
from suppression.reasons import Source
from suppression.wishes import Wish, addition

router = APIRouter(route_class=ConsoleRoute)

_SECONDS: Final = 4
"""After so long a search is given up: somebody waits for it, and others for the database."""
_YEAR: Final = timedelta(days=366)
_SHOWN_SOURCE: Final = 512 * 1024
"""Bytes of a source that a page shows; the file has all of them."""
TABS: Final = (("", "Story"), ("html", "HTML"), ("text", "Text"), ("source", "Source"))


@router.get("/messages")
@needs(Right.MAIL_SEE)
async def list_messages(visit: Visiting) -> Response:
    """What was sent to whom, newest first; with one of them open at the side."""
    form = asked.asked(visit)
    if known := asked.id_in(form.q):
        return visit.go(_path(*known))
    async with visit.given.database.connection() as connection:
        totals = await _totals(connection, visit, form)
        rows, look, error = await _rows(connection, visit, form)
        shown = await _open(connection, visit)
    return page(
        visit,
        "messages/messages.html",
        422 if error is not None and error.field else 200,
        form=form,
        totals=totals,
        list=rows,
        reached=moment_of(look.reached) if look.reached else None,
        looked=look.through,
        further=with_more(visit, look=asked.EVERYTHING),
        error=error,
        shown=shown,
        opened=opened,
        asked=asked,
    )


@router.get("/messages/{email_id}")
@needs(Right.MAIL_SEE)
async def show_email(visit: Visiting, email_id: UUID) -> Response:
    """On to its first recipient."""
    return visit.go(f"/messages/{email_id}/0")


@router.get("/messages/{email_id}/{position}")
@needs(Right.MAIL_SEE)
async def show(visit: Visiting, email_id: UUID, position: int) -> Response:
    """One message: where is it, and why?"""
    tab = visit.asked("tab")
    async with visit.given.database.connection() as connection:
        one = await found.message(connection, visit, email_id, position)
        content = await _content(connection, one) if tab and visit.may(Right.MAIL_CONTENT) else None
    return page(visit, "messages/message.html", one=one, tab=tab, tabs=TABS, content=content)


@router.get("/messages/{email_id}/{position}/frame")
@needs(Right.MAIL_CONTENT)
async def frame(visit: Visiting, email_id: UUID, position: int) -> Response:
    """The HTML of a mail, for the frame that it is shown in."""
    async with visit.given.database.connection() as connection:
        _, email = await found.email_of(connection, visit, email_id)
        html = email.html or (parsed(await source(connection, email) or b"").html if not email.text else "") or ""
    return framed(html)


@router.get("/messages/{email_id}/{position}/source.eml")
@needs(Right.MAIL_CONTENT)
async def download(visit: Visiting, email_id: UUID, position: int) -> Response:
    """The source as a file. Whoever takes one is noted."""
    async with visit.given.database.transaction() as connection:
        application_id, email = await found.email_of(connection, visit, email_id)
        raw = await source(connection, email)
        if raw is None:
            raise conflict("its content is no longer stored", "`POSTLANE_CONTENT_DAYS` says how long it is kept.")
        await visit.note(connection, Entry("message.download", str(email_id), application_id=application_id))
    headers = {"content-disposition": f'attachment; filename="{email_id}.eml"'}
    return Response(raw, headers=headers, media_type="message/rfc822")


@router.post("/messages/{email_id}/{position}/cancel")
@needs(Right.MAIL_CHANGE)
async def cancel(visit: Visiting, email_id: UUID, position: int) -> Response:
    """Take back what has not left of an email, for all its recipients."""
    async with visit.given.database.transaction() as connection:
        application_id, email = await found.email_of(connection, visit, email_id)
        before = sorted({one.state.value for one in email.recipients})
        change = await repository.cancel(connection, application_id, email_id, f"cancelled by {visit.me.email}")
        if change is None or not change.moved:
            raise conflict("it is too late: the email is sent, ended, or being sent right now")
        after = sorted(state.value for state in change.states)
        entry = Entry("message.cancel", str(email_id), {"states": before}, {"states": after}, application_id)
        await visit.note(connection, entry)
    return visit.go(f"/messages/{email_id}/{position}", f"Cancelled for {change.moved} of {len(email.recipients)}.")


@router.post("/messages/{email_id}/{position}/again")
@needs(Right.MAIL_CHANGE)
async def send_again(visit: Visiting, email_id: UUID, position: int) -> Response:
    """The same once more to this recipient, as a new email; pressed twice it is one."""
    async with visit.given.database.transaction() as connection:
        one = await found.message(connection, visit, email_id, position)
        times = visit.field("times")[:6]
        key = again.pressed(MessageRef(email_id, position), int(times) if times.isdecimal() else one.story.repeated)
        domain = visit.given.settings.sandbox_domain
        wish = again.Wish(one.application_id, email_id, position, f"by {visit.me.email}", domain, key)
        new, fresh = again.settled(await again.send(connection, wish))
        if fresh:
            after = {"email": str(new), "recipient_number": position}
            await visit.note(connection, Entry("message.again", str(email_id), None, after, one.application_id))
    told = "Accepted: this is the new email." if fresh else "It was sent again already: this is that email."
    return visit.go(_path(new, 0), told)


@router.post("/messages/{email_id}/{position}/suppress")
@needs(Right.SUPPRESSIONS_CHANGE)
async def suppress(visit: Visiting, email_id: UUID, position: int) -> Response:
    """Nothing more to this address; of somebody limited to applications, nothing more of that one."""
    async with visit.given.database.transaction() as connection:
        one = await found.message(connection, visit, email_id, position)
        only_for = str(one.application_id) if visit.applications else ""
        wish = Wish(only_for=only_for, note=visit.field("note")[:500])
        asker = Asker(visit.me.email, one.application_id if only_for else None)
        added = await adding.add(
            connection, [addition(fold_address(one.row.recipient), wish, asker, Source.CONSOLE, visit.now)]
        )
        after = {"reason": "manual", "scope": "all", "only_for": only_for or None}
        await visit.note(connection, Entry("suppression.add", str(added[0].id), after=after))
    return visit.go(one.path, f"{one.row.recipient} gets no more mail.")


async def _rows(connection: Connection, visit: Visit, form: Asked) -> tuple[Listed[MessageRow], Look, Refused | None]:
    """The rows, how far was looked for them, and why there are none."""
    part, seek = text_window(visit, ROWS), _everywhere if form.everything else search.look
    found, refused = Look(Page([])), None
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = '{_SECONDS}s'")
            found = await seek(connection, asked.wanted(visit, form), part)
    except psycopg.errors.QueryCanceled:
        refused = conflict(
            f"this search took longer than {_SECONDS} s and was given up", "Name an address, or a shorter time."
        )
    except ValueError as error:  # a place in the list that is none, or Refused: what was typed is no address
        refused = error if isinstance(error, Refused) else None
    except Refused as error:
        refused = error
    return listed(visit, found.page, part, lambda row: row.message), found, refused


async def _everywhere(connection: Connection, wanted: Filter, part: Window[str]) -> Look:
    return Look(await search.page(connection, wanted, part))


async def _totals(connection: Connection, visit: Visit, form: Asked) -> Tally:
    """Of all mail in this time, from the counters."""
    lasting = asked.PERIODS[form.period][1]
    since = visit.now - (lasting or _YEAR)
    streams = (form.lane,) if form.lane else ()
    wanted = Question(
        since, visit.now, visit.zone, applications=visit.applications, streams=streams, hours_kept=visit.kept,
        now=visit.now,
    )  # fmt: skip
    return (await figures.ask(connection, wanted)).totals


async def _open(connection: Connection, visit: Visit) -> Found | None:
    known = asked.id_in(visit.asked("open"))
    if known is None:
        return None
    try:
        return await found.message(connection, visit, known[0], known[1] or 0)
    except Refused:
        return None


@dataclass(frozen=True, slots=True)
class Content:
    """What a mail says, as far as a page shows it."""

    text: str | None
    height: int
    """Pixels of its HTML, which the frame asks for; 0: it has no such part."""
    source: str
    cut: bool
    """The source goes on."""


async def _content(connection: Connection, one: Found) -> Content | None:
    raw = await source(connection, one.email)
    if raw is None:
        return None
    email = one.email
    text, html = email.text, email.html
    if text is None and html is None:
        read = parsed(raw)
        text, html = read.text, read.html
    shown = raw[:_SHOWN_SOURCE].decode("utf-8", "replace")
    height = height_of(html) if html is not None else 0
    return Content(text, height, shown, len(raw) > _SHOWN_SOURCE)


async def _jump(visit: Visit, text: str) -> str | None:
    """An id leads to its message, an address or a domain to its mail."""
    if not visit.may(Right.MAIL_SEE):
        return None
    if known := asked.id_in(text):
        async with visit.given.database.connection() as connection:
            return _path(*known) if await found.is_seen(connection, visit, known[0]) else None
    return f"/messages?{urlencode({'q': text, 'period': 'all'})}" if asked.is_whom(text) else None


def _path(email_id: UUID, position: int | None) -> str:
    return f"/messages/{email_id}/{position or 0}"


NOUN = Noun(router, [menu.Entry("Send", 10, "Messages", "/messages", "messages", Right.MAIL_SEE)], _jump)
