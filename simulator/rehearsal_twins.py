"""Postlane's decisions in virtual time: throttles, rates and warm-up allowances, kept in memory.

Each class stands where a collaborator of `pools/grants.Granter` does (`ThrottleBook`, `Rates`, `Ledger`), and asks the
same pure code what to do: `pools/health`, `warmup/shares`, `warmup/progress`. None of them waits, so a coroutine that
uses them ends in one step: `at_once`. Made and moved along by `simulator/rehearsal.py`.
"""

from collections import defaultdict
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, TypeVar

from pools import health
from pools.health import Condition, Evidence, Policy, Rate, State
from pools.model import Pool, Rest
from pools.rates import RateRequest, Taken
from warmup.ledger import Reserved, Returned, Wanted, Warming
from warmup.plan import Plan, Transactional
from warmup.progress import DayFigures, Decision, TrackState, TrackStatus, evaluate
from warmup.shares import Used, available, local_day, next_opening, window

T = TypeVar("T")


def at_once(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine that never waits for anything."""
    try:
        work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    work.close()
    raise RuntimeError("a twin waited, and there is nothing to wait for in virtual time")


class NoOverflow:
    """Pools without one."""

    def overflow_of(self, pool: Pool) -> Pool | None:
        """None."""
        return None


class Throttles:
    """What rests and recovers where, by the health machine."""

    def __init__(self, ceilings: dict[str, float], policy: Policy | None = None) -> None:
        """`ceilings`: messages/s that each site takes from one IP."""
        self._ceilings = ceilings
        self._policy = policy or Policy()
        self._conditions: dict[tuple[str, str], Condition] = {}
        self._troubles: dict[str, int] = defaultdict(int)

    def moving(self, site: str, until: datetime) -> bool:
        """Whether any IP comes back there, or will before `until`: then every minute counts."""
        if not self._troubles[site]:
            return False
        found = (condition for (_, place), condition in self._conditions.items() if place == site)
        return any(
            one.state is not State.THROTTLED or one.rest_until is None or one.rest_until < until for one in found
        )

    def rest(self, ip: str, site: str, now: datetime) -> Rest | None:
        """The rest in force."""
        condition = self._at(ip, site, now)
        return health.resting(condition) if condition is not None else None

    def rate(self, ip: str, site: str, now: datetime) -> Rate | None:
        """The rate of an IP that comes back."""
        condition = self._at(ip, site, now)
        return health.allowance(condition, self._policy) if condition is not None else None

    def domain_rate(self, domain: str, site: str, now: datetime) -> Rate | None:
        """None: no sending domain is limited here."""
        return None

    def throttled(self, ip: str, site: str, evidence: Evidence, now: datetime) -> None:
        """Take note of a reply that throttles."""
        before = self._conditions.get((ip, site))
        self._put(ip, site, health.throttled(before, evidence, self._ceilings[site], now, self._policy))

    def delivered(self, ip: str, site: str, n: int, now: datetime) -> None:
        """Take note of deliveries."""
        condition = self._conditions.get((ip, site))
        if condition is not None and n:
            self._put(ip, site, health.delivered(condition, n, self._ceilings[site], now, self._policy))

    def _at(self, ip: str, site: str, now: datetime) -> Condition | None:
        condition = self._conditions.get((ip, site))
        if condition is None:
            return None
        moved = health.at(condition, now)
        if moved is not condition:
            self._put(ip, site, moved)
        return moved

    def _put(self, ip: str, site: str, condition: Condition | None) -> None:
        known = self._conditions.pop((ip, site), None)
        if condition is not None:
            self._conditions[ip, site] = condition
        self._troubles[site] += (condition is not None) - (known is not None)


class Rates:
    """Rates over the part of time that is being worked on: what would leave within it may be taken at its start."""

    def __init__(self) -> None:
        self._parts: dict[str, tuple[int, float]] = {}
        self._before: dict[str, tuple[int, float]] = {}

    def begin(self, key: str, seconds: float) -> None:
        """The next part of time of one key."""
        self._before[key] = self._parts.get(key, (0, 1.0))
        self._parts[key] = (0, seconds)

    async def take(self, wanted: Sequence[RateRequest]) -> list[Taken]:
        """What each request gets; what is left comes in the next part."""
        return [self._take(one) for one in wanted]

    async def give_back(self, unused: Sequence[tuple[str, int]]) -> None:
        """What was not used may be taken again in this part."""
        for key, n in unused:
            used, seconds = self._parts[key]
            self._parts[key] = (used - n, seconds)

    def observed(self, key: str) -> float:
        """Messages/s in this part, or the one before if nothing was taken yet."""
        taken, seconds = self._parts[key] if self._parts[key][0] else self._before[key]
        return taken / seconds

    def _take(self, one: RateRequest) -> Taken:
        used, seconds = self._parts[one.key]
        room = float(one.n)
        if one.per_second:
            room = min(room, max(one.burst, one.per_second * seconds) - used)
        if one.per_hour:
            room = min(room, one.per_hour * seconds / 3600 - used)
        granted = max(0, int(room))
        self._parts[one.key] = (used + granted, seconds)
        return Taken(granted, 0.0 if granted == one.n else seconds)


@dataclass(slots=True)
class _Row:
    """A row of the ledger: one IP, track and day."""

    cap: int
    granted: int = 0
    hour: int = -1
    hour_base: int = 0


class Allowances:
    """The ledger of the new IPs, and the judgement of their days. `now` is set by whoever moves the time."""

    def __init__(self, plan: Plan, ips: Sequence[str], now: datetime) -> None:
        self.plan = plan
        self.now = now
        today = local_day(plan, now)
        self._states = {
            (ip, track): TrackState(track, 1, TrackStatus.ACTIVE, today, today) for ip in ips for track in plan.weights
        }
        self._ips = frozenset(ips)
        self._rows: dict[tuple[str, str], tuple[date, _Row]] = {}

    def warming(self, ip: str, provider: str) -> Warming | None:
        """What caps an IP at a provider; None: nothing."""
        if ip not in self._ips:
            return None
        state = self._states[ip, self.plan.track_of(provider)]
        if state.status is TrackStatus.COMPLETE:
            return None
        return Warming(ip, state.track, state.stage, self.plan.last_stage, Transactional.SHARE)

    async def reserve(self, wanted: Sequence[Wanted]) -> list[Reserved]:
        """Grant what the caps leave at this moment."""
        return [self._reserve(one) for one in wanted]

    async def give_back(self, unused: Sequence[Returned]) -> None:
        """Take back what was not used."""
        for one in unused:
            day, row = self._rows[one.ip, one.track]
            if day == one.day:
                row.granted = max(0, row.granted - one.n)
                row.hour_base = min(row.hour_base, row.granted)

    def cap(self, ip: str, provider: str) -> int | None:
        """Mails today of an IP on a provider's track; None: no cap."""
        warming = self.warming(ip, provider)
        return None if warming is None else self.plan.cap(warming.stage, warming.track)

    def lowest_stage(self) -> int:
        """Of the tracks that are not complete; 0 when all are."""
        return min((one.stage for one in self._states.values() if one.status is TrackStatus.ACTIVE), default=0)

    def complete(self, providers: Sequence[str]) -> bool:
        """Whether every IP is complete at all of these."""
        return all(self.warming(ip, provider) is None for ip in self._ips for provider in providers)

    def end_day(self, day: date, figures: dict[tuple[str, str], DayFigures]) -> list[tuple[str, Decision]]:
        """Judge a day that is over; `figures` by IP and track. The decisions by IP."""
        made = []
        for (ip, track), state in self._states.items():
            decision = evaluate(self.plan, state, day, figures.get((ip, track), DayFigures()))
            self._states[ip, track] = decision.state
            made.append((ip, decision))
        return made

    def _reserve(self, one: Wanted) -> Reserved:
        track = self.plan.track_of(one.provider)
        warming = self.warming(one.ip, one.provider)
        if warming is None:
            return Reserved(one.ip, one.provider, track, None, one.n, None, "")
        today = local_day(self.plan, self.now)
        row = self._row(one.ip, track, today, warming.stage)
        used = Used(row.cap, row.granted, row.hour, row.hour_base)
        granted = min(one.n, available(self.plan, used, self.now))
        if granted:
            hour = window(self.plan, today).hour_at(self.now)
            if hour != row.hour:
                row.hour, row.hour_base = hour, row.granted
            row.granted += granted
        if granted == one.n:
            return Reserved(one.ip, one.provider, track, today, granted, None, "")
        used = Used(row.cap, row.granted, row.hour, row.hour_base)
        until = next_opening(self.plan, used, self.now)
        return Reserved(one.ip, one.provider, track, today if granted else None, granted, until, "its share is used")

    def _row(self, ip: str, track: str, today: date, stage: int) -> _Row:
        known = self._rows.get((ip, track))
        if known is None or known[0] != today:
            known = self._rows[ip, track] = (today, _Row(self.plan.cap(stage, track)))
        return known[1]
