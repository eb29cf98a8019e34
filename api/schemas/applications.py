"""Answers of `/applications`, by type and shape."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.shapes import Listed


class ApplicationAnswer(BaseModel):
    """Somebody who sends: with keys, domains and mail of its own."""

    object: Literal["application"] = "application"
    id: UUID
    name: str = Field(description="Its name on the command line.")
    domains: list[str] = Field(description="Names of its sender domains, newest first.")
    keys: int = Field(description="How many API keys it has.")
    created_at: datetime


class ApplicationList(Listed[ApplicationAnswer]):
    """Applications, oldest first."""


class ApplicationDeleted(BaseModel):
    """The application is gone, with its keys and domains."""

    object: Literal["application"] = "application"
    id: UUID
    deleted: Literal[True] = True
