"""Answers of `/contacts/imports`, by type and shape. Names and counts are Resend's; reasons, faults, confirmations and
name are ours."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.shapes import Listed
from audience.importing.imports import ImportStatus
from audience.importing.rows import Why


class ImportReference(BaseModel):
    """The import that was worked on."""

    object: Literal["contact_import"] = "contact_import"
    id: UUID


class Counts(BaseModel):
    """Lines, by what became of them."""

    total: int
    created: int
    updated: int
    skipped: int = Field(description="Right, and nothing was to be done: known, named twice, suppressed.")
    failed: int


class FaultItem(BaseModel):
    """A line that made no contact."""

    line: int = Field(description="Its number in the file.")
    text: str = Field(description="The address as it stands there.")
    why: Why = Field(description="For programs.")
    reason: str = Field(description="In words.")


class ImportItem(ImportReference):
    """An import."""

    status: ImportStatus
    created_at: datetime
    completed_at: datetime | None = Field(description="When it ended; null while it goes on.")
    counts: Counts = Field(description="Lines, by what became of them.")
    name: str = Field(description="Of the file.")
    confirmations: int = Field(description="People who get one mail that asks them; it leaves at its pace.")
    reasons: dict[str, int] = Field(description="How many lines were not taken, by reason.")
    faults: list[FaultItem] = Field(description="The first of them; suppressed and repeated ones are only counted.")
    failure: str | None = Field(description="Why the whole import could not be done.")


class AskingItem(BaseModel):
    """How far asking its people is."""

    waiting: int
    asked: int = Field(description="Their mail was written.")
    confirmed: int = Field(description="They said yes.")
    unsent: int = Field(description="They get none: suppressed or gone since, or the import was stopped.")
    held: str | None = Field(description="Why nobody is asked at the moment.")


class ImportAnswer(ImportItem):
    """An import, and how far asking its people is."""

    asking: AskingItem = Field(description="How far asking its people is.")


class ImportList(Listed[ImportItem]):
    """Imports, newest first."""
