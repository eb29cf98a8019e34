"""Topics, and what one person takes of them, as JSON. Pure; the fields are those of `api/schemas/topics`. What events
show too stands beside its values."""

from audience.choices import Past, preference_face
from audience.topics import Topic, topic_face

__all__ = ["past_face", "preference_face", "topic_answer", "topic_face"]


def topic_answer(topic: Topic) -> dict[str, object]:
    """A topic by itself."""
    return {"object": "topic"} | topic_face(topic)


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
