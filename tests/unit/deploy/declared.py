"""Every Prometheus metric that the code declares, read from the source: processes declare different ones."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from tests.unit.deploy.commands import ROOT
from tests.unit.test_layout import SHIPPED

KINDS = {
    "Counter": "counter", "Gauge": "gauge", "Histogram": "histogram", "CounterMetricFamily": "counter",
    "GaugeMetricFamily": "gauge", "HistogramMetricFamily": "histogram",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Metric:
    """As it is declared."""

    name: str
    kind: str
    labels: frozenset[str]

    def series(self) -> dict[str, frozenset[str]]:
        """What Prometheus stores of it, with the labels of each."""
        if self.kind != "histogram":
            return {self.name: self.labels}
        own = {f"{self.name}_{part}": self.labels for part in ("count", "sum")}
        return own | {f"{self.name}_bucket": self.labels | {"le"}}


@cache
def metrics() -> tuple[Metric, ...]:
    """All of the shipped packages."""
    texts = (file.read_text(encoding="utf-8") for name in SHIPPED for file in (ROOT / name).rglob("*.py"))
    return tuple(found for text in texts if "prometheus_client" in text for found in _declared(ast.parse(text)))


def _declared(tree: ast.Module) -> Iterator[Metric]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and str(first.value).startswith("postlane_"):
                yield Metric(str(first.value), KINDS[node.func.id], _labels(node))


def _labels(call: ast.Call) -> frozenset[str]:
    given = [*call.args[2:], *(keyword.value for keyword in call.keywords if keyword.arg in ("labels", "labelnames"))]
    lists = (one for one in given if isinstance(one, ast.List))
    return frozenset(str(label.value) for one in lists for label in one.elts if isinstance(label, ast.Constant))
