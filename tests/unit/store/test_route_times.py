"""How long routes took: counted, taken, put back, and told as percentiles."""

import pytest

from core.metrics import STEP_BUCKETS
from core.objectives import OBJECTIVES, READ, SEND
from store.durations import within
from store.route_times import BOUNDS, Counts, Route, Times, percentiles


def test_an_answer_is_good_within_its_time_and_without_a_fault_of_ours() -> None:
    one = Counts(0.25)
    for seconds, failed in ((0.25, False), (0.2501, False), (0.001, True), (30.0, True)):
        one.note(seconds, failed=failed)
    assert (one.answers, one.failed, one.missed) == (4, 2, 3)
    assert one.seconds == pytest.approx(30.5011)
    assert one.counts[BOUNDS.index(0.25)] == 1
    assert one.counts[-1] == 1


def test_what_is_taken_is_counted_once_and_what_was_not_written_is_put_back() -> None:
    times = Times("api")
    sending = times.of("POST", "/emails", SEND)
    times.of("GET", "/emails", READ)
    sending.note(0.004, failed=False)
    taken = times.take()
    assert [key for key, _ in taken] == [Route("api", "POST", "/emails", "send")]
    assert times.take() == []
    sending.note(0.3, failed=False)
    times.put_back(taken)
    ((_, again),) = times.take()
    assert (again.answers, again.missed) == (2, 1)
    assert again.counts[BOUNDS.index(0.005)] == 1
    assert times.of("POST", "/emails", SEND) is sending


def test_percentiles_are_found_between_the_bounds() -> None:
    counts = [0] * (len(BOUNDS) + 1)
    assert percentiles(counts) == [0.0, 0.0, 0.0]
    counts[BOUNDS.index(0.01)], counts[BOUNDS.index(0.5)] = 98, 2
    assert percentiles(counts) == [0.0076, 0.0098, 0.375]
    assert within((1.0, 2.0), [0, 0, 5], 0.5) == 2.0


def test_the_times_of_objectives_are_bounds_of_the_buckets() -> None:
    """Else who reads the buckets would judge otherwise than who counted."""
    assert {one.seconds for one in OBJECTIVES.values()} <= set(STEP_BUCKETS)
    assert all(0.9 < one.share < 1 and one.sentence.endswith(".") for one in OBJECTIVES.values())
