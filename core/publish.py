"""Publish work to Celery by task name, without importing a worker. The one Celery door outside `workers/`.

Mail hints are coalesced: while a hint for (lane, destination) waits in Redis, no second one is published. A marker
key with a short life says so; the worker removes it when it starts on the destination. Redis being away, or refusing
writes, costs nothing but time: the mail is in PostgreSQL and the scheduler's due scan gives the hint again.
"""

import contextlib
import queue
import threading
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import redis
from celery import Celery
from kombu.exceptions import OperationalError
from kombu.transport.redis import Channel
from prometheus_client import Counter

from core.broker import keepalive, read
from core.logs import get_logger
from core.queues import BACKGROUND, LEAVING, TASK_DELIVER, Lane

_log = get_logger(__name__)

HINTS = Counter("postlane_hints_total", "Destinations hinted to workers, by lane and result", ["lane", "result"])
"""result: published, coalesced, full (the lane has tasks enough), lost (Redis away)."""

MARKER_SECONDS = 30
"""Life of a marker. A hint that Redis lost is given again after this by the due scan."""

PROMISED_SECONDS = 2
"""Life of a marker whose hint is not sent yet: a process killed in between holds its destinations up no longer."""

DESTINATIONS_PER_TASK = 200
"""Small destinations share a task: a task costs about a millisecond, a claim takes any number of destinations. With one
mail for each of them they fill a batch."""

QUEUE_TASKS = 5000
"""A lane with so many waiting tasks takes no more: without a worker at its end it would grow whenever markers end,
until Redis is full. The due scan hints again once there is room."""

QUIET_SECONDS = 1.0
"""No try for so long after one failed: the due scan finds the mail within a second of Redis coming back."""

_GATHER_SECONDS = 0.02
_APART_SECONDS = 0.003
"""Between two publications while transactional hints come without a pause: each is a round trip to Redis, and took a
quarter of an API process that accepted one mail a request. A hint that comes after a pause goes at once."""
_MANY = 4
_MANY_APART_SECONDS = 0.01
"""The same after a publication for so many transactional messages: they come by the thousand a second then, and workers
have a queue of them."""
_QUEUE_LIMIT = 10_000
_SCANNED = 1000
_MARKERS = "postlane:hint:"
_NEW = ord("1")
_AHEAD = 20
"""With so few destinations a task's claim may bring mail for all of them: it says for which some is known to leave."""
_AT_ONCE = 1000
"""Markers that one call sets: Redis serves nobody else meanwhile, for half a millisecond."""

# A call for a thousand destinations, not a command for each: what a command costs is the writing and reading of it, and
# an argument costs a third of that. So the names come as lines of one. KEYS[1]: the lane's queue; ARGV: what the keys
# of its markers begin with, their life in seconds, the destinations.
_MARK = """
local fresh = {}
for name in string.gmatch(ARGV[3], '[^\\n]+') do
  fresh[#fresh + 1] = redis.call('SET', ARGV[1] .. name, '1', 'NX', 'EX', ARGV[2]) and '1' or '0'
end
return {redis.call('LLEN', KEYS[1]), table.concat(fresh)}
"""
_KEEP = """
for name in string.gmatch(ARGV[3], '[^\\n]+') do redis.call('EXPIRE', ARGV[1] .. name, ARGV[2]) end
"""


def celery_app(redis_url: str) -> Celery:
    """The Celery application with the settings every publisher and worker must share."""
    broker = read(redis_url)
    # A worker whose connection breaks goes on with what it has taken. The transport would give it back, to be done a
    # second time; and without a server to give it to wait for each task, and write them into a file that nobody reads.
    Channel.do_restore = False
    app = Celery("postlane", broker=broker.celery_url)
    app.conf.update(
        broker_use_ssl=dict(broker.tls) or None,
        task_ignore_result=True,
        task_acks_late=True,
        worker_prefetch_multiplier=1,
        broker_connection_retry_on_startup=True,
        broker_connection_timeout=2,
        # A server that refuses writes (MISCONF, OOM, READONLY) is away, not a reason to end the worker; and the worker
        # waits for it as long as that takes.
        broker_channel_error_retry=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            # A task that is taken is noted in its worker only. In Redis the transport would note each before it begins
            # and strike it out at its end: half a millisecond that its mail waits, to have it run again ten minutes
            # after a kill. What a killed worker had taken is found by the due scan and the duties, long before that.
            "ack_emulation": False,
            "socket_timeout": 30,
            "socket_connect_timeout": 2,
            "socket_keepalive": True,
            "max_retries": 1,
            "interval_start": 0,
            "interval_step": 0,
        },
        task_default_queue=BACKGROUND,
        task_serializer="json",
        accept_content=["json"],
        worker_send_task_events=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        enable_utc=True,
    )
    return app


def marker(lane: Lane, destination: str) -> str:
    """Redis key that says: a hint for this destination is waiting."""
    return f"{_MARKERS}{lane.value}:{destination}"


def forget_markers(client: redis.Redis, lane: Lane) -> None:
    """Let every destination of a lane be hinted again: a worker that was killed took hints with it. One that is given
    twice costs an empty claim. Raises RedisError."""
    keys = list(client.scan_iter(marker(lane, "*"), count=_SCANNED))
    for start in range(0, len(keys), _SCANNED):
        client.unlink(*keys[start : start + _SCANNED])


class _Hint(NamedTuple):
    lane: Lane
    destinations: tuple[str, ...]
    leaves: bool


@dataclass(slots=True)
class _Waiting:
    """Hints that are published together."""

    destinations: dict[Lane, list[str]] = field(default_factory=dict)
    leaving: dict[Lane, set[str]] = field(default_factory=lambda: {lane: set() for lane in Lane})

    def add(self, hint: _Hint) -> None:
        """One more."""
        self.destinations.setdefault(hint.lane, []).extend(hint.destinations)
        if hint.leaves:
            self.leaving[hint.lane].update(hint.destinations)


class HintPublisher:
    """Publishes hints from a thread of its own, so that no request waits for Redis."""

    def __init__(self, redis_url: str) -> None:
        self._app = celery_app(redis_url)
        self._redis = redis.Redis.from_url(
            redis_url, socket_timeout=2, socket_connect_timeout=1, health_check_interval=30, **keepalive(redis_url)
        )
        self._set_markers = self._redis.register_script(_MARK)
        self._keep_markers = self._redis.register_script(_KEEP)
        self._queue: queue.SimpleQueue[_Hint | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="hints", daemon=True)
        self._quiet_until = 0.0
        self._next = 0.0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Publish what is waiting and end, within two seconds."""
        self._queue.put(None)
        self._thread.join(timeout=2)

    def hint(self, lane: Lane, destinations: Iterable[str], leaves: bool = False) -> None:
        """Say that there is due mail for these destinations. Who names them once for each message is told apart from
        who has few. `leaves`: none of it is test mail, so that their servers may be looked for before it is seen. Never
        blocks and never fails."""
        if self._queue.qsize() < _QUEUE_LIMIT:
            self._queue.put(_Hint(lane, tuple(destinations), leaves))

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            waiting = _Waiting()
            waiting.add(first)
            time.sleep(max(0.0, self._next - time.monotonic()))
            ending = self._gather(waiting)
            few = len(waiting.destinations.get(Lane.TRANSACTIONAL, ())) < _MANY
            self._next = time.monotonic() + (_APART_SECONDS if few else _MANY_APART_SECONDS)
            for lane in sorted(waiting.destinations, reverse=True):  # transactional first
                destinations = sorted(set(waiting.destinations[lane]))
                for start in range(0, len(destinations), _AT_ONCE):
                    self._publish(lane, destinations[start : start + _AT_ONCE], waiting.leaving[lane])
            if ending:
                return

    def _gather(self, waiting: _Waiting) -> bool:
        """Add what else there is; True when asked to end. Bulk comes in bursts and is waited for a moment, but only
        until transactional mail comes: that goes at once."""
        deadline = time.monotonic() + _GATHER_SECONDS
        while True:
            patience = 0.0 if Lane.TRANSACTIONAL in waiting.destinations else deadline - time.monotonic()
            try:
                item = self._queue.get(timeout=patience) if patience > 0 else self._queue.get_nowait()
            except queue.Empty:
                return False
            if item is None:
                return True
            waiting.add(item)

    def _publish(self, lane: Lane, destinations: Sequence[str], leaving: Collection[str]) -> None:
        if time.monotonic() < self._quiet_until:
            HINTS.labels(lane.value, "lost").inc(len(destinations))
            return
        fresh: list[str] = []
        sent = 0
        try:
            fresh, waiting = self._mark(lane, destinations)
            if waiting >= QUEUE_TASKS:
                self._unmark(lane, fresh)
                HINTS.labels(lane.value, "full").inc(len(destinations))
                return
            for start in range(0, len(fresh), DESTINATIONS_PER_TASK):
                self._send(lane, fresh[start : start + DESTINATIONS_PER_TASK], leaving)
                sent = min(start + DESTINATIONS_PER_TASK, len(fresh))
            self._keep(lane, fresh)
        except (redis.RedisError, OperationalError, OSError) as error:
            self._lost(lane, fresh[sent:], len(destinations) - sent)
            _log.warning("hints_lost", lane=lane.value, destinations=len(destinations) - sent, error=str(error))
        except Exception as error:
            # A bug, perhaps in a library. Without this thread no mail moves, and nobody would see it stop.
            self._lost(lane, fresh[sent:], len(destinations) - sent)
            _log.error("hints_failed", lane=lane.value, destinations=len(destinations) - sent, exc_info=error)
        else:
            HINTS.labels(lane.value, "coalesced").inc(len(destinations) - len(fresh))
        HINTS.labels(lane.value, "published").inc(sent)

    def _mark(self, lane: Lane, destinations: Sequence[str]) -> tuple[list[str], int]:
        """Set the markers; returns the destinations that had none, and how many tasks wait in the lane."""
        waiting, fresh = self._set_markers([lane.value], [marker(lane, ""), PROMISED_SECONDS, "\n".join(destinations)])
        if len(fresh) != len(destinations):
            return list(destinations), int(waiting)  # one of them is no line: the others are told all the same
        return [d for d, new in zip(destinations, fresh, strict=True) if new == _NEW], int(waiting)

    def _keep(self, lane: Lane, destinations: Sequence[str]) -> None:
        """Let the markers live as long as their hints may wait; one whose hint is taken already stays away."""
        if destinations:
            self._keep_markers([lane.value], [marker(lane, ""), MARKER_SECONDS, "\n".join(destinations)])

    def _lost(self, lane: Lane, marked: Sequence[str], count: int) -> None:
        """Be quiet for a moment, not try for each of a million mails; and leave no marker without its hint."""
        HINTS.labels(lane.value, "lost").inc(count)
        self._unmark(lane, marked)
        self._quiet_until = time.monotonic() + QUIET_SECONDS

    def _unmark(self, lane: Lane, destinations: Sequence[str]) -> None:
        if destinations:
            with contextlib.suppress(redis.RedisError, OSError):  # the markers end by themselves after a while
                self._redis.delete(*(marker(lane, destination) for destination in destinations))

    def _send(self, lane: Lane, destinations: list[str], leaving: Collection[str]) -> None:
        # A header, which a worker of another version passes over.
        headers = {}
        if len(destinations) <= _AHEAD:
            headers[LEAVING] = [destination for destination in destinations if destination in leaving]
        self._app.send_task(
            TASK_DELIVER, args=[lane.value, destinations], queue=lane.value, retry=False, headers=headers
        )
