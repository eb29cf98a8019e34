"""Taking due messages to work, keeping them while they are worked on, and giving them back.

`delivery_queue.due_at` is also the lease: a claim moves it ahead, so that the mail of a dead worker becomes due again
by itself. The claim statement consults the suppression list, the recipients' choices and the expiry; no message leaves
without it. Mail of a halted campaign is put aside in the same statement (`messages/halted`).
All times are the database's, so that a worker's clock can be wrong.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple
from uuid import UUID

from audience.predicate import refusing
from core.queues import Lane
from messages.halted import HELD, LASTING
from messages.held import FREE
from messages.model import Claimed, MessageRef, StoredContent, StoredEmail
from mta.model import Attachment
from store import arrays
from store.database import Connection
from suppression.predicate import forbidding

INLINE_CONTENT = 64 * 1024
"""Content up to this size (bytes) is loaded with the batch; larger content one by one, right before sending."""

SHARES = 20
"""Where the destinations of a hint have mail enough, a batch is shared by so few of them: choosing IPs, rates, look-ups
in the queue's index are done once for a destination, not for a mail."""

_CLAIM = f"""
WITH due AS MATERIALIZED (
  SELECT d.email_id, d.position,
         coalesce(d.campaign_id IN (SELECT campaign_id FROM halted_campaigns WHERE at <= now()), false) AS halted
    FROM unnest(%(destinations)s::text[]) AS wanted(destination), LATERAL (
    SELECT email_id, position, campaign_id FROM delivery_queue q
     WHERE q.lane = %(lane)s AND q.destination = wanted.destination AND q.due_at <= now()
       AND {FREE}
     ORDER BY q.due_at LIMIT %(each)s FOR UPDATE SKIP LOCKED) d
   LIMIT %(most)s
), claimed AS (
  UPDATE delivery_queue q SET
         due_at = now() + CASE WHEN halted THEN %(aside)s ELSE %(lease)s END,
         claimed_by = CASE WHEN NOT halted THEN %(worker)s::uuid END, claimed_at = CASE WHEN NOT halted THEN now() END,
         hold = CASE WHEN halted THEN '{HELD}' END, breaker = NULL
    FROM due WHERE q.email_id = due.email_id AND q.position = due.position
  RETURNING q.email_id, q.position, q.recipient, q.address, q.destination, q.attempts, q.last_ip, q.expires_at,
            q.engaged_at, q.lane, q.application_id, q.topic_id, q.capture, halted
)
SELECT c.email_id, c.position, c.recipient, c.address, c.destination, c.attempts, c.last_ip, c.expires_at, c.engaged_at,
       c.capture, coalesce(c.expires_at <= now(), false), coalesce(s.reason, {refusing("c")}), now(), c.halted
  FROM claimed c LEFT JOIN LATERAL (SELECT s.reason {forbidding("c")} LIMIT 1) s ON true
"""

# OFFSET 0 keeps the planner from flattening the subquery: a look-up per email is right at any table size. Most mail has
# no tags and no headers, and of NULL the driver has no JSON to read.
_LOAD = """
SELECT e.id, e.application_id, e.domain_id, e.pool_id, e.content_id, e.created_at, e.scheduled_at, e.sender, e.subject,
       e."to", e.cc, e.reply_to, e.message_id, nullif(e.tags, '[]'), e.topic_id, e.open_tracking, e.click_tracking,
       e.capture, e.campaign_id, e.contact_id, e.template_id, c.html, c.body, nullif(c.headers, '[]'), c.raw,
       c.attachment_count, c.size
  FROM emails e LEFT JOIN LATERAL (
    SELECT CASE WHEN size <= %(inline)s THEN html END AS html, CASE WHEN size <= %(inline)s THEN body END AS body,
           headers, CASE WHEN size <= %(inline)s THEN raw END AS raw, attachment_count, size
      FROM contents WHERE id = e.content_id OFFSET 0) c ON true
 WHERE e.id = ANY(%(ids)s::uuid[])
"""

# OFFSET 0 and the lock keep the planner from flattening the subqueries: each is looked up by its id, and not compared
# with all that is due or that the worker holds.
_STILL_MINE = f"""
SELECT q.email_id, q.position FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[]) AS u(email_id, position),
       LATERAL (SELECT * FROM delivery_queue WHERE email_id = u.email_id AND position = u.position OFFSET 0) q
 WHERE q.claimed_by = %(worker)s AND q.due_at > now()
   AND NOT EXISTS (SELECT {forbidding("q")}) AND {refusing("q")} IS NULL
   AND NOT EXISTS (SELECT FROM halted_campaigns h WHERE h.campaign_id = q.campaign_id AND h.at <= now())
"""

# A locked row is one whose outcome is being committed: waiting for it could be a deadlock.
_RENEW = """
UPDATE delivery_queue q SET due_at = now() + %(lease)s, claimed_at = now()
  FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[]) AS u(email_id, position),
       LATERAL (SELECT email_id, position FROM delivery_queue
                 WHERE email_id = u.email_id AND position = u.position AND claimed_by IS NOT DISTINCT FROM %(worker)s
                   FOR UPDATE SKIP LOCKED) AS mine
 WHERE q.email_id = mine.email_id AND q.position = mine.position
"""

# What waits for an IP says for which, what a breaker stopped names it (messages/stopped). It is due at its own time, so
# that what waits for long is not looked at before. IS NOT DISTINCT FROM asks no index: all that the worker holds would
# be read for each.
_HOLD = """
UPDATE delivery_queue q SET due_at = greatest(u.due, now()), hold = u.hold, breaker = nullif(u.breaker, ''),
       claimed_by = NULL, claimed_at = NULL
  FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[], %(due)s::timestamptz[], %(holds)s::text[],
              %(breakers)s::text[]) AS u(email_id, position, due, hold, breaker)
 WHERE q.email_id = u.email_id AND q.position = u.position AND q.claimed_by IS NOT DISTINCT FROM %(worker)s
"""

_GIVE_BACK = """
UPDATE delivery_queue q SET due_at = greatest(%(due)s, now()), claimed_by = NULL, claimed_at = NULL
  FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[]) AS u(email_id, position)
 WHERE q.email_id = u.email_id AND q.position = u.position AND q.claimed_by IS NOT DISTINCT FROM %(worker)s
"""


_DESTINATION: Final = 4
"""Among the columns of a claim."""


class Held(NamedTuple):
    """A message that waits for something else than its next attempt."""

    ref: MessageRef
    due: datetime
    reason: str
    breaker: str = ""
    """The provider to which a breaker stops its stream; "" for any other reason."""


async def claim(
    connection: Connection, lane: Lane, destinations: Sequence[str], worker: UUID, limit: int, lease: timedelta
) -> tuple[list[Claimed], list[str]]:
    """Take about `limit` due messages, an equal part for each of these destinations, or for the first `SHARES` of them
    that have so much, oldest due first; returns them and the destinations that may have more, those first that had no
    turn. Commits by itself (autocommit)."""
    each = max(1, -(-limit // len(destinations)), limit // SHARES)
    most = max(limit, len(destinations))
    cursor = await connection.execute(
        _CLAIM,
        {
            "lane": lane.value,
            "destinations": list(destinations),
            "each": each,
            "most": most,
            "lease": lease,
            "worker": worker,
            "aside": LASTING,
        },
        binary=True,
    )
    rows = await cursor.fetchall()
    claimed = [
        Claimed(
            MessageRef(mail, position), recipient, address, destination, attempts, ip, reason, expires, expired, at,
            engaged_at=engaged, capture=capture,
        )
        for (
            mail, position, recipient, address, destination, attempts, ip, expires, engaged, capture, expired, reason,
            at, halted,
        ) in rows if not halted
    ]  # fmt: skip
    return claimed, _left(destinations, Counter(row[_DESTINATION] for row in rows), each, most)


def _left(destinations: Sequence[str], counts: Counter[str], each: int, most: int) -> list[str]:
    """Destinations that may have more. They are asked in their order: when `most` are found, the last one may have been
    cut off, and those behind it had no turn."""
    full = [destination for destination, count in counts.items() if count >= each]
    if counts.total() < most:
        return full
    place = {destination: at for at, destination in enumerate(destinations)}
    last = max(counts, key=place.__getitem__)
    behind = destinations[place[last] + 1 :]
    return list(dict.fromkeys([*behind, *full, last]))


async def load(
    connection: Connection, email_ids: Iterable[UUID]
) -> dict[UUID, tuple[StoredEmail, StoredContent | None]]:
    """The emails with their content, None where it is large or has attachments. A missing email is left out."""
    wanted = {"ids": arrays.uuids(set(email_ids)), "inline": INLINE_CONTENT}
    cursor = await connection.execute(_LOAD, wanted, binary=True)
    return {row[0]: _stored(*row) for row in await cursor.fetchall()}


async def load_content(connection: Connection, content_id: UUID) -> StoredContent | None:
    """Content of any size with its attachments; None when retention has removed it."""
    cursor = await connection.execute("SELECT html, body, headers, raw FROM contents WHERE id = %s", [content_id])
    row = await cursor.fetchone()
    if row is None:
        return None
    files = await connection.execute(
        "SELECT filename, content_type, data, content_cid FROM attachments WHERE content_id = %s ORDER BY position",
        [content_id],
    )
    attachments = tuple(Attachment(name, kind, bytes(data), cid) for name, kind, data, cid in await files.fetchall())
    return StoredContent(row[0], row[1], _pairs(row[2]), _bytes(row[3]), attachments)


async def still_sendable(connection: Connection, refs: Sequence[MessageRef], worker: UUID) -> set[MessageRef]:
    """Of these messages, those that this worker still holds, its lease not ended, and that neither suppression
    nor choice forbids.
    Asked right before `MAIL FROM` when the claim is older than a second."""
    cursor = await connection.execute(_STILL_MINE, {**_columns(refs), "worker": worker})
    return {MessageRef(email, position) for email, position in await cursor.fetchall()}


async def renew(connection: Connection, refs: Sequence[MessageRef], worker: UUID, lease: timedelta) -> None:
    """Keep claims alive; only those still ours move."""
    await connection.execute(_RENEW, {**_columns(refs), "worker": worker, "lease": lease})


async def give_back(connection: Connection, refs: Sequence[MessageRef], worker: UUID, due: datetime) -> None:
    """Return messages that were not tried: due at `due` (not before now), no attempt counted."""
    await connection.execute(_GIVE_BACK, {**_columns(refs), "worker": worker, "due": due})


async def hold(connection: Connection, held: Sequence[Held], worker: UUID) -> None:
    """Return messages that no IP can take now: each due at its time, with the reason, no attempt counted."""
    columns = {
        "due": arrays.moments([one.due for one in held]),
        "holds": [one.reason for one in held],
        "breakers": [one.breaker for one in held],
        "worker": worker,
    }
    await connection.execute(_HOLD, _columns([one.ref for one in held]) | columns)


async def release_worker(connection: Connection, worker: UUID) -> int:
    """Make everything a dead worker held due at once; returns how many messages that were. Its successor calls this
    after it has replayed the outcome journal."""
    cursor = await connection.execute(
        "UPDATE delivery_queue SET due_at = now(), claimed_by = NULL, claimed_at = NULL WHERE claimed_by = %s", [worker]
    )
    return cursor.rowcount


def _columns(refs: Sequence[MessageRef]) -> dict[str, object]:
    return {
        "emails": arrays.uuids(ref.email_id for ref in refs),
        "positions": arrays.integers(ref.position for ref in refs),
    }


def _stored(
    identifier: UUID, application: UUID, domain: UUID, pool: UUID | None, content: UUID, created: datetime,
    scheduled: datetime | None, sender: str, subject: str, to: list[str], cc: list[str], reply_to: list[str],
    message_id: str, tags: object, topic: UUID | None, opens: bool | None, clicks: bool | None, capture: bool,
    campaign: UUID | None, contact: UUID | None, template: UUID | None, html: str | None, body: str | None,
    headers: object, raw: object, attachments: int | None, size: int | None,
) -> tuple[StoredEmail, StoredContent | None]:  # fmt: skip
    """From the columns of `_LOAD`."""
    email = StoredEmail(
        identifier, application, domain, pool, content, created, scheduled, sender, subject, tuple(to), tuple(cc),
        tuple(reply_to), message_id, _pairs(tags), size or 0, topic, opens, clicks, capture, campaign, contact,
        template,
    )  # fmt: skip
    small = size is not None and size <= INLINE_CONTENT and attachments == 0
    return email, StoredContent(html, body, _pairs(headers), _bytes(raw)) if small else None


def _pairs(value: object) -> tuple[tuple[str, str], ...]:
    return tuple([(name, text) for name, text in value]) if value and isinstance(value, list) else ()


def _bytes(value: object) -> bytes | None:
    return bytes(value) if isinstance(value, (bytes, memoryview)) else None
