"""How an IP, or a sending domain, rests at a provider and comes back. Pure: no clock, no I/O, no memory of its own.

    healthy ──throttle──▶ throttled ──rest over──▶ probing ──probes delivered──▶ recovering ──ceiling reached──▶ healthy
                             ▲  ▲                     │                          │  ▲   │
                             │  └──────throttle───────┘                          │  └───┘ a step of the rate
                             └─────────────────────────throttle──────────────────┘

A `Condition` is what there is to say about one subject at one site; healthy subjects have none (`None`). `throttled`,
`delivered`, `at`, `rested` and `overridden` take a condition and a time and give the next one; `MOVES` is the one
table of what may follow what. `pools/throttle` acts on them in every worker, `pools/throttle_repository` on the stored
rows. docs/throttles.md tells the operator's side, with the reasons of the figures.

Nothing here raises, whatever the times and figures are: a clock that went back, a condition from the future, a rate of
NaN. A rest is never longer than `Policy.longest_rest`, but for the one that an operator asked for by hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from math import inf
from types import MappingProxyType
from typing import Final

from pools.model import Rest

BLOCKLISTED: Final = "blocklisted"
"""The reply class that is worse than being too fast: it is told to a person, and replaces what was known before."""

SKEW: Final = timedelta(minutes=1)
"""Processes read the database's clock at different moments. What lies further in the future than this was written
before the clock went back."""

REPLY_LENGTH: Final = 500
"""Characters of a reply that are kept."""

RETURN_RATE: Final = 1.0
"""Messages/s with which a subject starts that an operator rested by hand, and of which no rate is known."""

FULL_RATE: Final = 1000.0
"""Messages/s that no provider's limit reaches: what limits then is the provider's own figure."""

_WHY_LENGTH = 200
_MOST_DOUBLINGS = 16


class State(StrEnum):
    """How a subject stands with a site. The values are stored; HEALTHY has no row."""

    HEALTHY = "healthy"
    THROTTLED = "throttled"
    """Rests: nothing is sent before `rest_until`."""
    PROBING = "probing"
    """The rest is over; a few mails find out whether the provider agrees."""
    RECOVERING = "recovering"
    """Sends with a rate that steps up."""


class Event(StrEnum):
    """What can happen to a subject."""

    THROTTLE = "throttle"
    """The provider asked for less, or our own side of the IP is broken."""
    REST = "rest"
    """An operator rests it by hand."""
    OVERRIDE = "override"
    """An operator ends the rest, or the slow return after it."""
    REST_OVER = "rest_over"
    PROVE = "prove"
    """The probes were delivered."""
    STEP = "step"
    RECOVER = "recover"
    """The rate has reached the ceiling."""
    LAPSE = "lapse"
    """Nothing was sent for so long that what is known is worth nothing."""


MOVES: Final[Mapping[State, Mapping[Event, State]]] = MappingProxyType(
    {
        State.HEALTHY: MappingProxyType({Event.THROTTLE: State.THROTTLED, Event.REST: State.THROTTLED}),
        State.THROTTLED: MappingProxyType(
            {
                Event.THROTTLE: State.THROTTLED,
                Event.REST: State.THROTTLED,
                Event.REST_OVER: State.PROBING,
                Event.OVERRIDE: State.PROBING,
            }
        ),
        State.PROBING: MappingProxyType(
            {
                Event.THROTTLE: State.THROTTLED,
                Event.REST: State.THROTTLED,
                Event.PROVE: State.RECOVERING,
                Event.RECOVER: State.HEALTHY,
                Event.LAPSE: State.HEALTHY,
            }
        ),
        State.RECOVERING: MappingProxyType(
            {
                Event.THROTTLE: State.THROTTLED,
                Event.REST: State.THROTTLED,
                Event.STEP: State.RECOVERING,
                Event.OVERRIDE: State.RECOVERING,
                Event.RECOVER: State.HEALTHY,
                Event.LAPSE: State.HEALTHY,
            }
        ),
    }
)
"""Every allowed move. What is not here does not happen."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Figures of rest and return; docs/throttles.md gives their reasons."""

    probes: int = 5
    """Mails that have to be delivered after a rest before the rate starts to climb."""
    step: float = 1.5
    """The rate is multiplied by this at each step, so it doubles in not quite two."""
    step_seconds: float = 60.0
    """Least time between two steps."""
    floor: float = 0.05
    """Messages/s no throttle cuts below: three a minute."""
    cut: float = 0.5
    """What a throttle leaves of the rate."""
    first_rest: timedelta = timedelta(minutes=15)
    """Rest when neither the reply nor its rule says how long."""
    longest_rest: timedelta = timedelta(hours=4)
    shortest_rest: timedelta = timedelta(seconds=30)
    forgive: timedelta = timedelta(hours=1)
    """So long without a throttle after a rest takes one strike away."""
    probe_seconds: float = 10.0
    """The probes may go out at once, and as many again in this time."""
    unlimited: float = 100.0
    """Messages/s at which a return is complete where the provider's row names no rate."""

    def __post_init__(self) -> None:
        rates = self.floor > 0 and 0 < self.cut < 1 and 1 < self.step < inf and self.floor <= self.unlimited < inf
        times = self.step_seconds >= 0 and self.probe_seconds > 0 and self.forgive > timedelta(0)
        rests = timedelta(0) <= self.shortest_rest <= self.longest_rest and timedelta(0) <= self.first_rest
        if not (rates and times and rests and self.probes >= 1):
            raise ValueError(f"a policy that never rests or never returns: {self}")


@dataclass(frozen=True, slots=True)
class Evidence:
    """One reply that throttles."""

    rule: str
    klass: str
    reply: str
    wait: timedelta | None
    """What the reply or its rule asks for."""
    observed: float
    """Messages/s sent lately by all workers; 0 when nobody knows."""
    sent_at: datetime | None = None
    """When the mail was sent; None: just now."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What there is to say about a subject at a site."""

    state: State
    since: datetime
    """When this state was entered."""
    rest_until: datetime | None
    """End of the rest; afterwards, of the last one. What was sent before it says nothing new."""
    rate: float
    """Messages/s in force, once it sends."""
    good: int
    """Mails delivered since the state, or since the last step of the rate."""
    strikes: int
    rule: str
    klass: str
    reply: str
    stepped_at: datetime
    """When the rate last changed."""


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` messages a second on the long run, and `burst` at once."""

    per_second: float
    burst: int


@dataclass(frozen=True, slots=True)
class Change:
    """What moved between two conditions, in words."""

    was: State
    became: State
    reason: str


def throttled(
    condition: Condition | None, evidence: Evidence, ceiling: float, now: datetime, policy: Policy
) -> Condition:
    """The condition after a reply that throttles. `ceiling`: messages/s the site takes from one IP, 0 for no limit.

    The rate is cut relative to what was sent or allowed, whichever is lower. A mail that was sent before the end of
    the rest tells of the throttle that is known: no strike, no cut; it may prolong the rest, or name a worse reason.
    """
    low, high = _bounds(ceiling, policy)
    if condition is not None:
        condition = at(condition, now)
        if _is_known(condition, evidence, now):
            return _heard_again(condition, evidence, now, policy)
    strikes = _strikes(condition, now, policy) + 1
    in_force = high if condition is None else _within(condition.rate, low, high)
    sent = evidence.observed if 0 < evidence.observed < inf else in_force
    return Condition(
        state=MOVES[_state(condition)][Event.THROTTLE],
        since=now,
        rest_until=now + _rest(evidence.wait, strikes, policy),
        rate=max(low, min(sent, in_force) * policy.cut),
        good=0,
        strikes=strikes,
        rule=evidence.rule,
        klass=evidence.klass,
        reply=evidence.reply[:REPLY_LENGTH],
        stepped_at=now,
    )


def at(condition: Condition, now: datetime) -> Condition:
    """The condition as time has left it: a rest that is over is PROBING. The same object when nothing moved.

    A rest that began in the future is over too: the clock went back, nobody knows how long it has lasted, and probing
    is the careful way to find out.
    """
    if condition.state is not State.THROTTLED:
        return condition
    until = condition.rest_until
    if until is not None and now < until and condition.since - now <= SKEW:
        return condition
    end = now if until is None else min(until, now)
    return replace(condition, state=MOVES[condition.state][Event.REST_OVER], since=end, rest_until=end, good=0)


def delivered(condition: Condition, n: int, ceiling: float, now: datetime, policy: Policy) -> Condition | None:
    """The condition after `n` more delivered mails; None: healthy again. At most one step of the rate a call, however
    much time has passed: a rate nobody has tried for an hour is not known to be welcome."""
    condition = at(condition, now)
    if n < 1 or condition.state is State.THROTTLED:
        return condition
    low, high = _bounds(ceiling, policy)
    rate = _within(condition.rate, low, high)
    good = condition.good + n
    if condition.state is State.PROBING:
        if good < policy.probes:
            return replace(condition, good=good)
        return _climb(condition, Event.PROVE, rate, high, now)
    if now < condition.stepped_at:  # the clock went back: the interval starts anew
        return replace(condition, good=good, stepped_at=now)
    if (now - condition.stepped_at).total_seconds() < policy.step_seconds:
        return replace(condition, good=good)
    return _climb(condition, Event.STEP, min(high, rate * policy.step), high, now)


def rested(condition: Condition | None, until: datetime, reason: str, now: datetime) -> Condition:
    """An operator's rest. No strike: no provider asked for it. `until` is taken as it is."""
    return Condition(
        state=MOVES[_state(condition)][Event.REST],
        since=now,
        rest_until=until,
        rate=RETURN_RATE if condition is None else condition.rate,
        good=0,
        strikes=0 if condition is None else condition.strikes,
        rule="operator",
        klass="manual",
        reply=reason[:REPLY_LENGTH],
        stepped_at=now,
    )


def overridden(condition: Condition, now: datetime) -> Condition:
    """An operator ends the rest: PROBING from now; or a slow return: full rate from now, healthy with the next step.
    Otherwise what `at` gives. Of a subject that probes nothing can be ended: a few mails decide."""
    condition = at(condition, now)
    if condition.state is State.RECOVERING:
        return replace(condition, rate=max(condition.rate, FULL_RATE), stepped_at=now, good=0)
    if condition.state is not State.THROTTLED:
        return condition
    return replace(condition, state=MOVES[condition.state][Event.OVERRIDE], since=now, rest_until=now, good=0)


def allowance(condition: Condition, policy: Policy) -> Rate:
    """What may be sent when the subject does not rest."""
    if condition.state is State.RECOVERING:
        return Rate(condition.rate, max(1, round(condition.rate)))
    return Rate(min(condition.rate, policy.probes / policy.probe_seconds), policy.probes)


def resting(condition: Condition) -> Rest | None:
    """The rest as the pools know it, None when the condition is none."""
    if condition.state is not State.THROTTLED:
        return None
    return Rest(condition.rest_until, why(condition))


def why(condition: Condition) -> str:
    """The rule and the reply behind a condition, for a timeline."""
    return f"{condition.rule}: {condition.reply}"[:_WHY_LENGTH]


def change(before: Condition | None, after: Condition | None) -> Change | None:
    """What to write down about a move; None when nothing moved but a count."""
    was, became = _state(before), _state(after)
    if after is None:
        return Change(was, became, "back at full rate") if before is not None else None
    reason = _moved(before, after) if was is not became else _stayed(before, after)
    return Change(was, became, reason) if reason else None


def _moved(before: Condition | None, after: Condition) -> str:
    if after.state is State.THROTTLED:
        return _strike(after)
    if after.state is State.PROBING:
        return "the rest is over: a few mails try it"
    return f"the probes were delivered: sends {after.rate:.3g}/s from now on"


def _stayed(before: Condition | None, after: Condition) -> str:
    if before is None:
        return ""
    if after.state is State.THROTTLED and after.since != before.since:
        return _strike(after)
    if after.klass != before.klass:
        return f"a later reply is graver: {after.klass}"
    if after.state is State.THROTTLED and after.rest_until != before.rest_until:
        return "a later reply asks for a longer rest"
    if after.state is State.RECOVERING and after.rate != before.rate:
        return f"delivered without complaint: {before.rate:.3g}/s becomes {after.rate:.3g}/s"
    return ""


def _strike(after: Condition) -> str:
    if after.klass == "manual":
        return "an operator rests it"
    return f"strike {after.strikes} ({after.klass}): rests, then {after.rate:.3g}/s"


def _state(condition: Condition | None) -> State:
    return State.HEALTHY if condition is None else condition.state


def _is_known(condition: Condition, evidence: Evidence, now: datetime) -> bool:
    """Whether the mail behind the evidence was sent before the rest's end, so that its reply tells nothing new."""
    if condition.state is State.THROTTLED:
        return True
    end = condition.rest_until
    # An end in the future is left from a clock that went back. It may not make us deaf until then.
    return end is not None and evidence.sent_at is not None and evidence.sent_at < end <= now + SKEW


def _heard_again(condition: Condition, evidence: Evidence, now: datetime, policy: Policy) -> Condition:
    if evidence.klass == BLOCKLISTED and condition.klass != BLOCKLISTED:
        condition = replace(condition, rule=evidence.rule, klass=evidence.klass, reply=evidence.reply[:REPLY_LENGTH])
    until = condition.rest_until
    if condition.state is not State.THROTTLED or until is None or evidence.wait is None:
        return condition
    # Only what is longer than the whole rest: a hundred mails in flight would otherwise push its end a hundred times.
    asked = min(evidence.wait, policy.longest_rest)
    if asked <= until - condition.since:
        return condition
    return replace(condition, rest_until=max(until, min(now + asked, condition.since + policy.longest_rest)))


def _climb(condition: Condition, event: Event, rate: float, high: float, now: datetime) -> Condition | None:
    if rate >= high:
        return None
    state = MOVES[condition.state][event]
    since = condition.since if state is condition.state else now
    return replace(condition, state=state, since=since, rate=rate, good=0, stepped_at=now)


def _strikes(condition: Condition | None, now: datetime, policy: Policy) -> int:
    """Strikes that still count: calm hours since the last rest take them away one by one."""
    if condition is None:
        return 0
    calm = now - (condition.rest_until or condition.since)
    return max(0, condition.strikes - max(0, calm // policy.forgive))


def _rest(wait: timedelta | None, strikes: int, policy: Policy) -> timedelta:
    """What was asked for, doubled with each strike after the first."""
    base = max(policy.first_rest if wait is None else wait, policy.shortest_rest)
    seconds = base.total_seconds() * 2 ** min(max(strikes - 1, 0), _MOST_DOUBLINGS)
    return min(timedelta(seconds=min(seconds, policy.longest_rest.total_seconds())), policy.longest_rest)


def _bounds(ceiling: float, policy: Policy) -> tuple[float, float]:
    """Lowest and highest rate. No limit, or nonsense, counts as `unlimited`."""
    high = ceiling if 0 < ceiling < inf else policy.unlimited
    return min(policy.floor, high), high


def _within(rate: float, low: float, high: float) -> float:
    return min(rate, high) if rate > low else low  # NaN is greater than nothing, and becomes the lowest
