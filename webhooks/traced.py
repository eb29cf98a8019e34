"""The span of a request to an endpoint that tells of a traced mail."""

import time
from datetime import datetime
from typing import Final
from uuid import UUID

import orjson

from core import tracing
from core.tracing import Place, Span
from webhooks.health import Answer
from webhooks.kinds import EventType
from webhooks.queue import Due

_RECORDED: Final = frozenset(
    {
        EventType.EMAIL_DELIVERED, EventType.EMAIL_DELIVERY_DELAYED, EventType.EMAIL_BOUNCED,
        EventType.EMAIL_COMPLAINED, EventType.EMAIL_COMPLAINT_WITHDRAWN, EventType.EMAIL_SUPPRESSED,
        EventType.EMAIL_EXPIRED, EventType.EMAIL_FAILED,
    }
)  # fmt: skip
"""What has a span of its own, which is named by its moment; all else hangs on `accept`."""


def told(event: Due, host: str, answer: Answer) -> None:
    """An endpoint was told, or did not listen."""
    if not tracing.on() or not event.key:
        return
    email_id = _email(event.key)
    if email_id is None or not tracing.is_traced(email_id):
        return
    body = orjson.loads(event.payload)
    ended = time.time_ns()
    parent = _parent(email_id, body["type"], body["created_at"])
    about = tracing.known(
        {
            "postlane.event": body["type"],
            "postlane.try": event.tries + 1,
            "server.address": host,
            "http.request.method": "POST",
            "http.response.status_code": answer.status or "",
        }
    )
    begun = ended - answer.milliseconds * 1_000_000
    trouble = "" if answer.good else answer.error or str(answer.status)
    tracing.note(Span("webhook", tracing.within(parent), parent.span, begun, ended, about, "client", trouble))


def _email(key: str) -> UUID | None:
    try:
        return UUID(key)
    except ValueError:
        return None


def _parent(email_id: UUID, kind: str, at: str) -> Place:
    if kind in _RECORDED:
        return tracing.of_moment(email_id, datetime.fromisoformat(at).isoformat())
    return tracing.root(email_id)
