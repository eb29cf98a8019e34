"""Answers of `/logs`, by type and shape: Resend's, with a few fields more."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.shapes import Listed


class LogItem(BaseModel):
    """A request that was made with a key of yours."""

    id: UUID = Field(description="Told as `x-request-id` with errors.")
    created_at: datetime = Field(description="When it came.")
    endpoint: str = Field(examples=["/emails"], description="Its path; an address in it is taken out.")
    method: str = Field(examples=["POST"], description="Its method.")
    response_status: int = Field(examples=[200], description="Status of the answer.")
    user_agent: str = Field(examples=["resend-python:2.39.0"], description="Who says to have asked.")
    error: str = Field(description="Name of the error it was answered with; empty for none.")
    duration_ms: float = Field(description="From the head of the request to the end of its answer.")
    api_key_id: UUID = Field(description="The key it came with.")
    test: bool = Field(description="Made with a test key.")
    stands_for: int = Field(
        description="How many requests like it: more than one where so many came in a second that only some are kept."
    )


class LogList(Listed[LogItem]):
    """Requests, newest first."""


class LogAnswer(LogItem):
    """A request with what is kept of its bodies: fields, numbers and states; texts are told by their length."""

    object: Literal["log"] = "log"
    request_body: Any = Field(description="What was sent; null for nothing.")
    response_body: Any = Field(description="What was answered; null for nothing.")
