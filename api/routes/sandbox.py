"""`/sandbox`: mail that was captured instead of sent, to look at in tests, and the rules that capture more.

Thin: the mailbox is `sandbox/mailbox`, rules are `accounts/capture_rules`. Test keys read and forget what test keys of
their application sent, and no captured mail of live keys. Rules want a live key: one too many keeps real mail from its
recipients.
"""

import asyncio
from dataclasses import replace
from typing import Annotated, Final
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response

from accounts import capture_rules
from accounts.directory import Caller
from api.auth import FullAccess, KeyedRoute, MailAccess
from api.deps import Deps, deps
from api.errors import ApiError, invalid_field
from api.openapi import errors
from api.schemas.sandbox import (
    AddCaptureRule,
    CaptureRuleAnswer,
    CaptureRuleDeleted,
    CaptureRuleList,
    SandboxCleared,
    SandboxEmailAnswer,
    SandboxEmailDeleted,
    SandboxEmailList,
)
from core.addresses import AddressError, fold_address
from core.paging import Window
from sandbox import mailbox
from sandbox.mailbox import MailView, Wanted
from sandbox.reading import Parsed, parsed
from web.absent import Absent
from web.answers import json_answer
from web.faces.references import deleted
from web.faces.sandbox import cleared, mail_detail, mail_face, rule_face
from web.paging import listed, window


class _Route(KeyedRoute):
    """Test keys are at home here."""

    guard = "mail_access"


router = APIRouter(prefix="/sandbox", tags=["Sandbox"], route_class=_Route)

_PAGE: Final = 20

With = Annotated[Deps, Depends(deps)]
OfEmail = Annotated[UUID | None, Absent, Query(description="Only copies of this email.")]
To = Annotated[str, Query(max_length=320, description="Only copies for this recipient of the envelope.")]


@router.get("/emails", response_model=SandboxEmailList, summary="List captured mail")
async def list_mails(
    who: MailAccess,
    given: With,
    wanted: Annotated[Window[UUID], Depends(window)],
    email_id: OfEmail = None,
    to: To = "",
) -> Response:
    """Captured mails of your application, newest first; one for each recipient."""
    async with given.database.connection() as connection:
        asked = replace(wanted, limit=wanted.limit or _PAGE)
        found = await mailbox.page(connection, _wanted(who, email_id, to), asked)
    return json_answer(listed(found, mail_face))


@router.delete("/emails", response_model=SandboxCleared, summary="Delete all captured mail")
async def clear_mails(who: MailAccess, given: With, email_id: OfEmail = None, to: To = "") -> Response:
    """Forgets captured mails: all of your application, or those asked for. Their emails and timelines stay."""
    async with given.database.connection() as connection:
        return json_answer(cleared(await mailbox.clear(connection, _wanted(who, email_id, to))))


@router.get(
    "/emails/{mail_id}",
    response_model=SandboxEmailAnswer,
    summary="Get a captured mail",
    responses=errors("not_found"),
)
async def get_mail(mail_id: UUID, request: Request, who: MailAccess, given: With) -> Response:
    """A captured mail taken apart: texts, headers, files, and where its bytes are."""
    mail, content = await _parsed(mail_id, who, given)
    url = str(request.url_for("get_mail", mail_id=mail_id))
    return json_answer(mail_detail(mail, content, url, given.settings.sandbox_days))


@router.get(
    "/emails/{mail_id}/raw",
    response_class=Response,
    summary="Get the bytes of a captured mail",
    responses={200: {"content": {"message/rfc822": {}}}, **errors("not_found")},
)
async def get_raw(mail_id: UUID, who: MailAccess, given: With) -> Response:
    """The mail as it would have gone out, with its signatures."""
    _, raw = await _found(mail_id, who, given)
    return Response(raw, media_type="message/rfc822", headers=_named(f"{mail_id}.eml"))


@router.get(
    "/emails/{mail_id}/attachments/{number}",
    response_class=Response,
    summary="Get a file of a captured mail",
    responses={200: {"content": {"application/octet-stream": {}}}, **errors("not_found")},
)
async def get_attachment(mail_id: UUID, number: int, who: MailAccess, given: With) -> Response:
    """A file, decoded. Whatever it is, browsers are told to keep it and not to show it."""
    _, content = await _parsed(mail_id, who, given)
    part = next((part for part in content.attachments if part.number == number), None)
    if part is None:
        raise ApiError("not_found", f"The mail has no attachment {number}.")
    return Response(part.data, media_type="application/octet-stream", headers=_named(part.filename or str(number)))


@router.delete(
    "/emails/{mail_id}",
    response_model=SandboxEmailDeleted,
    summary="Delete a captured mail",
    responses=errors("not_found"),
)
async def delete_mail(mail_id: UUID, who: MailAccess, given: With) -> Response:
    """Forgets one captured mail. Its email and timeline stay."""
    async with given.database.connection() as connection:
        if not await mailbox.delete(connection, _wanted(who), mail_id):
            raise _unknown(mail_id)
    return json_answer(deleted("sandbox_email", mail_id))


@router.get("/rules", response_model=CaptureRuleList, summary="List capture rules")
async def list_rules(who: FullAccess, given: With, wanted: Annotated[Window[UUID], Depends(window)]) -> Response:
    """Capture rules, newest first; all of them when no `limit` is given."""
    async with given.database.connection() as connection:
        found = await capture_rules.rules(connection, who.application_id, wanted)
    return json_answer(listed(found, rule_face))


@router.post(
    "/rules",
    status_code=201,
    response_model=CaptureRuleAnswer,
    summary="Create a capture rule",
    responses=errors("conflict"),
)
async def add_rule(body: AddCaptureRule, who: FullAccess, given: With) -> Response:
    """From now on mail of your application to these addresses is captured, whatever key sends it. Mail accepted before
    still leaves. The same rule again changes nothing."""
    try:
        pattern = capture_rules.folded(body.pattern)
    except AddressError as error:
        raise invalid_field(f"The `pattern` field is not valid: {error.reason}") from None
    async with given.database.transaction() as connection:
        rule = await capture_rules.add(connection, who.application_id, pattern)
    given.directory.forget()
    return json_answer(rule_face(rule), 201)


@router.delete(
    "/rules/{rule_id}",
    response_model=CaptureRuleDeleted,
    summary="Delete a capture rule",
    responses=errors("not_found"),
)
async def delete_rule(rule_id: UUID, who: FullAccess, given: With) -> Response:
    """Mail accepted from now on leaves again."""
    async with given.database.connection() as connection:
        if not await capture_rules.remove(connection, who.application_id, rule_id):
            raise ApiError("not_found", f"There is no capture rule {rule_id}.")
    given.directory.forget()
    return json_answer(deleted("capture_rule", rule_id))


def _wanted(who: Caller, email_id: UUID | None = None, to: str = "") -> Wanted:
    """What a key may see: a test key no captured mail of live ones, which is about real people."""
    try:
        return Wanted(who.application_id, email_id, fold_address(to) if to else "", who.test)
    except AddressError as error:
        raise ApiError("invalid_parameter", f"The `to` parameter is not valid: {error.reason}") from None


async def _found(mail_id: UUID, who: Caller, given: Deps) -> tuple[MailView, bytes]:
    async with given.database.connection() as connection:
        found = await mailbox.find(connection, _wanted(who), mail_id)
    if found is None:
        raise _unknown(mail_id)
    return found


async def _parsed(mail_id: UUID, who: Caller, given: Deps) -> tuple[MailView, Parsed]:
    """In a thread: a large mail takes long enough for other requests to notice."""
    mail, raw = await _found(mail_id, who, given)
    return mail, await asyncio.to_thread(parsed, raw)


def _unknown(mail_id: UUID) -> ApiError:
    return ApiError("not_found", f"There is no captured mail {mail_id}.")


def _named(filename: str) -> dict[str, str]:
    """What keeps a browser from running what somebody put into a mail."""
    return {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(filename, safe='')}",
        "content-security-policy": "sandbox",
        "x-content-type-options": "nosniff",
    }
