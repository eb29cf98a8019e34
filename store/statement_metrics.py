"""`postlane_statement_seconds`: what `store/statements` has counted in this process, for Prometheus.

Apart from it, because the command line opens the database too, and needs no metrics.
"""

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from core import own_metrics
from store.statements import TIMINGS, Timing


class Statements(Collector):
    """What a scrape is told, in its own thread: of statements that end meanwhile it may see some."""

    def collect(self) -> Iterator[Metric]:
        """All families that this process had to do with."""
        seconds = HistogramMetricFamily(
            "postlane_statement_seconds", "Time of statements in PostgreSQL, by what they are for", labels=["family"]
        )
        for family, its in sorted(TIMINGS.items()):
            add(seconds, [family], its)
        yield seconds


def add(histogram: HistogramMetricFamily, labels: Sequence[str], its: Timing) -> None:
    """What was noted under these labels, to be shown."""
    histogram.add_metric(labels, buckets=list(_buckets(its)), sum_value=its.seconds)


def _buckets(its: Timing) -> Iterator[tuple[str, float]]:
    return zip([*[str(float(bound)) for bound in its.bounds], "+Inf"], accumulate(its.counts), strict=True)


STATEMENTS: Final = Statements()
own_metrics.register(STATEMENTS)
