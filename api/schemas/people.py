"""Body and answers of `/contacts/{contact}/export` and `/erase`, by type and shape. Ours."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.contacts import PastItem, PlaceItem
from api.schemas.shapes import Strict
from api.schemas.topics import ContactTopic
from web.absent import otherwise


class PersonExported(BaseModel):
    """All that is held about a person."""

    object: Literal["person"] = "person"
    email: str = Field(description="The address, in lower case.")
    contact: dict[str, Any] | None = Field(description="The contact, with its properties; null when there is none.")
    segments: list[PlaceItem] = Field(description="Lists they are on, or have left.")
    history: list[PastItem] = Field(description="Every change of the contact; proof of consent among them.")
    left_all: bool = Field(description="They left all marketing mail.")
    paused_until: datetime | None = Field(description="Until when they paused it.")
    topics: list[ContactTopic] = Field(description="What they take.")
    choices: list[dict[str, Any]] = Field(description="Every choice they made, newest first.")
    suppressions: list[dict[str, Any]] = Field(description="What keeps mail from them.")
    ended_suppressions: list[dict[str, Any]] = Field(description="What kept it from them before.")
    signup: dict[str, Any] | None = Field(description="A sign-up of theirs that is kept.")
    engagement: dict[str, Any] | None = Field(description="When they opened, clicked, were active last.")
    earlier_addresses: list[dict[str, Any]] = Field(
        description="Addresses that they had before: `email`, and `choices`, `suppressions`, `ended_suppressions`, "
        "`signup` and `engagement` of each."
    )
    emails: list[dict[str, Any]] = Field(description="Mail to them, newest first, with its timeline and its text.")
    more_emails: bool = Field(description="There is more mail than this.")
    broadcasts: list[dict[str, Any]] = Field(description="Broadcasts that they were in, newest first.")
    events: list[dict[str, Any]] = Field(description="What you told of them for automations, newest first.")
    automations: list[dict[str, Any]] = Field(description="Automations that they went through, newest first.")


class ErasePerson(Strict):
    """How they are forgotten."""

    suppress: Annotated[Literal["marketing", "all"], otherwise("marketing")] = Field(
        "marketing",
        description="Which mail of yours never goes to them again: `marketing`, or `all`, receipts and passwords too. "
        "The person takes the first back by signing up; the other only an operator.",
    )


class NamingSegment(BaseModel):
    """A segment whose filter holds the address."""

    id: UUID
    name: str


class PersonErased(BaseModel):
    """The person is forgotten."""

    object: Literal["person"] = "person"
    email: str = Field(description="Who it was: told this once.")
    contact_id: UUID | None = Field(description="The contact that is gone; null when there was none.")
    erased: Literal[True] = True
    cancelled: int = Field(description="Mails that waited, and are not sent.")
    emails: int = Field(description="Stored mails that no longer say to whom they went.")
    under_way: int = Field(description="Mails that were being sent at this moment: forgotten as they end.")
    earlier_addresses: list[str] = Field(description="Addresses that they had before, forgotten with this one.")
    segments: list[NamingSegment] = Field(
        description="Segments whose filter holds an address of theirs: change it there, for we cannot."
    )
