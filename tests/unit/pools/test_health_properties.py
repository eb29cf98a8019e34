"""What holds for every sequence of replies, deliveries, operators' decisions and clocks."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from pools import health
from pools.health import MOVES, SKEW, Condition, Event, Evidence, Policy, State

START = datetime(2026, 5, 4, 12, tzinfo=UTC)
MANUAL_LONGEST = timedelta(days=3)

_seconds = st.one_of(
    st.floats(-90_000, 90_000), st.sampled_from([0.0, 0.001, -0.5, 30.0, 60.0, 900.0, 14_400.0, -3600.0])
)
_rates = st.one_of(st.floats(0, 1000), st.sampled_from([0.0, float("nan"), float("inf"), -1.0, 1e-9, 1e300]))
policies = st.builds(
    Policy,
    probes=st.integers(1, 20),
    step=st.floats(1.1, 4.0),
    step_seconds=st.floats(0, 300),
    floor=st.floats(0.01, 2.0),
    cut=st.floats(0.1, 0.9),
    first_rest=st.timedeltas(timedelta(0), timedelta(hours=9)),
    longest_rest=st.timedeltas(timedelta(minutes=1), timedelta(hours=6)),
    shortest_rest=st.timedeltas(timedelta(0), timedelta(minutes=1)),
    forgive=st.timedeltas(timedelta(seconds=1), timedelta(hours=3)),
)
ceilings = st.one_of(st.floats(0.001, 1000), st.sampled_from([0.0, float("nan"), float("inf"), -5.0]))


@dataclass(frozen=True)
class Happening:
    """One thing that happens, so many seconds after the one before; negative when the clock was set back."""

    event: str
    after: float
    wait: float | None
    observed: float
    sent: float
    n: int
    klass: str


happenings = st.lists(
    st.builds(
        Happening,
        event=st.sampled_from(["throttled", "throttled", "delivered", "delivered", "at", "rested", "overridden"]),
        after=_seconds,
        wait=st.one_of(st.none(), _seconds),
        observed=_rates,
        sent=_seconds,
        n=st.integers(-1, 50),
        klass=st.sampled_from(["rate_limited", "blocklisted", "ip_reputation"]),
    ),
    max_size=30,
)


def apply(
    condition: Condition | None, one: Happening, ceiling: float, now: datetime, policy: Policy
) -> Condition | None:
    if one.event == "throttled":
        wait = None if one.wait is None else timedelta(seconds=one.wait)
        sent = now - timedelta(seconds=one.sent)
        facts = Evidence("rule", one.klass, "421 no", wait, one.observed, sent)
        return health.throttled(condition, facts, ceiling, now, policy)
    if one.event == "rested":
        until = now + min(timedelta(seconds=abs(one.sent)), MANUAL_LONGEST)
        return health.rested(condition, until, "by hand", now)
    if condition is None:
        return None
    if one.event == "delivered":
        return health.delivered(condition, one.n, ceiling, now, policy)
    return health.at(condition, now) if one.event == "at" else health.overridden(condition, now)


def state(condition: Condition | None) -> State:
    return State.HEALTHY if condition is None else condition.state


def reachable(was: State) -> set[State]:
    """By one event, or by the end of a rest and one event after it; or staying."""
    direct = set(MOVES[was].values()) | {was}
    if Event.REST_OVER in MOVES[was]:
        direct |= set(MOVES[State.PROBING].values())
    return direct


def low_high(ceiling: float, policy: Policy) -> tuple[float, float]:
    high = ceiling if 0 < ceiling < float("inf") else policy.unlimited
    return min(policy.floor, high), high


@given(happenings, policies, ceilings)
def test_machine_stays_in_its_table_its_rates_and_its_rests(
    story: list[Happening], policy: Policy, ceiling: float
) -> None:
    low, high = low_high(ceiling, policy)
    condition: Condition | None = None
    now = START
    manual = False
    for one in story:
        now += timedelta(seconds=one.after)
        before, condition = condition, apply(condition, one, ceiling, now, policy)
        assert state(condition) in reachable(state(before))
        manual = one.event == "rested" or (manual and condition is not None)
        if condition is None:
            continue
        if not manual and condition.rate != health.FULL_RATE:  # an operator's word, bounded by the provider's limit
            assert low <= condition.rate <= high
        assert 0 < health.allowance(condition, policy).per_second < float("inf")
        assert health.allowance(condition, policy).burst >= 1
        longest = MANUAL_LONGEST if manual else policy.longest_rest
        if condition.state is State.THROTTLED and condition.rest_until is not None:
            assert condition.rest_until - condition.since <= max(longest, policy.longest_rest)
            assert health.at(condition, now + longest + SKEW).state is State.PROBING
        assert condition.strikes >= 0
        change = health.change(before, condition)
        assert (change is None) or (change.became is condition.state and change.reason)


@given(happenings, policies, ceilings, st.integers(1, 9))
def test_run_of_successes_ends_healthy(story: list[Happening], policy: Policy, ceiling: float, n: int) -> None:
    """From wherever a story has led, however the clock jumped: mails that are delivered bring it back."""
    condition: Condition | None = None
    now = START
    for one in story:
        now += timedelta(seconds=one.after)
        condition = apply(condition, one, ceiling, now, policy)
    if condition is not None and condition.state is State.THROTTLED:
        now = max(now, condition.rest_until or now)
    rates = []
    for _ in range(2000):
        if condition is None:
            break
        now += timedelta(seconds=policy.step_seconds + 1)
        if condition.state is State.RECOVERING:
            rates.append(condition.rate)
        condition = health.delivered(condition, n, ceiling, now, policy)

    assert condition is None
    low, _ = low_high(ceiling, policy)
    assert all(later <= max(earlier * policy.step * 1.000001, low) for earlier, later in pairwise(rates))


@given(happenings, policies, ceilings, _rates)
def test_throttle_lowers_the_rate_in_force(
    story: list[Happening], policy: Policy, ceiling: float, observed: float
) -> None:
    """A fresh one; what is known already never raises it."""
    low, high = low_high(ceiling, policy)
    condition: Condition | None = None
    now = START
    for one in story:
        now += timedelta(seconds=one.after)
        condition = apply(condition, one, ceiling, now, policy)
    in_force = high if condition is None else condition.rate
    known = condition is not None and health.at(condition, now).state is State.THROTTLED

    after = health.throttled(condition, Evidence("r", "c", "t", None, observed, now + SKEW), ceiling, now, policy)

    assert after.state is State.THROTTLED
    if known:
        assert after.rate == in_force
    else:
        assert after.rate < in_force or after.rate == low
        assert after.strikes >= 1
        assert after.since == now


@given(happenings, policies, ceilings, st.lists(st.floats(0, 600), min_size=1, max_size=20))
def test_replies_of_one_throttle_are_one_strike(
    story: list[Happening], policy: Policy, ceiling: float, ages: list[float]
) -> None:
    """Many mails were under way when the first reply came; theirs follow in any order, during the rest."""
    condition: Condition | None = None
    now = START
    for one in story:
        now += timedelta(seconds=one.after)
        condition = apply(condition, one, ceiling, now, policy)
    first = health.throttled(condition, Evidence("r", "c", "t", None, 5.0, now + SKEW), ceiling, now, policy)
    assume(first.rest_until is not None and first.rest_until > now)
    after = first
    for age in ages:
        facts = Evidence("r", "c", "t", None, 5.0, now - timedelta(seconds=age))
        after = health.throttled(after, facts, ceiling, now + timedelta(milliseconds=1), policy)

    assert (after.strikes, after.rate, after.rest_until) == (first.strikes, first.rate, first.rest_until)
