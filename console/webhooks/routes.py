"""`/webhooks`: who is told of what, how that goes, and every try with its answer. What changes them is `acts`.

Thin: `webhooks/standing` and `webhooks/events`, as for the API and the command line. What an endpoint answered was
written by somebody else: it is shown as text, shortened beside its event and whole on the event's own page.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, cast
from uuid import UUID

import orjson
from fastapi import APIRouter, Response

from accounts.roles import Right
from console.guard import ConsoleRoute, needs
from console.listing import Listed, listed, opened, window
from console.owners import asked_for, owners
from console.rendering import page
from console.visit import Visit, Visiting
from console.webhooks import words
from console.webhooks.door import the_one, whose
from core.paging import Page, Window
from core.refusal import Refused, invalid
from store.database import Connection
from webhooks import events, standing
from webhooks.endpoints import OVERLAP
from webhooks.events import Attempt, EventDetail, Status, Which
from webhooks.standing import Standing

router = APIRouter(route_class=ConsoleRoute)

_TRIES: Final = 10
"""Attempts beside an event; its page has all."""
_LONG_AGO: Final = "2020-01-01T00:00"


@dataclass(frozen=True, slots=True)
class Told:
    """One event with what was tried."""

    event: EventDetail
    attempts: Page[Attempt]

    @property
    def body(self) -> str:
        """What is sent, laid out for people."""
        return orjson.dumps(self.event.payload, option=orjson.OPT_INDENT_2).decode()


@dataclass(frozen=True, slots=True)
class Range:
    """What is to be sent again."""

    since: datetime
    until: datetime
    which: Which
    narrowed: bool
    """Somebody said from when or until when."""


@router.get("/webhooks")
@needs(Right.SENDING_SEE)
async def list_webhooks(visit: Visiting) -> Response:
    """All endpoints that this person sees, newest first."""
    part = window(visit)
    async with visit.given.database.connection() as connection:
        names = await owners(connection, visit)
        chosen = next(iter(asked_for(visit, names)), None)
        mine = whose(visit, chosen)
        found = await standing.page(connection, mine, part)
        tally = await standing.tally(connection, mine)
    rows = listed(visit, found, part, lambda one: one.endpoint.id)
    options = [("", "all applications"), *((str(owner), name) for owner, name in names.items())]
    return page(
        visit, "webhooks/list.html", list=rows, names=names, words=words, options=options,
        chosen=str(chosen or ""), answered=words.overall(tally),
    )  # fmt: skip


@router.get("/webhooks/{webhook_id}")
@needs(Right.SENDING_SEE)
async def show(visit: Visiting, webhook_id: UUID) -> Response:
    """One endpoint: did it hear everything?"""
    return await show_one(visit, webhook_id)


@router.get("/webhooks/{webhook_id}/replay")
@needs(Right.SENDING_CHANGE)
async def ask(visit: Visiting, webhook_id: UUID) -> Response:
    """How many events would be sent again, before they are."""
    try:
        wanted = range_of(visit, visit.asked("since"), visit.asked("until"), visit.asked("which"))
    except Refused as error:
        return await show_one(visit, webhook_id, error)
    async with visit.given.database.connection() as connection:
        one = await the_one(connection, visit, webhook_id, change=True)
        count = await standing.count(connection, webhook_id, wanted.since, wanted.until, wanted.which)
    return page(visit, "webhooks/replay.html", one=one, wanted=wanted, count=count, words=words)


@router.get("/webhooks/{webhook_id}/events/{event_id}")
@needs(Right.SENDING_SEE)
async def show_event(visit: Visiting, webhook_id: UUID, event_id: UUID) -> Response:
    """One event: its body, and every try with its whole answer."""
    async with visit.given.database.connection() as connection:
        one = await the_one(connection, visit, webhook_id)
        told = await _told(connection, webhook_id, event_id, Window())
    return page(visit, "webhooks/event.html", one=one, told=told, words=words, may_change=may_change(visit, one))


async def show_one(visit: Visit, webhook_id: UUID, error: Refused | None = None) -> Response:
    """Its page; with what an act was refused for."""
    part, status = window(visit), _status(visit.asked("status"))
    async with visit.given.database.connection() as connection:
        one = await the_one(connection, visit, webhook_id)
        found = await events.page(connection, webhook_id, part, status)
        secrets = await standing.signing(connection, webhook_id)
        names = await owners(connection, visit)
        last = await _last_try(connection, one)
        known = _id(visit.asked("open"))
        told = await _told(connection, webhook_id, known, Window(_TRIES)) if known else None
    return page(
        visit, "webhooks/one.html", 200 if error is None else 422, one=one, secrets=secrets, names=names, told=told,
        list=Listed(found.entries) if error else listed(visit, found, part, lambda event: event.id),
        chosen=status or "", words=words, at=partial(_at, visit, webhook_id), error=error,
        answered=words.heard(one, last, visit.now), may_change=may_change(visit, one),
        hours=round(OVERLAP.total_seconds() / 3600), path=f"/webhooks/{webhook_id}",
    )  # fmt: skip


def may_change(visit: Visit, one: Standing) -> bool:
    """Whether this person may change this endpoint."""
    return visit.may(Right.SENDING_CHANGE if one.endpoint.application_id else Right.MACHINE_CHANGE)


def range_of(visit: Visit, since: str, until: str, which: str) -> Range:
    """What is to be sent again, on the clock of whoever says it. Raises Refused."""
    if which not in events.WHICH:
        raise invalid("which", "choose what is sent again")
    begin, end = _moment(visit, "since", since or _LONG_AGO), visit.now
    if until:
        end = _moment(visit, "until", until)
    if begin >= end:
        raise invalid("until", "it must be after the beginning")
    return Range(begin, end, cast(Which, which), bool(since or until))


def _at(visit: Visit, webhook_id: UUID, identifier: object) -> str:
    """The page with this event open, "" for none, whatever form it answers."""
    path = f"/webhooks/{webhook_id}"
    if visit.path == path:
        return opened(visit, identifier)
    return f"{path}?open={identifier}" if identifier else path


async def _told(connection: Connection, webhook_id: UUID, event_id: UUID, part: Window[UUID]) -> Told:
    event = await events.get(connection, webhook_id, event_id)
    return Told(event, await events.attempts(connection, webhook_id, event_id, part))


async def _last_try(connection: Connection, one: Standing) -> Attempt | None:
    """The last answer of an endpoint that takes nothing."""
    if one.endpoint.failing_since is None:
        return None
    tried = await events.page(connection, one.endpoint.id, Window(1), "attempting")
    for event in tried.entries:
        for attempt in (await events.attempts(connection, one.endpoint.id, event.id, Window(1))).entries:
            return attempt
    return None


def _moment(visit: Visit, name: str, text: str) -> datetime:
    try:
        local = datetime.fromisoformat(text)
        moment = local if local.tzinfo else local.replace(tzinfo=visit.zone)
        moment.timestamp()
    except (ValueError, OverflowError):
        raise invalid(name, "it must be a date and a time, such as 2026-12-24T09:00") from None
    return moment


def _status(text: str) -> Status | None:
    return cast(Status, text) if text in words.STATES else None


def _id(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
