"""Opens and clicks in the database: an event each in the timeline, and who engages at all.

Everything passes the one writer of the timeline, so that counters and webhooks follow. A hit is the *first* of its kind
for its message when no person's stood before it; machines' are marked and never first. Whoever writes holds one lock:
two processes that see the first open of one mail would both call theirs the first.

`engaged` keeps one row for each recipient of an application: the last open, click and other sign of life, of people
only. Warm-up asks it for whom a young IP meets first.

Hits of a mail that is no longer stored, or whose recipient was erased, tell nothing any more: its links go on working,
and that is all.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import orjson

from flags import declared
from messages import timeline
from messages.entries import Entry, EventKind
from messages.erasing import NOBODY
from messages.link_tokens import Kind
from messages.model import MessageRef
from outcomes.hits import Hit
from outcomes.machines import MachineBook, Verdict, judge
from store import arrays
from store.counters import Counted
from store.database import Connection
from store.locks import Lock

MOST_EVENTS: Final = 200
"""Of one kind in the timeline of one message, people's and machines' each: somebody who has a link may follow it for
ever, and a scanner that does so must not hide the person who opens it at last."""

FORGET: Final = timedelta(days=730)
"""Whoever has shown no sign of life for two years is nobody to warm an IP with."""

_COUNTS: Final = tuple((kind, machine) for machine in (False, True) for kind in (EventKind.OPENED, EventKind.CLICKED))
"""In the order of the columns of `_FACTS`."""
_KINDS: Final = {Kind.OPEN: EventKind.OPENED, Kind.CLICK: EventKind.CLICKED}

# OFFSET 0 keeps the planner from flattening the subqueries: a look-up each is right at any size of the tables.
_FACTS: Final = """
SELECT u.email_id, u.position, m.address, e.application_id, e.lane, m.capture, d.at, d.ip, d.provider, v.opened,
       v.clicked, v.machine_opened, v.machine_clicked
  FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[]) AS u(email_id, position)
  JOIN LATERAL (
    SELECT address, capture FROM messages WHERE email_id = u.email_id AND position = u.position OFFSET 0) m ON true
  JOIN LATERAL (SELECT application_id, lane FROM emails WHERE id = u.email_id OFFSET 0) e ON true
  LEFT JOIN LATERAL (
    SELECT at, ip, provider FROM events v WHERE v.email_id = u.email_id AND v.position = u.position
       AND v.kind = 'delivered' ORDER BY v.at DESC LIMIT 1) d ON true
  LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE v.kind = 'opened' AND v.engagement->>'machine' IS NULL) AS opened,
           count(*) FILTER (WHERE v.kind = 'clicked' AND v.engagement->>'machine' IS NULL) AS clicked,
           count(*) FILTER (WHERE v.kind = 'opened' AND v.engagement->>'machine' IS NOT NULL) AS machine_opened,
           count(*) FILTER (WHERE v.kind = 'clicked' AND v.engagement->>'machine' IS NOT NULL) AS machine_clicked
      FROM events v WHERE v.email_id = u.email_id AND v.position = u.position AND v.kind IN ('opened', 'clicked')) v
    ON true
"""

# Sorted, so that two writers never wait for each other in a circle.
_ENGAGED: Final = """
INSERT INTO engaged AS g (application_id, address, opened_at, clicked_at, opens, clicks)
SELECT * FROM unnest(%(applications)s::uuid[], %(addresses)s::text[], %(opened)s::timestamptz[],
                     %(clicked)s::timestamptz[], %(opens)s::integer[], %(clicks)s::integer[])
 ORDER BY 1, 2
ON CONFLICT (application_id, address) DO UPDATE
   SET opened_at = greatest(g.opened_at, excluded.opened_at), clicked_at = greatest(g.clicked_at, excluded.clicked_at),
       opens = g.opens + excluded.opens, clicks = g.clicks + excluded.clicks
"""

# The greater figures: who moves to another address and back has not read everything twice.
_BRING_ALONG: Final = """
INSERT INTO engaged AS g (application_id, address, opened_at, clicked_at, active_at, opens, clicks)
SELECT application_id, %(to)s, opened_at, clicked_at, active_at, opens, clicks FROM engaged
 WHERE application_id = %(application)s AND address = %(address)s
ON CONFLICT (application_id, address) DO UPDATE SET opened_at = greatest(g.opened_at, excluded.opened_at),
  clicked_at = greatest(g.clicked_at, excluded.clicked_at), active_at = greatest(g.active_at, excluded.active_at),
  opens = greatest(g.opens, excluded.opens), clicks = greatest(g.clicks, excluded.clicks)
"""

_LAST: Final = """
SELECT g.application_id, g.address, greatest(g.opened_at, g.clicked_at, g.active_at)
  FROM unnest(%s::uuid[], %s::text[]) AS u(application_id, address) JOIN engaged g USING (application_id, address)
"""


@dataclass(frozen=True, slots=True)
class Engagement:
    """What is known of one recipient of an application."""

    opened_at: datetime | None = None
    clicked_at: datetime | None = None
    active_at: datetime | None = None
    """When the application last reported a sign of life of theirs, such as a login."""
    opens: int = 0
    clicks: int = 0

    @property
    def last(self) -> datetime | None:
        """The last sign of life."""
        return _latest((self.opened_at, self.clicked_at, self.active_at))


@dataclass(frozen=True, slots=True)
class Written:
    """How a segment of hits went."""

    people: int
    machines: int
    passed_over: int
    """Visits to the hidden link, hits of mail that is not stored, and what was too much for one message."""


@dataclass(slots=True)
class _Facts:
    """What is stored of a message, and moves on while its hits are looked at."""

    address: str
    application_id: UUID
    lane: str
    captured: bool
    delivered_at: datetime | None
    ip: str
    provider: str
    events: Counter[tuple[EventKind, bool]]
    """In the timeline, by whether a machine made them."""
    had: set[EventKind]
    """Kinds of which a person's stands in the timeline."""


@dataclass(slots=True)
class _Signs:
    """What one recipient did."""

    last: dict[EventKind, datetime] = field(default_factory=dict)
    times: Counter[EventKind] = field(default_factory=Counter)


async def record(
    connection: Connection, segment: UUID, hits: Sequence[Hit], around: Iterable[Hit], book: MachineBook
) -> Written | None:
    """Write the hits of a segment within the caller's transaction. None when they were written before."""
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", [Lock.WRITING_HITS])
    cursor = await connection.execute(
        "INSERT INTO engagement_segments (id) VALUES (%s) ON CONFLICT DO NOTHING RETURNING id", [segment]
    )
    if await cursor.fetchone() is None:
        return None
    facts = await _facts(connection, {hit.ref for hit in hits})
    verdicts = judge(hits, around, {ref: known.delivered_at for ref, known in facts.items()}, book)
    told = [(hit, verdict) for hit, verdict in zip(hits, verdicts, strict=True) if _is_told(hit, verdict, facts)]
    entries = [_entry(hit, verdict, facts[hit.ref]) for hit, verdict in told]
    await timeline.write(connection, entries)
    people = [hit for hit, verdict in told if verdict.machine is None]
    await _engage(connection, people, facts)
    return Written(len(people), len(told) - len(people), len(hits) - len(told))


async def settled(connection: Connection, segments: Sequence[UUID]) -> None:
    """The files of these segments are gone: nobody will read them again."""
    await connection.execute("DELETE FROM engagement_segments WHERE id = ANY(%s)", [list(segments)])


async def last_engaged(connection: Connection, whom: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], datetime]:
    """When these recipients (application, folded address) last opened, clicked or were active; without the unknown."""
    cursor = await connection.execute(
        _LAST, [arrays.uuids(application for application, _ in whom), [address for _, address in whom]]
    )
    return {(application, address): at for application, address, at in await cursor.fetchall() if at is not None}


async def engagement_of(connection: Connection, application_id: UUID, address: str) -> Engagement | None:
    """What one recipient did; None when they never engaged. `address` is folded."""
    cursor = await connection.execute(
        "SELECT opened_at, clicked_at, active_at, opens, clicks FROM engaged"
        " WHERE application_id = %s AND address = %s",
        [application_id, address],
    )
    row = await cursor.fetchone()
    return Engagement(*row) if row else None


def together(each: Sequence[Engagement]) -> Engagement:
    """What one person did in the mail of several applications."""
    return Engagement(
        _latest(one.opened_at for one in each),
        _latest(one.clicked_at for one in each),
        _latest(one.active_at for one in each),
        sum(one.opens for one in each),
        sum(one.clicks for one in each),
    )


async def report_activity(connection: Connection, application_id: UUID, address: str, at: datetime) -> None:
    """A sign of life that the application saw, such as a login. `address` is folded."""
    await connection.execute(
        "INSERT INTO engaged AS g (application_id, address, active_at) VALUES (%s, %s, %s)"
        " ON CONFLICT (application_id, address) DO UPDATE SET active_at = greatest(g.active_at, excluded.active_at)",
        [application_id, address, at],
    )


async def bring_along(connection: Connection, application_id: UUID, address: str, to: str) -> None:
    """Somebody has another (folded) address from now on, and is no more silent there than before."""
    names = {"application": application_id, "address": address, "to": to}
    await connection.execute(_BRING_ALONG, names)


async def forget_person(connection: Connection, application_id: UUID, address: str) -> None:
    """Somebody is erased. `address` is folded."""
    await connection.execute(
        "DELETE FROM engaged WHERE application_id = %s AND address = %s", [application_id, address]
    )


async def forget(connection: Connection) -> None:
    """Retention: recipients without a sign of life for long, and segments that nobody came back to settle."""
    await connection.execute(
        "DELETE FROM engaged WHERE greatest(opened_at, clicked_at, active_at) < now() - %s", [FORGET]
    )
    await connection.execute("DELETE FROM engagement_segments WHERE written_at < now() - %s", [FORGET])


def _latest(moments: Iterable[datetime | None]) -> datetime | None:
    return max(filter(None, moments), default=None)


async def _facts(connection: Connection, refs: set[MessageRef]) -> dict[MessageRef, _Facts]:
    names = {"emails": arrays.uuids(r.email_id for r in refs), "positions": arrays.integers(r.position for r in refs)}
    found: dict[MessageRef, _Facts] = {}
    for row in await (await connection.execute(_FACTS, names)).fetchall():
        email, position, address, application, lane, captured, at, ip, provider, *counts = row
        events = Counter(dict(zip(_COUNTS, counts, strict=True)))
        had = {kind for kind in _KINDS.values() if events[kind, False]}
        found[MessageRef(email, position)] = _Facts(
            address, application, lane, captured, at, ip or "", provider or "", events, had
        )
    return found


def _is_told(hit: Hit, verdict: Verdict, facts: dict[MessageRef, _Facts]) -> bool:
    """Counts it, so that what is too much for one message is seen within a segment too."""
    kind, known = _KINDS.get(hit.kind), facts.get(hit.ref)
    if kind is None or known is None or known.address == NOBODY:
        return False
    if not declared.ENGAGEMENT.on(known.application_id, hit.ref.email_id):
        return False
    known.events[kind, verdict.machine is not None] += 1
    return known.events[kind, verdict.machine is not None] <= MOST_EVENTS


def _entry(hit: Hit, verdict: Verdict, known: _Facts) -> Entry:
    kind = _KINDS[hit.kind]
    first = verdict.machine is None and kind not in known.had
    if first:
        known.had.add(kind)
    part = "first" if first else "again" if verdict.machine is None else "machine"
    about = {"ip": hit.ip, "user_agent": hit.agent, "machine": verdict.machine, "proxy": verdict.proxy, "first": first}
    if kind is EventKind.CLICKED:
        about["link"] = hit.link
    return Entry(
        *hit.ref,
        hit.at,
        kind,
        ip=known.ip or None,
        provider=known.provider or None,
        engagement=orjson.dumps(about).decode(),
        counted=None if known.captured else Counted(known.lane, known.provider, known.ip, kind.value, part),
        capture=known.captured,
        more=_told(hit, kind, verdict, first=first),
    )


def _told(hit: Hit, kind: EventKind, verdict: Verdict, *, first: bool) -> dict[str, object]:
    """Resend's `click`, and the same of an open; beside it whether it was a machine."""
    whose: dict[str, object] = {"ipAddress": hit.ip, "timestamp": hit.at, "userAgent": hit.agent}
    if kind is EventKind.CLICKED:
        return {"click": whose | {"link": hit.link}, "machine": verdict.machine, "first": first}
    return {"open": whose, "machine": verdict.machine, "first": first}


async def _engage(connection: Connection, hits: Sequence[Hit], facts: dict[MessageRef, _Facts]) -> None:
    """Captured mail was read by its own application."""
    signs: dict[tuple[UUID, str], _Signs] = defaultdict(_Signs)
    for hit in hits:
        known, kind = facts[hit.ref], _KINDS[hit.kind]
        if not known.captured:
            whose = signs[known.application_id, known.address]
            whose.last[kind] = max(hit.at, whose.last.get(kind, hit.at))
            whose.times[kind] += 1
    if signs:
        await connection.execute(_ENGAGED, _columns(signs))


def _columns(signs: dict[tuple[UUID, str], _Signs]) -> dict[str, object]:
    return {
        "applications": arrays.uuids(application for application, _ in signs),
        "addresses": [address for _, address in signs],
        "opened": [sign.last.get(EventKind.OPENED) for sign in signs.values()],
        "clicked": [sign.last.get(EventKind.CLICKED) for sign in signs.values()],
        "opens": arrays.integers(sign.times[EventKind.OPENED] for sign in signs.values()),
        "clicks": arrays.integers(sign.times[EventKind.CLICKED] for sign in signs.values()),
    }
