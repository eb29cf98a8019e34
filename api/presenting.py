"""Stored emails and events as the JSON the API gives. Pure; the fields are those of `api/schemas/email_answers`."""

from collections.abc import Iterable
from typing import Any

from messages.repository import EmailDetail, EmailSummary, EventView
from messages.states import State, last_event


def summary(email: EmailSummary) -> dict[str, Any]:
    """An email in a list."""
    return {
        "id": email.id,
        "message_id": email.message_id,
        "from": email.sender,
        "to": email.to,
        "cc": email.cc,
        "bcc": email.bcc,
        "reply_to": email.reply_to,
        "subject": email.subject,
        "created_at": email.created_at,
        "scheduled_at": email.scheduled_at,
        "last_event": _last_event(email),
        "stream": email.lane,
    }


def detail(email: EmailDetail) -> dict[str, Any]:
    """An email by itself."""
    return {
        "object": "email",
        **summary(email.summary),
        "html": email.html,
        "text": email.text,
        "tags": [{"name": name, "value": value} for name, value in email.tags],
        "expires_at": email.expires_at,
        "recipients": [
            {
                "recipient": r.recipient,
                "kind": r.kind,
                "state": r.state,
                "attempts": r.attempts,
                "updated_at": r.updated_at,
                "next_attempt_at": r.next_attempt_at,
            }
            for r in email.recipients
        ],
    }


def event_list(email: EmailDetail, events: Iterable[EventView], more: bool) -> dict[str, Any]:
    """The timeline: the acceptance, which is told by the email itself, then what happened to each message."""
    return {"object": "list", "has_more": more, "data": [_acceptance(email.summary), *map(_event, events)]}


def too_late(states: Iterable[State], verb: str) -> str:
    """Why an email cannot be cancelled or moved any more: what became of it."""
    words = sorted(state.value for state in states)
    if any(state in (State.QUEUED, State.DEFERRED, State.SCHEDULED) for state in states):
        return f"The email cannot be {verb}: it is being sent right now, or not in a state that allows it ({', '.join(words)})."
    return f"The email cannot be {verb}: it is too late, its recipients are {', '.join(words)}."


def _last_event(email: EmailSummary) -> str:
    # Without messages the partition is being dropped while we read: whatever it was, it is over.
    return last_event(email.states, email.attempts) if email.states else "sent"


def _acceptance(email: EmailSummary) -> dict[str, Any]:
    blank = EventView(
        "scheduled" if email.scheduled_at else "queued", email.created_at, "", *([None] * 14), email.scheduled_at, None
    )
    return {**_event(blank), "recipient": None}


def _event(event: EventView) -> dict[str, Any]:
    return {
        "event": event.kind,
        "created_at": event.at,
        "recipient": event.recipient,
        "attempt": event.attempt,
        "ip": event.ip,
        "provider": event.provider,
        "mx": event.mx,
        "tls": event.tls,
        "phase": event.phase,
        "code": event.code,
        "enhanced": event.enhanced,
        "reply": event.reply,
        "action": event.action,
        "class": event.klass,
        "scope": event.scope,
        "rule": event.rule,
        "detail": event.detail,
        "next_attempt_at": event.next_attempt_at,
        "duration_ms": event.duration_ms,
    }
