"""Figures as JSON. Pure."""

from collections.abc import Mapping
from typing import Final

from store.figures import Answer, Question, Row
from store.tally import REFUSED, Tally

Names = Mapping[str, Mapping[str, str]]
"""Dimension → id → name."""

_WITH_ID: Final = ("application", "domain", "topic", "pool")


def report_face(question: Question, answer: Answer, names: Names) -> dict[str, object]:
    """An answer as `ReportAnswer`."""
    return {
        "object": "report",
        "start_date": question.since,
        "end_date": question.until,
        "timezone": question.zone.key,
        "group_by": [*([question.period] if question.period else []), *question.group],
        "totals": figures_face(answer.totals),
        "data": [row_face(question, row, names) for row in answer.rows],
    }


def row_face(question: Question, row: Row, names: Names) -> dict[str, object]:
    """One row: its period and dimensions, then its figures. A provider or stream that does not apply is null."""
    place: dict[str, object] = {"period": row.period} if question.period else {}
    for name, key in zip(question.group, row.keys, strict=True):
        if name in _WITH_ID:
            place[f"{name}_id"] = key
            place[name] = names.get(name, {}).get(key)
        else:
            place[name] = key or None
    return place | figures_face(row.tally)


def figures_face(tally: Tally) -> dict[str, object]:
    """All figures of some mail."""
    p50, p95 = tally.seconds(0.5, 0.95)
    return {
        **tally.measures(),
        **tally.rates(),
        "bounced_by_class": tally.by_class(*REFUSED),
        "deferred_by_class": tally.by_class("deferred"),
        "seconds_to_deliver": {"p50": p50, "p95": p95},
    }
