"""The answer of every request that was refused, or that failed."""

from pydantic import BaseModel, Field


class Error(BaseModel):
    """What went wrong."""

    status_code: int = Field(alias="statusCode", description="The HTTP status again.")
    name: str = Field(description="Which error: a fixed word to branch on.")
    message: str = Field(description="A sentence for people; it names the field.")
