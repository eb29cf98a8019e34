"""Bodies and answers of `/segments` and `/audiences`. Names are Resend's; what tells of filters is ours."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from api.schemas.shapes import Lenient, Listed
from web.absent import Absent, Needed, otherwise

_ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=_ONE_LINE)]
_Filter = dict[str, Any] | str
_FILTER = (
    'Text such as `country = "DE" and not opened in last 30 days`, or the same as JSON: `type` is `and`, `or` (with'
    " `rules`), `not` (with `rule`) or `rule` (with `field`, `operator`, `value`). `docs/segments.md` has all of it."
)


class CreateSegment(Lenient):
    """A list, or with a filter whoever it holds for."""

    name: Annotated[_Name, Needed] = Field(examples=["German customers"])
    filter: Annotated[_Filter | None, Absent] = Field(None, description=_FILTER)


class UpdateSegment(Lenient):
    """What to change; what is left out stays."""

    name: Annotated[_Name | None, Absent] = Field(None)
    filter: Annotated[_Filter | None, Absent] = Field(None, description=_FILTER)


class PreviewSegment(Lenient):
    """A filter that is not stored."""

    filter: Annotated[_Filter, Needed] = Field(description=_FILTER)
    limit: Annotated[Annotated[int, Field(ge=1, le=100)], otherwise(10)] = Field(10, description="Contacts to show.")


class SegmentItem(BaseModel):
    """A segment."""

    id: UUID
    name: str
    created_at: datetime
    updated_at: datetime
    filter: dict[str, Any] | None = Field(description="As JSON; null for a list, which people are put in.")
    filter_text: str | None = Field(description="The same for people.")
    filter_problem: str | None = Field(description="Why the filter cannot be used any more: a property is gone.")


class SegmentAnswer(SegmentItem):
    """A segment."""

    object: Literal["segment"] = "segment"


class AudienceAnswer(SegmentItem):
    """A segment, by its older name."""

    object: Literal["audience"] = "audience"


class SegmentList(Listed[SegmentItem]):
    """Segments, newest first."""


class SegmentReference(BaseModel):
    """The segment that was worked on."""

    object: Literal["segment"] = "segment"
    id: UUID


class SegmentMade(SegmentReference):
    """The new segment."""

    name: str


class AudienceMade(BaseModel):
    """The new segment, by its older name."""

    object: Literal["audience"] = "audience"
    id: UUID
    name: str


class SegmentDeleted(SegmentReference):
    """The segment is gone; its contacts are not."""

    deleted: Literal[True] = True


class AudienceDeleted(BaseModel):
    """The same by the older name."""

    object: Literal["audience"] = "audience"
    id: UUID
    deleted: Literal[True] = True


class SegmentCount(BaseModel):
    """How many contacts are in a segment now."""

    object: Literal["segment_count"] = "segment_count"
    id: UUID
    count: int


class FoundContact(BaseModel):
    """Somebody whom the filter holds for."""

    id: UUID
    email: str
    first_name: str | None
    last_name: str | None
    status: Literal["unconfirmed", "confirmed"]
    created_at: datetime


class SegmentPreview(BaseModel):
    """What a filter finds."""

    object: Literal["segment_preview"] = "segment_preview"
    count: int
    filter: dict[str, Any]
    filter_text: str
    data: list[FoundContact] = Field(description="Some of them, the newest first.")
