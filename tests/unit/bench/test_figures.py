"""Figures: percentiles are values that were seen, a figure is the median of its runs, a budget has a direction."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.figures import KINDS, Better, Budget, Figure, Standing, percentile, standing

_VALUES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50)


def test_percentile_by_nearest_rank() -> None:
    values = [15.0, 20.0, 35.0, 40.0, 50.0]
    assert [percentile(values, share) for share in (0.05, 0.3, 0.4, 0.5, 1.0)] == [15, 20, 20, 35, 50]


def test_p99_of_a_hundred_is_not_the_largest() -> None:
    assert percentile([float(n) for n in range(100)], 0.99) == 98


@given(_VALUES, st.floats(0, 1))
def test_a_percentile_was_seen_and_is_not_exceeded_by_its_share(values: list[float], share: float) -> None:
    found = percentile(values, share)
    assert found in values
    assert sum(value <= found for value in values) >= share * len(values) - 1e-9


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 1.1), ([1.0], -0.1)])
def test_percentile_of_nothing(values: list[float], share: float) -> None:
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, share)


@pytest.mark.parametrize(
    ("value", "better", "expected"),
    [
        (14.0, Better.HIGHER, Standing.AIM),
        (13.9, Better.HIGHER, Standing.ENOUGH),
        (6.0, Better.HIGHER, Standing.ENOUGH),
        (5.9, Better.HIGHER, Standing.BELOW),
    ],
)
def test_more_is_better(value: float, better: Better, expected: Standing) -> None:
    assert standing(value, Budget(6, 14, better)) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5.0, Standing.AIM), (5.1, Standing.ENOUGH), (10.0, Standing.ENOUGH), (10.1, Standing.BELOW)],
)
def test_less_is_better(value: float, expected: Standing) -> None:
    assert standing(value, Budget(10, 5, Better.LOWER)) is expected


def test_without_a_budget_there_is_no_standing() -> None:
    assert standing(1.0, None) is Standing.UNBOUND


def test_every_aim_is_harder_than_its_least() -> None:
    budgets = {key: kind.budget for key, kind in KINDS.items() if kind.budget}
    assert budgets
    for key, budget in budgets.items():
        if budget.aim is not None:
            assert (budget.aim > budget.least) is (budget.better is Better.HIGHER), key


def test_a_budget_without_an_aim_is_met_or_missed() -> None:
    budget = Budget(0.9, None)
    assert standing(0.9, budget) is standing(1.2, budget) is Standing.ENOUGH
    assert standing(0.89, budget) is Standing.BELOW


def test_the_budget_is_held_against_the_better_peer() -> None:
    assert KINDS["ratio"].budget == Budget(4.5, 6)
    assert KINDS["ratio_inet"].budget is None


def test_a_figure_is_its_median_with_its_spread() -> None:
    figure = Figure("ratio", (6.5, 4.0, 5.0), {"machine": "noisy"})
    shown = figure.as_json()
    assert (shown["value"], shown["min"], shown["max"]) == (5.0, 4.0, 6.5)
    assert shown["runs"] == [6.5, 4.0, 5.0]
    assert shown["settings"] == {"machine": "noisy"}
    assert figure.standing is Standing.ENOUGH
