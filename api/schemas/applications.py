"""Bodies and answers of `/applications`, by type and shape."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from accounts.quotas import MOST_PER_DAY, MOST_PER_SECOND
from api.schemas.api_keys import ShownName
from api.schemas.shapes import Listed, Strict

Daily = Annotated[
    int | None,
    Field(ge=0, le=MOST_PER_DAY, description="Messages it may bring in a day (UTC); 0 or null for no quota."),
]
Secondly = Annotated[
    int | None,
    Field(ge=0, le=MOST_PER_SECOND, description="Messages it may bring in a second; 0 or null for no quota."),
]


class ApplicationAnswer(BaseModel):
    """Somebody who sends: with keys, domains and mail of its own."""

    object: Literal["application"] = "application"
    id: UUID
    name: str = Field(description="Its name on the command line.")
    domains: list[str] = Field(description="Names of its sender domains, newest first.")
    keys: int = Field(description="How many API keys it has.")
    messages_per_day: int | None = Field(description="It may bring in so many a day (UTC); null for no quota.")
    messages_per_second: int | None = Field(description="The same for a second.")
    messages_today: int | None = Field(description="That it brought in today; null without a quota.")
    created_at: datetime


class CreateApplication(Strict):
    """An application to make."""

    name: ShownName = Field(examples=["shop"])
    messages_per_day: Daily = None
    messages_per_second: Secondly = None


class UpdateApplication(Strict):
    """What is not sent stays as it is."""

    name: ShownName | None = None
    messages_per_day: Daily = None
    messages_per_second: Secondly = None


class ApplicationReference(BaseModel):
    """The application that was worked on."""

    object: Literal["application"] = "application"
    id: UUID


class ApplicationList(Listed[ApplicationAnswer]):
    """Applications, oldest first."""


class ApplicationDeleted(BaseModel):
    """The application is gone, with its keys and domains."""

    object: Literal["application"] = "application"
    id: UUID
    deleted: Literal[True] = True
