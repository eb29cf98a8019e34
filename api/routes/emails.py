"""`/emails`: send one or many, look at them, move their schedule, cancel them, send one again.

The two POSTs that send are the hot path (`api/direct`): body → pydantic → `api/intake` → `messages/accept`, with one
parse, one commit shared with whoever else is sending, and an answer written by hand, which leaves after the commit.
"""

import time
from dataclasses import replace
from typing import Annotated, Final
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Request, Response

from accounts.directory import Caller
from api.auth import KeyedRoute, MailAccess, caller
from api.batch import read_batch
from api.deps import Deps, deps
from api.errors import ApiError
from api.idempotency import earlier_answer, idempotency_key, keyed, settled
from api.intake import Intake, read_email, read_move, to_email
from api.openapi import BATCH_HEADER, IDEMPOTENCY_HEADER, body_of, errors
from api.schemas.emails import (
    MAX_BATCH,
    EmailAnswer,
    EmailList,
    EmailReference,
    EventList,
    SendAgain,
    SentBatch,
    SentEmail,
)
from core.objectives import SEND
from core.paging import Page, Window
from core.tracing import caller_of, traced
from messages import again, repository
from messages.accept import Accepted
from messages.model import NewEmail, Submission
from messages.states import State
from messages.traced import accepted
from web.answers import JsonBytes, json_answer
from web.bodies import read_body
from web.direct import DirectRoute
from web.faces.emails import email_detail, email_face, timeline, why_not
from web.faces.references import reference
from web.objectives import serves
from web.paging import listed, window
from web.traced import TRACED, asked_for


class _Route(KeyedRoute):
    """Test keys see and change their own mail, too."""

    guard = "mail_access"


router = APIRouter(tags=["Emails"], route_class=_Route)

Collaborators = Annotated[Deps, Depends(deps)]

_PAGE: Final = 20
_MOVE_BYTES: Final = 64 * 1024
_KEYED: Final = (
    "invalid_idempotency_key", "invalid_idempotent_request", "concurrent_idempotent_requests", "daily_quota_exceeded",
)  # fmt: skip
_SENDING: Final = (
    "validation_error", "missing_required_field", "invalid_attachment", "invalid_from_address", "payload_too_large",
    *_KEYED,
)  # fmt: skip


@serves(SEND)
async def send_email(request: Request) -> Response:
    """Accepts one email. The answer means that it is stored, and will be sent or end with a reason you can read."""
    who = await caller(request)
    collaborators = deps(request)
    idempotency_key(request)
    raw = await read_body(request, request.app.state.body_limit)
    try:
        email = await to_email(read_email(raw), _intake(collaborators, who, request))
    except ApiError as error:
        return await _answer_before(request, raw, who, error)
    return await _accept(request, raw, who, (email,), b'{"id":"%s"}' % str(email.id).encode())


@serves(SEND)
async def send_batch(request: Request) -> Response:
    """Accepts up to 1,000 emails in one transaction. By default one wrong email refuses all of them; with
    `x-batch-validation: permissive` the others are accepted, and `errors` tells which were not and why."""
    who = await caller(request)
    collaborators = deps(request)
    idempotency_key(request)
    raw = await read_body(request, request.app.state.body_limit)
    try:
        intake = _intake(collaborators, who, request)
        batch = await read_batch(raw, request.headers.get("x-batch-validation"), intake)
    except ApiError as error:
        return await _answer_before(request, raw, who, error)
    answer = orjson.dumps(batch.answer())
    # Where no email was accepted there is nothing to keep under the key either.
    return await _accept(request, raw, who, batch.emails, answer) if batch.emails else JsonBytes(answer)


def _intake(collaborators: Deps, who: Caller, request: Request) -> Intake:
    settings = collaborators.settings
    return Intake(
        who, collaborators.directory, collaborators.clock.now(), settings.max_message_bytes, settings.sandbox_domain,
        collaborators.topics, collaborators.templates.reading(who.application_id), bool(settings.public_url),
        caller_of(request.headers),
    )  # fmt: skip


async def _accept(request: Request, raw: bytes, who: Caller, emails: tuple[NewEmail, ...], answer: bytes) -> Response:
    key = keyed(request, who, raw)
    submission = Submission(who.application_id, emails, key.with_answer(answer) if key else None, who.quota)
    begun = time.time_ns()
    acceptance = await deps(request).acceptor.accept(submission)
    if mails := traced(email.id for email in emails if isinstance(acceptance, Accepted)):
        asked = request.scope[TRACED] = asked_for(mails, caller_of(request.headers))
        accepted(emails, begun, asked.place)
    return JsonBytes(settled(acceptance, answer))


async def _answer_before(request: Request, raw: bytes, who: Caller, error: ApiError) -> Response:
    """The answer given to this request when it was accepted before; otherwise the error stands."""
    key = keyed(request, who, raw)
    answer = await earlier_answer(deps(request).database, key) if key else None
    if answer is None:
        raise error
    return JsonBytes(answer)


router.add_api_route(
    "/emails",
    send_email,
    methods=["POST"],
    route_class_override=DirectRoute,
    summary="Send an email",
    response_model=SentEmail,
    responses=errors(*_SENDING),
    openapi_extra={"requestBody": body_of("SendEmail"), "parameters": [IDEMPOTENCY_HEADER]},
)
router.add_api_route(
    "/emails/batch",
    send_batch,
    methods=["POST"],
    route_class_override=DirectRoute,
    summary="Send up to 1,000 emails",
    response_model=SentBatch,
    responses=errors(*_SENDING),
    openapi_extra={
        "requestBody": body_of("SendEmail", many=MAX_BATCH),
        "parameters": [IDEMPOTENCY_HEADER, BATCH_HEADER],
    },
)


@router.get("/emails", response_model=EmailList, summary="List emails")
async def list_emails(
    who: MailAccess,
    collaborators: Collaborators,
    wanted: Annotated[Window[UUID], Depends(window)],
) -> Response:
    """The emails of your application, newest first."""
    async with collaborators.database.connection() as connection:
        wanted = replace(wanted, limit=wanted.limit or _PAGE)
        found = await repository.list_emails(connection, who.application_id, wanted, tests_only=who.test)
    return json_answer(listed(found, email_face))


@router.get(
    "/emails/{email_id}",
    response_model=EmailAnswer,
    summary="Get an email",
    responses=errors("not_found"),
)
async def get_email(email_id: UUID, who: MailAccess, collaborators: Collaborators) -> Response:
    """An email with the state of every recipient. `last_event` is the worst of them once all have ended."""
    return json_answer(email_detail(await _find(collaborators, who, email_id)))


@router.get(
    "/emails/{email_id}/events",
    response_model=EventList,
    summary="List what happened to an email",
    responses=errors("not_found"),
)
async def get_events(email_id: UUID, who: MailAccess, collaborators: Collaborators) -> Response:
    """Everything that happened to an email, oldest first: every attempt with the IP it left from, the server it went
    to, what that server said, what was made of it by which rule, and when it is tried again."""
    email = await _find(collaborators, who, email_id)
    async with collaborators.database.connection() as connection:
        events, more = await repository.read_events(connection, email_id)
    return json_answer(listed(Page(timeline(email, events), more), lambda event: event))


@router.patch(
    "/emails/{email_id}",
    response_model=EmailReference,
    summary="Reschedule an email",
    responses=errors("not_found", "conflict"),
    openapi_extra={"requestBody": body_of("MoveEmail")},
)
async def move_email(request: Request, email_id: UUID, who: MailAccess, collaborators: Collaborators) -> Response:
    """Sets a new `scheduled_at` for an email that still waits for its old one. `expires_in` counts from the new one."""
    at = read_move(await read_body(request, _MOVE_BYTES), collaborators.clock.now())
    async with collaborators.database.transaction() as connection:
        change = await repository.reschedule(connection, who.application_id, email_id, at, tests_only=who.test)
    return _changed(email_id, change, "rescheduled")


@router.post(
    "/emails/{email_id}/cancel",
    response_model=EmailReference,
    summary="Cancel an email",
    responses=errors("not_found", "conflict"),
)
async def cancel_email(email_id: UUID, who: MailAccess, collaborators: Collaborators) -> Response:
    """Takes back what has not been sent: a scheduled email, and one that waits for its first or next attempt. With
    several recipients, those who have it keep it. Cancelling again gives the same answer."""
    async with collaborators.database.transaction() as connection:
        change = await repository.cancel(
            connection, who.application_id, email_id, "cancelled through the API", tests_only=who.test
        )
    if change and change.states == (State.CANCELLED,):
        return json_answer(reference("email", email_id))
    return _changed(email_id, change, "cancelled")


@router.post(
    "/emails/{email_id}/again",
    status_code=201,
    response_model=SentEmail,
    summary="Send an email again",
    responses=errors("not_found", "conflict", "invalid_from_address", *_KEYED),
    openapi_extra={"parameters": [IDEMPOTENCY_HEADER]},
)
@serves(SEND)
async def send_again(
    request: Request, email_id: UUID, who: MailAccess, collaborators: Collaborators, body: SendAgain | None = None
) -> Response:
    """Sends the same once more to one recipient, as a new email with an id and a Message-ID of its own; `again_of` of
    its detail names the old one. The suppression list and the recipient's choices are asked as ever. Not while the old
    one is under way, not when its content is no longer stored, and not for mail of broadcasts."""
    recipient = body.recipient if body else None
    key = keyed(request, who, orjson.dumps({"recipient": recipient}))
    wish = again.Wish(
        who.application_id, email_id, recipient, "through the API", collaborators.settings.sandbox_domain,
        again.Key(key.key, key.request_hash) if key else None, who.test, who.domain_id,
    )  # fmt: skip
    async with collaborators.database.transaction() as connection:
        answer = await again.send(connection, wish)
        said = settled(answer.acceptance, answer.said)
    return JsonBytes(said, 201)


async def _find(collaborators: Deps, who: Caller, email_id: UUID) -> repository.EmailDetail:
    async with collaborators.database.connection() as connection:
        email = await repository.find_email(connection, who.application_id, email_id, tests_only=who.test)
    if email is None:
        raise _not_found()
    return email


def _changed(email_id: UUID, change: repository.Change | None, verb: str) -> Response:
    if change is None:
        raise _not_found()
    if not change.moved:
        raise ApiError("conflict", why_not(change.states, verb))
    return json_answer(reference("email", email_id))


def _not_found() -> ApiError:
    return ApiError("not_found", "Email not found.")
