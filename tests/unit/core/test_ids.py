"""Ids in order of time, and the bounds of partitions that are made of them."""

import threading
from datetime import UTC, datetime, timedelta, tzinfo
from uuid import RFC_4122, UUID

from hypothesis import example, given
from hypothesis import strategies as st

from core.ids import lowest_at, uuid7

MILLISECONDS = st.integers(min_value=0, max_value=4_102_444_800_000)
"""1970 to 2100."""


def moment(at_ms: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=at_ms)


@given(MILLISECONDS)
def test_layout_is_that_of_rfc_9562(at_ms: int) -> None:
    made = uuid7(at_ms)

    assert made.version == 7
    assert made.variant == RFC_4122
    assert made.int >> 80 == at_ms


@given(MILLISECONDS)
@example(1001)  # 1.001 s times 1000 is less than 1001 in floating point
def test_lowest_is_below_every_id_of_its_millisecond_and_above_those_before(at_ms: int) -> None:
    bound = lowest_at(moment(at_ms))

    assert bound.int >> 80 == at_ms
    assert bound < uuid7(at_ms)
    assert at_ms == 0 or uuid7(at_ms - 1) < bound


@given(MILLISECONDS, st.integers(min_value=0, max_value=999))
def test_microseconds_do_not_matter_to_a_bound(at_ms: int, microseconds: int) -> None:
    assert lowest_at(moment(at_ms) + timedelta(microseconds=microseconds)) == lowest_at(moment(at_ms))


def test_before_1970_there_is_no_lower_bound() -> None:
    """Midnight of 1970 somewhere in the east is still 1969 in UTC."""
    assert lowest_at(datetime.fromisoformat("1970-01-01T00:00:00+14:00")).int == 0


@given(MILLISECONDS.map(moment), st.timezones())
def test_bound_means_the_same_moment_in_every_time_zone(at: datetime, zone: tzinfo) -> None:
    assert lowest_at(at.astimezone(zone)) == lowest_at(at)


def test_ids_grow_within_a_process_also_across_threads() -> None:
    """More ids than the clock has milliseconds meanwhile; each thread sees its own in order, and none comes twice."""
    made: list[list[UUID]] = [[] for _ in range(4)]

    def work(mine: list[UUID]) -> None:
        mine.extend(uuid7() for _ in range(3000))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(mine == sorted(mine) for mine in made)
    assert len({one for mine in made for one in mine}) == 12_000


def test_new_id_carries_the_time_of_now() -> None:
    now = datetime.now(UTC)
    made = uuid7()

    assert lowest_at(now - timedelta(milliseconds=1)) < made < lowest_at(now + timedelta(seconds=1))
