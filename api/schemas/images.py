"""Bodies and answers of `/images`. Ours: Resend has no images."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.shapes import Listed, Strict
from web.absent import Needed


class AddImage(Strict):
    """An image to store."""

    name: Annotated[str, Needed] = Field(description="What people know it by.", examples=["logo.png"])
    content: Annotated[str, Needed] = Field(description="The file in base64: PNG, JPEG, GIF or WebP of at most 2 MB.")


class ImageItem(BaseModel):
    """A stored image."""

    id: UUID
    name: str = Field(description="What people know it by.")
    type: Literal["image/png", "image/jpeg", "image/gif", "image/webp"] = Field(description="Its media type.")
    width: int = Field(description="Pixels.")
    height: int = Field(description="Pixels.")
    size: int = Field(description="Bytes.")
    url: str | None = Field(description="Where it is served, for ever the same; null without public pages.")
    created_at: datetime


class ImageAnswer(ImageItem):
    """A stored image."""

    object: Literal["image"] = "image"


class ImageList(Listed[ImageItem]):
    """Images, newest first."""


class ImageDeleted(BaseModel):
    """The image that is gone."""

    object: Literal["image"] = "image"
    id: UUID
    deleted: Literal[True] = True
