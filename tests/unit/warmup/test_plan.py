"""Plans: what is read, what is refused and in which words, how caps are divided; presets and mixes."""

import json
import tomllib
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.refusal import Refused
from warmup.plan import DEFAULT_WEIGHTS, REST, Advance, Plan, as_dict, parse, weights_of_mix
from warmup.presets import PRESETS, SPARKPOST, preset

GOOD: dict[str, Any] = {"name": "mine", "stages": [200, 500, 1000], "weights": {"gmail": 0.29, "*": 0.7}}


def refused(**fields: Any) -> Refused:
    with pytest.raises(Refused) as caught:
        parse(GOOD | fields, providers={"gmail", "yahoo"})
    return caught.value


def test_a_plan_from_toml() -> None:
    text = """
    name = "careful"
    stages = [200, 500, 1000]
    zone = "Europe/Berlin"
    hours = [6, 22]
    advance = "clock"
    rewarm_after_days = 20
    [weights]
    gmail = 0.5
    [thresholds]
    deferral = 0.2
    min_bounced = 7
    """
    plan = parse(tomllib.loads(text))
    assert (plan.first_hour, plan.last_hour, plan.advance, plan.rewarm_after_days) == (6, 22, Advance.CLOCK, 20)
    assert (plan.thresholds.deferral, plan.thresholds.min_bounced, plan.thresholds.complaint) == (0.2, 7, 0.001)
    assert plan.weights == {"gmail": 0.5, REST: 0.5}
    assert parse(json.loads(json.dumps(as_dict(plan)))) == plan


def test_the_defaults_of_the_specification() -> None:
    plan = parse(GOOD)
    limits = plan.thresholds
    assert (limits.advance_share, limits.deferral, limits.hard_bounce, limits.complaint) == (0.9, 0.1, 0.03, 0.001)
    assert (plan.rewarm_after_days, plan.stall_days, plan.advance, plan.zone) == (30, 10, Advance.EVIDENCE, "UTC")
    assert (plan.first_hour, plan.last_hour) == (0, 24)


def test_caps_are_parts_of_a_stage() -> None:
    plan = parse(GOOD)
    assert plan.cap(1, "gmail") == 58  # 0.29 of 200, not the 57.99999… of binary fractions
    assert plan.caps() == {"gmail": [58, 145, 290], "*": [140, 350, 700]}
    assert (plan.track_of("gmail"), plan.track_of("yahoo"), plan.track_of("other")) == ("gmail", REST, REST)
    with pytest.raises(ValueError, match="stage 4"):
        plan.cap(4, "gmail")


@pytest.mark.parametrize(
    ("fields", "field", "words"),
    [
        ({"name": "No Blanks"}, "name", "a-z"),
        ({"stages": []}, "stages", "list"),
        ({"stages": [200, 500, 400]}, "stages[3]", "400 a day falls below stage 2 with 500; caps must rise"),
        ({"stages": [200, 200]}, "stages[2]", "is no more than stage 1"),
        ({"stages": [0, 1]}, "stages[1]", "0 must be 1 to"),
        ({"stages": [-5]}, "stages[1]", "-5 must be 1 to"),
        ({"stages": ["200"]}, "stages[1]", "whole number"),
        ({"stages": [True]}, "stages[1]", "whole number"),
        ({"weights": {"gmail": -0.1}}, "weights.gmail", "-0.1 must be above 0"),
        ({"weights": {"gmail": 0}}, "weights.gmail", "above 0"),
        ({"weights": {"gmail": float("nan")}}, "weights.gmail", "number"),
        ({"weights": {"gmail": 0.8, "*": 0.3}}, "weights", "sum is 1.1"),
        ({"weights": {"gmial": 0.8}}, "weights.gmial", "unknown provider; known are gmail, yahoo"),
        ({"weights": {"gmail": 0.001}}, "weights.gmail", "less than one mail a day"),
        ({"weights": [1]}, "weights", "table"),
        ({"zone": "Berlin"}, "zone", "no time zone"),
        ({"zone": "../../etc/passwd"}, "zone", "no time zone"),
        ({"zone": 1}, "zone", "no time zone"),
        ({"hours": [22, 6]}, "hours", "later on the same day"),
        ({"hours": [6]}, "hours", "two whole hours"),
        ({"hours": [6, 25]}, "hours", "25 must be 1 to 24"),
        ({"hour_limit": 0}, "hour_limit", "above 0"),
        ({"advance": "hope"}, "advance", "evidence or clock"),
        ({"advance": []}, "advance", "evidence or clock"),
        ({"thresholds": {"deferrals": 0.1}}, "thresholds.deferrals", "no such threshold"),
        ({"thresholds": {"deferral": 2}}, "thresholds.deferral", "above 0 to 1"),
        ({"thresholds": {"min_messages": 2.5}}, "thresholds.min_messages", "whole number"),
        ({"stall_days": 0}, "stall_days", "0 must be 1 to"),
        ({"speed": 3}, "speed", "no such field"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], field: str, words: str) -> None:
    error = refused(**fields)
    assert error.field == field
    assert words in error.reason
    assert str(error) == f"{field}: {error.reason}"


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=40, unique=True).map(sorted))
def test_parts_never_exceed_the_whole(stages: list[int]) -> None:
    plan = parse({"name": "any", "stages": stages})
    for number, cap in enumerate(stages, 1):
        assert sum(plan.cap(number, track) for track in plan.weights) <= cap
    for caps in plan.caps().values():
        assert caps == sorted(caps)


def test_the_shipped_weights_are_a_whole() -> None:
    assert sum(DEFAULT_WEIGHTS.values()) == pytest.approx(1.0)
    assert parse({"name": "a", "stages": [1000]}).weights == pytest.approx(dict(DEFAULT_WEIGHTS))
    assert set(parse({"name": "a", "stages": [10]}).weights) == {"gmail", "yahoo", "microsoft", REST}


def test_weights_of_a_mix() -> None:
    weights = weights_of_mix({"gmail": 700, "yahoo": 200, "other": 97, "kpn": 3}, 200)
    assert weights == pytest.approx({"gmail": 0.7, "yahoo": 0.2, REST: 0.1})
    with pytest.raises(Refused, match="mix: holds no mail"):
        weights_of_mix({}, 200)


def caps_of(name: str, **options: int) -> Plan:
    return preset(name, **options)


def test_presets_are_the_published_ones() -> None:
    assert len(SPARKPOST) == 29
    assert caps_of("stages-29").stages == SPARKPOST
    assert caps_of("factor-1.4").stages[:8] == (480, 672, 941, 1317, 1844, 2582, 3614, 5060)
    linear = caps_of("linear-45").stages
    assert (len(linear), linear[0], linear[-1]) == (45, 1112, 50_000)
    steps = {after - before for before, after in pairwise(linear)}
    assert max(steps) - min(steps) <= 1
    mailtrap = caps_of("plus-30")
    assert (len(mailtrap.stages), mailtrap.stages[:3], mailtrap.stages[-1]) == (21, (300, 390, 507), 57_000)
    assert mailtrap.hour_limit == 0.2
    assert all(one.source for one in PRESETS)


@pytest.mark.parametrize("name", [one.name for one in PRESETS])
@given(start=st.integers(1, 100_000), more=st.integers(0, 10_000_000))
def test_a_preset_goes_from_start_to_target(name: str, start: int, more: int) -> None:
    stages = caps_of(name, start=start, target=start + more).stages
    assert (stages[0], stages[-1]) == (start, start + more)
    assert list(stages) == sorted(set(stages))


def test_a_preset_that_cannot_be() -> None:
    for options, words in (({"start": 500, "target": 100}, "above the target"), ({"target": 0}, "must be 1 to")):
        with pytest.raises(Refused, match=words):
            preset("stages-29", **options)
    with pytest.raises(Refused, match="there is no preset 'fast'"):
        preset("fast")
    assert preset("stages-29", target=50).stages == (50,)
