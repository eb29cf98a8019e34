"""When a campaign will be out, provider by provider, and what holds it. Pure: people, IPs and plan in, ends out.

Mail is followed as if it flowed. It is fed as the plan of the campaign lets it (window, pace, times of its people), in
the mix of the audience, and leaves for each provider as fast as the IPs may send there: a warming IP by its ramp, every
IP by the provider's rate, none while it rests. Where one IP of the pool is warm the ramps hold nothing back, for it
takes what they do not (`pools/grants`).

Assumed is that the ramps move one stage on every day from tomorrow, that this campaign has the IPs for itself, and that
servers take what they are given. So it is the earliest end that can be expected, and later news may only move it back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from campaigns.plan import Window
from warmup import shares
from warmup.plan import Plan as RampPlan

HORIZON: Final = timedelta(days=90)
"""What is not out by then has no end that anybody should count on."""
_HOUR: Final = timedelta(hours=1)
_NOTHING: Final = 1e-6
"""Of a mail."""
_MATTERS: Final = timedelta(minutes=1)
EVERYWHERE: Final = "*"
"""An IP that rests here rests at every provider."""


class Hold(StrEnum):
    """What decides when it is over. The values are sent."""

    RAMP = "ramp"
    """Caps of warming IPs."""
    RATE = "rate"
    """What the provider takes from an IP in an hour."""
    REST = "rest"
    """IPs rest there after a throttle."""
    PACE = "pace"
    """`per_hour` or `spread_hours` of the campaign."""
    WINDOW = "window"
    """Its send window."""
    TIMES = "times"
    """Local times of its people, or the wait for the winner of a test."""
    NO_IP = "no_ip"
    """The pool has no IP that may send."""


HELD: Final[Mapping[Hold, str]] = {
    Hold.RAMP: "caps of warming IPs",
    Hold.RATE: "what the provider takes from an IP",
    Hold.REST: "IPs that rest there",
    Hold.PACE: "its own pace",
    Hold.WINDOW: "its send window",
    Hold.TIMES: "local times, or the wait for a winner",
    Hold.NO_IP: "no IP that may send",
}
"""For people, behind "held by"."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """How far the warm-up of an IP is."""

    plan: RampPlan
    stages: Mapping[str, int | None] = field(hash=False)
    """By track; None: it has no cap any more."""
    used: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Of today's caps, by track."""
    moves: bool = True
    """False: it is paused, and its stages stand still."""


@dataclass(frozen=True, slots=True)
class Ip:
    """An IP of the pool, or of one that takes its overflow."""

    ramp: Ramp | None = None
    """None: warm."""
    rests: Mapping[str, datetime] = field(default_factory=dict, hash=False)
    """Until when, by provider."""

    def sends(self, provider: str, now: datetime) -> bool:
        """Whether it may send there."""
        return all(self.rests.get(where, now) <= now for where in (provider, EVERYWHERE))


@dataclass(frozen=True, slots=True)
class Share:
    """The people at one provider."""

    provider: str
    people: int
    per_hour: float | None = None
    """What the provider takes from one IP; None: no limit is known."""


@dataclass(frozen=True, slots=True)
class Given:
    """All that a forecast is made from."""

    starts_at: datetime
    shares: Sequence[Share]
    ips: Sequence[Ip]
    pace: float | None = None
    """Mails an hour."""
    window: Window | None = None
    times: Sequence[tuple[datetime, float]] = ()
    """When which part of the people may get it; empty: all at once."""


@dataclass(frozen=True, slots=True)
class Ending:
    """When the mail for one provider is out."""

    provider: str
    people: int
    ends_at: datetime | None
    """None: not within `HORIZON`."""
    held_by: Hold | None
    """None: nothing does, it takes as long as sending takes."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast one that is under way went of late."""

    people: int
    """Whose mail left for the first time."""
    over: timedelta

    @property
    def per_hour(self) -> float:
        """People."""
        return self.people / (self.over / _HOUR)


@dataclass(frozen=True, slots=True)
class PutOff:
    """Those whose server said later."""

    people: int
    until: datetime | None
    """When the last of them is tried again; None: nobody knows yet."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """When a campaign will be out."""

    starts_at: datetime
    ends_at: datetime | None
    """The earliest that can be expected."""
    held_by: Hold | None
    providers: tuple[Ending, ...]
    """The last to end first."""
    pace: Pace | None = None
    """None: it has not begun, or nothing left of late."""
    put_off: PutOff | None = None

    @property
    def people(self) -> int:
        """Whose mail has not left yet."""
        return sum(one.people for one in self.providers)

    @property
    def at_pace(self) -> datetime | None:
        """When it is out if it goes on as it went of late; None where that says nothing: without a pace, and where
        what holds it lets it end no sooner than later."""
        if self.pace is None or self.ends_at is None or not self.people:
            return None
        at = self.starts_at + _HOUR * (self.people / self.pace.per_hour)
        return at if at > self.ends_at else None

    @property
    def expected_at(self) -> datetime | None:
        """The end to count on."""
        return self.at_pace or self.ends_at


Ends = Mapping[str, datetime | None]

_LIFTED: Final[Mapping[Hold, Callable[[Given], Given]]] = {
    Hold.RAMP: lambda given: replace(given, ips=tuple(replace(ip, ramp=None) for ip in given.ips)),
    Hold.REST: lambda given: replace(given, ips=tuple(replace(ip, rests={}) for ip in given.ips)),
    Hold.RATE: lambda given: replace(given, shares=tuple(replace(share, per_hour=None) for share in given.shares)),
    Hold.PACE: lambda given: replace(given, pace=None),
    Hold.WINDOW: lambda given: replace(given, window=None),
    Hold.TIMES: lambda given: replace(given, times=()),
}
"""What would be given without each."""


def forecast(given: Given) -> Forecast:
    """The forecast. Providers without people are left out."""
    given = replace(given, ips=tuple(given.ips), shares=tuple(share for share in given.shares if share.people > 0))
    ends = followed(given)
    lifted = {hold: lift(given) for hold, lift in _LIFTED.items()}
    without = {hold: followed(other) for hold, other in lifted.items() if other != given}
    endings = [
        Ending(share.provider, share.people, ends[share.provider], _held_by(given, share.provider, ends, without))
        for share in given.shares
    ]
    endings.sort(key=lambda one: (_took(given, one.ends_at), one.people), reverse=True)
    if not endings:
        return Forecast(given.starts_at, given.starts_at, None, ())
    return Forecast(given.starts_at, endings[0].ends_at, endings[0].held_by, tuple(endings))


def followed(given: Given) -> Ends:
    """When the last mail for each provider leaves."""
    return _Flow(given).ends()


def _held_by(given: Given, provider: str, ends: Ends, without: Mapping[Hold, Ends]) -> Hold | None:
    """What would help most if it were not there."""
    if not given.ips:
        return Hold.NO_IP
    took = _took(given, ends[provider])
    gains = {hold: took - _took(given, other[provider]) for hold, other in without.items()}
    best = max(gains, key=lambda hold: gains[hold], default=None)
    return best if best is not None and gains[best] >= _MATTERS else None


def _took(given: Given, end: datetime | None) -> timedelta:
    return end - given.starts_at if end is not None else 2 * HORIZON


class _Flow:
    """Mail on its way, from step to step. Within a step nothing opens or closes."""

    def __init__(self, given: Given) -> None:
        self._given = given
        self._fed = {share.provider: 0.0 for share in given.shares}
        self._sent = {share.provider: 0.0 for share in given.shares}
        self._ends: dict[str, datetime | None] = dict.fromkeys(self._fed)
        window, begin = given.window, given.starts_at
        self._open = window.next_open(begin) if window is not None else (begin, begin + HORIZON)
        self._ips = [(ip, _Allowance(ip.ramp, given) if ip.ramp is not None else None) for ip in given.ips]

    def ends(self) -> Ends:
        """Follow it to the end."""
        now, last = self._given.starts_at, self._given.starts_at + HORIZON
        while now < last and None in self._ends.values():
            until = min(self._next(now), last)
            feeding = self._feed(now, until)
            for share in self._given.shares:
                if self._ends[share.provider] is None:
                    self._send(share, now, until, feeding)
            now = until
        return self._ends

    def _next(self, now: datetime) -> datetime:
        """Where the next step begins: at the full hour, at an edge of the window, at somebody's time."""
        edges = [now.replace(minute=0, second=0, microsecond=0) + _HOUR]
        edges += [at for at, _ in self._given.times if at > now]
        edges += [at for ip in self._given.ips for at in ip.rests.values() if at > now]
        edges += [at for at in self._opening(now) if at > now]
        return min(edges)

    def _opening(self, now: datetime) -> tuple[datetime, datetime]:
        """From when to when people's mail may be let in, now or the next time."""
        if self._given.window is not None and self._open[1] <= now:
            self._open = self._given.window.next_open(now)
        return self._open

    def _feed(self, now: datetime, until: datetime) -> float:
        """Let people's mail in, in the mix of the audience; returns which part of the step that takes."""
        waiting = self._waiting(now) if self._opening(now)[0] <= now else {}
        total = sum(waiting.values())
        if total <= _NOTHING:
            return 0.0
        at_most = float("inf") if self._given.pace is None else self._given.pace * ((until - now) / _HOUR)
        fed = min(total, at_most)
        for provider, n in waiting.items():
            self._fed[provider] += n * fed / total
        return fed / at_most

    def _waiting(self, now: datetime) -> dict[str, float]:
        """Mail whose time has come and that is not in yet."""
        ripe = min(1.0, sum(part for at, part in self._given.times if at <= now)) if self._given.times else 1.0
        return {share.provider: share.people * ripe - self._fed[share.provider] for share in self._given.shares}

    def _send(self, share: Share, now: datetime, until: datetime, feeding: float) -> None:
        """Let leave what may; note when the last of it has."""
        name = share.provider
        most, ramps = self._allowed(share, now, until)
        sent = min(self._fed[name] - self._sent[name], most)
        self._sent[name] += sent
        allowed = sum(left for _, left in ramps)
        for ramp, left in ramps if allowed else ():
            ramp.use(name, sent * left / allowed)
        if share.people - self._sent[name] <= _NOTHING * share.people:
            self._ends[name] = now + (until - now) * max(feeding, sent / most if most else 0.0)

    def _allowed(self, share: Share, now: datetime, until: datetime) -> tuple[float, "list[tuple[_Allowance, float]]"]:
        """What the IPs may carry there in this step, and what each ramp may; no ramps where an IP has none."""
        ips = [(ip, ramp) for ip, ramp in self._ips if ip.sends(share.provider, now)]
        rate = float("inf") if share.per_hour is None else share.per_hour * len(ips) * ((until - now) / _HOUR)
        ramps = []
        for _, ramp in ips:
            left = ramp.left(share.provider, now) if ramp is not None else None
            if ramp is None or left is None:
                return rate, []
            ramps.append((ramp, left))
        return min(rate, sum(left for _, left in ramps)), ramps


class _Allowance:
    """What is left of a ramp, day by day and hour by hour. Providers on one track have fixed parts of it, by how many
    people each has."""

    def __init__(self, ramp: Ramp, given: Given) -> None:
        self._ramp = ramp
        self._today = self._day = shares.local_day(ramp.plan, given.starts_at)
        self._window = shares.window(ramp.plan, self._day)
        self._hour = -1
        self._before: dict[str, float] = dict(ramp.used)
        """Of the day, by track, up to this hour."""
        self._within: dict[str, float] = {}
        """Of this hour, by provider."""
        self._parts = _parts(ramp.plan, given.shares)

    def left(self, provider: str, now: datetime) -> float | None:
        """What it may carry to a provider within this hour; None: it has no cap there."""
        self._turn(now)
        plan, track = self._ramp.plan, self._ramp.plan.track_of(provider)
        stage = self._stage(track)
        if stage is None:
            return None
        if self._hour < 0:
            return 0.0
        cap, hours = plan.cap(stage, track), self._window.hours
        left = max(0, cap - int(self._before.get(track, 0.0)))
        this_hour = shares.share(cap, left, hours, hours - self._hour, plan.hour_limit)
        return max(0.0, this_hour * self._parts[provider] - self._within.get(provider, 0.0))

    def use(self, provider: str, n: float) -> None:
        """So much of it goes."""
        self._within[provider] = self._within.get(provider, 0.0) + n

    def _stage(self, track: str) -> int | None:
        """Of the day that it is; None: complete."""
        stage = self._ramp.stages.get(track)
        if stage is None:
            return None
        stage += (self._day - self._today).days if self._ramp.moves else 0
        return stage if stage <= self._ramp.plan.last_stage else None

    def _turn(self, now: datetime) -> None:
        """Another hour, perhaps another day."""
        day = shares.local_day(self._ramp.plan, now)
        if day != self._day:
            self._day, self._hour, self._before, self._within = day, -1, {}, {}
            self._window = shares.window(self._ramp.plan, day)
        hour = self._window.hour_at(now) if self._window.opens <= now < self._window.closes else -1
        if hour != self._hour:
            for provider, n in self._within.items():
                track = self._ramp.plan.track_of(provider)
                self._before[track] = self._before.get(track, 0.0) + n
            self._hour, self._within = hour, {}


def _parts(plan: RampPlan, given: Sequence[Share]) -> dict[str, float]:
    """Which part of its track each provider has."""
    totals: dict[str, int] = {}
    for share in given:
        track = plan.track_of(share.provider)
        totals[track] = totals.get(track, 0) + share.people
    return {share.provider: share.people / totals[plan.track_of(share.provider)] for share in given}
