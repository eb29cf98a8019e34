"""What providers say about us, as JSON. Pure."""

from pools.standing import Taken
from pools.standing_files import ProviderFigure


def standing_face(figure: ProviderFigure) -> dict[str, object]:
    """A figure as `StandingAnswer`."""
    return {
        "object": "standing",
        "id": "/".join((figure.kind, figure.subject, figure.provider, figure.source, figure.name)),
        "kind": figure.kind,
        "subject": figure.subject,
        "provider": figure.provider,
        "source": figure.source,
        "name": figure.name,
        "day": figure.day,
        "value": figure.value,
        "text": figure.text,
    }


def taken_face(taken: Taken) -> dict[str, object]:
    """What became of a file, as `StandingTaken`."""
    return {
        "object": "standing_import",
        "source": taken.source,
        "figures": taken.figures,
        "subjects": taken.subjects,
        "strangers": taken.strangers[:100],
    }
