"""Bodies and answers of `/flags`, by type and shape."""

from datetime import date, datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.shapes import Listed, Reason, Strict, Text


class SetFlag(Strict):
    """How a flag is to be switched."""

    percent: Annotated[int, Field(ge=0, le=100, description="The share it is on for: 0 is off, 100 is on.")]
    application: Annotated[Text | None, Field(description="Name or id of the only application it is for.")] = None
    reason: Annotated[Reason, Field(description="Why, for whoever asks later.")] = ""


class FlagOfApplication(BaseModel):
    """An application with a switch of its own, which goes before."""

    application_id: UUID = Field(description="Its id.")
    application: str = Field(description="Its name.")
    percent: int = Field(description="The share of its mail that the flag is on for: 0 is off, 100 is on.")
    changed_at: datetime = Field(description="When it was switched.")
    changed_by: str = Field(description="Who switched it.")
    reason: str | None = Field(description="Why; null for no reason given.")


class FlagAnswer(BaseModel):
    """A flag: what it does, and how it is switched."""

    object: Literal["flag"] = "flag"
    id: str = Field(description="Its name.")
    name: str = Field(description="Its name.")
    percent: int = Field(description="The share it is on for: 0 is off, 100 is on.")
    meaning: str = Field(description="What it does while it is on.")
    off: str = Field(description="What is different while it is off.")
    share_of: Literal["mail", "application", "pool"] = Field(description="What a share is a share of.")
    default: bool = Field(description="Whether it is on when nobody has switched it.")
    owner: str = Field(description="The package of Postlane that it belongs to.")
    introduced: date = Field(description="Since when it is there.")
    until: date = Field(description="By when it should be gone.")
    changed_at: datetime | None = Field(description="When it was switched last for everything; null for never.")
    changed_by: str | None = Field(description="Who switched it.")
    reason: str | None = Field(description="Why; null for no reason given.")
    applications: list[FlagOfApplication] = Field(description="Applications with a switch of their own, by name.")


class FlagList(Listed[FlagAnswer]):
    """All flags."""
