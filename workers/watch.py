"""Metrics of the delivery pipeline, declared in one place because every step moves one of them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

from core.metrics import DELIVERY_BUCKETS, STEP_BUCKETS
from core.queues import Lane
from messages.prepare import Spent
from outcomes.kinds import AttemptFacts
from workers.trail import Trail

STEPS = Histogram("postlane_step_seconds", "Time of one pipeline step", ["lane", "step"], buckets=STEP_BUCKETS)
"""step: claim, load, route, choose (of a batch), wait (for a thread), compose, sign (of a part of it), send (of one
mail, from a ready session to the reply), record (one commit of outcomes)."""
_STEPS = {
    (lane, name): STEPS.labels(lane.value, name)
    for lane in Lane
    for name in ("claim", "load", "route", "choose", "wait", "compose", "sign", "send", "record")
}
"""Finding a child by its labels costs more than moving it."""
SEND = {lane: _STEPS[lane, "send"] for lane in Lane}
RECORD = {lane: _STEPS[lane, "record"] for lane in Lane}
CLAIMED = Counter("postlane_claimed_total", "Messages claimed", ["lane"])
COMMITS = Histogram("postlane_outcome_commit_seconds", "Time of one commit of outcomes", buckets=STEP_BUCKETS)
COMMITTED = Counter("postlane_outcomes_committed_total", "Outcomes committed, by what became of them", ["result"])
"""result: ended, deferred, repeat (told of a message that had ended before)."""
for _result in ("ended", "deferred", "repeat"):
    COMMITTED.labels(_result)  # from the start: one that begins with its first event shows Prometheus no increase
REPLIES = Counter(
    "postlane_smtp_replies_total", "Final replies of attempts", ["lane", "provider", "ip", "code", "verdict", "class"]
)
DELIVERY = Histogram(
    "postlane_accepted_to_delivered_seconds", "From acceptance (or schedule) to the remote 250", ["lane"],
    buckets=DELIVERY_BUCKETS,
)  # fmt: skip
_DELIVERED = {lane: DELIVERY.labels(lane.value) for lane in Lane}
CAPTURED = Counter("postlane_captured_total", "Messages that ended, or were put off, without leaving", ["lane"])
UNCERTAIN = Counter(
    "postlane_uncertain_total", "Attempts whose final dot was sent and whose reply was not read", ["lane"]
)
HELD = Counter("postlane_held_total", "Messages returned to the queue because no IP could take them", ["lane"])
for _lane in Lane:
    UNCERTAIN.labels(_lane.value)
    HELD.labels(_lane.value)
IN_FLIGHT = Gauge("postlane_in_flight", "Messages claimed by this process whose outcome is not committed")
UNCOMMITTED = Gauge("postlane_outcomes_uncommitted", "Outcomes that wait for their commit in this process")
SESSIONS = Gauge("postlane_smtp_sessions", "Open SMTP sessions of this process")


@contextmanager
def step(lane: Lane, name: str, trail: Trail | None = None) -> Iterator[None]:
    """Observe the time a step takes, also of the traced mail that goes through it."""
    started = time.monotonic()
    try:
        yield
    finally:
        _STEPS[lane, name].observe(time.monotonic() - started)
        if trail is not None:
            trail.step(name, started)


def prepared(lane: Lane, spent: Spent, asked: float) -> None:
    """Observe the composing and signing of a chunk that was asked for at `asked`."""
    _STEPS[lane, "wait"].observe(spent.began - asked)
    _STEPS[lane, "compose"].observe(spent.composing)
    _STEPS[lane, "sign"].observe(spent.signing)


def attempt(lane: Lane, facts: AttemptFacts, delivered_after: float | None) -> None:
    """Count one attempt; `delivered_after` (seconds since acceptance) when it delivered."""
    _replies(lane.value, facts.provider, facts.ip, facts.code, facts.action, facts.klass).inc()
    if delivered_after is not None:
        _DELIVERED[lane].observe(delivered_after)


@lru_cache(maxsize=4096)
def _replies(lane: str, provider: str, ip: str, code: int, verdict: str, klass: str) -> Counter:
    return REPLIES.labels(lane, provider, ip, str(code), verdict, klass)
