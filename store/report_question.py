"""What somebody asks of the figures, as text, made into a question with ids; and ids of an answer made into names.

Both doors ask through here: `GET /reports` and `postlane reports`. Reads names of applications, domains, pools and
topics, writes nothing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.clock import YEARS
from core.queues import Lane
from core.refusal import Refused, invalid
from store.database import Connection
from store.figures import APART, LABELS, PERIODS, Question

DEFAULT_DAYS: Final = 6
"""A question without a beginning starts so many days before its end."""
MOST_PERIODS: Final = 10_000
MOST_VALUES: Final = 100

DIMENSIONS: Final = (*LABELS, *APART)
_SECONDS: Final = {"hour": 3600, "day": 86_400, "week": 7 * 86_400, "month": 28 * 86_400}

NAMED: Final[Mapping[str, str]] = {
    "application": "SELECT id::text, name FROM applications",
    "domain": "SELECT id::text, name FROM domains",
    "pool": "SELECT id::text, name FROM pools",
    "topic": "SELECT id::text, name FROM topics",
}
"""Dimensions whose keys are ids."""
_OWN: Final[Mapping[str, str]] = {
    "application": "id = %(application)s",
    "domain": "application_id = %(application)s",
    "pool": "id::text IN (SELECT key FROM report_lines WHERE by = 'pool' AND application_id = %(application)s)",
    "topic": "application_id = %(application)s",
}
"""Of these those that an application may hear of."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A question as it was written."""

    start: str = ""
    """A date, or a time; a date begins at midnight of the time zone."""
    end: str = ""
    """Not included when it is a time; a date is included."""
    timezone: str = ""
    group_by: tuple[str, ...] = ()
    """Dimensions, and at most one of `PERIODS`."""
    filters: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Dimension → values, of which one has to fit."""
    application_id: UUID | None = None
    """The only application that may be seen; None: all."""


async def question(connection: Connection, wanted: Wanted, now: datetime, hours_kept: timedelta) -> Question:
    """The question meant. Raises Refused naming the field that cannot be."""
    zone = _zone(wanted.timezone)
    since, until = span(wanted.start, wanted.end, zone, now)
    period, group = _grouping(wanted.group_by)
    within_reach(since, until, period)
    by = _apart(group, wanted.filters)
    values = {name: await _values(connection, name, texts, wanted) for name, texts in wanted.filters.items() if texts}
    applications = (wanted.application_id,) if wanted.application_id else _ids(values.get("application", ()))
    return Question(
        since, until, zone, period, group, by, values.get(by, ()) if by != "application" else (), applications,
        values.get("stream", ()), values.get("provider", ()), hours_kept, now,
    )  # fmt: skip


def span(start: str, end: str, zone: ZoneInfo, now: datetime) -> tuple[datetime, datetime]:
    """From when until when, by whole hours. Raises Refused."""
    until = min(_moment("end_date", end, zone, timedelta(days=1)), now) if end else now
    since = _moment("start_date", start, zone) if start else until - timedelta(days=DEFAULT_DAYS)
    if since > until:
        raise invalid("start_date", "it lies behind the end")
    return since.replace(minute=0, second=0, microsecond=0), until


def within_reach(since: datetime, until: datetime, period: str) -> None:
    """Raises Refused when so many periods are no answer any more."""
    if period and (until - since).total_seconds() / _SECONDS[period] > MOST_PERIODS:
        raise invalid("start_date", f"that would be more than {MOST_PERIODS:,} periods")


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise invalid("timezone", f"{name[:60]!r} is no IANA time zone such as Europe/Berlin") from None


def _moment(name: str, text: str, zone: ZoneInfo, past: timedelta = timedelta(0)) -> datetime:
    """A time, or the midnight of a date and `past` it."""
    try:
        if len(text) <= 10:
            moment = datetime.combine(date.fromisoformat(text) + past, time(), zone)
        else:
            moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise invalid(name, "it must be a date such as 2026-11-28, or a time such as 2026-11-28T09:00:00Z") from None
    if moment.year not in YEARS:
        raise invalid(name, f"it must lie between {YEARS.start} and {YEARS.stop}")
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


def _grouping(names: Iterable[str]) -> tuple[str, tuple[str, ...]]:
    """The period, "" for none, and the dimensions."""
    given = tuple(dict.fromkeys(names))
    for name in given:
        if name not in DIMENSIONS and name not in PERIODS:
            raise invalid("group_by", f"{name[:60]!r} is none of {', '.join((*PERIODS, *DIMENSIONS))}")
    periods = [name for name in given if name in PERIODS]
    if len(periods) > 1:
        raise invalid("group_by", f"{periods[0]} and {periods[1]} cannot both be")
    return (periods[0] if periods else ""), tuple(name for name in given if name not in PERIODS)


def _apart(group: Sequence[str], filters: Mapping[str, Sequence[str]]) -> str:
    asked = [name for name in APART if name in group or filters.get(name)]
    if len(asked) > 1:
        raise invalid(
            "group_by",
            f"{asked[0]} and {asked[1]} are counted apart from each other; application, stream and provider combine"
            " with each of them",
        )
    return asked[0] if asked else "application"


async def _values(connection: Connection, name: str, texts: Sequence[str], wanted: Wanted) -> tuple[str, ...]:
    if len(texts) > MOST_VALUES:
        raise invalid(name, f"at most {MOST_VALUES} values")
    if name == "tag":
        return tuple(text if "=" in text else text.replace(":", "=", 1) for text in texts)
    if name == "stream" and (wrong := [text for text in texts if text not in list(Lane)]):
        raise invalid(name, f"{wrong[0][:60]!r} is neither {' nor '.join(Lane)}")
    if name not in NAMED:
        return tuple(texts)
    return await _found(connection, name, texts, wanted)


async def _found(connection: Connection, name: str, texts: Sequence[str], wanted: Wanted) -> tuple[str, ...]:
    """Ids of what is named by name or id. What is gone can be asked for by its id still."""
    known = await names_of(connection, name, wanted.application_id)
    found: list[str] = []
    closed = name == "application" and wanted.application_id is not None
    for text in texts:
        ids = [identifier for identifier, called in known.items() if text in (called, identifier)]
        if not ids and (closed or not _is_id(text)):
            raise Refused("not_found", f"there is no {name} {text[:100]}")
        found.extend(ids or [str(UUID(text))])
    return tuple(found)


async def names_of(connection: Connection, dimension: str, application_id: UUID | None = None) -> dict[str, str]:
    """Names by id, for one application those of its own and of pools that its mail left through; {} for a dimension
    that has no names."""
    asked = NAMED.get(dimension)
    if asked is None:
        return {}
    statement = asked if application_id is None else f"{asked} WHERE {_OWN[dimension]}"
    cursor = await connection.execute(statement, {"application": application_id})
    return dict(await cursor.fetchall())


def _ids(texts: Iterable[str]) -> tuple[UUID, ...]:
    return tuple(UUID(text) for text in texts)


def _is_id(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
