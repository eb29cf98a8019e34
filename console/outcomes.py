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


def by_hour(hours: Sequence[tuple[datetime, Tally]], *, of_ip: bool = False) -> Stacked:
    """The chart of so many hours; days are named where there is more than one. `of_ip`: as `column` has it."""
    many = len(hours) > 24
    columns = [
        column(f"{at:%a %H}h" if many else f"{at:%H:%M}", f"{at:%a %H:%M}", tally, of_ip=of_ip) for at, tally in hours
    ]
    return stacked(columns, OUTCOMES)


def column(label: str, title: str, tally: Tally, *, of_ip: bool = False) -> Column:
    """One step of time. To an IP (`of_ip`) mail was deferred also when it went on at once through another one."""
    found = tally.measures()
    counts = {tone: found[tone] for tone, _ in OUTCOMES}
    if of_ip:
        counts["deferred"] += found["rerouted"]
    told = ", ".join(f"{counts[tone]:,} {name.lower()}" for tone, name in OUTCOMES if counts[tone])
    return Column(label, counts, f"{title}: {told or 'nothing'}")
