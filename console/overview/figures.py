"""What the overview knows: figures of this day and the one before, what waits, what rests, what needs somebody.

Reads maintained counters and small tables; the queue is asked for its oldest mail by index, never counted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from accounts import repository as accounts
from accounts.roles import Right
from alarms import evidence
from alarms import repository as alarm_table
from alarms.model import Alarm
from campaigns import repository as campaign_table
from campaigns.model import Campaign
from campaigns.states import CampaignState
from console.visit import Visit
from core.paging import Window
from messages import search
from messages.search import Filter, MessageRow, Standing
from pools.ip_status import IpStatus, ip_statuses
from store import figures
from store.database import Connection
from store.figures import Answer, Question
from store.tally import Tally

HOURS: Final = 24
NEWEST: Final = 8
"""Messages shown."""


@dataclass(frozen=True, slots=True)
class View:
    """What somebody may see of it. Whoever has the same one sees the same."""

    zone: ZoneInfo
    applications: tuple[UUID, ...] = ()
    machine: bool = False
    mail: bool = False
    campaigns: bool = False
    kept: timedelta = timedelta(days=90)
    """For how long figures are kept by the hour."""


def view_of(visit: Visit) -> View:
    """That of who visits."""
    may = visit.may
    return View(
        visit.zone,
        visit.applications,
        may(Right.MACHINE_SEE),
        may(Right.MAIL_SEE),
        may(Right.CAMPAIGNS_SEE),
        visit.kept,
    )


@dataclass(frozen=True, slots=True)
class Overview:
    """One picture."""

    view: View
    since: datetime
    hours: Sequence[tuple[datetime, Tally]]
    now: Tally
    before: Tally
    """The same length of time, just before."""
    lanes: Mapping[str, Tally]
    overdue: Mapping[str, float]
    """Lane → seconds for which its oldest due mail waits."""
    newest: Sequence[MessageRow]
    alarms: Sequence[Alarm]
    ips: Sequence[IpStatus]
    campaigns: Sequence[Campaign]
    has_applications: bool = True
    queue: Standing | None = None
    """None for whoever may not see the machine."""

    @property
    def resting(self) -> Sequence[IpStatus]:
        """IPs that rest somewhere."""
        return [one for one in self.ips if one.state == "throttled"]

    @property
    def warming(self) -> Sequence[IpStatus]:
        """IPs whose warm-up is not over."""
        return [one for one in self.ips if one.warming is not None]

    @property
    def out(self) -> Sequence[IpStatus]:
        """IPs that send nothing at all."""
        return [one for one in self.ips if one.state in ("paused", "unusable")]


async def overview(connection: Connection, view: View, until: datetime) -> Overview:
    """What belongs to this view of it."""
    since = (until - timedelta(hours=HOURS - 1)).replace(minute=0, second=0, microsecond=0)
    mine = view.applications
    whole = Question(since, until, view.zone, applications=mine, hours_kept=view.kept, now=until)
    by_hour = await figures.ask(connection, replace(whole, period="hour"))
    before = await figures.ask(connection, replace(whole, since=since - timedelta(hours=HOURS), until=since))
    lanes = await figures.ask(connection, replace(whole, group=("stream",)))
    return Overview(
        view=view,
        since=since,
        hours=_hours(by_hour, since, view.zone),
        now=by_hour.totals,
        before=before.totals,
        lanes={row.keys[0]: row.tally for row in lanes.rows},
        overdue=await evidence.overdue(connection) if view.machine else {},
        newest=await _newest(connection, mine) if view.mail else [],
        alarms=await alarm_table.open_alarms(connection) if view.machine else [],
        ips=await ip_statuses(connection) if view.machine else [],
        campaigns=await _campaigns(connection, mine) if view.campaigns else [],
        queue=await search.standing(connection) if view.machine else None,
        has_applications=bool(await accounts.applications(connection)),
    )


async def _newest(connection: Connection, mine: tuple[UUID, ...]) -> Sequence[MessageRow]:
    """A quick look is enough, unless little of the mail is theirs."""
    found = await search.look(connection, Filter(applications=mine), Window(NEWEST))
    return (
        await search.find(connection, Filter(applications=mine, limit=NEWEST)) if found.reached else found.page.entries
    )


def _hours(answer: Answer, since: datetime, zone: ZoneInfo) -> list[tuple[datetime, Tally]]:
    """Every hour, those in which nothing happened too."""
    known = {row.period: row.tally for row in answer.rows}
    hours = [(since + timedelta(hours=n)).astimezone(zone) for n in range(HOURS)]
    return [(hour, known.get(hour, Tally())) for hour in hours]


async def _campaigns(connection: Connection, mine: Sequence[UUID]) -> list[Campaign]:
    wanted = (CampaignState.SENDING, CampaignState.PAUSED, CampaignState.STOPPED, CampaignState.SCHEDULED)
    found = await campaign_table.in_states(connection, wanted)
    return [one for one in found if not mine or one.application_id in mine]
