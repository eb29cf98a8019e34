"""Write what happened: one transaction for a batch of outcomes. Every outcome of the product passes here.

A terminal outcome deletes the queue row and then moves the state of what it deleted, so a message ends exactly once
however often the same outcome is told (journal replay, a second worker after a lost lease).
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from uuid import UUID

from messages import moves, timeline
from messages.model import MessageRef
from messages.repository import applications_of
from messages.states import TERMINAL, State
from messages.timeline import Entry, EventKind
from mta.model import Action
from outcomes.kinds import Outcome
from outcomes.mailboxes import mailbox_news
from store import arrays
from store.counters import Counted
from store.database import Connection
from store.durations import bucket
from suppression import adding, soft_bounces
from suppression.entries import Addition
from suppression.reasons import SuppressionEntry
from suppression.rules import BY_DEFAULT, SoftBounceRule


@dataclass(frozen=True, slots=True)
class Recorded:
    """How a batch went: `ended` and `deferred` moved a message, `repeats` told of messages that had ended before."""

    ended: int
    deferred: int
    repeats: int
    moved: Collection[MessageRef] = field(default=(), compare=False)
    """Which messages ended or were put off; two batches that went alike are equal all the same."""


async def record(connection: Connection, outcomes: Sequence[Outcome], rule: SoftBounceRule = BY_DEFAULT) -> Recorded:
    """Write these outcomes within the caller's transaction. `rule` says when soft bounces suppress."""
    # A replayed journal may tell of a message twice: its first end counts, and its last deferral.
    notes = [o for o in outcomes if o.is_note]
    endings = _once([o for o in reversed(outcomes) if o.state in TERMINAL])
    deferrals = _once([o for o in outcomes if o.state is State.DEFERRED])
    moved: list[Outcome] = []
    ended = kept = 0
    if endings:
        gone = await moves.end(connection, _columns(endings), [o.ref for o in endings])
        ended = len(gone)
        moved += endings if ended == len(endings) else [o for o in endings if o.ref in gone]
    if deferrals:
        left = await moves.defer(connection, _columns(deferrals) | _later(deferrals), [o.ref for o in deferrals])
        kept = len(left)
        moved += deferrals if kept == len(deferrals) else [o for o in deferrals if o.ref in left]
    first = notes + moved
    await timeline.write(connection, [_entry(o) for o in first])
    real = [o for o in moved if not o.capture]
    soft = await soft_bounces.observe(connection, await mailbox_news(connection, real), rule)
    await _suppress(connection, [(o, o.suppress) for o in first if o.suppress and not o.capture], soft)
    return Recorded(ended, kept, len(outcomes) - len(first), [o.ref for o in moved])


def _once(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The last outcome of each message, in one order for all: two who tell of the same messages in two orders waited
    for each other in a circle. By numbers: ids hash and compare in Python."""
    found = {(o.ref.email_id.int, o.ref.position): o for o in outcomes}
    return [found[place] for place in sorted(found)]


async def _suppress(
    connection: Connection, told: Sequence[tuple[Outcome, SuppressionEntry]], soft: Sequence[Addition]
) -> None:
    """The entries belong to the applications whose mail it was."""
    emails = [outcome.ref.email_id for outcome, _ in told] + [one.source_id for one in soft if one.source_id]
    if emails:
        owners = await applications_of(connection, emails)
        hard = [Addition(o.address, entry, source_id=o.ref.email_id) for o, entry in told]
        owned = [replace(one, owner=owners.get(one.source_id)) for one in (*hard, *soft) if one.source_id]
        await adding.add(connection, owned)


def _columns(outcomes: Sequence[Outcome]) -> dict[str, object]:
    return {
        **arrays.first_and_last([o.ref.email_id for o in outcomes]),
        "emails": arrays.uuids(o.ref.email_id for o in outcomes),
        "positions": arrays.integers(o.ref.position for o in outcomes),
        "states": arrays.words(o.state for o in outcomes),
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
        return Entry(
            *outcome.ref, outcome.at, outcome.kind, detail=detail, next_attempt_at=later,
            counted=None if outcome.capture else Counted(lane, "", "", outcome.kind.value, _part(outcome)),
            origin=outcome.origin, capture=outcome.capture, words=outcome.words,
        )  # fmt: skip
    pool = _pool(a.pool) if a.pool else None
    counted = Counted(lane, a.provider, a.ip, _counted_as(outcome), _part(outcome), pool)
    return Entry(
        *outcome.ref, outcome.at, outcome.kind, outcome.attempts, a.ip, a.provider, a.mx, a.tls, a.phase, a.code,
        a.enhanced, a.reply, a.action, a.klass, a.scope, a.rule, detail, later, a.duration_ms, pool,
        counted=None if outcome.capture else counted, origin=outcome.origin, capture=outcome.capture,
        words=outcome.words,
    )  # fmt: skip


@lru_cache
def _pool(name: str) -> UUID:
    return UUID(name)


def _part(outcome: Outcome) -> str:
    """How long a delivery took, or the class of what came instead."""
    if outcome.waited is not None:
        return bucket(outcome.waited)
    return outcome.attempt.klass if outcome.attempt and outcome.kind is not EventKind.DELIVERED else ""


def _counted_as(outcome: Outcome) -> str:
    """A refusal of the message or the IP says nothing about the recipient: it is no hard bounce in the figures."""
    blocked = outcome.kind is EventKind.BOUNCED and outcome.attempt and outcome.attempt.action == Action.BLOCK
    return "blocked" if blocked else outcome.kind.value
