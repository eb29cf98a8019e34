"""What a simulated provider thinks of an IP, day after day."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.reputation import DAY, HABITS, HOUR, MILD, NOISE, Judge, Judgement
from warmup.plan import weights_of_mix
from warmup.presets import PRESETS, Preset, preset

IP = "192.0.2.1"
MIX = {"gmail": 0.45, "microsoft": 0.2, "yahoo": 0.15, "apple": 0.05, "gmx": 0.05, "other": 0.1}


def send_day(judge: Judge, site: str, n: int, day: int) -> int:
    """`n` mails spread over the hours of a day; how many were refused."""
    return sum(
        judge.meet(site, IP, n * (hour + 1) // 24 - n * hour // 24, day * DAY + hour * HOUR).refused
        for hour in range(24)
    )


@pytest.mark.parametrize("site", ["gmail", "microsoft", "yahoo", "apple", "gmx", "other"])
@pytest.mark.parametrize("published", PRESETS, ids=lambda one: one.name)
def test_a_published_schedule_passes_up_to_100_000_a_day(site: str, published: Preset) -> None:
    plan = preset(published.name, target=min(published.target, 100_000))
    plan = plan.with_weights(weights_of_mix(MIX, plan.stages[0]))
    judge = Judge(seed=5)
    refused = [
        send_day(judge, site, plan.cap(stage, plan.track_of(site)), stage) for stage in range(1, plan.last_stage + 1)
    ]
    assert sum(refused) == 0


@pytest.mark.parametrize("site", [*HABITS, "mx.bakery.example"])
def test_a_blast_from_a_new_ip_is_throttled_then_blocked_and_trusted_less_after(site: str) -> None:
    judge, habits = Judge(), HABITS.get(site, MILD)
    met = judge.meet(site, IP, 100_000, 0.0)
    assert 0 < met.accepted <= habits.newcomer * (1 + NOISE)
    assert met.throttled > 0
    assert met.blocked > 0
    assert judge.look(site, IP, 1.0) is Judgement.BLOCK
    assert judge.meet(site, IP, 1, habits.block_days * DAY - 1.0).blocked == 1
    after = habits.block_days * DAY + 1.0
    assert judge.look(site, IP, after) is Judgement.ACCEPT
    day = int(after // DAY) + 1
    assert judge.room(site, IP, day * DAY) <= habits.newcomer / 2 * (1 + NOISE)
    judge.meet(site, IP, 100_000, day * DAY)
    assert judge.look(site, IP, (day + 1.5 * habits.block_days) * DAY) is Judgement.BLOCK, "the second block is longer"


def test_who_heeds_a_throttle_is_never_blocked() -> None:
    judge = Judge()
    for hour in range(24):
        judge.meet("microsoft", IP, judge.room("microsoft", IP, hour * HOUR) + 5, hour * HOUR)
    (opinion,) = judge.opinions(DAY - 1)
    assert opinion.blocks == 0
    assert opinion.refused == 5 * 24


def test_one_hour_may_not_bring_the_day() -> None:
    judge = Judge()
    assert judge.meet("yahoo", IP, 400, 0.0).throttled > 0
    assert judge.look("yahoo", IP, HOUR - 1) is Judgement.THROTTLE
    assert judge.look("yahoo", IP, HOUR) is Judgement.ACCEPT


def test_volume_may_grow_so_many_times_and_no_more() -> None:
    judge = Judge()
    judge.introduce("gmail", IP, 10_000, 10, 0.0)
    (opinion,) = judge.opinions(0.0)
    assert 10_000 * 2.4 * (1 - NOISE) <= opinion.allowance <= 10_000 * 2.4 * (1 + NOISE)
    judge.introduce("gmail", IP, 10_000, 60, 0.0)
    (known,) = judge.opinions(0.0)
    assert known.allowance > 10_000 * 2.4 * (1 + NOISE), "an old acquaintance may jump further"


def test_thirty_days_of_silence_make_a_newcomer_again() -> None:
    judge = Judge()
    judge.introduce("gmail", IP, 50_000, 60, 0.0)
    assert judge.opinions(29 * DAY)[0].allowance > 50_000
    assert judge.opinions(31 * DAY)[0].allowance <= HABITS["gmail"].newcomer * (1 + NOISE)


@pytest.mark.parametrize(
    ("complaints", "most"), [(5, 10.0), (20, 1.0), (40, 0.5)], ids=["below 0.1 %", "above 0.1 %", "above 0.3 %"]
)
def test_complaints_end_growth_and_then_cost_volume(complaints: int, most: float) -> None:
    judge = Judge()
    judge.introduce("gmail", IP, 10_000, 1, 0.0)
    judge.complained("gmail", IP, complaints, 1.0)
    (opinion,) = judge.opinions(DAY)
    assert opinion.allowance <= most * 10_000 * (1 + NOISE)
    assert (opinion.allowance > 10_000 * (1 + NOISE)) == (complaints == 5)
    assert ("complaints" in opinion.why) == (complaints > 5)


def test_unknown_users_end_growth() -> None:
    judge = Judge()
    judge.introduce("gmx", IP, 10_000, 1, 0.0)
    judge.unknown("gmx", IP, 2_000, 1.0)
    (opinion,) = judge.opinions(DAY)
    assert opinion.allowance <= 10_000 * (1 + NOISE)


def test_providers_judge_apart() -> None:
    judge = Judge()
    judge.meet("microsoft", IP, 100_000, 0.0)
    assert judge.look("microsoft", IP, 1.0) is Judgement.BLOCK
    assert judge.look("gmail", IP, 1.0) is Judgement.ACCEPT
    assert judge.look("microsoft", "192.0.2.2", 1.0) is Judgement.ACCEPT


def test_without_blocks_there_are_only_throttles() -> None:
    assert Judge(blocks=False).meet("yahoo", IP, 1_000_000, 0.0).blocked == 0


def test_a_strictness_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="strictness"):
        Judge(strictness=0)


@given(
    seed=st.integers(0, 1000),
    strictness=st.floats(0.5, 4),
    mails=st.lists(st.tuples(st.integers(0, 30_000), st.integers(0, 100_000)), max_size=40),
)
def test_a_day_never_takes_more_than_its_allowance_and_a_seed_repeats_it(
    seed: int, strictness: float, mails: list[tuple[int, int]]
) -> None:
    first, second = Judge(seed, strictness), Judge(seed, strictness)
    now = 0.0
    for n, seconds in mails:
        now += seconds
        before = first.room("yahoo", IP, now)
        met = first.meet("yahoo", IP, n, now)
        assert met == second.meet("yahoo", IP, n, now)
        assert met.accepted == min(n, before)
        assert met.accepted + met.refused == n
        (opinion,) = first.opinions(now)
        assert opinion.accepted <= opinion.allowance
