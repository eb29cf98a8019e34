"""Bodies and answers of `/contacts`, by type and shape.

`email first_name last_name unsubscribed properties segments topics` are Resend's, so that its SDKs work; `status`,
`language`, `time_zone`, `consent` and `new_email` are ours.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field

from api.schemas.shapes import Lenient, Listed, Moment
from api.schemas.topics import Choice
from audience.contact_history import Changed, ContactSource
from audience.contacts import Status
from audience.membership import MemberStatus
from audience.properties import MOST as MOST_PROPERTIES
from audience.properties import PropertyType
from audience.topics import MOST as MOST_TOPICS
from web.absent import Absent, Needed

_Email = Annotated[str, Field(max_length=2000, examples=["ann@example.com"])]
_Name = Annotated[str, Field(max_length=1000)]
_Properties = Annotated[dict[str, str | int | float | bool | None], Field(max_length=MOST_PROPERTIES)]
_MOST_LISTS = 100


class SegmentToJoin(Lenient):
    """A list to be put on."""

    id: UUID = Field(strict=False)


def _named(given: Any) -> Any:
    """Some clients send the ids alone."""
    return [{"id": one} if isinstance(one, str) else one for one in given] if isinstance(given, list) else given


class Consent(Lenient):
    """How the person said yes: kept as the proof."""

    text: str = Field("", max_length=2000, description="What they read and agreed to.")
    source: str = Field("", max_length=500, description="Where: a page, a form, a paper.")
    at: Annotated[Moment | None, Absent] = Field(None, description="When: ISO 8601 with a zone.")


class ContactFacts(Lenient):
    """What is known of somebody."""

    first_name: _Name | None = Field(None, description="Null or empty clears it.")
    last_name: _Name | None = Field(None, description="Null or empty clears it.")
    language: _Name | None = Field(None, description="A tag such as `de` or `pt-BR`: which version of a mail they get.")
    time_zone: _Name | None = Field(None, description="Such as `Europe/Berlin`: when a mail of theirs is due.")
    properties: _Properties | None = Field(
        None, description="Values by the key of a contact property. Null takes a value away; keys left out stay."
    )
    consent: Consent | None = Field(None, description="Proof that they asked for mail.")


class CreateContact(ContactFacts):
    """Somebody to write to."""

    email: Annotated[_Email, Needed] = Field(description="Their address. One that is a contact already is updated.")
    unsubscribed: bool | None = Field(
        None, description="`true`: no marketing mail at all. `false` says nothing: who left does not come back by it."
    )
    segments: Annotated[list[SegmentToJoin] | None, BeforeValidator(_named)] = Field(
        None, max_length=_MOST_LISTS, description="Lists to put them on."
    )
    topics: list[Choice] | None = Field(None, max_length=MOST_TOPICS, description="Types of mail they take or leave.")


class UpdateContact(ContactFacts):
    """What to change; what is left out stays."""

    email: _Email | None = Field(None, description="Who it is, again: SDKs repeat it. For another one, `new_email`.")
    new_email: Annotated[_Email | None, Absent] = Field(
        None,
        description="Another address. It gets all they chose, and the old one no marketing mail any more. Is there a "
        "contact of that address, the two become one.",
    )
    unsubscribed: bool | None = Field(
        None,
        description="`true`: no marketing mail at all. `false` takes that back where you said it; who left by their "
        "own hand comes back only so.",
    )


class ContactItem(BaseModel):
    """A contact."""

    id: UUID
    email: str = Field(description="As it was written.")
    first_name: str | None = Field(description="Null when it is not known.")
    last_name: str | None = Field(description="Null when it is not known.")
    unsubscribed: bool = Field(description="They get no marketing mail of yours at all.")
    created_at: datetime
    updated_at: datetime
    status: Status = Field(description="Whether it is proved that they asked for mail.")
    confirmed_at: datetime | None = Field(description="Since when it is.")
    language: str | None = Field(description="Which version of a mail they get.")
    time_zone: str | None = Field(description="When a mail of theirs is due.")


class TypedValue(BaseModel):
    """A value of a property."""

    type: PropertyType
    value: str | int | float | bool


class ContactAnswer(ContactItem):
    """A contact with its properties."""

    object: Literal["contact"] = "contact"
    properties: dict[str, TypedValue] = Field(description="By key; those that the contact has.")


class ContactList(Listed[ContactItem]):
    """Contacts, newest first."""


class ContactReference(BaseModel):
    """The contact that was worked on."""

    object: Literal["contact"] = "contact"
    id: UUID


class ContactRemoved(ContactReference):
    """The contact is gone."""

    contact: UUID = Field(description="Its id again.")
    deleted: Literal[True] = True


class PlaceItem(BaseModel):
    """A list that a contact is on."""

    id: UUID
    name: str
    created_at: datetime
    status: MemberStatus = Field(description="How they stand on this list.")
    added_at: datetime = Field(description="Since when they are on it.")


class PlaceList(Listed[PlaceItem]):
    """Lists, the newest first."""


class PlaceReference(BaseModel):
    """The list that was joined."""

    id: UUID


class PlaceRemoved(PlaceReference):
    """The list that was left."""

    deleted: Literal[True] = True


class PastItem(BaseModel):
    """One change of a contact."""

    at: datetime
    what: Changed = Field(description="What happened.")
    source: ContactSource = Field(description="The door it came through.")
    ip: str | None = Field(description="Address of the client that asked.")
    actor: str | None = Field(description="Who, in words; null for the person themselves.")
    source_id: UUID | None = Field(description="The form, the import or the mail that it came by.")
    detail: dict[str, Any] = Field(description="Of a change what was and what is; of a consent its proof.")


class PastList(Listed[PastItem]):
    """What happened to a contact, newest first. What they chose stands in `GET /contacts/{contact}/export`."""
