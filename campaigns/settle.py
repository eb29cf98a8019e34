"""What became of campaigns' mail: takes the news that the timeline wrote, and brings each row to its outcome.

News is deleted in the transaction that it changes rows in, so each counts once, whatever is killed. One process at a
time does it, in the order of writing: a delivery comes before the bounce report that takes it back. A row is moved
only along the table of `states`, and only by news of the mail that it has now; opens, clicks, complaints and
unsubscriptions are the person's first, whatever state the row is in.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from campaigns import links, people, tallies
from campaigns.states import OUTCOMES, ROW_MOVES, RowState
from campaigns.tallies import Tally
from messages import news
from messages.news import News
from messages.personal import ERASED
from messages.timeline import EventKind
from mta.bounce_kinds import Permanence, bounce_kind
from store import arrays
from store.database import Connection, Database
from store.locks import Lock

BATCH: Final = 2_000

_ROWS: Final = """
SELECT campaign_id, contact_id, r.email_id, state, reason, ip, provider, class, ended_at, opened_at, clicked_at,
       complained_at, unsubscribed_at
  FROM unnest(%(campaigns)s::uuid[], %(contacts)s::uuid[]) AS u(campaign_id, contact_id)
  JOIN campaign_recipients r USING (campaign_id, contact_id)
 ORDER BY 1, 2 FOR UPDATE OF r
"""

# What a server says may quote the address, so it is not kept of somebody who was erased meanwhile.
_WRITE: Final = """
UPDATE campaign_recipients r SET state = u.state, ip = u.ip, provider = u.provider, class = u.class,
       reason = CASE WHEN u.reason IS NULL OR u.state NOT IN ('bounced', 'deferred', 'expired', 'failed')
         OR EXISTS (SELECT FROM contacts c WHERE c.id = u.contact_id) THEN u.reason END,
       ended_at = u.ended_at, opened_at = u.opened_at, clicked_at = u.clicked_at, complained_at = u.complained_at,
       unsubscribed_at = u.unsubscribed_at
  FROM unnest(%(campaign_id)s::uuid[], %(contact_id)s::uuid[], %(state)s::text[], %(reason)s::text[], %(ip)s::text[],
              %(provider)s::text[], %(klass)s::text[], %(ended_at)s::timestamptz[], %(opened_at)s::timestamptz[],
              %(clicked_at)s::timestamptz[], %(complained_at)s::timestamptz[], %(unsubscribed_at)s::timestamptz[])
       AS u(campaign_id, contact_id, state, reason, ip, provider, class, ended_at, opened_at, clicked_at, complained_at,
            unsubscribed_at)
 WHERE r.campaign_id = u.campaign_id AND r.contact_id = u.contact_id
"""

_AGAIN: Final = """
UPDATE campaign_recipients r SET state = 'waiting', due_at = now(), email_id = NULL, queued_at = NULL, ended_at = NULL,
       reason = NULL, class = NULL
  FROM unnest(%(campaigns)s::uuid[], %(contacts)s::uuid[]) AS u(campaign_id, contact_id)
  JOIN contacts c ON c.id = u.contact_id
 WHERE r.campaign_id = u.campaign_id AND r.contact_id = u.contact_id
   AND EXISTS (SELECT FROM messages m WHERE m.email_id = r.email_id AND m.position = 0 AND m.address <> c.address)
RETURNING r.campaign_id, r.contact_id
"""

_LINKS: Final = """
INSERT INTO campaign_links (campaign_id, number, url)
SELECT u.campaign_id, coalesce((SELECT max(number) FROM campaign_links l WHERE l.campaign_id = u.campaign_id), 0)
         + row_number() OVER (PARTITION BY u.campaign_id ORDER BY u.url), u.url
  FROM (SELECT DISTINCT campaign_id, url FROM unnest(%(campaigns)s::uuid[], %(urls)s::text[]) AS u(campaign_id, url)) u
 WHERE NOT EXISTS (SELECT FROM campaign_links l WHERE l.campaign_id = u.campaign_id AND md5(l.url) = md5(u.url))
"""

_CLICKS: Final = """
INSERT INTO campaign_clicks AS c (campaign_id, contact_id, number, clicks)
SELECT u.campaign_id, u.contact_id, l.number, u.clicks
  FROM unnest(%(campaigns)s::uuid[], %(contacts)s::uuid[], %(urls)s::text[], %(clicks)s::integer[])
       AS u(campaign_id, contact_id, url, clicks)
  JOIN campaign_links l ON l.campaign_id = u.campaign_id AND md5(l.url) = md5(u.url)
 ORDER BY 1, 2, 3
ON CONFLICT (campaign_id, contact_id, number) DO UPDATE SET clicks = c.clicks + excluded.clicks
"""


Person = tuple[UUID, UUID]
"""Campaign and contact."""


class Row(NamedTuple):
    """One person's row, as far as news changes it."""

    campaign_id: UUID
    contact_id: UUID
    email_id: UUID | None
    state: RowState
    reason: str | None = None
    ip: str | None = None
    provider: str | None = None
    klass: str | None = None
    ended_at: datetime | None = None
    opened_at: datetime | None = None
    clicked_at: datetime | None = None
    complained_at: datetime | None = None
    unsubscribed_at: datetime | None = None


_STATES: Final = {
    EventKind.DELIVERED: RowState.DELIVERED,
    EventKind.DEFERRED: RowState.DEFERRED,
    EventKind.BOUNCED: RowState.BOUNCED,
    EventKind.EXPIRED: RowState.EXPIRED,
    EventKind.FAILED: RowState.FAILED,
}
_FIRSTS: Final = {
    EventKind.OPENED: "opened_at",
    EventKind.CLICKED: "clicked_at",
    EventKind.COMPLAINED: "complained_at",
    EventKind.UNSUBSCRIBED: "unsubscribed_at",
}
_SUPPRESSED: Final = "suppressed: "
"""What the worker says in front of the reason."""


async def settle(database: Database) -> tuple[int, set[UUID]]:
    """Take up to `BATCH` news; returns how many that were, and campaigns whose figures changed. Nothing while another
    process does it."""
    async with database.transaction() as connection:
        taken, changes = await _settle_some(connection)
    return taken, {campaign for (campaign, _), n in changes.items() if n}


async def _settle_some(connection: Connection) -> tuple[int, Counter[Tally]]:
    cursor = await connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [Lock.SETTLING_CAMPAIGNS])
    row = await cursor.fetchone()
    if not row or not row[0]:
        return 0, Counter()
    found = await news.take(connection, BATCH)
    if not found:
        return 0, Counter()
    found, before = await _theirs(connection, found)
    after = told(before, found)
    await _write(connection, [row for person, row in after.items() if row != before[person]])
    after |= await _again(connection, [row for person, row in after.items() if row.state != before[person].state])
    await _count_clicks(connection, [one for one in found if one.person in before])
    changes = changed(before, after)
    await tallies.add(connection, changes)
    return len(found), changes


async def _theirs(connection: Connection, found: list[News]) -> tuple[list[News], dict[Person, Row]]:
    """The news with the rows that it is about. Where two contacts became one it may name the one whose mail it was
    then, whose row is the other's: the mail says whose it is now."""
    rows = await _rows(connection, found)
    strays = {one.email_id for one in found if one.person not in rows or rows[one.person].email_id != one.email_id}
    now_of = await news.people_of(connection, strays) if strays else {}
    if not now_of:
        return found, rows
    found = [one._replace(contact_id=now_of[one.email_id][1]) if one.email_id in now_of else one for one in found]
    return found, await _rows(connection, found)


async def _again(connection: Connection, moved: Sequence[Row]) -> dict[Person, Row]:
    """Rows that wait again: their mail was not sent because of an address that their person has left since."""
    rows = [row for row in moved if row.state in (RowState.UNSUBSCRIBED, RowState.SUPPRESSED) and row.email_id]
    if not rows:
        return {}
    names = {
        "campaigns": arrays.uuids(row.campaign_id for row in rows),
        "contacts": arrays.uuids(row.contact_id for row in rows),
    }
    found = set(await (await connection.execute(_AGAIN, names)).fetchall())
    return {
        (row.campaign_id, row.contact_id): row._replace(email_id=None, state=RowState.WAITING)
        for row in rows if (row.campaign_id, row.contact_id) in found
    }  # fmt: skip


def told(rows: Mapping[Person, Row], told_of: Iterable[News]) -> dict[Person, Row]:
    """The rows as they are after this news, told in its order. Of rows that are gone nothing is kept. Pure."""
    after = dict(rows)
    for one in told_of:
        if one.person in after:
            after[one.person] = _after(after[one.person], one)
    return after


def _after(row: Row, one: News) -> Row:
    kind = EventKind(one.kind)
    if kind is EventKind.COMPLAINT_WITHDRAWN:
        return row._replace(complained_at=None)
    name = _FIRSTS.get(kind)
    if name is None:
        return _moved(row, one, state_of(one))
    first = getattr(row, name)
    if one.machine or (first is not None and first <= one.at):
        return row
    return row._replace(**{name: one.at})  # type: ignore[arg-type]  # the name of a time


def _moved(row: Row, one: News, state: RowState) -> Row:
    if one.email_id != row.email_id or state not in ROW_MOVES[row.state]:
        return row
    return row._replace(
        state=state, reason=_reason(one), ip=one.ip or row.ip, provider=one.provider or row.provider,
        klass=one.klass if state is not RowState.DELIVERED else None,
        ended_at=one.at if state in OUTCOMES else None,
    )  # fmt: skip


def state_of(one: News) -> RowState:
    """The state that this brings a row to. Pure."""
    kind, detail = EventKind(one.kind), one.detail or ""
    if kind is EventKind.SUPPRESSED:
        return people.outcome_of(detail.removeprefix(_SUPPRESSED))
    if kind is EventKind.CANCELLED:
        return RowState.ERASED if detail == ERASED else RowState.CANCELLED
    return _STATES[kind]


def _reason(one: News) -> str | None:
    return (one.detail or "").removeprefix(_SUPPRESSED) or None


_MARKS: Final = {
    "opened_at": tallies.OPENED, "clicked_at": tallies.CLICKED, "complained_at": tallies.COMPLAINED,
    "unsubscribed_at": tallies.LEFT,
}  # fmt: skip


def changed(before: Mapping[Person, Row], after: Mapping[Person, Row]) -> Counter[Tally]:
    """What it changes in the tallies. Pure."""
    alike: Counter[tuple[UUID, RowState, RowState]] = Counter()
    changes: Counter[Tally] = Counter()
    for person, row in after.items():
        was = before[person]
        alike[row.campaign_id, was.state, row.state] += 1
        for name, mark in _MARKS.items():
            if more := (getattr(row, name) is not None) - (getattr(was, name) is not None):
                changes[row.campaign_id, mark] += more
        if RowState.BOUNCED in (was.state, row.state):
            changes[row.campaign_id, tallies.HARD_BOUNCED] += _is_dead(row) - _is_dead(was)
    for (campaign_id, state_before, state), n in alike.items():
        changes[campaign_id, state] += n
        changes[campaign_id, state_before] -= n
    return changes


def _is_dead(row: Row) -> bool:
    return row.state is RowState.BOUNCED and bounce_kind(row.klass or "").permanence is Permanence.PERMANENT


async def _rows(connection: Connection, found: Iterable[News]) -> dict[Person, Row]:
    persons = {one.person for one in found}
    names = {
        "campaigns": arrays.uuids(campaign for campaign, _ in persons),
        "contacts": arrays.uuids(contact for _, contact in persons),
    }
    rows = await (await connection.execute(_ROWS, names)).fetchall()
    return {(row[0], row[1]): Row(row[0], row[1], row[2], RowState(row[3]), *row[4:]) for row in rows}


async def _write(connection: Connection, rows: Sequence[Row]) -> None:
    if rows:
        columns = dict(zip(Row._fields, zip(*rows, strict=True), strict=True))
        ids = {name: arrays.uuids(columns[name]) for name in ("campaign_id", "contact_id")}
        texts = {name: arrays.some_texts(columns[name]) for name in ("reason", "ip", "provider", "klass")}
        times = {name: arrays.moments(columns[name]) for name in ("ended_at", *_MARKS)}
        await connection.execute(_WRITE, {"state": arrays.words(columns["state"]), **ids, **texts, **times})


async def _count_clicks(connection: Connection, found: Iterable[News]) -> None:
    """People's, by link."""
    clicked = [(*one.person, one.link) for one in found if one.link and not one.machine]
    if clicked:
        called = await links.names_of(connection, {(campaign, url) for campaign, _, url in clicked})
        clicks = Counter((campaign, contact, called[campaign, url]) for campaign, contact, url in clicked)
        names = {
            "campaigns": arrays.uuids(campaign for campaign, _, _ in clicks),
            "contacts": arrays.uuids(contact for _, contact, _ in clicks),
            "urls": [name for _, _, name in clicks],
            "clicks": arrays.integers(clicks.values()),
        }
        await connection.execute(_LINKS, names)
        await connection.execute(_CLICKS, names)
