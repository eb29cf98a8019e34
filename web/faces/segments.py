"""Segments as JSON. Pure; the fields are those of `api/schemas/segments`."""

from audience.audiences import Found
from audience.segments import Explained


def segment_face(explained: Explained) -> dict[str, object]:
    """A segment in a list."""
    segment = explained.segment
    return {
        "id": segment.id,
        "name": segment.name,
        "created_at": segment.created_at,
        "updated_at": segment.updated_at,
        "filter": explained.filter,
        "filter_text": explained.text,
        "filter_problem": explained.problem,
    }


def segment_answer(explained: Explained, noun: str = "segment") -> dict[str, object]:
    """A segment by itself; older clients call it an audience."""
    return {"object": noun} | segment_face(explained)


def found_face(found: Found) -> dict[str, object]:
    """Somebody in a segment, as a preview shows them."""
    return {
        "id": found.id,
        "email": found.email,
        "first_name": found.first_name,
        "last_name": found.last_name,
        "status": found.status,
        "created_at": found.created_at,
    }
