"""Shapes that several nouns share."""

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

T = TypeVar("T")

Text = Annotated[str, Field(max_length=300)]
Reason = Annotated[str, Field(max_length=500)]


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
