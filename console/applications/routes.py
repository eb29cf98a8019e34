"""`/applications`: who sends through this Postlane, how much each may bring in, and what goes with one that goes.

Thin: `accounts/applications` and `campaigns/withdrawal`. Who is limited to some applications sees those, and changes
none.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from uuid import UUID

from fastapi import APIRouter, Response

from accounts import applications, repository
from accounts.applications import Changes, application_audit
from accounts.audit import Entry
from accounts.quotas import Quota, quota_of
from accounts.repository import Application, Tenant
from accounts.roles import Right
from campaigns import withdrawal
from console import menu
from console.applications import words
from console.guard import ConsoleRoute, needs
from console.listing import ROWS, listed, opened, window
from console.noun import Noun
from console.rendering import page
from console.typed import whole_number
from console.visit import Visit, Visiting
from core.paging import Page, Window
from core.refusal import Refused, invalid
from store import figures
from store.database import Connection
from store.figures import Question

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router, [menu.Entry("Send", 15, "Applications", "/applications", "applications", Right.SENDING_SEE)])


@router.get("/applications")
@needs(Right.SENDING_SEE)
async def list_applications(visit: Visiting) -> Response:
    """All that somebody sees, one perhaps open at the side."""
    return await _list(visit)


@router.post("/applications")
@needs(Right.APPLICATIONS_CHANGE)
async def create(visit: Visiting) -> Response:
    """Makes an application."""
    try:
        quota = _quota(visit)
        async with visit.given.database.transaction() as connection:
            made = await applications.create(connection, visit.field("name"), quota)
            await visit.note(connection, Entry("application.create", made.name, None, application_audit(made), made.id))
    except Refused as error:
        return await _list(visit, error)
    return visit.go(f"/applications?open={made.id}", f"{made.name} is there. It needs a domain and a key to send.")


@router.post("/applications/{application_id}")
@needs(Right.APPLICATIONS_CHANGE)
async def change(visit: Visiting, application_id: UUID) -> Response:
    """Another name, another quota."""
    try:
        wanted = Changes(visit.field("name"), _quota(visit))
        async with visit.given.database.transaction() as connection:
            before = await applications.one(connection, application_id)
            after = await applications.change(connection, before, wanted)
            values = application_audit(before), application_audit(after)
            await visit.note(connection, Entry("application.update", after.name, *values, after.id))
    except Refused as error:
        if error.kind == "not_found":
            raise
        return await _list(visit, error, str(application_id))
    return visit.go(f"/applications?open={application_id}", f"{after.name} is changed; it holds within five seconds.")


@router.get("/applications/{application_id}/delete")
@needs(Right.APPLICATIONS_CHANGE)
async def ask(visit: Visiting, application_id: UUID) -> Response:
    """What would go with it, with its numbers."""
    return await _ask(visit, application_id)


@router.post("/applications/{application_id}/delete")
@needs(Right.APPLICATIONS_CHANGE)
async def delete(visit: Visiting, application_id: UUID) -> Response:
    """Deletes it, when nothing of it waits or what waits is to be cancelled. Takes some seconds."""

    async def note(connection: Connection, gone: Application) -> None:
        entry = Entry("application.delete", gone.name, application_audit(gone), None, gone.id)
        await visit.note(connection, entry)

    try:
        gone = await withdrawal.delete_application(
            visit.given.database, application_id, cancel=visit.field("cancel") == "on", note=note
        )
    except Refused as error:
        if error.kind == "not_found":
            raise
        return await _ask(visit, application_id, error)
    return visit.go("/applications", f"{gone.name} is deleted. What it sent stays in the history.")


async def _list(visit: Visit, error: Refused | None = None, open_id: str = "") -> Response:
    open_id = open_id or visit.asked("open")
    async with visit.given.database.connection() as connection:
        mine = visit.applications
        found = [one for one in await repository.tenants(connection) if not mine or one.application.id in mine]
        accepted = await _accepted(connection, visit)
    shown = next((one for one in found if str(one.application.id) == open_id), None)
    wanted = window(visit)
    rows = listed(visit, _part(found, wanted), wanted, lambda one: one.application.id)
    total = sum(accepted.get(str(one.application.id), 0) for one in found)
    return page(
        visit, "applications/list.html", 422 if error else 200, list=rows, accepted=accepted, shown=shown, words=words,
        answered=words.who_sends(found, total), error=error,
        at=partial(opened, visit),
    )  # fmt: skip


def _part(found: Sequence[Tenant], wanted: Window[UUID]) -> Page[Tenant]:
    """What a page shows of them, in their order. Pure."""
    ids = [one.application.id for one in found]
    if wanted.before in ids:
        end = ids.index(wanted.before)
        return Page(found[max(0, end - ROWS) : end], end > ROWS)
    begin = ids.index(wanted.after) + 1 if wanted.after in ids else 0
    return Page(found[begin : begin + ROWS], len(found) > begin + ROWS)


async def _ask(visit: Visit, application_id: UUID, error: Refused | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        found = await applications.one(connection, application_id)
        leaving = await withdrawal.leaving(connection, application_id)
    return page(visit, "applications/delete.html", 422 if error else 200, found=found, leaving=leaving, error=error)


async def _accepted(connection: Connection, visit: Visit) -> Mapping[str, int]:
    """Messages of the last 24 hours by application."""
    since = (visit.now - timedelta(hours=24)).replace(minute=0, second=0, microsecond=0)
    asked = Question(
        since, visit.now, visit.zone, group=("application",), applications=visit.applications, hours_kept=visit.kept,
        now=visit.now,
    )  # fmt: skip
    rows = (await figures.ask(connection, asked)).rows
    return {row.keys[0]: row.tally.measures()["accepted"] for row in rows}


def _quota(visit: Visit) -> Quota:
    """What the form says; empty fields are no quota. Raises Refused."""
    return quota_of(_number(visit, "messages_per_day"), _number(visit, "messages_per_second"))


def _number(visit: Visit, name: str) -> int | None:
    text = visit.field(name)
    if not text:
        return None
    found = whole_number(text)
    if found is None:
        raise invalid(name, "it must be a whole number, or empty for no quota")
    return found
