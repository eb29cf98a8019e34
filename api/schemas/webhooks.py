"""Bodies and answers of `/webhooks`, by type and shape. What they do is in the routes."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from api.schemas.shapes import Careful, Lenient, Listed, in_reach
from web.absent import Absent, Needed, otherwise

EventTypes = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=200)]
AwareMoment = Annotated[AwareDatetime, Field(strict=False), AfterValidator(in_reach)]


def _named(given: object) -> object:
    if given == []:
        raise PydanticCustomError("empty", "it is empty: name the types, or leave it out for all")
    return given


_Named = BeforeValidator(_named)
"""A program that filtered its list down to nothing does not mean everything."""


class CreateWebhook(Careful):
    """An endpoint to tell."""

    endpoint: Annotated[str, Field(max_length=4000), Needed] = Field(examples=["https://shop.example/hook"])
    events: Annotated[EventTypes | None, _Named] = Field(
        None, description="Types of events; left out for all.", examples=[["email.bounced", "email.complained"]]
    )


class UpdateWebhook(Careful):
    """What is to be different about an endpoint."""

    endpoint: Annotated[Annotated[str, Field(max_length=4000)] | None, Absent] = None
    events: EventTypes | None = Field(None, description="Types of events; an empty list is all.")
    status: Annotated[Literal["enabled", "disabled"] | None, Absent] = None


class ReplayEvents(Lenient):
    """Which events are sent again."""

    since: Annotated[AwareMoment | None, Absent] = Field(None, description="Written from here on; by default all.")
    until: Annotated[AwareMoment | None, Absent] = Field(None, description="Written before; by default now.")
    status: Annotated[Literal["failed", "unsent", "all"], otherwise("failed")] = Field(
        "failed", description="What has failed; that and what still waits; or everything, taken or not."
    )


class WebhookItem(BaseModel):
    """An endpoint."""

    id: UUID
    endpoint: str = Field(description="Its URL.")
    status: Literal["enabled", "disabled"] = Field(description="Whether it is told.")
    events: list[str] | None = Field(description="Types of events; null for all.")
    created_at: datetime
    failing_since: datetime | None = Field(description="Nothing was taken since; null while all is well.")
    disabled_reason: str = Field(description="Why we switched it off; empty when we did not.")


class WebhookAnswer(WebhookItem):
    """An endpoint with its secret."""

    object: Literal["webhook"] = "webhook"
    signing_secret: str = Field(examples=["whsec_…"], description="What proves that a request comes from here.")


class WebhookReference(BaseModel):
    """The endpoint that was worked on."""

    object: Literal["webhook"] = "webhook"
    id: UUID


class WebhookSigned(WebhookReference):
    """An endpoint's new secret. A secret that it replaces goes on signing beside it for 24 hours."""

    signing_secret: str = Field(examples=["whsec_…"], description="What proves that a request comes from here.")


class WebhookDeleted(WebhookReference):
    """The endpoint is gone."""

    deleted: Literal[True] = True


class WebhookReplayed(WebhookReference):
    """Events are sent again."""

    replayed: int = Field(description="How many.")


class WebhookList(Listed[WebhookItem]):
    """Endpoints, newest first."""


class WebhookEventItem(BaseModel):
    """An event that an endpoint is told of."""

    id: UUID = Field(description="Sent as `webhook-id`.")
    type: str = Field(examples=["email.delivered"])
    created_at: datetime = Field(description="When it happened.")
    status: Literal["pending", "attempting", "success", "failed"] = Field(
        description="`attempting`: a try failed and another one follows. `failed`: none follows."
    )
    next_attempt_at: datetime | None


class WebhookEvent(WebhookEventItem):
    """An event with the body that is sent."""

    object: Literal["webhook_event"] = "webhook_event"
    payload: dict[str, Any] = Field(description="The body: `type`, `created_at` and `data`.")


class WebhookEventReference(BaseModel):
    """The event that was worked on."""

    object: Literal["webhook_event"] = "webhook_event"
    id: UUID


class WebhookEventList(Listed[WebhookEventItem]):
    """Events, newest first."""


class WebhookRequest(BaseModel):
    """What was sent. The body is the event's payload."""

    method: str
    url: str
    headers: dict[str, str] = Field(description="Those that differ from try to try, without the signature.")


class WebhookAttempt(BaseModel):
    """One try to tell."""

    id: UUID
    http_status_code: int | None = Field(description="Null when there was no answer.")
    response: str = Field(description="The beginning of the answer, or why there was none.")
    sent_at: datetime
    duration_ms: int
    request: WebhookRequest


class WebhookAttemptList(Listed[WebhookAttempt]):
    """Tries, newest first."""
