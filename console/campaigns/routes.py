"""`/campaigns`: the list, one campaign with its figures and people, what the checks say before it begins.

Progress comes from tallies, which cost nothing at any size; figures by provider, IP and hour come from the rows, and
are read with the page only of a small campaign. Whoever waits for them gets them behind the page.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Final
from uuid import UUID

import psycopg
from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse

from accounts.audit import Entry
from accounts.roles import Right
from campaigns import report, repository
from campaigns.checking import checks
from campaigns.forecast import HELD
from campaigns.model import Campaign
from campaigns.report import Kind, Wanted
from campaigns.states import CampaignState
from console.campaigns import asked, words
from console.campaigns.door import the_one
from console.guard import ConsoleRoute, needs
from console.listing import listed, window, with_more
from console.owners import owners
from console.rendering import page
from console.visit import Visit, Visiting
from core.addresses import AddressError, fold_address
from core.refusal import Refused, conflict, invalid
from store.database import Database

router = APIRouter(route_class=ConsoleRoute)

_BEGUN: Final = (CampaignState.SENDING, CampaignState.PAUSED, CampaignState.STOPPED)
_ALL: Final = "all"
"""How the address says that a search goes through all people."""
_BEFORE: Final = (CampaignState.DRAFT, CampaignState.SCHEDULED)


@router.get("/campaigns")
@needs(Right.CAMPAIGNS_SEE)
async def list_campaigns(visit: Visiting) -> Response:
    """All of them, newest first, with their progress."""
    async with visit.given.database.connection() as connection:
        part = window(visit)
        found = await repository.page_of(connection, visit.applications, part)
        names = await owners(connection, visit)
    rows = listed(visit, found, part, lambda one: one.id)
    return page(
        visit, "campaigns/list.html", list=rows, owners=names, words=words, counts=words.Counts.of,
        answered=words.overall(found.entries),
    )  # fmt: skip


@router.get("/campaigns/{campaign_id}")
@needs(Right.CAMPAIGNS_SEE)
async def show(visit: Visiting, campaign_id: UUID) -> Response:
    """One campaign: who got it, who did not and why, when does it end?"""
    return await show_one(visit, campaign_id)


@router.get("/campaigns/{campaign_id}/end")
@needs(Right.CAMPAIGNS_SEE)
async def show_end(visit: Visiting, campaign_id: UUID) -> Response:
    """When it will be out, provider by provider."""
    async with visit.given.database.connection() as connection:
        found = await the_one(connection, visit, campaign_id)
    outlook = await asked.end(visit, found) if found.state in _BEGUN else None
    return page(
        visit, "campaigns/end.html", one=found, outlook=outlook, held=HELD, called=words.called(found), words=words
    )


@router.get("/campaigns/{campaign_id}/checks")
@needs(Right.CAMPAIGNS_SEND)
async def check(visit: Visiting, campaign_id: UUID) -> Response:
    """All that can be known before it begins, and the button that begins it."""
    return await show_checks(visit, campaign_id)


@router.get("/campaigns/{campaign_id}/recipients")
@needs(Right.MAIL_SEE)
async def recipients(visit: Visiting, campaign_id: UUID) -> Response:
    """Its people with what became of their mail, and why."""
    form = {"type": visit.asked("type"), "q": visit.asked("q")}
    part, error, more = window(visit), None, False
    async with visit.given.database.connection() as connection:
        one = await the_one(connection, visit, campaign_id)
        try:
            wanted = _wanted(form["type"], form["q"])
            if visit.asked("look") == _ALL:
                found = await report.recipients(connection, one.id, wanted, part)
            else:
                found, more = await report.look(connection, one, wanted, part)
        except Refused as refusal:
            error, found = refusal, await report.recipients(connection, one.id, Wanted(), part)
    rows = listed(visit, found, part, lambda row: row.contact_id)
    return page(
        visit, "campaigns/recipients.html", 422 if error else 200, one=one, list=rows, form=form, kinds=list(Kind),
        words=words, counts=words.Counts.of(one), error=error, more=more, looked=report.LOOKED,
        further=with_more(visit, look=_ALL),
    )  # fmt: skip


@router.get("/campaigns/{campaign_id}/recipients.csv")
@needs(Right.MAIL_SEE)
async def download(visit: Visiting, campaign_id: UUID) -> Response:
    """The same as a table for spreadsheets, all of them. Whoever takes people out of here is noted."""
    wanted = _wanted(visit.asked("type"), "")
    async with visit.given.database.transaction() as connection:
        found = await the_one(connection, visit, campaign_id)
        after = {"people": wanted.kind or "all"}
        await visit.note(connection, Entry("campaign.download", str(found.id), None, after, found.application_id))
    headers = {"content-disposition": f'attachment; filename="campaign-{found.id}.csv"'}
    return StreamingResponse(_lines(visit.given.database, found, wanted), headers=headers, media_type="text/csv")


async def show_one(visit: Visit, campaign_id: UUID, error: Refused | None = None) -> Response:
    """Its page; with what an act was refused for."""
    async with visit.given.database.connection() as connection:
        one = await the_one(connection, visit, campaign_id)
        names = await asked.names(connection, one)
        counts = words.Counts.of(one)
        figures, slow = None, False
        if counts.total and _wants_figures(visit.asked("figures"), counts.total):
            try:
                figures = await asked.figures(connection, visit, one)
            except psycopg.errors.QueryCanceled:
                slow = True
    return page(
        visit, "campaigns/one.html", 200 if error is None else 422, one=one, names=names, counts=counts,
        words=words, found=figures, slow=slow, error=error, begun=one.state in _BEGUN, before=one.state in _BEFORE,
        large=counts.total > asked.AT_ONCE,
    )  # fmt: skip


async def show_checks(visit: Visit, campaign_id: UUID, error: Refused | None = None) -> Response:
    """What the checks find; with what a start was refused for."""
    async with visit.given.database.connection() as connection:
        one = await the_one(connection, visit, campaign_id)
        names = await asked.names(connection, one)
    if one.state not in _BEFORE:
        raise conflict(f"this campaign is {one.state}: it has begun", "Duplicate it to send it once more.")
    found = await checks.check(visit.given.tools, one)
    return page(
        visit, "campaigns/checks.html", 200 if error is None else 422, one=one, names=names, found=found, held=HELD,
        words=words, error=error,
    )  # fmt: skip


def _wants_figures(said: str, people: int) -> bool:
    """With the page those of few people; those of many when they are asked for."""
    return people <= asked.AT_ONCE or bool(said)


def _wanted(kind: str, text: str) -> Wanted:
    """Which people. Raises Refused for what is no address."""
    if kind and kind not in list(Kind):
        raise invalid("type", "there is no such outcome")
    wanted = Wanted(Kind(kind) if kind else None)
    if not text:
        return wanted
    try:
        return replace(wanted, email=fold_address(text))
    except AddressError as error:
        raise invalid("q", error.reason.rstrip(".")) from None


async def _lines(database: Database, found: Campaign, wanted: Wanted) -> AsyncIterator[str]:
    yield report.csv_header()
    async for rows in report.every(database, found.id, wanted):
        yield "".join(report.csv_rows(rows))
