"""Shapes that several nouns share."""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from core.clock import YEARS

T = TypeVar("T")

Text = Annotated[str, Field(max_length=300)]
Reason = Annotated[str, Field(max_length=500)]


def in_reach(moment: datetime) -> datetime:
    """Of a moment whose zone is far enough from UTC the year is 0 or 10000 there: PostgreSQL keeps it, and nobody can
    read it again."""
    if moment.year not in YEARS:
        raise ValueError(f"it must lie between {YEARS.start} and {YEARS.stop}")
    return moment


Moment = Annotated[datetime, Field(strict=False), AfterValidator(in_reach)]
"""A time that somebody gives."""


class Strict(BaseModel):
    """A body whose fields are all known: a misspelt one would do what nobody meant."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _without_repeated_ids(cls, given: Any) -> Any:
        """SDKs repeat in the body what stands in the path: `id`, `webhook_id`. Such a field means nothing here."""
        if not isinstance(given, dict):
            return given
        odd = {name for name in given if name not in cls.model_fields and (name == "id" or name.endswith("_id"))}
        return {name: value for name, value in given.items() if name not in odd}


class Listed(BaseModel, Generic[T]):
    """A page of a list."""

    object: Literal["list"] = "list"
    has_more: bool
    data: list[T]
