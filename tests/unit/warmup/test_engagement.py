"""The freshest recipients first, by classes of age."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from warmup.engagement import age_class, order_for_warming

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)

Item = tuple[int, datetime | None]


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def test_classes_of_thirty_sixty_and_ninety_days_then_unknown() -> None:
    ages = [-1, 0, 30, 30.01, 60, 60.01, 90, 90.01, 1000]
    assert [age_class(ago(age), NOW) for age in ages] == [0, 0, 0, 1, 1, 2, 2, 3, 3]
    assert age_class(None, NOW) == 3


def test_the_order_within_a_class_stays() -> None:
    items: list[Item] = [(1, None), (2, ago(80)), (3, ago(20)), (4, ago(45)), (5, ago(1)), (6, ago(200)), (7, ago(31))]
    ordered = order_for_warming(items, lambda item: item[1], NOW)
    assert [number for number, _ in ordered] == [3, 5, 4, 7, 2, 1, 6]


@given(st.lists(st.one_of(st.none(), st.integers(0, 200).map(ago))))
def test_nothing_is_lost_and_classes_never_fall_back(ages: list[datetime | None]) -> None:
    items = list(enumerate(ages))
    ordered = order_for_warming(items, lambda item: item[1], NOW)
    assert sorted(number for number, _ in ordered) == list(range(len(ages)))
    keys = [(age_class(at, NOW), number) for number, at in ordered]
    assert keys == sorted(keys)
