"""Bodies and answers of `/contact-properties`, by type and shape. All but `boolean` and `date` is Resend's."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.shapes import Lenient, Listed
from audience.properties import PropertyType
from web.absent import Needed

_Value = str | int | float | bool


class CreateProperty(Lenient):
    """What to keep of contacts."""

    key: Annotated[str, Field(max_length=200), Needed] = Field(
        description="1 to 50 ASCII letters, digits and underscores: how mail and filters name it.", examples=["plan"]
    )
    type: Annotated[PropertyType, Field(strict=False), Needed] = Field(
        description="`string`, `number`, `boolean` or `date`. Cannot be changed."
    )
    fallback_value: _Value | None = Field(None, description="What mail shows of a contact that has none.")


class UpdateProperty(Lenient):
    """What to change: the fallback alone."""

    fixed = {"key": "Make another property.", "type": "Make another property: contacts have values of this type."}

    fallback_value: _Value | None = Field(None, description="Of the property's type; null for none.")


class PropertyItem(BaseModel):
    """A property of contacts."""

    id: UUID
    key: str = Field(description="How mail and filters name it.")
    type: PropertyType = Field(description="What it holds.")
    fallback_value: _Value | None = Field(description="What mail shows of a contact that has none.")
    created_at: datetime


class PropertyAnswer(PropertyItem):
    """A property of contacts."""

    object: Literal["contact_property"] = "contact_property"


class PropertyList(Listed[PropertyItem]):
    """Properties, newest first."""


class PropertyReference(BaseModel):
    """The property that was worked on."""

    object: Literal["contact_property"] = "contact_property"
    id: UUID


class PropertyDeleted(PropertyReference):
    """The property is gone."""

    deleted: Literal[True] = True
