"""`/emails`: send one or many, look at them, move their schedule, cancel them.

The two POSTs that send are the hot path (`api/direct`): body → pydantic → `api/intake` → `messages/accept`, one parse,
one commit shared with whoever else is sending, and an answer written by hand. The answer leaves after the commit.
"""

import asyncio
from typing import Annotated, Final
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response

from accounts.directory import Caller
from api.answers import JsonBytes, json_answer
from api.auth import caller, full_access
from api.batch import read_batch
from api.deps import Deps, deps
from api.direct import DirectRoute
from api.errors import ApiError, invalid_field
from api.idempotency import Keyed, earlier_answer, idempotency_key, keyed, settled
from api.intake import Intake, read_email, read_move, to_email
from api.limits import read_body
from api.openapi import BATCH_HEADER, IDEMPOTENCY_HEADER, body_of, errors
from api.presenting import detail, event_list, too_late, summary
from api.schemas.email_answers import EmailAnswer, EmailList, EmailReference, EventList, SentBatch, SentEmail
from messages import repository
from messages.model import NewEmail, Submission
from messages.states import State

router = APIRouter(tags=["Emails"])

_MOVE_BYTES: Final = 64 * 1024
_SEND_ERRORS: Final = (
    "validation_error", "missing_required_field", "invalid_attachment", "invalid_from_address", "payload_too_large",
    "invalid_idempotency_key", "invalid_idempotent_request", "concurrent_idempotent_requests",
)  # fmt: skip


async def send_email(request: Request) -> Response:
    """Accepts one email. The answer means that it is stored and will be sent, or end with a reason you can read."""
    who = await caller(request)
    collaborators = deps(request)
    idempotency_key(request)
    raw = await read_body(request, request.app.state.body_limit)
    intake = _intake(collaborators, who)
    try:
        email = await to_email(read_email(raw), intake)
    except ApiError:
        return await _answered_before(request, collaborators, who, raw)
    answer = b'{"id":"%s"}' % str(email.id).encode()
    return await _accept(collaborators, who, (email,), answer, keyed(request, who.application_id, raw))


async def send_batch(request: Request) -> Response:
    """Accepts up to 1,000 emails in one transaction. With `x-batch-validation: permissive` the good ones are accepted
    although others are not, and `errors` names those; by default one wrong email refuses all of them."""
    who = await caller(request)
    collaborators = deps(request)
    idempotency_key(request)
    raw = await read_body(request, request.app.state.body_limit)
    try:
        batch = await read_batch(raw, request.headers.get("x-batch-validation"), _intake(collaborators, who))
    except ApiError:
        return await _answered_before(request, collaborators, who, raw)
    answer = orjson.dumps(batch.answer())
    if not batch.emails:
        return JsonBytes(answer)  # nothing was accepted, so there is nothing to keep
    return await _accept(collaborators, who, batch.emails, answer, keyed(request, who.application_id, raw))
