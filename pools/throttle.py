"""Who rests where, in the memory of one worker process: asked for every mail, changed by every reply that throttles.

`ThrottleBook` answers from a dictionary that holds only what is not healthy, so a healthy system pays next to nothing.
A throttle changes this memory at once, so that the caller's next look at it already re-routes; a task writes it to the
table `throttles`, where the same step of `pools/health` is put to the *stored* condition, and what came out is what
this process then believes. All other processes hear of it (`pools/throttle_watch`) and read the row. So many workers
that meet one throttle together count one strike, a restart knows what was known, and while PostgreSQL is away memory
goes on deciding and the writes wait.

Called from the event loop of a worker, by the pipeline and by `pools/grants`. Never sends, never chooses an IP, never
asks Redis. Times are the database's (`Batch.now()`).
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Final

from prometheus_client import Counter

from core.logs import get_logger
from core.tasks import end
from pools import health
from pools.health import Condition, Evidence, Policy, Rate, State
from pools.model import EVERYWHERE, Rest
from pools.throttle_repository import Key, Kind, Step, ThrottleRow, label, move, read
from pools.throttle_watch import REREAD_SECONDS, ThrottleWatch
from store.database import Database, DatabaseUnavailableError

__all__ = ["Rate", "ThrottleBook"]

_log = get_logger(__name__)

FLUSH_SECONDS: Final = 0.5
"""Delivered mails of subjects that come back are counted together for so long."""

DOMAIN_IPS: Final = 5
"""A sending domain uses all IPs of its pool, two to five as a rule: its ceiling at a site is so many times an IP's."""

_RETRY_SECONDS = 0.5
_FAILED_SECONDS = 30.0
"""What could not be written through a bug of ours is tried again after this."""
_STOP_SECONDS = 3.0

THROTTLES = Counter("postlane_throttles_total", "Replies that made something rest", ["kind", "site", "class"])


@dataclass(frozen=True, slots=True)
class _Entry:
    """A condition, with what is asked of it worked out."""

    condition: Condition
    rest: Rest | None
    rate: Rate


class ThrottleBook:
    """One per worker process. Everything but `start` and `stop` returns at once."""

    def __init__(
        self,
        database: Database,
        policy: Policy,
        ceiling: Callable[[str], float],
        by: str,
        reread_seconds: float = REREAD_SECONDS,
    ) -> None:
        """`ceiling`: messages/s that a site takes from one IP, 0 for no limit. `by`: this worker, for the history."""
        self._database = database
        self._policy = policy
        self._ceiling = ceiling
        self._by = by
        self._watch = ThrottleWatch(database, self._reread, reread_seconds)
        self._books: dict[Kind, dict[str, dict[str, _Entry]]] = {"ip": {}, "domain": {}}
        """Kind → subject → site."""
        self._ips = self._books["ip"]
        self._domains = self._books["domain"]
        self._unwritten: dict[Key, list[tuple[Step, datetime]]] = {}
        self._good: dict[Key, tuple[int, datetime]] = {}
        self._some_unwritten = asyncio.Event()
        self._some_good = asyncio.Event()
        self._turn = asyncio.Lock()
        """Held while the store is read or written and memory follows: an older reading never overtakes a write."""
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Read what is stored and follow it. With PostgreSQL away it starts empty, and reads when it is back."""
        try:
            await self._reread(None)
        except DatabaseUnavailableError as error:
            _log.warning("throttles_not_read", error=str(error))
        await self._watch.start()
        self._tasks = [
            asyncio.create_task(self._write_forever(), name="throttles-write"),
            asyncio.create_task(self._count_forever(), name="throttles-count"),
        ]

    async def stop(self) -> None:
        """Write what is left, within a few seconds. Before the database is closed."""
        await self._watch.stop()
        await end(self._tasks)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await self._write_all()
                await self._count(self._good)
        except (DatabaseUnavailableError, TimeoutError) as error:
            _log.warning("throttles_not_written", subjects=self.depth(), error=str(error))

    # Asked for every mail

    def untroubled(self, ip: str, domain: str = "") -> bool:
        """Nothing is known of either, at any site, which is so for nearly all of them at nearly all times."""
        return ip not in self._ips and domain not in self._domains

    def rest(self, ip: str, site: str, now: datetime) -> Rest | None:
        """Why nothing may be sent through this IP to this site now; None: it may."""
        sites = self._ips.get(ip)
        if sites is None or (site not in sites and EVERYWHERE not in sites):
            return None
        return self._rest("ip", ip, site, now)

    def domain_rest(self, domain: str, site: str, now: datetime) -> Rest | None:
        """The same for a sending domain, whatever IP it uses."""
        return self._rest("domain", domain, site, now) if domain in self._domains else None

    def rate(self, ip: str, site: str, now: datetime) -> Rate | None:
        """The rate of an IP that comes back; None: it has none of its own."""
        sites = self._ips.get(ip)
        if sites is None or (site not in sites and EVERYWHERE not in sites):
            return None
        return self._rate("ip", ip, site, now)

    def domain_rate(self, domain: str, site: str, now: datetime) -> Rate | None:
        """The rate of a sending domain that comes back, over all IPs together."""
        return self._rate("domain", domain, site, now) if domain in self._domains else None

    def delivered(self, ip: str, domain: str, site: str, now: datetime) -> None:
        """A mail of this domain was taken from this IP."""
        if ip in self._ips:
            self._note_good("ip", ip, site, now)
        if domain in self._domains:
            self._note_good("domain", domain, site, now)

    def throttled(
        self, kind: Kind, subject: str, site: str, evidence: Evidence, sent_at: datetime, now: datetime
    ) -> Rest:
        """A reply throttled this IP or sending domain: it rests from now on, and the store hears of it soon.

        Site `EVERYWHERE` rests an IP that our own side cannot use. Returns the rest; one that ends `now` when the
        reply says nothing new about a rest that is over (its mail was sent before).
        """
        key = Key(kind, subject, site)
        facts = replace(evidence, sent_at=sent_at)
        step = partial(health.throttled, evidence=facts, ceiling=self._ceiling_of(key), now=now, policy=self._policy)
        before = self._condition(key)
        after = step(before)
        if after != before:
            self._put(key, after)
            self._write_later(key, step, now)
            if before is None or after.strikes != before.strikes:
                THROTTLES.labels(kind, label(site), evidence.klass).inc()
        return health.resting(after) or Rest(now, health.why(after))

    def conditions(self) -> list[ThrottleRow]:
        """What this process believes about everything that is not healthy."""
        return [
            ThrottleRow(Key(kind, subject, site), entry.condition)
            for kind, subjects in self._books.items()
            for subject, sites in subjects.items()
            for site, entry in sites.items()
        ]

    def depth(self) -> int:
        """Subjects with something that is not written yet."""
        return len(self._unwritten.keys() | self._good.keys())

    def trouble(self) -> str:
        """What is wrong with this book, "" when nothing is. For `/healthz`."""
        ended = any(task.done() for task in self._tasks) or not self._watch.alive()
        return "a task of the throttle book has stopped" if ended else ""

    # Memory

    def _rest(self, kind: Kind, subject: str, site: str, now: datetime) -> Rest | None:
        """The longer one of the rests at the site and everywhere."""
        found: Rest | None = None
        for _, entry in self._entries(kind, subject, site, now):
            rest = entry.rest
            if rest is not None and (found is None or _end(rest, now) > _end(found, now)):
                found = rest
        return found

    def _rate(self, kind: Kind, subject: str, site: str, now: datetime) -> Rate | None:
        rates = [entry.rate for _, entry in self._entries(kind, subject, site, now)]
        return min(rates, key=lambda rate: rate.per_second, default=None)

    def _note_good(self, kind: Kind, subject: str, site: str, now: datetime) -> None:
        for key, entry in self._entries(kind, subject, site, now):
            if entry.rest is None:
                n, last = self._good.get(key, (0, now))
                self._good[key] = (n + 1, max(last, now))
                self._some_good.set()

    def _entries(self, kind: Kind, subject: str, site: str, now: datetime) -> list[tuple[Key, _Entry]]:
        """What is known of a subject at a site and everywhere. A rest that is over becomes probing here, at the first
        look anybody takes, and is written down as such by whoever comes first."""
        sites = self._books[kind].get(subject, {})
        found = []
        for place in (site, EVERYWHERE):
            entry = sites.get(place)
            if entry is None:
                continue
            key = Key(kind, subject, place)
            moved = health.at(entry.condition, now)
            if moved is not entry.condition:
                entry = self._put(key, moved)
                self._write_later(key, partial(_at, now=now), now)
            found.append((key, entry))
        return found

    def _condition(self, key: Key) -> Condition | None:
        entry = self._books[key.kind].get(key.subject, {}).get(key.site)
        return None if entry is None else entry.condition

    def _put(self, key: Key, condition: Condition) -> _Entry:
        entry = _Entry(condition, health.resting(condition), health.allowance(condition, self._policy))
        self._books[key.kind].setdefault(key.subject, {})[key.site] = entry
        return entry

    def _drop(self, key: Key) -> None:
        subjects = self._books[key.kind]
        sites = subjects.get(key.subject, {})
        sites.pop(key.site, None)
        if not sites:
            subjects.pop(key.subject, None)

    def _adopt(self, key: Key, condition: Condition | None) -> None:
        """Believe what is stored, and what was seen here and is not stored yet."""
        for step, _ in self._unwritten.get(key, ()):
            condition = step(condition)
        if condition is None:
            self._drop(key)
        else:
            self._put(key, condition)

    def _ceiling_of(self, key: Key) -> float:
        if key.site == EVERYWHERE:
            # Nobody judged the address, our own side of it was broken: no rate to climb after the probes.
            return self._policy.floor
        return self._ceiling(key.site) * (DOMAIN_IPS if key.kind == "domain" else 1)

    # The store

    async def _reread(self, keys: Collection[Key] | None) -> None:
        async with self._turn:
            async with self._database.connection() as connection:
                stored = await read(connection, keys)
            if keys is None:
                keys = stored.keys() | {row.key for row in self.conditions()}
            for key in keys:
                self._adopt(key, stored.get(key))

    def _write_later(self, key: Key, step: Step, now: datetime) -> None:
        self._unwritten.setdefault(key, []).append((step, now))
        self._some_unwritten.set()

    async def _write_forever(self) -> None:
        while True:
            await self._some_unwritten.wait()
            self._some_unwritten.clear()
            try:
                await self._write_all()
            except DatabaseUnavailableError as error:
                _log.warning("throttles_wait_for_database", subjects=len(self._unwritten), error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
                self._some_unwritten.set()

    async def _write_all(self) -> None:
        for key in list(self._unwritten):
            try:
                await self._write(key)
            except DatabaseUnavailableError:
                raise
            except Exception as error:
                # One subject that cannot be written must not keep the others back. Here it rests all the same.
                _log.error("throttle_not_written", subject=key.text, exc_info=error)
                asyncio.get_running_loop().call_later(_FAILED_SECONDS, self._some_unwritten.set)

    async def _write(self, key: Key) -> None:
        async with self._turn:
            steps = tuple(self._unwritten[key])
            condition: Condition | None = None
            async with self._database.transaction() as connection:
                for step, now in steps:
                    condition = await move(connection, key, step, now, self._by)
            left = self._unwritten.pop(key)[len(steps) :]
            if left:
                self._unwritten[key] = left
            self._adopt(key, condition)

    async def _count_forever(self) -> None:
        while True:
            await self._some_good.wait()
            await asyncio.sleep(FLUSH_SECONDS)
            due = {key: count for key, count in self._good.items() if self._is_due(key, count[1])}
            try:
                await self._count(due)
            except DatabaseUnavailableError as error:
                _log.warning("deliveries_not_counted", subjects=len(due), error=str(error))
            except Exception as error:
                # Counts only bring a rate up; losing some keeps it low for longer. The task must go on.
                _log.error("deliveries_not_counted", subjects=len(due), exc_info=error)
                self._forget(due)
            if not self._good:
                self._some_good.clear()

    def _is_due(self, key: Key, now: datetime) -> bool:
        """Whether counting now can change something: between two steps of a rate a thousand workers need not write."""
        if key in self._unwritten:
            return False  # the store has not heard yet what these came after: it would count them for nothing
        condition = self._condition(key)
        if condition is None or condition.state is not State.RECOVERING:
            return True
        passed = (now - condition.stepped_at).total_seconds()
        return passed < 0 or passed >= self._policy.step_seconds

    async def _count(self, due: Mapping[Key, tuple[int, datetime]]) -> None:
        """Put delivered mails to the stored conditions, in one transaction."""
        if not due:
            return
        async with self._turn:
            due = dict(due)
            stored: dict[Key, Condition | None] = {}
            async with self._database.transaction() as connection:
                # A lost count only keeps a rate low for longer: not worth waiting for the disk twice a second.
                await connection.execute("SET LOCAL synchronous_commit = off")
                for key in sorted(due):  # one order for all workers, so that none waits for another in a circle
                    n, now = due[key]
                    step = partial(_delivered, n=n, ceiling=self._ceiling_of(key), now=now, policy=self._policy)
                    stored[key] = await move(connection, key, step, now, self._by)
            self._forget(due)
            for key, condition in stored.items():
                self._adopt(key, condition)

    def _forget(self, counted: Mapping[Key, tuple[int, datetime]]) -> None:
        """Take what was counted off; more may have come meanwhile."""
        for key, (n, _) in counted.items():
            with contextlib.suppress(KeyError):
                now_n, last = self._good.pop(key)
                if now_n > n:
                    self._good[key] = (now_n - n, last)


def _end(rest: Rest, now: datetime) -> datetime:
    return rest.until or now


def _at(condition: Condition | None, now: datetime) -> Condition | None:
    return None if condition is None else health.at(condition, now)


def _delivered(condition: Condition | None, n: int, ceiling: float, now: datetime, policy: Policy) -> Condition | None:
    return None if condition is None else health.delivered(condition, n, ceiling, now, policy)
