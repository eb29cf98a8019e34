"""Response times of all processes that serve, as metrics of the scheduler: one process speaks for all of them.

What a process counts is its own, and begins anew with it. The table (`store/route_times`) knows all of them;
its sums since the beginning only grow, as Prometheus wants counters.
"""

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from alarms.doors import Standing, standings
from core import own_metrics
from core.objectives import OBJECTIVES
from store import route_times
from store.database import Connection
from store.route_times import BOUNDS, Counts, Route


class Answering(Collector):
    """What was read last."""

    def __init__(self) -> None:
        self._routes: Sequence[tuple[Route, Counts]] = ()
        self._classes: Sequence[Standing] = ()

    async def read(self, connection: Connection) -> None:
        """Look again."""
        self.show(await route_times.ever(connection), await standings(connection))

    def show(self, routes: Sequence[tuple[Route, Counts]], classes: Sequence[Standing]) -> None:
        """What the next scrape gets."""
        self._routes, self._classes = routes, classes

    def collect(self) -> Iterator[Metric]:
        """Called by a scrape, in its thread."""
        yield from _of_routes(self._routes)
        yield from _of_classes(self._classes)


def _of_routes(routes: Sequence[tuple[Route, Counts]]) -> Iterator[Metric]:
    seconds = HistogramMetricFamily(
        "postlane_route_seconds", "Time to answer, of all processes", labels=["face", "method", "route", "class"]
    )
    failed = CounterMetricFamily(
        "postlane_route_failed_total", "Answers of 500 and above", labels=["face", "method", "route", "class"]
    )
    missed = CounterMetricFamily(
        "postlane_route_missed_total", "Answers that failed or took longer than their class may",
        labels=["face", "method", "route", "class"],
    )  # fmt: skip
    for route, one in routes:
        seconds.add_metric([*route], buckets=list(_buckets(one)), sum_value=one.seconds)
        failed.add_metric([*route], one.failed)
        missed.add_metric([*route], one.missed)
    yield from (seconds, failed, missed)


def _buckets(one: Counts) -> Iterator[tuple[str, float]]:
    passed = 0
    for bound, count in zip([*map(str, BOUNDS), "+Inf"], one.counts, strict=True):
        passed += count
        yield bound, passed


def _of_classes(classes: Sequence[Standing]) -> Iterator[Metric]:
    seconds = GaugeMetricFamily("postlane_objective_seconds", "Time a class of routes may take", labels=["class"])
    share = GaugeMetricFamily("postlane_objective_share", "Share of good answers a class wants", labels=["class"])
    left = GaugeMetricFamily(
        "postlane_error_budget_left", "Of a class over 30 days: 1 untouched, 0 spent, below 0 overspent",
        labels=["class"],
    )  # fmt: skip
    for one in OBJECTIVES.values():
        seconds.add_metric([one.name], one.seconds)
        share.add_metric([one.name], one.share)
    for standing in classes:
        left.add_metric([standing.objective.name], standing.left)
    yield from (seconds, share, left)


ANSWERING = Answering()
own_metrics.register(ANSWERING)
