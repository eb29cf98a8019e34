"""Figures as JSON, and the text that names a place in a long report. Pure."""

import base64
from collections.abc import Mapping
from datetime import date, datetime
from typing import Final

import orjson

from core.refusal import invalid
from store.figures import Answer, Label, Place, Question, Row
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
        "has_more": answer.last is not None,
        "next": place_text(answer.last) if answer.last else None,
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


def place_text(place: Place) -> str:
    """Names the place of a row; opaque to who gets it."""
    return base64.urlsafe_b64encode(orjson.dumps([place.period, *place.keys])).decode().rstrip("=")


def place_of(text: str, question: Question) -> Place:
    """The place that `place_text` named. Raises Refused for one of another question."""
    try:
        period, *keys = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if len(keys) != len(question.group) or not all(isinstance(key, str) for key in keys):
            raise ValueError
        return Place(_label(period, question.period), tuple(keys))
    except (ValueError, TypeError):
        raise invalid("after", "it must be `next` of an answer to the same question") from None


def _label(period: object, kind: str) -> Label:
    if not kind:
        return None
    hour = datetime.fromisoformat(str(period)) if kind == "hour" else None
    if hour and hour.tzinfo is None:
        raise ValueError
    return hour or date.fromisoformat(str(period))
