"""Answers of `/standing`, by type and shape."""

from datetime import date
from typing import Literal

from pydantic import BaseModel, Field

from api.schemas.shapes import Listed


class StandingAnswer(BaseModel):
    """One thing a provider says about one of our IPs or domains."""

    object: Literal["standing"] = "standing"
    id: str
    kind: Literal["ip", "domain"]
    subject: str
    provider: str
    source: str
    name: str = Field(description="What is said, such as filter_result, complaint_rate, spf.")
    day: date = Field(description="The day it is about.")
    value: float | None = Field(description="As a number: rates from 0 to 1, compliance 1 or 0; null when it is none.")
    text: str = Field(description="As it was said.")


class StandingList(Listed[StandingAnswer]):
    """The newest of each."""


class StandingTaken(BaseModel):
    """What became of a file."""

    object: Literal["standing_import"] = "standing_import"
    source: str
    figures: int = Field(description="Figures that were kept.")
    subjects: int = Field(description="IPs and domains they are about.")
    strangers: list[str] = Field(description="IPs and domains that are none of ours: left out. The first hundred.")
