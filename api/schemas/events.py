"""Bodies and answers of `/events`, by type and shape. Names and values are Resend's, so that its SDKs work."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.shapes import Lenient, Listed
from campaigns.automations.payload import FieldType
from campaigns.automations.workflow import MOST_EVENT_NAME
from web.absent import Absent, Needed

_Name = Annotated[str, Field(max_length=MOST_EVENT_NAME)]
_Schema = dict[str, Annotated[FieldType, Field(strict=False)]]
_SCHEMA = "Fields of the payload, each `string`, `number`, `boolean` or `date`. Others go through unchecked."


class CreateEvent(Lenient):
    """An event that is known by its name."""

    name: Annotated[_Name, Needed] = Field(examples=["user.created"])
    fields: _Schema | None = Field(None, alias="schema", description=_SCHEMA)


class UpdateEvent(Lenient):
    """Another schema."""

    fields: _Schema | None = Field(None, alias="schema", description=f"{_SCHEMA} Null: none.")


class SendEvent(Lenient):
    """Something happened to somebody."""

    event: Annotated[_Name, Needed] = Field(examples=["user.created"])
    contact_id: Annotated[UUID | None, Absent] = Field(None, strict=False, description="The contact, or else `email`.")
    email: Annotated[str | None, Absent] = Field(
        None, max_length=1000, description="An address; it becomes a contact, unconfirmed, when it is none."
    )
    payload: dict[str, Any] | None = Field(None, description="What templates see below `event`.")


class CustomEvent(BaseModel):
    """An event that is known by its name."""

    model_config = ConfigDict(populate_by_name=True)

    id: UUID
    name: str
    fields: dict[str, FieldType] | None = Field(alias="schema", description=_SCHEMA)
    created_at: datetime
    updated_at: datetime


class CustomEventAnswer(CustomEvent):
    """The same by itself."""

    object: Literal["event"] = "event"


class CustomEventList(Listed[CustomEvent]):
    """Definitions, newest first."""


class CustomEventReference(BaseModel):
    """The definition that was worked on."""

    object: Literal["event"] = "event"
    id: UUID


class CustomEventDeleted(CustomEventReference):
    """The definition is gone; events of its name are taken unchecked."""

    deleted: Literal[True] = True


class EventSent(BaseModel):
    """It is stored."""

    object: Literal["event"] = "event"
    event: str = Field(description="Its name.")
