"""`postlane_statement_seconds`: what `store/statements` has counted in this process, for Prometheus.

Apart from it, because the command line opens the database too, and needs no metrics.
"""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Final

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from core import own_metrics
from store.statements import BOUNDS, TIMINGS


class Statements(Collector):
    """What a scrape is told, in its own thread: of statements that end meanwhile it may see some."""

    def collect(self) -> Iterator[Metric]:
        """All families that this process had to do with."""
        seconds = HistogramMetricFamily(
            "postlane_statement_seconds", "Time of statements in PostgreSQL, by what they are for", labels=["family"]
        )
        for family, its in sorted(TIMINGS.items()):
            seconds.add_metric([family], buckets=list(_buckets(its.counts)), sum_value=its.seconds)
        yield seconds


def _buckets(counts: Iterable[int]) -> Iterator[tuple[str, float]]:
    return zip([*map(str, BOUNDS), "+Inf"], accumulate(counts), strict=True)


STATEMENTS: Final = Statements()
own_metrics.register(STATEMENTS)
