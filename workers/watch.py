"""Metrics of the delivery pipeline, declared in one place because every step moves one of them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from core import own_metrics
from core.metrics import DELIVERY_BUCKETS, STEP_BUCKETS
from core.queues import Lane
from messages.prepare import Spent
from outcomes.kinds import AttemptFacts
from store.statement_metrics import add
from store.statements import Timing
from workers.trail import Trail

_STEPS = {
    (lane, name): Timing(STEP_BUCKETS)
    for lane in Lane
    for name in ("claim", "load", "route", "choose", "wait", "compose", "sign", "send", "record")
}
"""step: claim, load, route, choose (of a batch), wait (for a thread), compose, sign (of a part of it), send (of one
mail, from a ready session to the reply), record (one commit of outcomes)."""
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
_DELIVERED = {lane: Timing(DELIVERY_BUCKETS) for lane in Lane}
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


class _Timed(Collector):
    """What each mail, or each part of a batch, takes."""

    def collect(self) -> Iterator[Metric]:
        """Called by a scrape, in its own thread."""
        steps = HistogramMetricFamily("postlane_step_seconds", "Time of one pipeline step", labels=["lane", "step"])
        for (lane, step), its in _STEPS.items():
            add(steps, [lane.value, step], its)
        yield steps
        delivered = HistogramMetricFamily(
            "postlane_accepted_to_delivered_seconds", "From acceptance (or schedule) to the remote 250", labels=["lane"]
        )
        for lane, its in _DELIVERED.items():
            add(delivered, [lane.value], its)
        yield delivered


own_metrics.register(_Timed())


@contextmanager
def step(lane: Lane, name: str, trail: Trail | None = None) -> Iterator[None]:
    """Observe the time a step takes, also of the traced mail that goes through it."""
    started = time.monotonic()
    try:
        yield
    finally:
        _STEPS[lane, name].note(time.monotonic() - started)
        if trail is not None:
            trail.step(name, started)


def prepared(lane: Lane, spent: Spent, asked: float) -> None:
    """Observe the composing and signing of a chunk that was asked for at `asked`."""
    _STEPS[lane, "wait"].note(spent.began - asked)
    _STEPS[lane, "compose"].note(spent.composing)
    _STEPS[lane, "sign"].note(spent.signing)


def attempt(lane: Lane, facts: AttemptFacts, delivered_after: float | None) -> None:
    """Count one attempt; `delivered_after` (seconds since acceptance) when it delivered."""
    _replies(lane.value, facts.provider, facts.ip, facts.code, facts.action, facts.klass).inc()
    if delivered_after is not None:
        _DELIVERED[lane].note(delivered_after)


@lru_cache(maxsize=4096)
def _replies(lane: str, provider: str, ip: str, code: int, verdict: str, klass: str) -> Counter:
    return REPLIES.labels(lane, provider, ip, str(code), verdict, klass)
