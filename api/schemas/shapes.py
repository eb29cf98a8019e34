"""Shapes that several nouns share."""

import re
from collections.abc import Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from core.clock import YEARS

T = TypeVar("T")

_CAPITAL: Final = re.compile(r"(?<=[a-z])([A-Z])")
_LIKENESS: Final = 0.8

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
    """A body of our own whose fields are all known: a misspelt one would do what nobody meant."""

    model_config = ConfigDict(extra="forbid", strict=True)

    @model_validator(mode="before")
    @classmethod
    def _without_repeated_ids(cls, given: Any) -> Any:
        """SDKs repeat in the body what stands in the path: `id`, `webhook_id`. Such a field means nothing here."""
        if not isinstance(given, dict):
            return given
        odd = {name for name in given if name not in cls.model_fields and (name == "id" or name.endswith("_id"))}
        return {name: value for name, value in given.items() if name not in odd}


class Lenient(Strict):
    """A body in Resend's shape: what we do not know is passed over, since the next SDK may send a field more. What we
    know and cannot change is refused all the same."""

    model_config = ConfigDict(extra="ignore", strict=True)

    fixed: ClassVar[Mapping[str, str]] = {}
    """Fields that cannot be changed, and what to do instead."""

    @model_validator(mode="before")
    @classmethod
    def _without_fixed(cls, given: Any) -> Any:
        for name, instead in cls.fixed.items() if isinstance(given, dict) else ():
            if name in given:
                raise PydanticCustomError(
                    "fixed", "`{name}` cannot be changed. {instead}", {"name": name, "instead": instead}
                )
        return given


class Careful(Lenient):
    """One that does more where a field of it is misspelt, as a key does that sends from every domain: what looks like
    one of its fields and is none is refused."""

    @model_validator(mode="before")
    @classmethod
    def _without_misspelt(cls, given: Any) -> Any:
        known = sorted(cls.model_fields)
        for name in given if isinstance(given, dict) else ():
            plain = _CAPITAL.sub(r"_\1", str(name)[:60]).lower()
            if name not in known and (meant := get_close_matches(plain, known, 1, _LIKENESS)):
                raise PydanticCustomError(
                    "misspelt", "there is no field `{name}`; `{meant}` is meant", {"name": name, "meant": meant[0]}
                )
        return given


class Listed(BaseModel, Generic[T]):
    """A page of a list."""

    object: Literal["list"] = "list"
    has_more: bool
    data: list[T]
