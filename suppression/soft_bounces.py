"""Addresses whose mailbox keeps failing: counted until a delivery, and suppressed when it was too often.

Called in the transactions that record outcomes and late bounces. What counts, and how often is too often, is decided by
`suppression/rules`. An address that never failed has no row, and a delivery to it writes nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from store import arrays
from store.database import Connection
from suppression.entries import Addition
from suppression.rules import DETAIL_LENGTH, SoftBounceRule, Strike, Tally, too_often

KEPT_DAYS: Final = 180
"""Failures further apart are no row of failures."""

CLEARED_DAYS: Final = 14
"""So long after a delivery its bounce report may still come."""

Key = tuple[str, Strike]

# For every delivery there is, so with nothing but addresses; EXISTS is asked once and first.
_FAILED_BEFORE = """
SELECT address FROM soft_bounces
 WHERE EXISTS (SELECT FROM soft_bounces) AND address = ANY(%s)
"""

# Locked in one order, so that two recorders never wait for each other in a circle.
_DELIVERED = """
UPDATE soft_bounces b SET delivered_at = u.at, delivered_email_id = u.email_id
  FROM (SELECT f.address, f.kind, g.at, g.email_id
          FROM unnest(%(addresses)s::text[], %(times)s::timestamptz[], %(emails)s::uuid[]) g(address, at, email_id)
          JOIN soft_bounces f ON f.address = g.address
         ORDER BY f.address, f.kind FOR UPDATE OF f) u
 WHERE b.address = u.address AND b.kind = u.kind
"""

# A row that is not there cannot be locked: it is made first, with nothing counted.
_MAKE = """
INSERT INTO soft_bounces (address, kind, count, days, first_at, last_at, reply, email_id)
SELECT address, kind, 0, '{}', at, at, '', email_id
  FROM unnest(%(addresses)s::text[], %(kinds)s::text[], %(times)s::timestamptz[], %(emails)s::uuid[])
       AS g(address, kind, at, email_id)
 ORDER BY address, kind
ON CONFLICT DO NOTHING
"""

_LOCK = """
SELECT address, kind, count, days, delivered_email_id FROM soft_bounces
 WHERE (address, kind) IN (SELECT * FROM unnest(%(addresses)s::text[], %(kinds)s::text[]))
 ORDER BY address, kind FOR UPDATE
"""

_COUNT = """
UPDATE soft_bounces SET count = %(count)s, days = %(days)s, last_at = %(at)s, reply = %(reply)s, email_id = %(email)s,
  first_at = CASE WHEN %(fresh)s THEN %(at)s ELSE first_at END,
  delivered_at = CASE WHEN %(delivered)s::uuid IS NOT NULL THEN %(at)s END, delivered_email_id = %(delivered)s
 WHERE address = %(address)s AND kind = %(kind)s
"""


class MailboxNews(NamedTuple):
    """What one email said about a mailbox."""

    address: str
    email_id: UUID
    at: datetime
    strike: Strike | None
    """How it failed; None: it was delivered."""
    reply: str = ""
    owner: UUID | None = None
    """Whose email it was."""


async def observe(connection: Connection, news: Sequence[MailboxNews], rule: SoftBounceRule) -> list[Addition]:
    """Count these, in their order; returns what is to be suppressed now."""
    failed = {one.address for one in news if one.strike}
    await _clear(connection, [one for one in news if one.address not in failed])
    return await _count(connection, [one for one in news if one.address in failed], rule) if failed else []


async def forget(connection: Connection) -> None:
    """Retention: failures of long ago, and those that a delivery has ended for good."""
    await connection.execute(
        "DELETE FROM soft_bounces WHERE last_at < now() - make_interval(days => %s)"
        " OR delivered_at < now() - make_interval(days => %s)",
        [KEPT_DAYS, CLEARED_DAYS],
    )


async def _clear(connection: Connection, delivered: Sequence[MailboxNews]) -> None:
    if not delivered:
        return
    cursor = await connection.execute(_FAILED_BEFORE, [arrays.quoted([one.address for one in delivered])])
    before = {row[0] for row in await cursor.fetchall()}
    if before:
        last = {one.address: one for one in delivered if one.address in before}
        await connection.execute(_DELIVERED, _columns(last))


def _columns(last: Mapping[str, MailboxNews]) -> dict[str, object]:
    return {
        "addresses": list(last),
        "times": arrays.moments([one.at for one in last.values()]),
        "emails": arrays.uuids(one.email_id for one in last.values()),
    }


async def _count(connection: Connection, news: Sequence[MailboxNews], rule: SoftBounceRule) -> list[Addition]:
    """Row by row: failures that blame a mailbox are rare."""
    tallies = await _locked(connection, news)
    suppressed: list[Addition] = []
    for key, story in _stories(news, tallies).items():
        tally = tallies[key]
        fresh = tally.count == 0
        for one in story:
            tally = tally.failed(one.email_id, one.at) if one.strike else tally.delivered(one.email_id)
            fresh = fresh or tally.count == 1
        entry = too_often(key[1], tally, story[-1].reply, rule)
        if entry is None:
            await connection.execute(_COUNT, _row(key, tally, story[-1], fresh))
        else:
            await connection.execute("DELETE FROM soft_bounces WHERE address = %s", [key[0]])
            last = story[-1]
            suppressed.append(Addition(last.address, entry, last.owner, source_id=last.email_id))
    return suppressed


def _stories(news: Sequence[MailboxNews], keys: dict[Key, Tally]) -> dict[Key, list[MailboxNews]]:
    """What happened to each row, in order: its failures, and the deliveries to its address."""
    return {
        key: [one for one in news if one.address == key[0] and one.strike in (None, key[1])] for key in sorted(keys)
    }


async def _locked(connection: Connection, news: Sequence[MailboxNews]) -> dict[Key, Tally]:
    """The rows of these failures as they stand, locked until the transaction ends."""
    firsts = {(one.address, one.strike.value): one for one in reversed(news) if one.strike}
    values = {
        "addresses": [address for address, _ in firsts],
        "kinds": [kind for _, kind in firsts],
        "times": arrays.moments([one.at for one in firsts.values()]),
        "emails": arrays.uuids(one.email_id for one in firsts.values()),
    }
    await connection.execute(_MAKE, values)
    rows = await (await connection.execute(_LOCK, values)).fetchall()
    return {
        (address, Strike(kind)): Tally(count, frozenset(days), delivered)
        for address, kind, count, days, delivered in rows
    }


def _row(key: Key, tally: Tally, last: MailboxNews, fresh: bool) -> dict[str, object]:
    return {
        "address": key[0], "kind": key[1].value, "count": tally.count, "days": sorted(tally.days), "at": last.at,
        "reply": last.reply[:DETAIL_LENGTH], "email": last.email_id, "fresh": fresh, "delivered": tally.delivered_by,
    }  # fmt: skip


async def forget_address(connection: Connection, address: str) -> None:
    """Somebody is erased: their mailbox is counted anew."""
    await connection.execute("DELETE FROM soft_bounces WHERE address = %s", [address])
