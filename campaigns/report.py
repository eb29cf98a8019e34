"""What became of a campaign: figures that count each person once, its recipients one by one, and its links. Reads only.

Figures come from the rows in one pass; a campaign of a million takes a second or two, and whoever only wants to see
progress asks the tallies. Whoever was erased, or merged into another contact, is a row without a name.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from campaigns.model import Campaign
from campaigns.states import RowState
from core import csv_lines
from core.paging import Page, Window, cut
from mta.bounce_kinds import Permanence, bounce_kind
from store.database import Connection, Database


class Kind(StrEnum):
    """Which recipients are listed, in Resend's words and ours."""

    SENT = "sent"
    DELIVERED = "delivered"
    OPENED = "opened"
    CLICKED = "clicked"
    BOUNCED = "bounced"
    COMPLAINED = "complained"
    UNSUBSCRIBED = "unsubscribed"
    SUPPRESSED = "suppressed"
    WAITING = "waiting"
    QUEUED = "queued"
    DEFERRED = "deferred"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"
    TAPERED = "tapered"
    UNCONFIRMED = "unconfirmed"
    ERASED = "erased"
    MERGED = "merged"
    HELD_OUT = "held_out"


_CONDITIONS: Final = {
    Kind.SENT: "r.email_id IS NOT NULL AND r.state IN ('delivered', 'bounced', 'deferred', 'expired')",
    Kind.OPENED: "r.opened_at IS NOT NULL",
    Kind.CLICKED: "r.clicked_at IS NOT NULL",
    Kind.COMPLAINED: "r.complained_at IS NOT NULL",
    Kind.UNSUBSCRIBED: "(r.unsubscribed_at IS NOT NULL OR r.state = 'unsubscribed')",
}

_RECIPIENTS: Final = """
SELECT r.contact_id, c.email, r.state, r.reason, r.email_id, r.variant, r.provider, r.ip, r.class, r.queued_at,
       r.ended_at, r.opened_at, r.clicked_at, r.unsubscribed_at, r.complained_at, r.destination
  FROM campaign_recipients r LEFT JOIN contacts c ON c.id = r.contact_id
 WHERE r.campaign_id = %(campaign)s
"""

LOOKED: Final = 10_000
"""People that a quick look goes through."""
_COUNTED: Final = frozenset(state.value for state in RowState) - frozenset(_CONDITIONS)
"""Kinds that the tallies know: where they say that there is none, nobody looks."""
_REACH: Final = """
SELECT r.contact_id FROM campaign_recipients r WHERE r.campaign_id = %(campaign)s AND {forth}
 ORDER BY r.contact_id {order} OFFSET %(most)s LIMIT 1
"""

_CLICKS: Final = """
SELECT c.contact_id, l.url, c.clicks FROM campaign_clicks c
  JOIN campaign_links l ON l.campaign_id = c.campaign_id AND l.number = c.number
 WHERE c.campaign_id = %s AND c.contact_id = ANY(%s) ORDER BY c.contact_id, c.clicks DESC, l.number
"""

_OPENS: Final = """
SELECT email_id, count(*) FROM events
 WHERE email_id = ANY(%s) AND kind = 'opened' AND engagement->>'machine' IS NULL GROUP BY 1
"""

_LINKS: Final = """
SELECT l.number, l.url, coalesce(sum(c.clicks), 0)::bigint, count(c.contact_id)
  FROM campaign_links l LEFT JOIN campaign_clicks c ON c.campaign_id = l.campaign_id AND c.number = l.number
 WHERE l.campaign_id = %s GROUP BY 1, 2 ORDER BY 4 DESC, 3 DESC, 1
"""

_PARTS: Final = """
SELECT grouping(provider, ip, variant, hour), provider, ip, variant, hour, count(*),
       count(*) FILTER (WHERE state = 'delivered'), count(*) FILTER (WHERE state = 'bounced'),
       count(*) FILTER (WHERE state = 'deferred'), count(opened_at), count(clicked_at), count(unsubscribed_at),
       count(complained_at)
  FROM (SELECT r.*, date_trunc('hour', coalesce(r.ended_at, r.queued_at)) AS hour FROM campaign_recipients r
         WHERE r.campaign_id = %s AND r.email_id IS NOT NULL) r
 GROUP BY GROUPING SETS ((), (provider), (ip), (variant), (hour)) ORDER BY 1, hour, 6 DESC
"""
_REASONS: Final = """
SELECT state, coalesce(CASE WHEN state IN ('bounced', 'deferred', 'expired') THEN class END, reason, ''), count(*)
  FROM campaign_recipients WHERE campaign_id = %s AND state <> ALL('{delivered,waiting,queued}')
 GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT %s
"""
_BY: Final = {0b1111: "all", 0b0111: "provider", 0b1011: "ip", 0b1101: "variant", 0b1110: "hour"}


@dataclass(frozen=True, slots=True)
class Recipient:
    """One person's row."""

    contact_id: UUID
    email: str | None
    """None: they were erased, or are another contact now."""
    state: RowState
    reason: str | None
    email_id: UUID | None
    variant: int
    provider: str | None
    ip: str | None
    klass: str | None
    queued_at: datetime | None
    ended_at: datetime | None
    opened_at: datetime | None
    clicked_at: datetime | None
    unsubscribed_at: datetime | None
    complained_at: datetime | None
    destination: str
    opens: int = 0
    clicks: tuple[tuple[str, int], ...] = ()
    """Links with how often."""

    @property
    def bounce_type(self) -> Permanence | None:
        """How lasting the refusal is."""
        return bounce_kind(self.klass or "").permanence if self.state is RowState.BOUNCED else None


@dataclass(frozen=True, slots=True)
class Link:
    """A link that people followed."""

    id: str
    url: str
    clicks: int
    people: int


@dataclass(frozen=True, slots=True)
class Part:
    """Figures of some of the people who got a mail, each counted once."""

    name: str
    sent: int
    delivered: int
    bounced: int
    deferred: int
    opened: int
    clicked: int
    unsubscribed: int
    complained: int


@dataclass(frozen=True, slots=True)
class Report:
    """A campaign in figures."""

    campaign: Campaign
    whole: Part
    by: dict[str, list[Part]]
    """By provider, IP, variant and hour."""
    links: Sequence[Link]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which recipients."""

    kind: Kind | None = None
    email: str | None = None
    """Folded address."""
    bounce: Permanence | None = None


async def recipients(
    connection: Connection, campaign_id: UUID, wanted: Wanted, window: Window[UUID], until: UUID | None = None
) -> Page[Recipient]:
    """Rows in the order of their contacts, as far as `until`. A row's id is its contact's."""
    conditions = [_condition(wanted.kind)] if wanted.kind else []
    conditions += ["c.address = %(email)s"] if wanted.email is not None else []
    conditions += [f"r.contact_id {'>=' if window.before else '<='} %(until)s"] if until else []
    conditions += ["r.state = 'bounced' AND r.class = ANY(%(classes)s)"] if wanted.bounce else []
    conditions += ["r.contact_id > %(after)s"] if window.after else []
    conditions += ["r.contact_id < %(before)s"] if window.before else []
    order = "DESC" if window.before else "ASC"
    statement = " AND ".join([_RECIPIENTS, *conditions])
    names = {
        "campaign": campaign_id, "email": wanted.email, "classes": await _classes(connection, campaign_id, wanted),
        "after": window.after, "before": window.before, "limit": window.limit and window.limit + 1, "until": until,
    }  # fmt: skip
    cursor = await connection.execute(f"{statement} ORDER BY r.contact_id {order} LIMIT %(limit)s", names)
    page = cut([_recipient(row) for row in await cursor.fetchall()], window)
    return Page(await _with_counts(connection, campaign_id, page.entries), page.has_more)


async def look(
    connection: Connection, campaign: Campaign, wanted: Wanted, window: Window[UUID], most: int = LOOKED
) -> tuple[Page[Recipient], bool]:
    """The same, but through `most` people; and whether there may be more of them behind those."""
    if wanted.kind is None or wanted.email is not None:
        return await recipients(connection, campaign.id, wanted, window), False
    if wanted.kind.value in _COUNTED and not campaign.tallies.get(wanted.kind.value):
        return Page([]), False
    forth = "r.contact_id < %(from)s" if window.before else "r.contact_id > %(from)s"
    names = {"campaign": campaign.id, "from": window.before or window.after or UUID(int=0), "most": most}
    order = "DESC" if window.before else "ASC"
    row = await (await connection.execute(_REACH.format(forth=forth, order=order), names)).fetchone()
    found = await recipients(connection, campaign.id, wanted, window, row[0] if row else None)
    return found, row is not None and not found.has_more


async def every(
    database: Database, campaign_id: UUID, wanted: Wanted, step: int = 2_000
) -> AsyncIterator[Sequence[Recipient]]:
    """All of them, for an export: page by page, since a campaign may have millions.

    A connection for each page: whoever reads them slowly keeps none.
    """
    window: Window[UUID] = Window(step)
    while True:
        async with database.connection() as connection:
            page = await recipients(connection, campaign_id, wanted, window)
        yield page.entries
        if not page.has_more:
            return
        window = Window(step, after=page.entries[-1].contact_id)


async def links(connection: Connection, campaign_id: UUID) -> list[Link]:
    """Those that people followed, the most followed first."""
    rows = await (await connection.execute(_LINKS, [campaign_id])).fetchall()
    return [Link(str(number), url, clicks, people) for number, url, clicks, people in rows]


async def reasons(connection: Connection, campaign_id: UUID, most: int = 20) -> list[tuple[RowState, str, int]]:
    """Why people did not get it: outcome, reason (of what a server said its class), people; the most frequent first."""
    rows = await (await connection.execute(_REASONS, [campaign_id, most])).fetchall()
    return [(RowState(state), reason, n) for state, reason, n in rows]


async def report(connection: Connection, campaign: Campaign) -> Report:
    """All figures."""
    rows = await (await connection.execute(_PARTS, [campaign.id])).fetchall()
    whole = Part("all", 0, 0, 0, 0, 0, 0, 0, 0)
    by: dict[str, list[Part]] = {name: [] for name in ("provider", "ip", "variant", "hour")}
    for grouping, provider, ip, variant, hour, *figures in rows:
        name = _BY[grouping]
        if name == "all":
            whole = Part("all", *figures)
            continue
        value = {"provider": provider, "ip": ip, "variant": variant, "hour": hour}[name]
        if value is not None:
            by[name].append(Part(value.isoformat() if isinstance(value, datetime) else str(value), *figures))
    return Report(campaign, whole, by, await links(connection, campaign.id))


CSV_COLUMNS: Final = (
    "email", "contact_id", "state", "reason", "variant", "provider", "ip", "queued_at", "ended_at", "opened_at",
    "clicked_at", "unsubscribed_at", "complained_at", "email_id",
)  # fmt: skip


def csv_header() -> str:
    """The first line of a table for spreadsheets."""
    return csv_lines.line(CSV_COLUMNS)


def csv_rows(found: Iterable[Recipient]) -> Iterator[str]:
    """A line for each of them. Pure."""
    for one in found:
        yield csv_lines.line([getattr(one, name) for name in CSV_COLUMNS])


def _condition(kind: Kind) -> str:
    return _CONDITIONS.get(kind, f"r.state = '{kind.value}'")


async def _classes(connection: Connection, campaign_id: UUID, wanted: Wanted) -> list[str]:
    """Classes of reply that are of the kind of bounce asked for, among those there are."""
    if wanted.bounce is None:
        return []
    cursor = await connection.execute(
        "SELECT DISTINCT coalesce(class, '') FROM campaign_recipients WHERE campaign_id = %s AND state = 'bounced'",
        [campaign_id],
    )
    return [klass for (klass,) in await cursor.fetchall() if bounce_kind(klass).permanence is wanted.bounce]


def _recipient(row: Sequence[object]) -> Recipient:
    contact, email, state, *rest = row
    return Recipient(contact, email, RowState(state), *rest)  # type: ignore[arg-type]  # psycopg's rows are untyped


async def _with_counts(connection: Connection, campaign_id: UUID, found: Sequence[Recipient]) -> list[Recipient]:
    """How often each opened, and which links they followed."""
    opened = [one.email_id for one in found if one.opened_at and one.email_id]
    clicked = [one.contact_id for one in found if one.clicked_at]
    opens: dict[UUID | None, int] = (
        dict(await (await connection.execute(_OPENS, [opened])).fetchall()) if opened else {}
    )
    clicks: dict[UUID, list[tuple[str, int]]] = {}
    rows = await (await connection.execute(_CLICKS, [campaign_id, clicked])).fetchall() if clicked else []
    for contact, url, n in rows:
        clicks.setdefault(contact, []).append((url, n))
    return [
        replace(
            one,
            opens=opens.get(one.email_id, 1 if one.opened_at else 0),
            clicks=tuple(clicks.get(one.contact_id, ())),
        )
        for one in found
    ]
