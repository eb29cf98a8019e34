"""Answers of `/alarms`, by type and shape."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.shapes import Listed


class AlarmAnswer(BaseModel):
    """What a person has to look at."""

    object: Literal["alarm"] = "alarm"
    id: UUID
    kind: str
    subject: str
    detail: str = Field(description="What was seen last.")
    raised_at: datetime
    last_at: datetime
    count: int


class AlarmList(Listed[AlarmAnswer]):
    """Open alarms, oldest first."""


class AlarmCleared(BaseModel):
    """The alarm is closed; it comes back when the same thing happens again."""

    object: Literal["alarm"] = "alarm"
    id: UUID
    cleared: Literal[True] = True
