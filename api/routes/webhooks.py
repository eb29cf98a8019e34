"""`/webhooks`: who is told of what happens, what they were told, and telling it again.

Thin: `webhooks/endpoints` and `webhooks/events` store, `webhooks/targets` judges URLs, background processes send. An
application's key sees the application's endpoints, an operator's those of the operators.
"""

from datetime import UTC, datetime
from typing import Annotated, ClassVar, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from accounts.directory import OPERATOR, Caller
from api.auth import FullAccessOrOperator
from api.deps import Deps, deps
from api.openapi import errors
from api.operating import OperatorRoute
from api.schemas.webhooks import (
    CreateWebhook,
    ReplayEvents,
    UpdateWebhook,
    WebhookAnswer,
    WebhookAttemptList,
    WebhookDeleted,
    WebhookEvent,
    WebhookEventList,
    WebhookEventReference,
    WebhookList,
    WebhookReference,
    WebhookReplayed,
    WebhookSigned,
)
from core.paging import Window
from mta.guard import networks
from web.absent import Absent
from web.answers import json_answer
from web.faces.references import deleted, reference
from web.faces.webhooks import (
    attempt_face,
    event_detail,
    event_face,
    replayed_face,
    webhook_detail,
    webhook_face,
    webhook_signed,
)
from web.paging import listed, window
from webhooks import endpoints, events
from webhooks.choosing import chosen
from webhooks.endpoints import Change
from webhooks.targets import check


class _Route(OperatorRoute):
    """Applications and operators have endpoints, each their own."""

    guard: ClassVar = "full_access_or_operator"


router = APIRouter(prefix="/webhooks", tags=["Webhooks"], route_class=_Route)

_PAGE: Final = 20
_LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)

With = Annotated[Deps, Depends(deps)]
Part = Annotated[Window[UUID], Depends(window)]


@router.post(
    "", summary="Create a webhook", status_code=201, response_model=WebhookSigned, responses=errors("conflict")
)
async def create_webhook(body: CreateWebhook, who: FullAccessOrOperator, given: With) -> Response:
    """Makes an endpoint, told of everything that is recorded from now on. Keep its secret: it proves that a request
    comes from here."""
    url = check(body.endpoint, networks(given.settings.webhook_networks)).url
    wanted = chosen(body.events, operators=who.permission == OPERATOR)
    async with given.database.transaction() as connection:
        made, secret = await endpoints.create(connection, given.secret, _owner(who), url, wanted)
    return json_answer(webhook_signed(made.id, secret), 201)


@router.get("", summary="List webhooks", response_model=WebhookList)
async def list_webhooks(who: FullAccessOrOperator, given: With, wanted: Part) -> Response:
    """Endpoints, newest first; all of them when no `limit` is given."""
    async with given.database.connection() as connection:
        found = await endpoints.page(connection, _owner(who), wanted)
    return json_answer(listed(found, webhook_face))


@router.get("/{webhook_id}", summary="Get a webhook", response_model=WebhookAnswer, responses=errors("not_found"))
async def get_webhook(webhook_id: UUID, who: FullAccessOrOperator, given: With) -> Response:
    """An endpoint with the secret that signs for it."""
    async with given.database.connection() as connection:
        found = await endpoints.get(connection, _owner(who), webhook_id)
        secrets = await endpoints.secrets_of(connection, given.secret, webhook_id)
    return json_answer(webhook_detail(found, secrets[0]))


@router.patch(
    "/{webhook_id}", summary="Update a webhook", response_model=WebhookReference, responses=errors("not_found")
)
async def update_webhook(webhook_id: UUID, body: UpdateWebhook, who: FullAccessOrOperator, given: With) -> Response:
    """Changes an endpoint, or switches it on or off. What was known of its troubles is forgotten. While it is off it is
    told of nothing that happens; what waited before goes on once it is on again."""
    url = check(body.endpoint, networks(given.settings.webhook_networks)).url if body.endpoint else None
    wanted = chosen(body.events, operators=who.permission == OPERATOR)
    change = Change(url, wanted, every_event=body.events == [], status=body.status)
    async with given.database.transaction() as connection:
        await endpoints.change(connection, _owner(who), webhook_id, change)
    return json_answer(reference("webhook", webhook_id))


@router.delete(
    "/{webhook_id}", summary="Delete a webhook", response_model=WebhookDeleted, responses=errors("not_found")
)
async def delete_webhook(webhook_id: UUID, who: FullAccessOrOperator, given: With) -> Response:
    """Deletes an endpoint with what it was told."""
    async with given.database.transaction() as connection:
        await endpoints.delete(connection, _owner(who), webhook_id)
    return json_answer(deleted("webhook", webhook_id))


@router.post(
    "/{webhook_id}/signing-secret/rotate",
    summary="Rotate the signing secret of a webhook",
    response_model=WebhookSigned,
    responses=errors("not_found"),
)
async def rotate_secret(webhook_id: UUID, who: FullAccessOrOperator, given: With) -> Response:
    """Makes another secret. For 24 hours each request bears a signature by the old one too."""
    async with given.database.transaction() as connection:
        secret = await endpoints.rotate(connection, given.secret, _owner(who), webhook_id)
    return json_answer(webhook_signed(webhook_id, secret))


@router.post(
    "/{webhook_id}/replay",
    summary="Replay events of a webhook",
    response_model=WebhookReplayed,
    responses=errors("not_found", "conflict"),
)
async def replay_events(webhook_id: UUID, body: ReplayEvents, who: FullAccessOrOperator, given: With) -> Response:
    """Sends events of a range of time again: what has failed, or more. Each keeps its id and its body."""
    since, until = body.since or _LONG_AGO, body.until or given.clock.now()
    async with given.database.connection() as connection:
        await endpoints.sending(connection, _owner(who), webhook_id)
        count = await events.replay_some(connection, webhook_id, since, until, body.status)
    return json_answer(replayed_face(webhook_id, count))


@router.get(
    "/{webhook_id}/events",
    summary="List events of a webhook",
    response_model=WebhookEventList,
    responses=errors("not_found"),
)
async def list_events(
    webhook_id: UUID,
    who: FullAccessOrOperator,
    given: With,
    wanted: Part,
    status: Annotated[
        Literal["pending", "attempting", "success", "failed"] | None,
        Absent,
        Query(description="Only events like this."),
    ] = None,
) -> Response:
    """What an endpoint was and is told, newest first."""
    part = Window(wanted.limit or _PAGE, wanted.after, wanted.before)
    async with given.database.connection() as connection:
        await endpoints.get(connection, _owner(who), webhook_id)
        found = await events.page(connection, webhook_id, part, status)
    return json_answer(listed(found, event_face))


@router.get(
    "/{webhook_id}/events/{event_id}",
    summary="Get an event of a webhook",
    response_model=WebhookEvent,
    responses=errors("not_found"),
)
async def get_event(webhook_id: UUID, event_id: UUID, who: FullAccessOrOperator, given: With) -> Response:
    """An event with the body that is sent."""
    async with given.database.connection() as connection:
        await endpoints.get(connection, _owner(who), webhook_id)
        found = await events.get(connection, webhook_id, event_id)
    return json_answer(event_detail(found))


@router.post(
    "/{webhook_id}/events/{event_id}/replay",
    summary="Replay an event of a webhook",
    response_model=WebhookEventReference,
    responses=errors("not_found", "conflict"),
)
async def replay_event(webhook_id: UUID, event_id: UUID, who: FullAccessOrOperator, given: With) -> Response:
    """Sends an event again, at once, with the same id and body."""
    async with given.database.transaction() as connection:
        await endpoints.sending(connection, _owner(who), webhook_id)
        await events.replay(connection, webhook_id, event_id)
    return json_answer(reference("webhook_event", event_id))


@router.get(
    "/{webhook_id}/events/{event_id}/attempts",
    summary="List attempts to deliver an event",
    response_model=WebhookAttemptList,
    responses=errors("not_found"),
)
async def list_attempts(
    webhook_id: UUID, event_id: UUID, who: FullAccessOrOperator, given: With, wanted: Part
) -> Response:
    """Every try to tell of an event, newest first: what was sent and what was answered."""
    async with given.database.connection() as connection:
        await endpoints.get(connection, _owner(who), webhook_id)
        found = await events.attempts(connection, webhook_id, event_id, wanted)
    return json_answer(listed(found, lambda attempt: attempt_face(attempt, event_id)))


def _owner(who: Caller) -> UUID | None:
    return None if who.permission == OPERATOR else who.application_id
