"""How a subject rests and comes back: single stories. Properties are in test_health_properties."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pools import health
from pools.health import MOVES, Condition, Event, Evidence, Policy, Rate, State

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
POLICY = Policy()
CEILING = 20.0


def evidence(
    wait: timedelta | None = None, observed: float = 8.0, sent_at: datetime | None = None, klass: str = "rate_limited"
) -> Evidence:
    return Evidence("too-fast", klass, "421 slow down", wait, observed, sent_at)


def first(wait: timedelta | None = None, observed: float = 8.0) -> Condition:
    """A healthy subject meets a throttle at NOW."""
    return health.throttled(None, evidence(wait, observed), CEILING, NOW, POLICY)


def probing() -> Condition:
    return health.at(first(), NOW + POLICY.first_rest)


def recovering() -> Condition:
    """At 4/s since NOW + 16 minutes."""
    condition = health.delivered(probing(), 5, CEILING, NOW + 16 * MINUTE, POLICY)
    assert condition is not None
    assert condition.state is State.RECOVERING
    return condition


# A throttle


def test_first_throttle_rests_and_halves_what_was_sent() -> None:
    condition = first()

    assert condition == Condition(
        State.THROTTLED, NOW, NOW + timedelta(minutes=15), 4.0, 0, 1, "too-fast", "rate_limited", "421 slow down", NOW
    )


def test_what_was_allowed_is_halved_when_less_than_what_was_sent() -> None:
    assert first(observed=300.0).rate == CEILING / 2


@pytest.mark.parametrize("unknown", [0.0, -1.0, float("nan"), float("inf")])
def test_unknown_rate_counts_as_the_allowed_one(unknown: float) -> None:
    assert first(observed=unknown).rate == CEILING / 2


def test_rate_is_never_cut_below_the_floor() -> None:
    assert first(observed=0.06).rate == POLICY.floor


@pytest.mark.parametrize("none", [0.0, -3.0, float("nan"), float("inf")])
def test_site_without_a_limit_has_one_for_the_way_back(none: float) -> None:
    assert health.throttled(None, evidence(observed=0), none, NOW, POLICY).rate == POLICY.unlimited / 2


def test_rest_is_what_the_reply_asks_for() -> None:
    assert first(wait=timedelta(minutes=3)).rest_until == NOW + timedelta(minutes=3)


def test_rest_is_never_shorter_or_longer_than_the_policy_says() -> None:
    assert first(wait=timedelta(seconds=-5)).rest_until == NOW + POLICY.shortest_rest
    assert first(wait=timedelta(days=3)).rest_until == NOW + POLICY.longest_rest


@pytest.mark.parametrize("state", ["probing", "recovering"])
def test_throttle_on_the_way_back_is_another_strike(state: str) -> None:
    before = probing() if state == "probing" else recovering()
    now = NOW + 17 * MINUTE

    after = health.throttled(before, evidence(sent_at=now - SECOND), CEILING, now, POLICY)

    assert (after.state, after.strikes, after.since) == (State.THROTTLED, 2, now)
    assert after.rest_until == now + 2 * POLICY.first_rest
    assert after.rate == before.rate / 2


def test_rests_double_up_to_the_longest() -> None:
    rests = []
    condition: Condition | None = None
    now = NOW
    for _ in range(8):
        condition = health.throttled(condition, evidence(sent_at=now), CEILING, now, POLICY)
        assert condition.rest_until is not None
        rests.append((condition.rest_until - now) / MINUTE)
        now = condition.rest_until + SECOND

    assert rests == [15, 30, 60, 120, 240, 240, 240, 240]


def test_calm_hours_take_strikes_away() -> None:
    thrice = replace(recovering(), strikes=3)
    assert thrice.rest_until is not None
    later = thrice.rest_until + timedelta(hours=2, minutes=30)

    after = health.throttled(thrice, evidence(sent_at=later), CEILING, later, POLICY)

    assert after.strikes == 2  # three, two forgotten, one new


# What is known already


def test_mail_in_flight_is_no_second_strike() -> None:
    condition = first()

    for seconds in (0.001, 1.0, 800.0):
        now = NOW + timedelta(seconds=seconds)
        assert health.throttled(condition, evidence(sent_at=NOW - SECOND), CEILING, now, POLICY) is condition


def test_mail_sent_during_the_rest_by_somebody_who_had_not_heard_is_no_strike() -> None:
    condition = first()
    sent = NOW + timedelta(milliseconds=20)

    assert health.throttled(condition, evidence(sent_at=sent), CEILING, sent + SECOND, POLICY) is condition


@pytest.mark.parametrize("state", ["probing", "recovering"])
def test_late_reply_to_a_mail_from_before_the_rest_changes_nothing(state: str) -> None:
    condition = probing() if state == "probing" else recovering()

    after = health.throttled(condition, evidence(sent_at=NOW - SECOND), CEILING, NOW + 17 * MINUTE, POLICY)

    assert after is condition


def test_probe_whose_throttle_comes_after_the_others_were_delivered_is_a_strike() -> None:
    sent = NOW + timedelta(minutes=15, seconds=30)  # after the rest, before the rate began to climb

    after = health.throttled(recovering(), evidence(sent_at=sent), CEILING, NOW + 17 * MINUTE, POLICY)

    assert (after.state, after.strikes) == (State.THROTTLED, 2)


def test_longer_wait_prolongs_the_rest_without_a_strike() -> None:
    after = health.throttled(first(), evidence(timedelta(hours=1), sent_at=NOW), CEILING, NOW + SECOND, POLICY)

    assert (after.rest_until, after.strikes, after.rate) == (NOW + timedelta(hours=1) + SECOND, 1, 4.0)


def test_many_equal_waits_prolong_the_rest_once() -> None:
    wait = timedelta(minutes=30)
    condition = first(wait)

    after = health.throttled(condition, evidence(wait, sent_at=NOW), CEILING, NOW + MINUTE, POLICY)

    assert after is condition


def test_rest_is_not_prolonged_beyond_the_longest() -> None:
    now = NOW + 10 * MINUTE

    after = health.throttled(first(), evidence(timedelta(days=9), sent_at=NOW), CEILING, now, POLICY)

    assert after.rest_until == NOW + POLICY.longest_rest


def test_blocklist_reply_replaces_the_lighter_reason() -> None:
    listed = replace(evidence(sent_at=NOW, klass="blocklisted"), rule="listed", reply="554 see spamhaus")

    after = health.throttled(first(), listed, CEILING, NOW + SECOND, POLICY)
    again = health.throttled(after, evidence(sent_at=NOW), CEILING, NOW + SECOND, POLICY)

    assert (after.rule, after.klass, after.reply, after.strikes) == ("listed", "blocklisted", "554 see spamhaus", 1)
    assert again is after


# Time


def test_rest_ends_by_itself() -> None:
    condition = first()

    assert health.at(condition, NOW + POLICY.first_rest - SECOND) is condition
    over = health.at(condition, NOW + POLICY.first_rest + 5 * MINUTE)
    assert (over.state, over.since, over.good) == (State.PROBING, condition.rest_until, 0)
    assert health.at(over, NOW) is over


def test_rest_from_the_future_ends_at_once() -> None:
    condition = first()

    over = health.at(condition, NOW - timedelta(days=1))

    assert (over.state, over.since, over.rest_until) == (State.PROBING, NOW - timedelta(days=1), over.since)


def test_clocks_that_differ_by_milliseconds_end_no_rest() -> None:
    condition = first()

    assert health.at(condition, NOW - timedelta(milliseconds=200)) is condition


def test_rest_without_an_end_is_over() -> None:
    assert health.at(replace(first(), rest_until=None), NOW).state is State.PROBING


def test_end_of_a_rest_in_the_future_makes_nobody_deaf() -> None:
    """The clock went back by a day while it was probing: throttles must be heard all the same."""
    now = NOW - timedelta(days=1)

    after = health.throttled(probing(), evidence(sent_at=now), CEILING, now, POLICY)

    assert (after.state, after.strikes) == (State.THROTTLED, 2)


# The way back


def test_probes_have_to_be_delivered_before_the_rate_climbs() -> None:
    now = NOW + 16 * MINUTE
    four = health.delivered(probing(), 4, CEILING, now, POLICY)
    assert four is not None
    assert (four.state, four.good) == (State.PROBING, 4)

    five = health.delivered(four, 1, CEILING, now, POLICY)

    assert five is not None
    assert (five.state, five.rate, five.since, five.stepped_at) == (State.RECOVERING, 4.0, now, now)
    assert five.good == 0
    stepped = health.delivered(five, 7, CEILING, now + MINUTE, POLICY)
    assert stepped is not None
    assert (stepped.since, stepped.stepped_at, stepped.good) == (now, now + MINUTE, 0)


def test_deliveries_during_the_rest_prove_nothing() -> None:
    condition = first()

    assert health.delivered(condition, 500, CEILING, NOW + SECOND, POLICY) is condition


def test_rate_steps_up_once_a_minute_until_the_ceiling() -> None:
    condition: Condition | None = recovering()
    now = NOW + 16 * MINUTE
    rates = []
    while condition is not None:
        rates.append(condition.rate)
        now += 30 * SECOND
        condition = health.delivered(condition, 10, CEILING, now, POLICY)

    assert rates == [4.0, 4.0, 6.0, 6.0, 9.0, 9.0, 13.5, 13.5]
    assert now == NOW + 20 * MINUTE


def test_an_hour_of_silence_is_one_step_only() -> None:
    after = health.delivered(recovering(), 1000, CEILING, NOW + timedelta(hours=5), POLICY)

    assert after is not None
    assert after.rate == 6.0


def test_no_step_without_a_delivery() -> None:
    condition = recovering()

    assert health.delivered(condition, 0, CEILING, NOW + timedelta(hours=5), POLICY) is condition


def test_clock_that_went_back_starts_the_step_anew() -> None:
    now = NOW - timedelta(days=2)
    back = health.delivered(recovering(), 1, CEILING, now, POLICY)
    assert back is not None
    assert (back.rate, back.stepped_at) == (4.0, now)

    after = health.delivered(back, 1, CEILING, now + MINUTE, POLICY)

    assert after is not None
    assert after.rate == 6.0


def test_ceiling_that_was_lowered_ends_the_way_earlier() -> None:
    assert health.delivered(recovering(), 1, 3.0, NOW + 18 * MINUTE, POLICY) is None


def test_subject_cut_to_the_ceiling_needs_its_probes_only() -> None:
    """A site whose rate is the floor: what our own side broke."""
    condition = health.at(health.throttled(None, evidence(), POLICY.floor, NOW, POLICY), NOW + POLICY.first_rest)

    assert health.delivered(condition, 5, POLICY.floor, NOW + 16 * MINUTE, POLICY) is None


def test_probes_are_few_and_recovering_has_its_rate() -> None:
    assert health.allowance(probing(), POLICY) == Rate(0.5, 5)
    assert health.allowance(replace(probing(), rate=0.05), POLICY) == Rate(0.05, 5)
    assert health.allowance(recovering(), POLICY) == Rate(4.0, 4)
    assert health.allowance(replace(recovering(), rate=0.05), POLICY) == Rate(0.05, 1)


# By hand


def test_operator_rests_a_healthy_subject_without_a_strike() -> None:
    until = NOW + timedelta(days=2)

    condition = health.rested(None, until, "listed, waiting for removal", NOW)

    assert (condition.state, condition.rest_until, condition.strikes) == (State.THROTTLED, until, 0)
    assert health.at(condition, until - SECOND) is condition
    assert health.at(condition, until).state is State.PROBING


def test_operator_rest_is_not_cut_by_a_reply() -> None:
    until = NOW + timedelta(days=2)
    condition = health.rested(recovering(), until, "by hand", NOW)

    after = health.throttled(condition, evidence(timedelta(hours=9), sent_at=NOW), CEILING, NOW + SECOND, POLICY)

    assert after is condition


def test_override_ends_the_rest_and_mail_from_before_says_nothing_new() -> None:
    now = NOW + MINUTE
    condition = health.overridden(first(), now)
    assert (condition.state, condition.since, condition.rest_until) == (State.PROBING, now, now)

    late = health.throttled(condition, evidence(sent_at=NOW), CEILING, now + SECOND, POLICY)

    assert late is condition


def test_override_of_a_slow_return_gives_the_full_rate_and_the_next_step_is_the_last() -> None:
    later = NOW + MINUTE
    condition = health.overridden(recovering(), later)

    assert condition == replace(recovering(), rate=health.FULL_RATE, stepped_at=later, good=0)
    assert health.allowance(condition, POLICY).per_second == health.FULL_RATE
    assert health.delivered(condition, 1, CEILING, later + timedelta(seconds=POLICY.step_seconds), POLICY) is None


def test_override_of_what_probes_changes_nothing() -> None:
    condition = replace(recovering(), state=State.PROBING)

    assert health.overridden(condition, NOW) is condition


# In words


def test_rest_tells_rule_and_reply() -> None:
    rest = health.resting(first())

    assert rest is not None
    assert (rest.until, rest.reason) == (NOW + POLICY.first_rest, "too-fast: 421 slow down")
    assert health.resting(recovering()) is None


def test_changes_have_words_and_counts_have_none() -> None:
    counted = health.delivered(recovering(), 3, CEILING, NOW + 16 * MINUTE, POLICY)
    stepped = health.delivered(recovering(), 3, CEILING, NOW + 18 * MINUTE, POLICY)

    assert health.change(recovering(), counted) is None
    assert health.change(None, None) is None
    moved = [
        health.change(None, first()),
        health.change(first(), probing()),
        health.change(probing(), recovering()),
        health.change(recovering(), stepped),
        health.change(stepped, None),
    ]
    assert [(str(one.was), str(one.became)) for one in moved if one] == [
        ("healthy", "throttled"), ("throttled", "probing"), ("probing", "recovering"),
        ("recovering", "recovering"), ("recovering", "healthy"),
    ]  # fmt: skip
    assert all(one and one.reason for one in moved)
    assert moved[3] is not None
    assert "4/s becomes 6/s" in moved[3].reason


def test_nothing_is_written_of_a_reply_beyond_its_limit() -> None:
    long = replace(evidence(), reply="x" * 9000)

    assert len(health.throttled(None, long, CEILING, NOW, POLICY).reply) == health.REPLY_LENGTH


def test_policy_without_sense_is_refused() -> None:
    for wrong in ({"probes": 0}, {"step": 1.0}, {"cut": 1.0}, {"floor": 0.0}, {"forgive": timedelta(0)}):
        with pytest.raises(ValueError, match="never"):
            Policy(**wrong)


def test_every_state_is_in_the_table_and_can_be_left() -> None:
    assert set(MOVES) == set(State)
    assert {state for moves in MOVES.values() for state in moves.values()} == set(State)
    assert set(Event) == {event for moves in MOVES.values() for event in moves}
