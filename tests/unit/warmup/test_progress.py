"""What a day means: the rules one by one with their words, and that no sequence of days leaves the plan."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmup.plan import Plan, parse
from warmup.progress import (
    DayFigures,
    Decision,
    Move,
    TrackState,
    TrackStatus,
    evaluate,
    lower_stage,
    summary,
    unhealthy,
)

DAY = date(2026, 3, 10)


def plan_of(**fields: Any) -> Plan:
    stages = [200, 400, 800, 1600, 3200, 6400]
    return parse({"name": "a", "stages": stages, "weights": {"gmail": 0.5, "*": 0.5}, **fields})


def state_of(stage: int = 3, status: TrackStatus = TrackStatus.ACTIVE, used: date | None = DAY) -> TrackState:
    return TrackState("gmail", stage, status, DAY - timedelta(days=1), DAY - timedelta(days=1), used)


def judged(figures: DayFigures, stage: int = 3, **fields: Any) -> Decision:
    return evaluate(plan_of(**fields), state_of(stage), DAY, figures)


def test_a_used_and_healthy_day_advances() -> None:
    decision = judged(DayFigures(delivered=360, deferred=20, bounced=3))
    assert (decision.move, decision.from_stage, decision.to_stage) == (Move.ADVANCE, 3, 4)
    assert decision.reason == "360 of 400 delivered (90 %), rates are healthy"
    after = decision.state
    assert (after.stage, after.stage_since, after.progress_at, after.last_used) == (4, DAY + timedelta(1), DAY, DAY)


def test_less_than_ninety_percent_holds_and_the_clock_does_not() -> None:
    held = judged(DayFigures(delivered=359))
    assert (held.move, held.to_stage) == (Move.HOLD, 3)
    assert held.reason == "359 of 400 delivered (89.8 %); 90% are needed to advance"
    by_clock = judged(DayFigures(delivered=1), advance="clock")
    assert (by_clock.move, by_clock.to_stage) == (Move.ADVANCE, 4)
    assert "by the clock" in by_clock.reason


@pytest.mark.parametrize("advance", ["evidence", "clock"])
def test_a_day_without_mail_changes_nothing(advance: str) -> None:
    decision = judged(DayFigures(complained=5), advance=advance)
    assert (decision.move, decision.state) == (Move.IDLE, state_of())


@pytest.mark.parametrize(
    ("figures", "words"),
    [
        (DayFigures(delivered=400, deferred=45), "deferrals 10.1 % (45 of 445), more than 10 %"),
        (DayFigures(delivered=400, bounced=13), "hard bounces 3.15 % (13 of 413), more than 3 %"),
        (DayFigures(delivered=1999, complained=2), "complaints 0.1 % (2 of 1,999), more than 0.1 %"),
    ],
)
def test_an_unhealthy_day_steps_back(figures: DayFigures, words: str) -> None:
    decision = judged(figures)
    assert (decision.move, decision.to_stage) == (Move.STEP_BACK, 2)
    assert decision.reason.startswith(words)
    assert decision.state.progress_at == DAY - timedelta(days=1)
    on_first = judged(figures, stage=1)
    assert (on_first.move, on_first.to_stage) == (Move.HOLD, 1)
    assert words in on_first.reason
    assert judged(figures, advance="clock").move is Move.STEP_BACK


@pytest.mark.parametrize(
    "figures",
    [
        DayFigures(delivered=2, deferred=1),
        DayFigures(delivered=18, bounced=1),
        DayFigures(delivered=40, deferred=4),
        DayFigures(delivered=400, deferred=44, bounced=12),
        DayFigures(delivered=500, complained=1),
        DayFigures(delivered=2000, complained=2),
    ],
)
def test_little_evidence_and_rates_on_the_line_are_no_verdict(figures: DayFigures) -> None:
    assert unhealthy(figures, plan_of().thresholds) == ""


def test_thresholds_can_be_set() -> None:
    figures = DayFigures(delivered=400, deferred=60)
    assert judged(figures).move is Move.STEP_BACK
    assert judged(figures, thresholds={"deferral": 0.2}).move is Move.ADVANCE
    assert judged(DayFigures(delivered=200), thresholds={"advance_share": 0.5}).move is Move.ADVANCE


def test_after_the_last_stage_the_track_is_complete() -> None:
    decision = judged(DayFigures(delivered=3000), stage=6)
    assert (decision.move, decision.to_stage, decision.state.status) == (Move.COMPLETE, 6, TrackStatus.COMPLETE)
    later = evaluate(plan_of(), decision.state, DAY + timedelta(1), DayFigures(delivered=10, deferred=90))
    assert (later.move, later.state.last_used) == (Move.IDLE, DAY + timedelta(1))


def test_thirty_idle_days_warm_again_from_two_thirds() -> None:
    plan, state = plan_of(), state_of(6, TrackStatus.COMPLETE)
    stages = []
    for number in range(1, 95):
        decision = evaluate(plan, state, DAY + timedelta(days=number), DayFigures())
        state = decision.state
        if decision.move is Move.REWARM:
            stages.append((number, decision.to_stage))
            assert "no mail since 2026-03-10" in decision.reason
    assert stages == [(30, 4), (60, 2), (90, 1)]
    assert state.status is TrackStatus.ACTIVE
    assert [lower_stage(stage) for stage in (1, 2, 3, 29)] == [1, 1, 2, 19]


def test_a_track_that_never_had_mail_stays_where_it_is() -> None:
    state = state_of(1, used=None)
    assert evaluate(plan_of(), state, DAY + timedelta(days=400), DayFigures()).state == state


def test_ten_days_without_progress_are_an_alarm() -> None:
    plan, state, stalled = plan_of(), replace(state_of(), progress_at=DAY), []
    for number in range(1, 13):
        decision = evaluate(plan, state, DAY + timedelta(days=number), DayFigures(delivered=100))
        state = decision.state
        stalled.append(bool(decision.stalled))
    assert stalled == [False] * 9 + [True] * 3
    assert "no progress at gmail for 12 days, stage 3 of 6" in decision.stalled
    assert "100 of 400 delivered" in decision.stalled


def test_the_ip_is_complete_when_every_track_in_use_is() -> None:
    done = state_of(6, TrackStatus.COMPLETE)
    unused = state_of(1, used=None)
    assert summary([done, unused], DAY) is TrackStatus.COMPLETE
    assert summary([done, state_of(2)], DAY) is TrackStatus.ACTIVE
    assert summary([done, state_of(2, used=DAY - timedelta(days=14))], DAY) is TrackStatus.COMPLETE
    assert summary([done, state_of(2, used=DAY - timedelta(days=13))], DAY) is TrackStatus.ACTIVE
    assert summary([unused], DAY) is TrackStatus.ACTIVE


figures_of_a_day = st.builds(
    DayFigures, st.integers(0, 7000), st.integers(0, 500), st.integers(0, 200), st.integers(0, 5)
)


@given(
    st.lists(st.one_of(st.just(DayFigures()), figures_of_a_day), max_size=120), st.sampled_from(["evidence", "clock"])
)
def test_no_sequence_of_days_leaves_the_plan(days: list[DayFigures], advance: str) -> None:
    plan, state = plan_of(advance=advance), state_of(1, used=None)
    for number, figures in enumerate(days):
        decision = evaluate(plan, state, DAY + timedelta(days=number), figures)
        assert 1 <= decision.to_stage <= plan.last_stage
        assert decision.to_stage == decision.state.stage
        assert decision.from_stage == state.stage
        assert (decision.reason == "") == (decision.move is Move.IDLE)
        if decision.move is Move.ADVANCE:
            assert decision.to_stage == state.stage + 1
            assert figures.attempts > 0
        if decision.move in (Move.HOLD, Move.IDLE, Move.COMPLETE):
            assert decision.to_stage == state.stage
        state = decision.state
