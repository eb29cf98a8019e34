"""`/audit`: the audit log, newest first, with what was before and after at its side."""

from uuid import UUID

from fastapi import APIRouter, Response

from accounts import audit
from accounts.audit import Wanted
from accounts.roles import Right
from console import menu
from console.audit import words
from console.guard import ConsoleRoute, needs
from console.listing import listed, opened, window
from console.noun import Noun
from console.rendering import page
from console.visit import Visiting

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router, [menu.Entry("Administer", 20, "Audit log", "/audit", "audit", Right.AUDIT_SEE)])


@router.get("/audit")
@needs(Right.AUDIT_SEE)
async def show(visit: Visiting) -> Response:
    """Lines of the log."""
    wanted = Wanted(visit.asked("actor"), visit.asked("action"), visit.asked("subject"))
    part = window(visit)
    async with visit.given.database.connection() as connection:
        found = await audit.page(connection, wanted, part)
        shown = await audit.find(connection, known) if (known := _id(visit.asked("open"))) else None
    rows = listed(visit, found, part, lambda line: line.id)
    return page(
        visit,
        "audit/audit.html",
        list=rows,
        wanted=wanted,
        shown=shown,
        changes=list(words.changes(shown)) if shown else [],
        opened=opened,
        told=words.said,
        leads=words.leads,
        name_of=words.name_of,
    )


def _id(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
