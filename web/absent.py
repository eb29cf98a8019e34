"""An empty text is an absent value: in parameters, bodies and settings that may be left out."""

from typing import Final

from pydantic import BeforeValidator


def _absent(given: object) -> object:
    return None if given == "" else given


Absent: Final = BeforeValidator(_absent)
"""Stands in an annotation whose type takes None: `Annotated[UUID | None, Absent, ...]`."""
