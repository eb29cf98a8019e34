"""What pages of campaigns read beside the campaign: its names, its figures, its end. Bounded: a report is asked for
where it is cheap, or where somebody wants it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from accounts import repository as accounts
from audience import segments, topics
from campaigns import report
from campaigns.forecast import Forecast
from campaigns.forecasting import of_running
from campaigns.model import Campaign
from campaigns.report import Part, Report
from campaigns.states import RowState
from console.charts import Column, Stacked, stacked
from console.visit import Visit
from store.database import Connection

AT_ONCE: Final = 5_000
"""People up to which a report is shown with the page: so many take 28 ms on two busy cores."""
_SECONDS: Final = 20
"""After so long a report is given up."""
_DNS: Final = 2.0
_TONES: Final = (("delivered", "Delivered"), ("deferred", "Deferred"), ("bounced", "Bounced"))
_HOURS: Final = 72
"""Beyond so many, days are shown."""


@dataclass(frozen=True, slots=True)
class Names:
    """What it belongs to, by name; "" for what is gone or was not said."""

    application: str
    segment: str
    topic: str


@dataclass(frozen=True, slots=True)
class Figures:
    """A report, and why people did not get it."""

    report: Report
    reasons: Sequence[tuple[RowState, str, int]]
    chart: Stacked
    variants: Sequence[tuple[str, Part]]


async def names(connection: Connection, found: Campaign) -> Names:
    """Of application, segment and topic."""
    owner = await accounts.application_by_id(connection, found.application_id)
    segment = await segments.find(connection, found.application_id, found.segment_id) if found.segment_id else None
    topic = await topics.find(connection, found.application_id, found.topic_id) if found.topic_id else None
    return Names(owner.name if owner else "", segment.name if segment else "", topic.name if topic else "")


async def figures(connection: Connection, visit: Visit, found: Campaign) -> Figures:
    """Everything by provider, IP, variant and hour. Raises `psycopg.errors.QueryCanceled` when it takes too long."""
    async with connection.transaction():
        await connection.execute(f"SET LOCAL statement_timeout = '{_SECONDS}s'")
        made = await report.report(connection, found)
        why = await report.reasons(connection, found.id)
    named = [(f"Variant {part.name}" if part.name != "0" else "As written", part) for part in made.by["variant"]]
    return Figures(made, why, _chart(visit, made.by["hour"]), named if found.experiment.variants else [])


async def end(visit: Visit, found: Campaign) -> Forecast | None:
    """When it will be out as it goes now; None: nobody waits for it any more."""
    return await of_running(visit.given.tools, found, _DNS)


def _chart(visit: Visit, hours: Sequence[Part]) -> Stacked:
    """What became of its mail, hour by hour; by days when it took long."""
    daily = len(hours) > _HOURS
    steps: dict[str, dict[str, int]] = {}
    for part in hours:
        at = datetime.fromisoformat(part.name).astimezone(visit.zone)
        label = f"{at:%b} {at.day}" if daily else f"{at:%H:%M}" if len(hours) < 24 else f"{at:%a %H:%M}"
        counts = steps.setdefault(label, {"delivered": 0, "deferred": 0, "bounced": 0})
        for name in counts:
            counts[name] += getattr(part, name)
    return stacked([Column(label, counts) for label, counts in steps.items()], _TONES)
