"""Write what happened: one transaction for a batch of outcomes. Every outcome of the product passes here.

A terminal outcome deletes the queue row and moves the message's state in the same statement, so a message ends
exactly once however often the same outcome is told (journal replay, a second worker after a lost lease).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from core.ids import uuid7
from messages import timeline
from messages.states import TERMINAL, State
from messages.timeline import Entry, EventKind
from mta.model import Action
from outcomes.kinds import Outcome
from store import arrays
from store.counters import Counted
from store.database import Connection

_END = """
WITH ended AS (
  SELECT * FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[], %(states)s::text[], %(attempts)s::smallint[],
                       %(times)s::timestamptz[]) AS u(email_id, position, state, attempts, at)
), gone AS (
  DELETE FROM delivery_queue q USING ended u WHERE q.email_id = u.email_id AND q.position = u.position
  RETURNING q.email_id, q.position
), moved AS (
  UPDATE messages m SET state = u.state, attempts = u.attempts, updated_at = u.at
    FROM ended u JOIN gone USING (email_id, position)
   WHERE m.email_id = u.email_id AND m.position = u.position AND m.email_id = ANY(%(emails)s::uuid[]))
SELECT email_id, position FROM gone
"""

_DEFER = """
WITH later AS (
  SELECT * FROM unnest(%(emails)s::uuid[], %(positions)s::smallint[], %(states)s::text[], %(attempts)s::smallint[],
                       %(times)s::timestamptz[], %(due)s::timestamptz[], %(ips)s::text[], %(workers)s::uuid[])
                AS u(email_id, position, state, attempts, at, due_at, ip, worker)
), kept AS (
  UPDATE delivery_queue q SET due_at = u.due_at, attempts = u.attempts, last_ip = nullif(u.ip, ''),
         claimed_by = NULL, claimed_at = NULL
    FROM later u WHERE q.email_id = u.email_id AND q.position = u.position AND q.claimed_by = u.worker
  RETURNING q.email_id, q.position
), moved AS (
  UPDATE messages m SET state = u.state, attempts = u.attempts, updated_at = u.at
    FROM later u JOIN kept USING (email_id, position)
   WHERE m.email_id = u.email_id AND m.position = u.position AND m.email_id = ANY(%(emails)s::uuid[]))
SELECT email_id, position FROM kept
"""

# Of two entries for an address the one that lasts longer stands, as in suppression/repository.
_SUPPRESS = """
INSERT INTO suppressions (id, address, scope, reason, source, detail, expires_at)
VALUES (%s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (address, scope) DO UPDATE
  SET reason = excluded.reason, source = excluded.source, detail = excluded.detail, created_at = now(),
      expires_at = excluded.expires_at
  WHERE coalesce(excluded.expires_at, 'infinity') > coalesce(suppressions.expires_at, 'infinity')
"""


@dataclass(frozen=True, slots=True)
class Recorded:
    """How a batch went: `ended` and `deferred` moved a message, `repeats` told of messages that had ended before."""

    ended: int
    deferred: int
    repeats: int


async def record(connection: Connection, outcomes: Sequence[Outcome]) -> Recorded:
    """Write these outcomes within the caller's transaction."""
    # A replayed journal may tell of a message twice: its first end counts, and its last deferral.
    notes = [o for o in outcomes if o.is_note]
    endings = list({o.ref: o for o in reversed(outcomes) if o.state in TERMINAL}.values())
    deferrals = list({o.ref: o for o in outcomes if o.state is State.DEFERRED}.values())
    ended: set[tuple[object, int]] = set()
    kept: set[tuple[object, int]] = set()
    if endings:
        cursor = await connection.execute(_END, _columns(endings))
        ended.update(await cursor.fetchall())
    if deferrals:
        cursor = await connection.execute(_DEFER, _columns(deferrals) | _later(deferrals))
        kept.update(await cursor.fetchall())
    moved = [o for o in endings if o.ref in ended] + [o for o in deferrals if o.ref in kept]
    first = notes + moved
    await timeline.write(connection, [_entry(o) for o in first])
    # In the order of the index, so that two writers never wait for each other in a circle.
    for outcome in sorted(first, key=lambda o: o.address):
        if outcome.suppress:
            entry = outcome.suppress
            await connection.execute(
                _SUPPRESS,
                [uuid7(), outcome.address, entry.scope, entry.reason, entry.source, entry.detail, entry.expires_at],
            )
    return Recorded(len(ended), len(kept), len(outcomes) - len(first))


def _columns(outcomes: Sequence[Outcome]) -> dict[str, object]:
    return {
        "emails": arrays.uuids(o.ref.email_id for o in outcomes),
        "positions": arrays.integers(o.ref.position for o in outcomes),
        "states": [o.state.value for o in outcomes],
        "attempts": arrays.integers(o.attempts for o in outcomes),
        "times": arrays.moments([o.at for o in outcomes]),
    }


def _later(outcomes: Sequence[Outcome]) -> dict[str, object]:
    return {
        "due": arrays.moments([o.next_attempt_at or o.at for o in outcomes]),
        # Only a greylisted message must come back through the IP that was greylisted.
        "ips": [o.attempt.ip if o.attempt and o.attempt.action == Action.RETRY_SAME_IP else "" for o in outcomes],
        "workers": arrays.uuids(o.worker for o in outcomes),
    }


def _entry(outcome: Outcome) -> Entry:
    lane, a = outcome.lane.value, outcome.attempt
    detail, later = outcome.detail or None, outcome.next_attempt_at
    if a is None:
        counted = Counted(lane, "", "", outcome.kind.value)
        return Entry(*outcome.ref, outcome.at, outcome.kind, detail=detail, next_attempt_at=later, counted=counted)
    return Entry(
        *outcome.ref, outcome.at, outcome.kind, outcome.attempts, a.ip, a.provider, a.mx, a.tls, a.phase, a.code,
        a.enhanced, a.reply, a.action, a.klass, a.scope, a.rule, detail, later, a.duration_ms,
        Counted(lane, a.provider, a.ip, _counted_as(outcome)),
    )  # fmt: skip


def _counted_as(outcome: Outcome) -> str:
    """A refusal of the message or the IP says nothing about the recipient: it is no hard bounce in the figures."""
    blocked = outcome.kind is EventKind.BOUNCED and outcome.attempt and outcome.attempt.action == Action.BLOCK
    return "blocked" if blocked else outcome.kind.value
