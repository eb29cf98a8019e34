"""Topics, and what one person takes of them, as JSON. Pure; the fields are those of `api/schemas/topics`."""

from audience.choices import Past, Preference
from audience.topics import Topic


def topic_face(topic: Topic) -> dict[str, object]:
    """A topic as `TopicItem`."""
    return {
        "id": topic.id,
        "name": topic.name,
        "description": topic.description,
        "default_subscription": topic.default,
        "visibility": topic.visibility,
        "created_at": topic.created_at,
        "stream": topic.lane,
        "is_default": topic.is_default,
    }


def topic_answer(topic: Topic) -> dict[str, object]:
    """A topic by itself."""
    return {"object": "topic"} | topic_face(topic)


def preference_face(preference: Preference) -> dict[str, object]:
    """A topic as it is for one person, as `ContactTopic`."""
    topic = preference.topic
    return {
        "id": topic.id,
        "name": topic.name,
        "description": topic.description,
        "subscription": "opt_in" if preference.subscribed else "opt_out",
        "chosen": preference.chosen,
    }


def past_face(past: Past) -> dict[str, object]:
    """One act of a person."""
    return {
        "at": past.at,
        "what": past.what,
        "topic_id": past.topic_id,
        "until": past.until,
        "source": past.source,
        "ip": past.ip or None,
        "email_id": past.email_id,
        "detail": past.detail,
    }
