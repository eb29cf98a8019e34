"""Who may meet a young IP first: recipients who were active most recently. Pure; called where a batch is divided.

The published advice is openers and clickers of the last 30 days in the first two weeks, of 60 days in the next two, and
nobody older than 90 days in the first six weeks (SparkPost's guide). So mail falls into age classes of 30, 60 and 90
days; those without a known age come last, because most of them are old.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

T = TypeVar("T")

AGE_CLASSES: Final = (timedelta(days=30), timedelta(days=60), timedelta(days=90))


def age_class(engaged_at: datetime | None, now: datetime) -> int:
    """0, 1, 2: engaged within 30, 60, 90 days; 3: longer ago, or not known. A time to come counts as now."""
    if engaged_at is None:
        return len(AGE_CLASSES)
    age = now - engaged_at
    return next((number for number, limit in enumerate(AGE_CLASSES) if age <= limit), len(AGE_CLASSES))


def order_for_warming(items: Sequence[T], engaged_at: Callable[[T], datetime | None], now: datetime) -> list[T]:
    """The items by age class, the freshest first: give the first ones to the warming IP. Within a class the order stays
    as it was. `engaged_at` tells when an item's recipient last opened, clicked or signed in; times are aware."""
    return sorted(items, key=lambda item: age_class(engaged_at(item), now))
