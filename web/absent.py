"""An empty text is an absent value: in parameters, bodies and settings, whether they may be left out or not.

Clients differ in how they say nothing: Go leaves a field out, Java and Node write null, templates write "".
"""

from typing import Final

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError


def _absent(given: object) -> object:
    return None if given == "" else given


Absent: Final = BeforeValidator(_absent)
"""Stands in an annotation whose type takes None: `Annotated[UUID | None, Absent, ...]`."""


def _needed(given: object) -> object:
    if given == "":
        raise PydanticCustomError("missing", "Field required")
    return given


Needed: Final = BeforeValidator(_needed)
"""For a text that must be there: an empty one is missing, not wrong."""


def _said(given: object) -> object:
    if given == "":
        raise PydanticCustomError("empty", "it is empty: give a value, or leave the field out")
    return given


Said: Final = BeforeValidator(_said)
"""For the few fields whose absence sends mail another way: a template that forgot to fill in its topic would mail a
newsletter past everybody who left it. Null is an absence that somebody meant."""


def otherwise(default: object) -> BeforeValidator:
    """For a field whose default is a value: null and an empty text mean that value too."""
    return BeforeValidator(lambda given: default if given in (None, "") else given)
