"""Policies: how often somebody who has gone silent gets campaigns of a topic, and how many anybody gets in a week.

A topic without a policy of its own has `DEFAULT`: nobody who was silent for a year, and else everybody, as often as the
sender writes. Tapering is off until somebody turns it on: it is measured by opens and clicks, and a sender who tracks
neither would lose the people who read every mail. `GENTLE` is what we advise.

Works on the caller's connection and never commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Final
from uuid import UUID

from psycopg.types.json import Jsonb

from audience.topics import Topic
from core.queues import Lane
from core.refusal import conflict, invalid
from store.database import Connection

MOST_STEPS: Final = 5
MOST_EVERY: Final = 50
MOST_DAYS: Final = 399
"""Signs of life are kept for 400 days (`store/partitions`)."""
MOST_PER_WEEK: Final = 100
YEAR: Final = 365


@dataclass(frozen=True, slots=True)
class Step:
    """From so many days of silence on."""

    after_days: int
    every: int | None
    """Every second, every fourth campaign …; None: none."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds for the campaigns of one topic."""

    steps: tuple[Step, ...] = ()
    """In the order of their days."""
    silent_days: int | None = YEAR
    """Who showed no sign of life for so long gets none, None: however long."""
    most_per_week: int | None = None
    """Campaigns of the topic that one person gets within seven days at most."""
    reconfirm: bool = False
    """Ask them once more before they get none (`reconfirming`)."""
    updated_at: datetime | None = None
    """None: the topic has no policy of its own."""


DEFAULT: Final = Policy()
ANYBODY: Final = Policy(silent_days=None)
"""However silent."""
GENTLE: Final = (Step(30, 2), Step(60, 4), Step(90, None))

_COLUMNS: Final = "steps, silent_days, most_per_week, reconfirm, updated_at"


def checked(policy: Policy) -> Policy:
    """The policy with its steps in order. Raises Refused."""
    steps = tuple(sorted(policy.steps, key=lambda step: step.after_days))
    if len(steps) > MOST_STEPS:
        raise invalid("tapering", f"at most {MOST_STEPS} steps")
    for step in steps:
        if not 1 <= step.after_days <= MOST_DAYS:
            raise invalid("tapering", f"a step begins after 1 to {MOST_DAYS} days")
        if step.every is not None and not 2 <= step.every <= MOST_EVERY:
            raise invalid("tapering", f"a step sends every 2nd to {MOST_EVERY}th campaign, or none")
    for one, other in pairwise(steps):
        if one.after_days == other.after_days:
            raise invalid("tapering", f"two steps begin after {one.after_days} days")
        if one.every is None or (other.every is not None and other.every <= one.every):
            raise invalid("tapering", f"the step after {other.after_days} days would send no less than the one before")
    _within("silent_after_days", policy.silent_days, MOST_DAYS)
    _within("most_per_week", policy.most_per_week, MOST_PER_WEEK)
    return replace(policy, steps=steps)


async def of_topic(connection: Connection, topic_id: UUID | None) -> Policy:
    """What holds for a topic."""
    cursor = await connection.execute(f"SELECT {_COLUMNS} FROM tapering_policies WHERE topic_id = %s", [topic_id])
    row = await cursor.fetchone()
    return _policy(row) if row else DEFAULT


async def put(connection: Connection, topic: Topic, policy: Policy) -> Policy:
    """Give a topic this policy. Raises Refused: it makes no sense, or none of it would ever hold."""
    if topic.lane is Lane.TRANSACTIONAL:
        raise conflict("mail of a transactional topic is never held back", "Policies are for topics of marketing mail.")
    wanted = checked(policy)
    steps = [{"after_days": step.after_days, "every": step.every} for step in wanted.steps]
    cursor = await connection.execute(
        "INSERT INTO tapering_policies (topic_id, application_id, steps, silent_days, most_per_week,"
        " reconfirm) VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (topic_id) DO UPDATE SET steps = EXCLUDED.steps,"
        " silent_days = EXCLUDED.silent_days, most_per_week = EXCLUDED.most_per_week,"
        " reconfirm = EXCLUDED.reconfirm, updated_at = now()"
        f" RETURNING {_COLUMNS}",
        [topic.id, topic.application_id, Jsonb(steps), wanted.silent_days, wanted.most_per_week, wanted.reconfirm],
    )
    row = await cursor.fetchone()
    if row is None:
        raise AssertionError("what is put is there")
    return _policy(row)


def policy_face(topic_id: UUID, policy: Policy) -> dict[str, object]:
    """A policy as JSON."""
    return {
        "object": "topic_policy",
        "topic_id": topic_id,
        "tapering": [{"after_days": step.after_days, "send_every": step.every} for step in policy.steps],
        "silent_after_days": policy.silent_days,
        "most_per_week": policy.most_per_week,
        "reconfirm": policy.reconfirm,
        "is_default": policy.updated_at is None,
        "updated_at": policy.updated_at,
    }


def _within(field: str, number: int | None, most: int) -> None:
    if number is not None and not 1 <= number <= most:
        raise invalid(field, f"a number from 1 to {most}, or null for no bound")


def _policy(row: Sequence[object]) -> Policy:
    steps, silent_days, most_per_week, reconfirm, updated = row
    made = tuple(Step(one["after_days"], one["every"]) for one in steps)  # type: ignore[attr-defined]  # JSON
    return Policy(made, silent_days, most_per_week, reconfirm, updated)  # type: ignore[arg-type]  # psycopg's rows are untyped
