"""Shapes that several nouns share."""

from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")

Text = Annotated[str, Field(max_length=300)]
Reason = Annotated[str, Field(max_length=500)]


class Strict(BaseModel):
    """A body whose fields are all known: a misspelt one would do what nobody meant."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Listed(BaseModel, Generic[T]):
    """A page of a list."""

    object: Literal["list"] = "list"
    has_more: bool
    data: list[T]
