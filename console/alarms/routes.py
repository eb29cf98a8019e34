"""`/alarms`: what needs somebody and what to do; look after it, hear of it later, close it; streams that are stopped.

`?open=ID` opens the story of one. Thin: `alarms/repository`, `alarms/breakers` and `messages/stopped`, as for the API
and the command line. An alarm whose cause is gone closes by itself.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Response

from accounts import repository as accounts
from accounts.audit import Entry as Audit
from accounts.audit import Values
from accounts.roles import Right
from alarms import breakers, repository
from alarms.advice import meaning, what_to_do
from alarms.model import Alarm, AlarmChange
from console.alarms import words
from console.guard import ConsoleRoute, needs
from console.listing import opened
from console.menu import Entry
from console.noun import Noun
from console.rendering import page
from console.shown import plural
from console.visit import Visit, Visiting
from core.queues import Lane
from core.refusal import Refused, invalid
from messages.stopped import let_go
from mta.from_settings import providers_of
from mta.providers import OTHER, site_named
from pools.assignments import subject_named
from pools.ips import plain_reason
from store.database import Connection

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router, [Entry("Operate", 50, "Alarms", "/alarms", "alarms", Right.MACHINE_SEE)])

_PAST_DAYS: Final = 14
_PAST: Final = 30
SNOOZES: Final = ((60, "1 hour"), (480, "8 hours"), (1440, "1 day"), (10_080, "1 week"))
"""Minutes, and how that is said."""


@dataclass(frozen=True, slots=True)
class Story:
    """One alarm, and what happened to it."""

    alarm: Alarm
    changes: Sequence[AlarmChange]


@router.get("/alarms")
@needs(Right.MACHINE_SEE)
async def show(visit: Visiting) -> Response:
    """Open ones, streams that are stopped, and what is over."""
    return await _alarms(visit, visit.asked("open"))


@router.post("/alarms/{alarm_id}/acknowledge")
@needs(Right.MACHINE_CHANGE)
async def acknowledge(alarm_id: UUID, visit: Visiting) -> Response:
    """Somebody looks after it: nobody is told again, unless it gets worse."""
    work = partial(repository.acknowledge, alarm_id=alarm_id, by=visit.me.email)
    alarm = await _change(visit, alarm_id, "acknowledge", work)
    return visit.go("/alarms", f"{alarm.subject}: you look after it. Nobody is told again, unless it gets worse.")


@router.post("/alarms/{alarm_id}/snooze")
@needs(Right.MACHINE_CHANGE)
async def snooze(alarm_id: UUID, visit: Visiting) -> Response:
    """Nobody hears of it for a while, unless it gets worse."""
    try:
        lasting = timedelta(minutes=int(visit.field("minutes")))
    except (ValueError, OverflowError):
        raise invalid("minutes", "choose for how long") from None
    work = partial(repository.snooze, alarm_id=alarm_id, lasting=lasting, by=visit.me.email)
    alarm = await _change(visit, alarm_id, "snooze", work)
    return visit.go("/alarms", f"{alarm.subject}: nobody is told until then, unless it gets worse.")


@router.post("/alarms/{alarm_id}/close")
@needs(Right.MACHINE_CHANGE)
async def close(alarm_id: UUID, visit: Visiting) -> Response:
    """Closes it. When the same thing happens again, it is raised again."""
    alarm = await _change(
        visit, alarm_id, "close", partial(repository.close_alarm, alarm_id=alarm_id, by=visit.me.email)
    )
    return visit.go("/alarms", f"{alarm.subject}: closed. It comes back if the same thing happens again.")


@router.post("/breakers")
@needs(Right.MACHINE_CHANGE)
async def stop(visit: Visiting) -> Response:
    """Stops a stream of an application at a provider; its mail waits, and says why."""
    try:
        provider = site_named(providers_of(visit.given.settings), visit.field("provider"))
        reason, hours, lane = plain_reason(visit.field("reason")), _hours(visit), _lane(visit)
        async with visit.given.database.transaction() as connection:
            key = (await subject_named(connection, "application", visit.field("application")), lane, provider)
            await breakers.trip(connection, key, hours, reason, visit.me.email, again=True)
            after = {"hours": hours, "reason": reason}
            await visit.note(connection, Audit("breaker.stop", _named(key), after=after, application_id=key[0]))
    except Refused as error:
        return await _alarms(visit, "", error)
    return visit.go("/alarms", f"{lane.capitalize()} mail to {provider} is stopped. Every worker knows within seconds.")


@router.post("/breakers/end")
@needs(Right.MACHINE_CHANGE)
async def end(visit: Visiting) -> Response:
    """Lets a stopped stream go on: what waited is due at once."""
    try:
        key = (UUID(visit.field("application")), _lane(visit), visit.field("provider"))
    except ValueError:
        raise invalid("application", "it must be an id") from None
    async with visit.given.database.transaction() as connection:
        released = await let_go(connection, key, visit.me.email)
        after = {"released": released}
        await visit.note(connection, Audit("breaker.end", _named(key), after=after, application_id=key[0]))
    return visit.go(
        "/alarms", f"It goes on: {plural(released, 'mail that waited is', 'mails that waited are')} due now."
    )


async def _change(visit: Visit, alarm_id: UUID, verb: str, work: Callable[[Connection], Awaitable[Alarm]]) -> Alarm:
    async with visit.given.database.transaction() as connection:
        was = await repository.find_alarm(connection, alarm_id)
        now = await work(connection)
        await visit.note(connection, Audit(f"alarm.{verb}", f"{now.kind} {now.subject}", _values(was), _values(now)))
    return now


async def _alarms(visit: Visit, open_id: str, error: Refused | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        found = await repository.open_alarms(connection)
        past = await repository.past_alarms(connection, _PAST_DAYS, _PAST)
        stopped = await breakers.holding(connection)
        names = [one.name for one in await accounts.applications(connection)]
        story = await _story(connection, open_id)
    found.sort(key=lambda one: (words.quiet(one, visit.now), one.severity != "critical", one.raised_at))
    return page(
        visit, "alarms/alarms.html", 422 if error else 200, found=found, past=past, stopped=stopped, words=words,
        story=story, error=error, meaning=meaning, what_to_do=what_to_do, snoozes=SNOOZES, applications=names,
        answered=words.needs_me(found, stopped, past, visit.now), lanes=[lane.value for lane in Lane],
        providers=[*sorted(providers_of(visit.given.settings).names), OTHER], past_days=_PAST_DAYS,
        at=partial(opened, visit),
    )  # fmt: skip


async def _story(connection: Connection, open_id: str) -> Story | None:
    try:
        identifier = UUID(open_id)
    except ValueError:
        return None
    return Story(await repository.find_alarm(connection, identifier), await repository.story(connection, identifier))


def _hours(visit: Visit) -> float:
    try:
        return float(visit.field("hours"))
    except ValueError:
        raise invalid("hours", "say for how many hours") from None


def _lane(visit: Visit) -> str:
    lane = visit.field("stream")
    if lane not in list(Lane):
        raise invalid("stream", f"it must be {' or '.join(Lane)}")
    return lane


def _named(key: breakers.Key) -> str:
    return "/".join(map(str, key))


def _values(alarm: Alarm) -> Values:
    return {
        "acknowledged_by": alarm.acknowledged_by, "snoozed_until": alarm.snoozed_until, "cleared_at": alarm.cleared_at,
    }  # fmt: skip
