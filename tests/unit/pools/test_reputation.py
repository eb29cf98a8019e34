"""The reputation figure: what each part costs, and when there is none."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pools.reputation import ENOUGH, Evidence, reputation

CLEAN = Evidence(days=7, delivered=10_000)
COUNTS = st.integers(0, 10**9)


def test_too_little_evidence_is_no_score_and_says_so() -> None:
    few = reputation(Evidence(days=7, delivered=ENOUGH - 1))

    assert (few.score, few.parts) == (None, ())
    assert few.reason == "too little to judge by: 499 mails in 7 days, a score needs 500"
    assert reputation(Evidence(days=7, delivered=ENOUGH)).score == 100


@pytest.mark.parametrize(
    ("changes", "score", "part"),
    [
        ({}, 100, ""),
        ({"complained": 10}, 87, "complaints"),  # 0.1 % is a third of the way to 0.3 %
        ({"complained": 30}, 60, "complaints"),
        ({"complained": 9_000}, 60, "complaints"),  # a part never costs more than it weighs
        ({"delivered": 9_900, "blocked": 100}, 90, "blocks"),
        ({"delivered": 9_500, "bounced": 500}, 80, "bounces"),
        ({"deferred": 10_000}, 90, "deferrals"),
        ({"throttled_days": 7}, 90, "throttles"),
        ({"tracked": 10_000, "engaged": 1_000}, 100, ""),
        ({"tracked": 10_000}, 83, "engagement"),  # 20 of 120 points
        ({"tracked": ENOUGH - 1}, 100, ""),
    ],
)
def test_each_part_costs_what_the_table_says(changes: dict[str, int], score: int, part: str) -> None:
    found = reputation(replace(CLEAN, **changes))

    assert found.score == score
    assert [one.name for one in found.parts if one.cost] == ([part] if part else [])
    assert found.reason.startswith(part or "nothing against it")


def test_everything_wrong_is_zero() -> None:
    worst = Evidence(7, delivered=500, bounced=500, blocked=500, deferred=9_000, complained=500, throttled_days=7)

    assert reputation(worst).score == 0


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.integers(0, 400), COUNTS, COUNTS)
def test_the_score_stays_in_its_range(
    delivered: int,
    bounced: int,
    blocked: int,
    deferred: int,
    complained: int,
    days: int,
    tracked: int,
    engaged: int,
) -> None:
    evidence = Evidence(7, delivered, bounced, blocked, deferred, complained, days, tracked, engaged)
    found = reputation(evidence)

    assert (found.score is None) == (evidence.decided < ENOUGH)
    assert found.score is None or 0 <= found.score <= 100


@given(COUNTS, st.integers(ENOUGH, 10**9), st.integers(0, 10**6))
def test_a_complaint_more_never_raises_it(complained: int, delivered: int, more: int) -> None:
    before = reputation(Evidence(7, delivered, complained=complained)).score
    after = reputation(Evidence(7, delivered, complained=complained + more)).score

    assert before is not None
    assert after is not None
    assert after <= before
