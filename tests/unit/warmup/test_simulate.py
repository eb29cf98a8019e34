"""What a plan does with a volume, reckoned ahead."""

import time
from collections import defaultdict

import pytest

from core.refusal import Refused
from pools.choose import warming_share
from warmup.plan import REST, parse, weights_of_mix
from warmup.presets import preset
from warmup.simulate import Row, Volume, simulate

MIX = {"gmail": 0.45, "microsoft": 0.2, "yahoo": 0.15}


def by_day(rows: tuple[Row, ...]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.day].append(row)
    return found


def test_what_is_above_the_cap_goes_to_the_warm_ip() -> None:
    plan = preset("stages-29", target=150_000).with_weights(weights_of_mix({**MIX, REST: 0.2}, 200))
    result = simulate(plan, Volume(300_000, MIX), 60)
    days = by_day(result.rows)
    assert result.ends_on == plan.last_stage == 12
    assert result.stuck == ()
    gmail = days[1][0]
    assert (gmail.provider, gmail.cap, gmail.mail, gmail.warming, gmail.warm) == ("gmail", 90, 135_000, 90, 134_910)
    for rows in days.values():
        assert sum(row.mail for row in rows) == 300_000
        assert all(row.mail == row.warming + row.warm and row.waiting == 0 for row in rows)
        assert all(row.cap is None or row.warming <= row.cap for row in rows)
    assert [row.cap for row in days[13]] == [None] * 4
    assert sum(row.warming for row in days[13]) == 150_000


def test_without_a_warm_ip_mail_waits_and_is_sent_later() -> None:
    plan = parse({"name": "a", "stages": [100, 200, 400, 800], "weights": {"*": 1}})
    result = simulate(plan, Volume(300, {}, warming_ips=1, warm_ips=0), 10)
    assert [(row.warming, row.waiting) for row in result.rows[:5]] == [
        (100, 200), (200, 300), (400, 200), (500, 0), (300, 0),
    ]  # fmt: skip
    assert sum(row.warming for row in result.rows) == 3000


def test_the_offer_is_that_of_the_pool() -> None:
    """Up to twice the equal share, as the lanes do it."""
    plan = parse({"name": "a", "stages": [10_000], "weights": {"*": 1}})
    for warming, warm in ((1, 1), (1, 3), (2, 3), (3, 1), (4, 0)):
        (row,) = simulate(plan, Volume(6_000, {}, warming, warm), 1).rows
        members = warming + warm
        assert row.warming == warming_share(6_000, warming, members) * warming


def test_several_ips_have_a_cap_each() -> None:
    plan = parse({"name": "a", "stages": [100, 200], "weights": {"*": 1}})
    result = simulate(plan, Volume(1000, {}, warming_ips=3, warm_ips=1), 1)
    assert (result.rows[0].warming, result.rows[0].warm, result.rows[0].cap) == (300, 700, 100)


def test_a_plan_that_asks_for_more_than_comes_never_ends_and_says_so() -> None:
    result = simulate(preset("stages-29"), Volume(10_000, {"gmail": 1.0}), 90)
    assert result.ends_on is None
    (why,) = result.stuck
    assert why.startswith("gmail: an IP is offered 10,000 a day, too few for stage 8 of 29 (20,040)")


def test_twenty_providers_and_half_a_year_take_well_under_a_second() -> None:
    providers = [f"p{number}" for number in range(20)]
    weights = dict.fromkeys(providers, 0.04)
    plan = parse({"name": "a", "stages": list(range(1000, 181_000, 1000)), "weights": weights})
    started = time.process_time()
    result = simulate(plan, Volume(1_000_000, weights), 180)
    assert time.process_time() - started < 1.0
    assert len(result.rows) == 180 * 21


@pytest.mark.parametrize(
    ("volume", "days", "field"),
    [
        (Volume(0, {}), 1, "volume"),
        (Volume(1, {}, warming_ips=0), 1, "ips"),
        (Volume(1, {}, warm_ips=-1), 1, "warm_ips"),
        (Volume(1, {}), 0, "days"),
        (Volume(1, {"gmail": -0.1}), 1, "mix"),
        (Volume(1, {"gmail": 0.7, "yahoo": 0.4}), 1, "mix"),
    ],
)
def test_a_volume_that_cannot_be(volume: Volume, days: int, field: str) -> None:
    with pytest.raises(Refused) as caught:
        simulate(preset("plus-30"), volume, days)
    assert caught.value.field == field
