"""Buckets of durations: each second has its own, and percentiles come out near what went in."""

from collections import Counter
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.durations import BOUNDS, LONGER, Buckets, bucket


def percentiles(counts: Mapping[str, int], shares: list[float]) -> list[float | None]:
    return Buckets([*counts]).percentiles([*counts.values()], shares)


@pytest.mark.parametrize(
    ("seconds", "name"), [(0.0, "0.02"), (0.02, "0.02"), (0.021, "0.03"), (90.0, "90"), (259200.0, "259200")]
)
def test_a_bucket_holds_its_upper_bound(seconds: float, name: str) -> None:
    assert bucket(seconds) == name


def test_longer_than_we_try_is_a_bucket_too() -> None:
    assert bucket(BOUNDS[-1] + 1) == LONGER
    assert percentiles({LONGER: 3}, [0.5, 0.1]) == [BOUNDS[-1], BOUNDS[-1]]


def test_nothing_delivered_took_no_time() -> None:
    assert percentiles({}, [0.5, 0.95]) == [None, None]
    assert percentiles({"mailbox_full": 4}, [0.5]) == [None]


@given(st.lists(st.floats(0.02, BOUNDS[-1]), min_size=1, max_size=60), st.sampled_from([0.5, 0.95]))
def test_a_percentile_is_within_its_bucket(took: list[float], share: float) -> None:
    counts = Counter(bucket(seconds) for seconds in took)
    exact = sorted(took)[max(0, -int(-share * len(took) // 1) - 1)]
    [found] = percentiles(counts, [share])

    assert found is not None
    assert bucket(found) == bucket(exact) or abs(found - exact) <= 0.001
