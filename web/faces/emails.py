"""Stored emails and events as the JSON the API gives. Pure; the fields are those of `api/schemas/emails`."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from messages.repository import EmailDetail, EmailSummary, EventView
from messages.search import MessageRow
from messages.states import TERMINAL, State, last_event


def email_face(email: EmailSummary) -> dict[str, Any]:
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
        "test": email.test,
    }


def email_detail(email: EmailDetail) -> dict[str, Any]:
    """An email by itself."""
    return {
        "object": "email",
        **email_face(email.summary),
        "html": email.html,
        "text": email.text,
        "tags": [{"name": name, "value": value} for name, value in email.tags],
        "expires_at": email.expires_at,
        "topic_id": email.topic_id,
        "template_id": email.template_id,
        "again_of": email.again_of.email_id if email.again_of else None,
        "recipients": [
            {
                "recipient": r.recipient,
                "kind": r.kind,
                "state": r.state,
                "attempts": r.attempts,
                "updated_at": r.updated_at,
                "next_attempt_at": r.next_attempt_at,
                "waits_for": r.waits_for,
                "captured": r.captured,
            }
            for r in email.recipients
        ],
    }


def message_face(row: MessageRow) -> dict[str, Any]:
    """One message of an email: the email in short, and its recipient. For operators, who look at all applications."""
    return {
        "object": "message",
        "id": row.message,
        "from": row.sender,
        "recipient": row.recipient,
        "subject": row.subject,
        "created_at": row.accepted_at,
        "stream": row.lane,
        "state": row.state,
        "attempts": row.attempts,
        "next_attempt_at": row.next_attempt_at,
        "waits_for": row.waits_for,
        "captured": row.captured,
    }


def timeline(email: EmailDetail, events: Iterable[EventView]) -> list[dict[str, Any]]:
    """The acceptance, which is told by the email itself, then what happened to each message."""
    return [_acceptance(email.summary), *map(_event, events)]


def why_not(states: Iterable[State], verb: str) -> str:
    """Why an email could not be `cancelled` or `rescheduled`: what became of it."""
    now = set(states)
    words = ", ".join(sorted(state.value for state in now))
    if verb == "rescheduled" and now & _WAITING:
        return f"The email cannot be rescheduled: it does not wait for a schedule (any more), it is {words}."
    if now & _WAITING:
        return "The email cannot be cancelled: it is being sent right now. Look again in a moment."
    return f"The email cannot be {verb}: it is too late, it is {words}."


def _last_event(email: EmailSummary) -> str:
    # Without messages the partition is being dropped while we read: whatever it was, it is over.
    told = last_event(email.states, email.attempts) if email.states else "sent"
    return email.heard or told if told == "delivered" else told


def _acceptance(email: EmailSummary) -> dict[str, Any]:
    told = {"event": "scheduled" if email.scheduled_at else "queued", "created_at": email.created_at}
    return {**_NOTHING, **told, "next_attempt_at": email.scheduled_at}


_NOTHING: Final = dict.fromkeys(
    (
        "event", "created_at", "recipient", "attempt", "ip", "provider", "mx", "tls", "phase", "code", "enhanced",
        "reply", "action", "class", "scope", "rule", "detail", "next_attempt_at", "duration_ms", "link", "client_ip",
        "user_agent", "machine", "first",
    )
)  # fmt: skip
"""An event about which nothing is known."""

_WAITING: Final = frozenset(State) - TERMINAL


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
        **_engagement(event.engagement or {}),
    }


def _engagement(known: Mapping[str, Any]) -> dict[str, Any]:
    """Of an open or click, who followed which link."""
    return {
        "link": known.get("link"),
        "client_ip": known.get("ip"),
        "user_agent": known.get("user_agent"),
        "machine": known.get("machine"),
        "first": known.get("first"),
    }
