"""When a campaign is out: by ramps, rates, pace, windows and times; never earlier than any of them lets it."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.forecast import HORIZON, Forecast, Given, Hold, Ip, Ramp, Share, followed, forecast
from campaigns.plan import Window
from warmup.plan import Plan, parse

START = datetime(2026, 12, 1, 12, tzinfo=UTC)
"""A Tuesday."""
HOUR = timedelta(hours=1)
WARM = Ip()


def plan(*stages: int, **more: object) -> Plan:
    return parse({"name": "test", "stages": list(stages), "weights": {"gmail": 0.5, "*": 0.5}, **more})


def warming(of: Plan, stage: int = 1, used: int = 0, moves: bool = True) -> Ip:
    return Ip(Ramp(of, dict.fromkeys(of.weights, stage), dict.fromkeys(of.weights, used), moves))


def people(**by_provider: int) -> tuple[Share, ...]:
    return tuple(Share(name, n) for name, n in by_provider.items())


def only(found: Forecast) -> tuple[timedelta | None, Hold | None]:
    (one,) = found.providers
    return one.ends_at and one.ends_at - START, one.held_by


def test_where_nothing_holds_it_is_out_at_once() -> None:
    found = forecast(Given(START, people(gmail=1000, yahoo=0), [WARM]))

    assert only(found) == (timedelta(0), None)
    assert (found.ends_at, found.held_by) == (START, None)
    assert forecast(Given(START, people(), [WARM])).providers == ()


def test_a_ramp_takes_what_is_left_of_today_and_its_next_stages_after() -> None:
    """200 are left today; 2,000 and 4,000 may go on the days after: the last 100 are out early on the third."""
    given_ = Given(START, people(gmail=2300), [warming(plan(1000, 4000, 8000), used=300)])
    ((took, held),) = [only(forecast(given_))]

    assert took is not None and timedelta(hours=36) < took < timedelta(hours=37)
    assert held is Hold.RAMP
    assert only(forecast(replace(given_, ips=[*given_.ips, WARM]))) == (timedelta(0), None)


def test_a_ramp_that_stands_still_has_the_same_cap_every_day() -> None:
    still = warming(plan(200, 400), moves=False)
    took, _ = only(forecast(Given(START, people(gmail=400), [still])))

    assert took is not None and timedelta(days=3) < took <= timedelta(days=3, hours=13)


def test_providers_without_a_weight_share_a_track_and_one_with_its_own_does_not_wait() -> None:
    found = forecast(Given(START, people(gmail=10, gmx=600, orange=300), [warming(plan(200, 400, 800, 1600))]))
    ends = {one.provider: one.ends_at for one in found.providers}

    assert ends["gmail"] is not None and ends["gmx"] is not None
    assert ends["gmx"] == ends["orange"] > ends["gmail"]
    assert (found.providers[0].provider, found.ends_at) == ("gmx", ends["gmx"])


def test_a_track_without_a_weight_never_ends_and_a_pool_without_an_ip_says_so() -> None:
    nothing = parse({"name": "test", "stages": [100], "weights": {"gmail": 1.0}})

    assert only(forecast(Given(START, people(gmx=1), [warming(nothing, moves=False)]))) == (None, Hold.RAMP)
    assert only(forecast(Given(START, people(gmx=1), []))) == (None, Hold.NO_IP)


def test_a_pace_a_rate_a_rest_and_times_are_named() -> None:
    many = people(gmail=1000)
    later = ((START, 0.5), (START + 4 * HOUR, 0.5))

    assert only(forecast(Given(START, many, [WARM], pace=250.0))) == (4 * HOUR, Hold.PACE)
    assert only(forecast(Given(START, (Share("gmail", 1000, 100.0),), [WARM, WARM]))) == (5 * HOUR, Hold.RATE)
    resting = Ip(rests={"gmail": START + 3 * HOUR})
    assert only(forecast(Given(START, many, [resting]))) == (3 * HOUR, Hold.REST)
    assert only(forecast(Given(START, many, [resting, WARM]))) == (timedelta(0), None)
    assert only(forecast(Given(START, many, [WARM], times=later))) == (4 * HOUR, Hold.TIMES)


def test_a_window_stops_the_pace_overnight() -> None:
    window = Window("Europe/Berlin", since=time(9), until=time(17))
    found = forecast(Given(START, people(gmail=500), [WARM], pace=100.0, window=window))
    night = forecast(Given(START + 8 * HOUR, people(gmail=50), [WARM], pace=100.0, window=window))

    assert found.ends_at == datetime(2026, 12, 2, 9, tzinfo=UTC)  # four hours until 16:00 UTC, one from 08:00
    assert (night.ends_at, night.held_by) == (datetime(2026, 12, 2, 8, 30, tzinfo=UTC), Hold.WINDOW)


def test_a_window_that_opens_on_one_day_of_the_week() -> None:
    window = Window(days=("sun",), since=time(9), until=time(10))
    found = forecast(Given(START, people(gmail=150), [WARM], pace=100.0, window=window))

    assert found.ends_at == datetime(2026, 12, 13, 9, 30, tzinfo=UTC)


PLANS = st.lists(st.integers(200, 5000), min_size=1, max_size=6, unique=True).map(lambda found: plan(*sorted(found)))
PEOPLE = st.dictionaries(st.sampled_from(["gmail", "gmx", "yahoo"]), st.integers(1, 4_000), min_size=1)


@settings(max_examples=20, deadline=None)
@given(PLANS, st.integers(2, 5), PEOPLE, st.booleans(), st.integers(0, 50))
def test_larger_caps_never_end_later(of: Plan, times: int, who: dict[str, int], moves: bool, used: int) -> None:
    larger = plan(*(cap * times for cap in of.stages))
    before = followed(Given(START, people(**who), [warming(of, used=used, moves=moves)]))
    after = followed(Given(START, people(**who), [warming(larger, used=used, moves=moves)]))

    for provider, end in after.items():
        was = before[provider] or START + HORIZON
        assert end is None or end <= was + timedelta(seconds=1)
        assert end is not None or before[provider] is None


@settings(max_examples=20, deadline=None)
@given(PEOPLE, st.floats(50, 5000), st.one_of(st.none(), PLANS), st.booleans())
def test_never_earlier_than_the_pace_and_the_window_let_it(
    who: dict[str, int], pace: float, of: Plan | None, window: bool
) -> None:
    nine_to_five = Window(since=time(9), until=time(17)) if window else None
    ips = [warming(of) if of else WARM]
    ends = followed(Given(START, people(**who), ips, pace, nine_to_five))
    hours = sum(who.values()) / pace
    last = max((end or START + HORIZON) for end in ends.values())

    assert (last - START) / HOUR >= min(hours, HORIZON / HOUR) * 0.999
    for end in ends.values():
        assert end is None or end >= START


@settings(max_examples=15, deadline=None)
@given(PEOPLE, PLANS, st.integers(0, 4))
def test_another_ip_never_makes_it_later(who: dict[str, int], of: Plan, stage: int) -> None:
    one = [warming(of)]
    more = [*one, warming(of, min(stage + 1, of.last_stage))]
    before, after = (followed(Given(START, people(**who), ips)) for ips in (one, more))

    for provider, end in before.items():
        assert end is None or (after[provider] or START + HORIZON) <= end + timedelta(seconds=1)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Asia/Kolkata", "America/Havana"])
def test_hours_of_a_plan_are_of_its_zone(zone: str) -> None:
    of = plan(1000, zone=zone, hours=[6, 22])
    took, _ = only(forecast(Given(START, people(gmail=1200), [warming(of, moves=False)])))

    assert took is not None and timedelta(hours=24) < took < timedelta(days=4)
