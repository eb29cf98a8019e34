"""A consumer that takes no hints is told from one that had none, or stood still."""

import pytest

from workers.stall import LOOKS, StallWatch


def looks(watch: StallWatch, times: int, taken: float = 1.0, *, busy: bool = False, waiting: bool = True) -> bool:
    """The last answer."""
    return [watch.stalled(taken, busy=busy, waiting=waiting) for _ in range(times)][-1]


def test_hints_that_wait_at_one_look_after_the_other_are_a_stall() -> None:
    watch = StallWatch()
    assert not looks(watch, LOOKS)
    assert looks(watch, 1)


def test_a_hint_that_has_just_come_after_an_idle_hour_is_none() -> None:
    watch = StallWatch()
    looks(watch, 240, waiting=False)
    assert not looks(watch, 1)


@pytest.mark.parametrize("what", [{"taken": 2.0}, {"busy": True}, {"waiting": False}], ids=["taken", "busy", "none"])
def test_whatever_moves_begins_the_count_anew(what: dict[str, float | bool]) -> None:
    watch = StallWatch()
    looks(watch, LOOKS)
    assert not looks(watch, 1, **what)  # type: ignore[arg-type]  # one of the parameters
    assert not looks(watch, LOOKS - 1, taken=2.0)
