"""The outcomes that charts stack, in the order and with the tones that every page gives them. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from console.charts import Column, Stacked, stacked
from store.tally import Tally

OUTCOMES: Final = (
    ("delivered", "Delivered"),
    ("deferred", "Deferred"),
    ("bounced", "Bounced"),
    ("suppressed", "Suppressed"),
    ("complained", "Complained"),
)


def by_hour(hours: Sequence[tuple[datetime, Tally]]) -> Stacked:
    """The chart of so many hours; days are named where there is more than one."""
    many = len(hours) > 24
    columns = [column(f"{at:%a %H}h" if many else f"{at:%H:%M}", f"{at:%a %H:%M}", tally) for at, tally in hours]
    return stacked(columns, OUTCOMES)


def column(label: str, title: str, tally: Tally) -> Column:
    """One step of time."""
    found = tally.measures()
    counts = {tone: found[tone] for tone, _ in OUTCOMES}
    told = ", ".join(f"{counts[tone]:,} {name.lower()}" for tone, name in OUTCOMES if counts[tone])
    return Column(label, counts, f"{title}: {told or 'nothing'}")
