"""Figures in the shape of Resend's `GET /emails/metrics`. Pure.

Its words are not quite ours. `sent` is what was accepted, `received` mail that comes in, of which there is none here.
`failed` is what could not be made or was given up. Which bounces are permanent is said by `mta/bounce_kinds`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from mta.bounce_kinds import Permanence, bounce_kind
from store.figures import Answer, Question, Row
from store.tally import RATES, REFUSED, Tally
from web.faces.reports import Names


def _bounced(permanence: Permanence) -> Callable[[Tally], int]:
    def count(tally: Tally) -> int:
        found = tally.by_class(*REFUSED).items()
        return sum(n for klass, n in found if bounce_kind(klass).permanence is permanence)

    return count


def _measure(name: str) -> Callable[[Tally], int]:
    return lambda tally: tally.measures()[name]


def _rate(name: str) -> Callable[[Tally], float]:
    return lambda tally: tally.rates()[name] or 0.0


METRICS: Final[Mapping[str, Callable[[Tally], float]]] = {
    "received": lambda tally: 0,
    **{name: _measure(name) for name in ("delivered", "complained", "suppressed", "bounced")},
    "bounced_transient": _bounced(Permanence.TRANSIENT),
    "bounced_permanent": _bounced(Permanence.PERMANENT),
    "bounced_undetermined": _bounced(Permanence.UNDETERMINED),
    **{name: _measure(name) for name in ("opened", "clicked", "unsubscribed")},
    "delivery_delayed": lambda tally: tally.sum("deferred"),
    "failed": lambda tally: tally.sum("failed", "expired"),
    "sent": lambda tally: tally.sum("accepted"),
    **{name: _measure(name) for name in ("unique_opened", "unique_clicked")},
    **{name: _rate(name) for name in RATES},
}
"""All of Resend's 22, in its order."""

DIMENSIONS: Final = ("period", "domain", "email", "broadcast")
GRANULARITIES: Final[Mapping[str, str]] = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month"}


@dataclass(frozen=True, slots=True)
class MetricsAsked:
    """What was asked for, in names that are known."""

    metrics: tuple[str, ...]
    dimensions: tuple[str, ...]
    granularity: str
    filters: Mapping[str, tuple[UUID, ...]] = field(default_factory=dict)

    def ids(self, name: str) -> tuple[UUID, ...]:
        """Those of a filter."""
        return self.filters.get(name, ())

    @property
    def of_emails(self) -> bool:
        """Of single emails."""
        return "email" in self.dimensions or bool(self.ids("email_id"))

    @property
    def of_broadcasts(self) -> bool:
        """Of single broadcasts."""
        return "broadcast" in self.dimensions or bool(self.ids("broadcast_id"))


def metrics_face(question: Question, asked: MetricsAsked, answer: Answer, names: Names) -> dict[str, object]:
    """An answer as `MetricsAnswer`."""
    face: dict[str, object] = {
        "object": "metrics",
        "start_date": question.since,
        "end_date": question.until,
        "metrics": asked.metrics,
        "dimensions": asked.dimensions,
        "granularity": asked.granularity,
        "totals": _figures(answer.totals, asked.metrics),
    }
    if asked.dimensions:
        face["data"] = [_row(question, asked, row, names) for row in answer.rows]
    return face


def _row(question: Question, asked: MetricsAsked, row: Row, names: Names) -> dict[str, object]:
    place: dict[str, object] = {"period": row.period} if question.period else {}
    for name, key in zip([name for name in asked.dimensions if name != "period"], row.keys, strict=True):
        place[f"{name}_id"] = key
        if name == "domain":
            place["domain_name"] = names.get("domain", {}).get(key)
    return place | _figures(row.tally, asked.metrics)


def _figures(tally: Tally, wanted: Sequence[str]) -> dict[str, float]:
    return {name: METRICS[name](tally) for name in wanted}
