"""Who gets which variant: the same whenever it is asked, in the shares that were wanted."""

from collections import Counter
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.experiment import HELD_OUT, REST, Experiment, Winner, best, from_json, place_of, to_json, variant_of
from campaigns.words import Words
from core.refusal import Refused

CAMPAIGN = UUID(int=1)
PEOPLE = [uuid5(CAMPAIGN, str(n)) for n in range(4000)]
PLACES = [place_of(CAMPAIGN, person) for person in PEOPLE]

EXPERIMENTS = st.builds(
    Experiment,
    st.lists(st.just({"subject": "x"}), max_size=4).map(tuple),
    st.floats(0.05, 1.0),
    st.floats(0.0, 0.5),
)


@settings(max_examples=50)
@given(experiment=EXPERIMENTS)
def test_shares_are_those_that_were_wanted(experiment: Experiment) -> None:
    found = Counter(variant_of(experiment, place) for place in PLACES)
    tested = (1 - experiment.hold_out) * experiment.test_share
    wanted = {HELD_OUT: experiment.hold_out, REST: 1 - experiment.hold_out - tested}
    wanted |= dict.fromkeys(range(experiment.arms), tested / experiment.arms)

    assert found.keys() <= wanted.keys()
    for variant, share in wanted.items():
        assert abs(found[variant] / len(PLACES) - share) < 0.04


@settings(max_examples=50)
@given(experiment=EXPERIMENTS, place=st.floats(0, 1, exclude_max=True))
def test_who_is_in_the_test_stays_in_it_when_it_grows(experiment: Experiment, place: float) -> None:
    assert HELD_OUT <= variant_of(experiment, place) < experiment.arms
    whole = Experiment(experiment.variants, 1.0, experiment.hold_out)
    assert variant_of(whole, place) != REST
    assert (variant_of(whole, place) == HELD_OUT) == (variant_of(experiment, place) == HELD_OUT)


def test_a_place_is_the_same_each_time_and_another_in_the_next_campaign() -> None:
    assert [place_of(CAMPAIGN, person) for person in PEOPLE] == PLACES
    others = [place_of(UUID(int=2), person) for person in PEOPLE]
    assert sum(abs(a - b) < 0.01 for a, b in zip(PLACES, others, strict=True)) < len(PEOPLE) / 20


def test_the_best_is_the_best_rate_and_the_first_of_equals() -> None:
    figures = [(0, 100, 50, 5), (1, 10, 2, 2), (2, 100, 50, 1)]

    assert best(figures, Winner.CLICKS) == 1
    assert best(figures, Winner.OPENS) == 0
    assert best([(0, 0, 0, 0), (1, 0, 0, 0)], Winner.CLICKS) == 0


def test_variants_say_something_else_in_a_part() -> None:
    own = Words("a@b.example", "One", html="<p>x</p>")
    experiment = from_json({"variants": [{"subject": "Two"}, {"from": "c@b.example"}], "test_share": 0.2})

    assert [(one.sender, one.subject) for one in experiment.words(own)] == [
        ("a@b.example", "One"),
        ("a@b.example", "Two"),
        ("c@b.example", "One"),
    ]
    assert from_json(to_json(experiment)) == experiment
    assert to_json(Experiment()) == {}


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"variants": "two"}, "experiment.variants"),
        ({"variants": [{}]}, "experiment.variants"),
        ({"variants": [{"reply_to": "x"}]}, "experiment.variants"),
        ({"variants": [{"subject": ""}]}, "experiment.variants"),
        ({"test_share": 0}, "experiment.test_share"),
        ({"hold_out": 0.9}, "experiment.hold_out"),
        ({"winner": "luck"}, "experiment.winner"),
        ({"share": 1}, "experiment.share"),
    ],
)
def test_what_cannot_be_is_refused_by_its_name(given: dict[str, object], field: str) -> None:
    with pytest.raises(Refused) as refused:
        from_json(given)
    assert refused.value.field == field
