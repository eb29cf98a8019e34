"""What our own collectors tell, added up over processes that count together (`core/metrics.shared`).

The client library keeps counters and histograms of its own kind in files there. A collector keeps its figures
elsewhere; so each process writes them into a file once a second, and whoever is scraped reads those of all. Only what
was written is told: of two scrapes that two processes answer the later one never shows less. A process that ends
leaves its file.
"""

import atexit
import contextlib
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from prometheus_client import REGISTRY
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"
"""The client library's own name: a process that finds it when it starts keeps its figures in files there."""
_SECONDS: Final = 1.0
"""So old may be what another process has counted."""
_ADDED: Final = frozenset({"counter", "histogram"})
"""Kinds whose sum means something."""

_OWN: Final[list[Collector]] = []
_FILE: Final = f"own-{os.getpid()}-{time.time_ns()}.json"
"""Of this process; a later one may have its number."""
_writing: Final = threading.Lock()


def register(collector: Collector) -> None:
    """Let a scrape ask a collector: counters and histograms only, where processes count together."""
    REGISTRY.register(collector)
    _OWN.append(collector)
    if FOLDER in os.environ and len(_OWN) == 1:
        atexit.register(write)
        threading.Thread(target=_write_on, name="own-metrics", daemon=True).start()


def write() -> None:
    """Put down what this process has counted by now. A folder that is gone wants no more of it."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return
    told = [_plain(metric) for one in _OWN for metric in one.collect() if metric.type in _ADDED]
    beside = Path(folder) / f"{_FILE}.new"
    with _writing, contextlib.suppress(OSError):
        beside.write_text(json.dumps(told), "utf-8")
        beside.replace(Path(folder) / _FILE)


def _write_on() -> None:
    while True:
        time.sleep(_SECONDS)
        write()


class Together(Collector):
    """Of all processes, with this one as it is now."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder)

    def collect(self) -> Iterator[Metric]:
        """Called by a scrape."""
        write()
        return iter(added(_read(file) for file in sorted(self._folder.glob("own-*.json"))))


def added(told: Iterable[Sequence[Sequence[Any]]]) -> list[Metric]:
    """Each sample of the same name and labels as one. Pure."""
    metrics: dict[str, Metric] = {}
    sums: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]] = {}
    for name, about, kind, samples in (one for process in told for one in process):
        metrics.setdefault(name, Metric(name, about, kind))
        its = sums.setdefault(name, {})
        for sample, labels, value in samples:
            key = sample, tuple(labels.items())
            its[key] = its.get(key, 0.0) + value
    for name, its in sums.items():
        for (sample, labels), value in its.items():
            metrics[name].add_sample(sample, dict(labels), value)
    return list(metrics.values())


def _plain(metric: Metric) -> list[Any]:
    samples = [[one.name, one.labels, one.value] for one in metric.samples]
    return [metric.name, metric.documentation, metric.type, samples]


def _read(file: Path) -> list[list[Any]]:
    try:
        found: list[list[Any]] = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return []
    return found
