"""What people do to campaigns: send, schedule, pause, resume, cancel, try again, once more, delete.

Thin: `campaigns/steering` decides, as for the API and the command line; each act stands in the audit log.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Response

from accounts.audit import Entry
from accounts.roles import Right
from campaigns import steering
from campaigns.following import Whom
from campaigns.model import Campaign
from campaigns.states import CampaignState
from campaigns.steering import Retried
from console.campaigns import words
from console.campaigns.door import the_one, values
from console.campaigns.routes import show_checks, show_one
from console.guard import ConsoleRoute, needs
from console.shown import exact, plural
from console.visit import Visit, Visiting
from core.refusal import Refused, invalid
from store.database import Connection

router = APIRouter(route_class=ConsoleRoute)


@dataclass(frozen=True, slots=True)
class _Act:
    do: Callable[[Connection, Campaign], Awaitable[Any]]
    said: Callable[[Campaign], str]
    """Of the campaign as it was."""


def _open(found: Campaign) -> str:
    return f"{words.Counts.of(found).open:,}"


_ACTS: Final[Mapping[str, _Act]] = {
    "pause": _Act(steering.pause, lambda was: f"Paused: {_open(was)} to come, once it goes on."),
    "resume": _Act(steering.resume, lambda was: f"It goes on: {_open(was)} to come."),
    "cancel": _Act(
        steering.cancel,
        lambda was: "A draft again." if was.state is CampaignState.SCHEDULED else f"Cancelled for {_open(was)}.",
    ),
    "retry": _Act(steering.retry, lambda was: f"{plural(words.retried(was), 'person is', 'people are')} tried again."),
}


@router.post("/campaigns/{campaign_id}/start")
@needs(Right.CAMPAIGNS_SEND)
async def start(visit: Visiting, campaign_id: UUID) -> Response:
    """Send it now, at the time of its plan, or at one that was given."""
    try:
        async with visit.given.database.transaction() as connection:
            was = await the_one(connection, visit, campaign_id)
            at, pages = _moment(visit), bool(visit.given.settings.public_url)
            if at is None and was.plan.local is None:
                now = await steering.start(connection, was, pages=pages)
            else:
                now = await steering.schedule(connection, was, at, visit.now, pages=pages)
            await _note(connection, visit, "start" if now.state is CampaignState.SENDING else "schedule", was, now)
    except Refused as error:
        return await show_checks(visit, campaign_id, error)
    said = "It is on its way." if at is None else f"It begins on {exact(at, visit.zone)}."
    return visit.go(f"/campaigns/{campaign_id}", said)


@router.post("/campaigns/{campaign_id}/winner")
@needs(Right.CAMPAIGNS_SEND)
async def choose(visit: Visiting, campaign_id: UUID) -> Response:
    """Those who wait for the winner get this variant."""
    try:
        async with visit.given.database.transaction() as connection:
            was = await the_one(connection, visit, campaign_id)
            chosen = visit.field("variant")
            number = int(chosen) if chosen.isascii() and chosen.isdigit() and len(chosen) < 4 else -1
            await steering.choose(connection, was, number)
            entry = Entry("campaign.winner", str(was.id), None, {"variant": number}, was.application_id)
            await visit.note(connection, entry)
    except Refused as error:
        return await show_one(visit, campaign_id, error)
    return visit.go(f"/campaigns/{campaign_id}", f"Variant {number} goes to everybody who waited.")


@router.post("/campaigns/{campaign_id}/duplicate")
@needs(Right.CAMPAIGNS_CHANGE)
async def duplicate(visit: Visiting, campaign_id: UUID) -> Response:
    """A new draft with the same words."""
    async with visit.given.database.transaction() as connection:
        was = await the_one(connection, visit, campaign_id)
        made = await steering.duplicate(connection, was)
        await _note(connection, visit, "create", None, made)
    return visit.go(f"/campaigns/{made.id}/edit", "A copy, as a draft.")


@router.post("/campaigns/{campaign_id}/again")
@needs(Right.CAMPAIGNS_CHANGE)
async def again(visit: Visiting, campaign_id: UUID) -> Response:
    """A new draft for those who missed it, or did not open it, and for nobody else."""
    try:
        async with visit.given.database.transaction() as connection:
            was = await the_one(connection, visit, campaign_id)
            made = await steering.again(connection, was, _whom(visit.field("to")))
            await _note(connection, visit, "create", None, made)
    except Refused as error:
        return await show_one(visit, campaign_id, error)
    return visit.go(f"/campaigns/{made.id}", "A draft for them. Change its subject if you like, then send it.")


@router.post("/campaigns/{campaign_id}/delete")
@needs(Right.CAMPAIGNS_CHANGE)
async def delete(visit: Visiting, campaign_id: UUID) -> Response:
    """A draft, or one that has ended, with its report."""
    try:
        async with visit.given.database.transaction() as connection:
            was = await the_one(connection, visit, campaign_id)
            await steering.remove(connection, was)
            await visit.note(connection, Entry("campaign.delete", str(was.id), values(was), None, was.application_id))
    except Refused as error:
        return await show_one(visit, campaign_id, error)
    return visit.go("/campaigns", f"{words.called(was)} is gone.")


@router.post("/campaigns/{campaign_id}/{act}")
@needs(Right.CAMPAIGNS_SEND)
async def do(visit: Visiting, campaign_id: UUID, act: str) -> Response:
    """Pause, resume, cancel, retry."""
    try:
        known = _ACTS.get(act)
        if known is None:
            raise invalid("", f"a campaign can only {', '.join(_ACTS)}")
        async with visit.given.database.transaction() as connection:
            was = await the_one(connection, visit, campaign_id)
            done = await known.do(connection, was)
            now = done.campaign if isinstance(done, Retried) else done
            await _note(connection, visit, act, was, now)
    except Refused as error:
        return await show_one(visit, campaign_id, error)
    return visit.go(f"/campaigns/{campaign_id}", known.said(was))


async def _note(connection: Connection, visit: Visit, act: str, was: Campaign | None, now: Campaign) -> None:
    before = values(was) if was else None
    await visit.note(connection, Entry(f"campaign.{act}", str(now.id), before, values(now), now.application_id))


def _moment(visit: Visit) -> datetime | None:
    """When it begins, on the clock of whoever says so; None: now. Raises Refused."""
    text = visit.field("at") if visit.field("when") == "at" else ""
    if visit.field("when") == "at" and not text:
        raise invalid("at", "say when")
    if not text:
        return None
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        raise invalid("at", "it must be a date and a time, such as 2026-12-24T09:00") from None
    return local if local.tzinfo else local.replace(tzinfo=visit.zone)


def _whom(text: str) -> Whom:
    try:
        return Whom(text)
    except ValueError:
        raise invalid("", f"it goes to those who {' or '.join(Whom)}") from None
