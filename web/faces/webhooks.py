"""Webhooks, their events and tries as JSON. Pure; the fields are those of `api/schemas/webhooks`."""

from datetime import UTC
from uuid import UUID

from web.faces.references import reference
from webhooks.endpoints import Endpoint
from webhooks.events import Attempt, EventDetail, EventSummary


def webhook_face(endpoint: Endpoint) -> dict[str, object]:
    """An endpoint in a list."""
    return {
        "id": endpoint.id,
        "endpoint": endpoint.url,
        "status": endpoint.status,
        "events": endpoint.events,
        "created_at": endpoint.created_at,
        "failing_since": endpoint.failing_since,
        "disabled_reason": endpoint.disabled_reason,
    }


def webhook_detail(endpoint: Endpoint, secret: str) -> dict[str, object]:
    """An endpoint by itself, with the secret that signs."""
    return {"object": "webhook"} | webhook_face(endpoint) | {"signing_secret": secret}


def webhook_signed(endpoint_id: UUID, secret: str) -> dict[str, object]:
    """What creating and rotating answer."""
    return reference("webhook", endpoint_id) | {"signing_secret": secret}


def replayed_face(endpoint_id: UUID, count: int) -> dict[str, object]:
    """How many events are sent again."""
    return reference("webhook", endpoint_id) | {"replayed": count}


def event_face(event: EventSummary) -> dict[str, object]:
    """An event in a list."""
    return {
        "id": event.id,
        "type": event.type,
        "created_at": event.created_at,
        "status": event.status,
        "next_attempt_at": event.next_attempt_at,
    }


def event_detail(event: EventDetail) -> dict[str, object]:
    """An event by itself, with the body that is sent."""
    return {"object": "webhook_event"} | event_face(event.summary) | {"payload": event.payload}


def attempt_face(attempt: Attempt, event_id: UUID) -> dict[str, object]:
    """One try: what was asked and what was answered. The body is the event's payload; the signature is not kept."""
    stamp = str(int(attempt.sent_at.astimezone(UTC).timestamp()))
    return {
        "id": attempt.id,
        "http_status_code": attempt.status,
        "response": attempt.response or attempt.error,
        "sent_at": attempt.sent_at,
        "duration_ms": attempt.duration_ms,
        "request": {
            "method": "POST",
            "url": attempt.url,
            "headers": {"webhook-id": str(event_id), "webhook-timestamp": stamp},
        },
    }
