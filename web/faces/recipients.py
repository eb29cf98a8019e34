"""One person as JSON. Pure; the fields are those of `api/schemas/recipients`."""

from datetime import datetime

from outcomes.obstacles import Obstacle, saying
from outcomes.recipients import Delivery, Everywhere, Recipient, TopicState
from web.faces.suppressions import suppression_face
from web.faces.topics import preference_face


def recipient_face(one: Recipient) -> dict[str, object]:
    """How it stands between a person and an application, as `RecipientFound`."""
    head = {"object": "recipient", "email": one.address, "known": one.known}
    return head | _state(one) | {"suppressions": [suppression_face(entry) for entry in one.entries]}


def everywhere_face(found: Everywhere) -> dict[str, object]:
    """What operators see of a person, as `RecipientFound`."""
    known = found.altogether.known or bool(found.applications)
    each = [{"application_id": known.id, "name": known.name} | _state(known.recipient) for known in found.applications]
    return recipient_face(found.altogether) | {"known": known, "applications": each}


def activity_face(address: str, last: datetime | None) -> dict[str, object]:
    """The last sign of life, as `ActivityReported`."""
    return {"object": "recipient", "email": address, "last_activity": last}


def _state(one: Recipient) -> dict[str, object]:
    engaged = one.engagement
    return {
        "streams": [{"stream": state.lane} | _may(one, state.obstacle, state.topic) for state in one.streams],
        "topics": [_topic(one, state) for state in one.topics],
        "left_all": one.left_all,
        "paused_until": one.paused_until,
        "last_delivery": _delivery(one.delivery) if one.delivery else None,
        "last_open": engaged.opened_at,
        "last_click": engaged.clicked_at,
        "last_activity": engaged.active_at,
        "opens": engaged.opens,
        "clicks": engaged.clicks,
    }


def _topic(one: Recipient, state: TopicState) -> dict[str, object]:
    topic = state.preference.topic
    return preference_face(state.preference) | {"stream": topic.lane} | _may(one, state.obstacle, topic.name)


def _may(one: Recipient, obstacle: Obstacle | None, topic: str = "") -> dict[str, object]:
    if obstacle is None:
        return {"allowed": True, "reason": None, "since": None, "until": None, "tell_them": None}
    return {
        "allowed": False,
        "reason": obstacle.reason,
        "since": obstacle.since,
        "until": obstacle.until,
        "tell_them": saying(obstacle, one.address, topic),
    }


def _delivery(delivery: Delivery) -> dict[str, object]:
    return {"email_id": delivery.email_id, "stream": delivery.lane, "at": delivery.at}
