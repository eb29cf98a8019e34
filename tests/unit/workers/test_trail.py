"""Where outcomes were made is remembered until their commit, and no longer than one may take."""

from core.ids import uuid7
from core.tracing import Place
from messages.model import MessageRef
from workers.trail import _Decided

REFS = [MessageRef(uuid7(), 0) for _ in range(4)]


def test_a_place_is_taken_once() -> None:
    one = _Decided(most=2, seconds=60)
    one.keep(REFS[0], Place(1, 2), 0.0)

    assert (one.take(REFS[0]), one.take(REFS[0])) == (Place(1, 2), None)


def test_outcomes_that_were_refused_keep_no_place_from_others() -> None:
    """They are never committed: full of them, no later outcome would have had a parent."""
    one = _Decided(most=2, seconds=60)
    for number, ref in enumerate(REFS[:3]):
        one.keep(ref, Place(1, number), 0.0)

    assert [one.take(ref) for ref in REFS[:3]] == [None, Place(1, 1), Place(1, 2)]


def test_what_is_too_old_goes_with_the_next_one() -> None:
    one = _Decided(most=10, seconds=60)
    one.keep(REFS[0], Place(1, 0), 0.0)
    one.keep(REFS[1], Place(1, 1), 50.0)
    one.keep(REFS[0], Place(1, 9), 55.0)
    one.keep(REFS[2], Place(1, 2), 111.0)

    assert [one.take(ref) for ref in REFS[:3]] == [Place(1, 9), None, Place(1, 2)]
