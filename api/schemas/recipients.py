"""Bodies and answers of `/recipients`, by type and shape."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.shapes import Moment, Strict
from api.schemas.suppressions import SuppressionItem
from api.schemas.topics import ContactTopic
from core.queues import Lane
from web.absent import Absent

_Why = Literal[
    "hard_bounce", "soft_bounces", "complaint", "unsubscribe", "manual", "import", "paused", "topic_opt_out",
    "topic_not_opted_in",
]  # fmt: skip


class MayWrite(BaseModel):
    """Whether mail may leave, and if not why."""

    allowed: bool = Field(description="Mail may leave. Else it ends as `suppressed`, with this reason.")
    reason: _Why | None = Field(description="Why not; null when it may.")
    since: datetime | None = Field(description="Since when not; null when it may, or was never asked for.")
    until: datetime | None = Field(description="When that ends by itself; null when somebody has to change it.")
    tell_them: str | None = Field(description="What to say to the person when they log in next; null for nothing.")


class StreamItem(MayWrite):
    """A stream of mail as it is for one person."""

    stream: Lane = Field(description="The stream.")


class TopicStateItem(MayWrite, ContactTopic):
    """A topic as it is for one person, and whether mail of it may leave."""

    stream: Lane = Field(description="The stream of the topic.")


class DeliveryItem(BaseModel):
    """A mail that the person's server took and did not send back."""

    email_id: UUID = Field(description="The email; it may be older than what is kept of its timeline.")
    stream: Lane = Field(description="Its stream.")
    at: datetime


class RecipientState(BaseModel):
    """How it stands between a person and an application."""

    streams: list[StreamItem] = Field(
        description="Whether we may write to them, for each stream. Marketing mail that names no topic is of the "
        "default one: what they chose there counts."
    )
    topics: list[TopicStateItem] = Field(description="The application's types of mail, the default one first.")
    left_all: bool = Field(description="They left all marketing mail of the application.")
    paused_until: datetime | None = Field(description="Until when they paused marketing mail; null when they did not.")
    last_delivery: DeliveryItem | None = Field(description="The last mail they got; null when none is stored.")
    last_open: datetime | None = Field(description="When a person opened a mail last; null when never.")
    last_click: datetime | None = Field(description="When a person followed a link last; null when never.")
    last_activity: datetime | None = Field(description="The last one that the application reported; null when none.")
    opens: int = Field(description="How often they opened a mail.")
    clicks: int = Field(description="How often they followed a link.")


class RecipientAt(RecipientState):
    """The same, for one of several applications."""

    application_id: UUID = Field(description="The application.")
    name: str


class RecipientFound(RecipientState):
    """One person. To an operator: what holds for everybody's mail, and each application that knows them."""

    object: Literal["recipient"] = "recipient"
    email: str
    known: bool = Field(description="Whether anything is known of them. If not, nothing forbids mail to them.")
    suppressions: list[SuppressionItem] = Field(
        description="Entries about the address, its domain or its hash, those for everybody's mail first."
    )
    applications: list[RecipientAt] | None = Field(None, description="Only for operators.")


class ReportActivity(Strict):
    """A sign of life."""

    at: Annotated[Moment | None, Absent] = Field(
        None, description="When it was: ISO 8601 with a zone, not in the future. Left out: now."
    )


class ActivityReported(BaseModel):
    """What is known now."""

    object: Literal["recipient"] = "recipient"
    email: str
    last_activity: datetime | None = Field(description="The last one that is kept; null when none of two years is.")
