"""`/broadcasts`: mail to the people of a segment, each with an outcome of their own. `campaigns/steering` decides.

A broadcast is a draft until it is sent; `pause` and `resume`, the report and trying again are ours.
"""

from dataclasses import replace
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response

from accounts import permission
from accounts.directory import Caller
from api.auth import FullAccess
from api.idempotency import earlier_answer, keyed, settled
from api.openapi import IDEMPOTENCY_HEADER, errors
from api.operating import ApplicationRoute, Part, With
from api.schemas.broadcasts import (
    BroadcastAnswer,
    BroadcastChecks,
    BroadcastDeleted,
    BroadcastFacts,
    BroadcastList,
    BroadcastPreview,
    BroadcastReference,
    BroadcastReport,
    BroadcastRetried,
    BroadcastTested,
    ChooseVariant,
    CreateBroadcast,
    LinkList,
    PreviewBroadcast,
    RecipientList,
    RepeatBroadcast,
    SendBroadcast,
    ShowBroadcast,
    TestBroadcast,
    UpdateBroadcast,
)
from api.templating import broadcast_words
from api.validation import missing
from audience.contact_fields import language_tag
from campaigns import experiment, plan, report, repository, speaking, steering, trying, utm
from campaigns.archive import switched
from campaigns.checking import checks
from campaigns.forecasting import Tools
from campaigns.model import Campaign, Draft, Words
from campaigns.report import Kind, Wanted
from campaigns.trying import ANYBODY, To, Whose
from core.addresses import AddressError, fold_address, parse_mailbox
from core.objectives import REPORT
from core.paging import Window
from core.refusal import invalid
from messages.accept import Accepted, keep_answer, take_key
from messages.schedule_text import ScheduleError, parse_schedule
from messages.tags import fault
from mta.bounce_kinds import Permanence
from mta.from_settings import providers_of
from store.database import Connection
from web.absent import Absent
from web.answers import json_answer
from web.bodies import largest_body
from web.faces.broadcast_checks import checks_face
from web.faces.broadcasts import broadcast_answer, broadcast_face, link_face, preview_face, recipient_face, report_face
from web.faces.references import deleted, reference
from web.objectives import serves
from web.paging import listed, page_of, window

router = APIRouter(prefix="/broadcasts", tags=["Broadcasts"], route_class=ApplicationRoute)

PAGE = 20
_SWITCHES = ("topic_id", "open_tracking", "click_tracking")
_BODY = 5 * 1024 * 1024
_Window = Annotated[Window[UUID], Depends(window)]
_REFUSALS = errors("not_found", "conflict")


@router.post(
    "",
    summary="Create a broadcast",
    status_code=201,
    response_model=BroadcastReference,
    responses=errors(
        "not_found", "conflict", "invalid_idempotency_key", "invalid_idempotent_request",
        "concurrent_idempotent_requests",
    ),
    openapi_extra={"parameters": [IDEMPOTENCY_HEADER]},
)  # fmt: skip
@largest_body(_BODY)
async def create_broadcast(body: CreateBroadcast, request: Request, who: FullAccess, given: With) -> Response:
    """Makes a draft; with `send` it is sent, or scheduled, at once. With an `Idempotency-Key` the same request again
    makes no second one, for 24 hours."""
    asked = keyed(request, who, await request.body())
    if asked is not None and (before := await earlier_answer(given.database, asked)) is not None:
        return _created(before)
    body = await broadcast_words(body, given.templates.reading(who.application_id))
    if not body.sender:
        raise missing("from")
    await _may_send_as(body.sender, who, given)
    draft = _draft(body, Draft(Words(body.sender)), given)
    if body.scheduled_at and not body.send:
        raise invalid("scheduled_at", "it goes with `send`: a draft is sent when you say so")
    async with given.database.transaction() as connection:
        if asked is not None:
            taken = await take_key(connection, asked.application_id, asked.with_answer(b""))
            if not isinstance(taken, Accepted):
                return _created(settled(taken, b""))
        made = await steering.create(connection, who.application_id, draft)
        if body.send:
            await _send(connection, made, body.scheduled_at, given)
        answer = orjson.dumps(reference("broadcast", made.id))
        if asked is not None:
            await keep_answer(connection, asked.application_id, asked.key, answer)
    return _created(answer)


def _created(answer: bytes) -> Response:
    return Response(answer, 201, media_type="application/json")


@router.get("", summary="List broadcasts", response_model=BroadcastList)
async def list_broadcasts(who: FullAccess, given: With, wanted: _Window) -> Response:
    """Your broadcasts, newest first."""
    async with given.database.connection() as connection:
        found = await repository.page(connection, who.application_id, replace(wanted, limit=wanted.limit or PAGE))
    return json_answer(listed(found, broadcast_face))


@router.get("/{broadcast_id}", summary="Get a broadcast", response_model=BroadcastAnswer, responses=_REFUSALS)
async def get_broadcast(broadcast_id: UUID, who: FullAccess, given: With) -> Response:
    """A broadcast with its words, and how many people are in which state."""
    async with given.database.connection() as connection:
        return json_answer(broadcast_answer(await repository.get(connection, who.application_id, broadcast_id)))


@router.patch("/{broadcast_id}", summary="Update a broadcast", response_model=BroadcastReference, responses=_REFUSALS)
@largest_body(_BODY)
async def update_broadcast(broadcast_id: UUID, body: UpdateBroadcast, who: FullAccess, given: With) -> Response:
    """Changes a draft."""
    if body.sender:
        await _may_send_as(body.sender, who, given)
    body = await broadcast_words(body, given.templates.reading(who.application_id))
    async with given.database.transaction() as connection:
        known = await repository.get(connection, who.application_id, broadcast_id)
        draft = steering.draft_of(known)
        if body.sender:
            draft = replace(draft, words=replace(draft.words, sender=body.sender))
        await steering.update(connection, known, _draft(body, draft, given))
    return json_answer(reference("broadcast", broadcast_id))


@router.post("/{broadcast_id}/send", summary="Send a broadcast", response_model=BroadcastReference, responses=_REFUSALS)
async def send_broadcast(
    broadcast_id: UUID, who: FullAccess, given: With, body: SendBroadcast | None = None
) -> Response:
    """Sends a draft now, or at a time: at each person's local one when its plan says so. Who is written to is fixed
    when it begins."""
    async with given.database.transaction() as connection:
        known = await repository.get(connection, who.application_id, broadcast_id)
        await _send(connection, known, body.scheduled_at if body else None, given)
    return json_answer(reference("broadcast", broadcast_id))


@router.post(
    "/{broadcast_id}/cancel", summary="Cancel a broadcast", response_model=BroadcastReference, responses=_REFUSALS
)
async def cancel_broadcast(broadcast_id: UUID, who: FullAccess, given: With) -> Response:
    """One that is scheduled becomes a draft again. Of one that is being sent nothing leaves from now on."""
    return await _do(steering.cancel, broadcast_id, who, given)


@router.post(
    "/{broadcast_id}/pause", summary="Pause a broadcast", response_model=BroadcastReference, responses=_REFUSALS
)
async def pause_broadcast(broadcast_id: UUID, who: FullAccess, given: With) -> Response:
    """Nothing of it leaves until it is resumed, but for what a server is being given this second."""
    return await _do(steering.pause, broadcast_id, who, given)


@router.post(
    "/{broadcast_id}/resume", summary="Resume a broadcast", response_model=BroadcastReference, responses=_REFUSALS
)
async def resume_broadcast(broadcast_id: UUID, who: FullAccess, given: With) -> Response:
    """A paused or stopped one goes on where it was."""
    return await _do(steering.resume, broadcast_id, who, given)


@router.post(
    "/{broadcast_id}/retry",
    summary="Retry failed mail of a broadcast",
    response_model=BroadcastRetried,
    responses=_REFUSALS,
)
async def retry_broadcast(broadcast_id: UUID, who: FullAccess, given: With) -> Response:
    """Those whose mail could not be made, whose time ran out, or who were refused for no fault of their address."""
    async with given.database.transaction() as connection:
        known = await repository.get(connection, who.application_id, broadcast_id)
        tried = await steering.retry(connection, known)
    return json_answer(reference("broadcast", broadcast_id) | {"people": tried.people})


@router.post(
    "/{broadcast_id}/test", summary="Send a test of a broadcast", response_model=BroadcastTested, responses=_REFUSALS
)
async def try_broadcast(broadcast_id: UUID, body: TestBroadcast, who: FullAccess, given: With) -> Response:
    """To some addresses, or to the seed accounts, as a person of the audience would get it; its links work."""
    to, whose = To(body.to or (), bool(body.seeds)), Whose(body.contact_id, body.language)
    async with given.database.transaction() as connection:
        known = await repository.get(connection, who.application_id, broadcast_id)
        mails = await trying.send_all(connection, known, to, given.settings.sandbox_domain, whose)
    return json_answer(reference("broadcast", broadcast_id) | {"emails": [mail.id for mail in mails]})


@router.post("/{broadcast_id}/checks", summary="Check a broadcast", response_model=BroadcastChecks, responses=_REFUSALS)
@serves(REPORT)
async def check_broadcast(broadcast_id: UUID, who: FullAccess, given: With) -> Response:
    """Looks at everything that can be known before it begins, in at most half a minute: words, links (each is asked),
    the domain's records, its people, what they got before, and when it will be out. Nothing is sent or changed."""
    tools = Tools(given.settings, given.secret, given.database, given.resolver, providers_of(given.settings))
    return json_answer(checks_face(await checks.of_application(tools, who.application_id, broadcast_id)))


@router.post(
    "/{broadcast_id}/preview", summary="Preview a broadcast", response_model=BroadcastPreview, responses=_REFUSALS
)
async def preview_broadcast(
    broadcast_id: UUID, who: FullAccess, given: With, body: PreviewBroadcast | None = None
) -> Response:
    """What somebody gets, in a language and variant, without sending it."""
    asked = Whose(body.contact_id, body.language, body.variant) if body else ANYBODY
    async with given.database.connection() as connection:
        known = await repository.get(connection, who.application_id, broadcast_id)
        return json_answer(preview_face(known, await trying.preview(connection, known, asked)))


@router.post(
    "/{broadcast_id}/archive",
    summary="Publish a broadcast on the web",
    response_model=BroadcastAnswer,
    responses=_REFUSALS,
)
async def put_on_web(broadcast_id: UUID, body: ShowBroadcast, who: FullAccess, given: With) -> Response:
    """Switches its page on the web on or off, also after it was sent. `archive_url` is its address."""
    page = switched(body.archive, given.settings.public_url)
    async with given.database.transaction() as connection:
        known = await repository.get(connection, who.application_id, broadcast_id)
        return json_answer(broadcast_answer(await steering.put_on_web(connection, known, page)))


@router.post(
    "/{broadcast_id}/winner", summary="Set the winner of a test", response_model=BroadcastReference, responses=_REFUSALS
)
async def choose_winner(broadcast_id: UUID, body: ChooseVariant, who: FullAccess, given: With) -> Response:
    """Those who wait for the winner get this variant."""
    async with given.database.transaction() as connection:
        known = await repository.get(connection, who.application_id, broadcast_id)
        await steering.choose(connection, known, body.variant)
    return json_answer(reference("broadcast", broadcast_id))


@router.post(
    "/{broadcast_id}/duplicate",
    summary="Duplicate a broadcast",
    status_code=201,
    response_model=BroadcastReference,
    responses=_REFUSALS,
)
async def duplicate_broadcast(broadcast_id: UUID, who: FullAccess, given: With) -> Response:
    """A new draft with the same words."""
    async with given.database.transaction() as connection:
        known = await repository.get(connection, who.application_id, broadcast_id)
        made = await steering.duplicate(connection, known)
    return json_answer(reference("broadcast", made.id), 201)


@router.post(
    "/{broadcast_id}/again",
    summary="Send a broadcast once more to some",
    status_code=201,
    response_model=BroadcastReference,
    responses=_REFUSALS,
)
async def repeat_broadcast(broadcast_id: UUID, body: RepeatBroadcast, who: FullAccess, given: With) -> Response:
    """A new draft of the same content for those who did not get this one, or did not open it: whoever that is when it
    begins, and nobody else."""
    async with given.database.transaction() as connection:
        known = await repository.get(connection, who.application_id, broadcast_id)
        made = await steering.again(connection, known, body.to, body.name)
    return json_answer(reference("broadcast", made.id), 201)


@router.delete("/{broadcast_id}", summary="Delete a broadcast", response_model=BroadcastDeleted, responses=_REFUSALS)
async def delete_broadcast(broadcast_id: UUID, who: FullAccess, given: With) -> Response:
    """A draft, a scheduled one, or one that has ended, with its report."""
    async with given.database.transaction() as connection:
        known = await repository.get(connection, who.application_id, broadcast_id)
        await steering.remove(connection, known)
    return json_answer(deleted("broadcast", broadcast_id))


@router.get(
    "/{broadcast_id}/recipients", summary="List its recipients", response_model=RecipientList, responses=_REFUSALS
)
async def list_recipients(
    broadcast_id: UUID,
    who: FullAccess,
    given: With,
    wanted: _Window,
    kind: Annotated[Kind | None, Absent, Query(alias="type", description="Only those; all without it.")] = None,
    email: Annotated[str, Query(max_length=1000, description="Only the one of this address.")] = "",
    bounce_type: Annotated[Permanence | None, Absent, Query(description="Only bounces that are so lasting.")] = None,
) -> Response:
    """Everybody it went to or could not go to, each with what became of their mail and why."""
    asked = Wanted(kind, _folded(email), bounce_type)
    async with given.database.connection() as connection:
        known = await repository.get(connection, who.application_id, broadcast_id)
        found = await report.recipients(connection, known.id, asked, replace(wanted, limit=wanted.limit or PAGE))
    return json_answer(listed(found, lambda one: recipient_face(one, kind)))


@router.get(
    "/{broadcast_id}/clicked-links", summary="List its clicked links", response_model=LinkList, responses=_REFUSALS
)
async def list_links(broadcast_id: UUID, who: FullAccess, given: With, wanted: Part) -> Response:
    """Links that people followed, the most followed first."""
    async with given.database.connection() as connection:
        known = await repository.get(connection, who.application_id, broadcast_id)
        found = await report.links(connection, known.id)
    return json_answer(listed(page_of(found, lambda link: link.id, wanted), link_face))


@router.get("/{broadcast_id}/report", summary="Get its report", response_model=BroadcastReport, responses=_REFUSALS)
@serves(REPORT)
async def get_report(broadcast_id: UUID, who: FullAccess, given: With) -> Response:
    """Figures that count each person once: in all, by provider, IP, variant, hour, and link."""
    async with given.database.connection() as connection:
        known = await repository.get(connection, who.application_id, broadcast_id)
        return json_answer(report_face(await report.report(connection, known)))


async def _do(act: Any, broadcast_id: UUID, who: Caller, given: Any) -> Response:
    async with given.database.transaction() as connection:
        await act(connection, await repository.get(connection, who.application_id, broadcast_id))
    return json_answer(reference("broadcast", broadcast_id))


async def _send(connection: Connection, known: Campaign, at: str | None, given: Any) -> None:
    now, pages = given.acceptor.clock.now(), bool(given.settings.public_url)
    try:
        moment = parse_schedule(at, now) if at else None
    except ScheduleError as error:
        raise invalid("scheduled_at", str(error)) from None
    if moment is None and known.plan.local is None:
        await steering.start(connection, known, pages=pages)
    else:
        await steering.schedule(connection, known, moment, now, pages=pages)


async def _may_send_as(sender: str, who: Caller, given: Any) -> None:
    try:
        domain = parse_mailbox(sender).domain
    except AddressError as error:
        raise invalid("from", error.reason) from None
    await permission.sender_domain(given.directory, who, domain)


def _draft(body: BroadcastFacts, known: Draft, given: Any) -> Draft:
    """The draft with what was given; what was not stays."""
    said = body.model_fields_set
    words: dict[str, Any] = {name: getattr(body, name) or "" for name in ("subject", "preview_text") if name in said}
    words |= {"html": body.html or None} if "html" in said else {}
    words |= {"text": body.text} if "text" in said else {}  # "" wants no text part, null one made from the HTML
    words |= {"reply_to": tuple(body.reply_to or ())} if "reply_to" in said else {}
    changes: dict[str, Any] = {name: getattr(body, name) for name in _SWITCHES if name in said}
    changes |= {"segment_id": body.segment_id or body.audience_id} if said & {"segment_id", "audience_id"} else {}
    changes |= {"name": body.name or ""} if "name" in said else {}
    changes |= {"tags": _tags(body)} if "tags" in said else {}
    changes |= {"experiment": experiment.from_json(_unchosen(body.experiment))} if "experiment" in said else {}
    changes |= {"utm": utm.from_json(body.utm or {})} if "utm" in said else {}
    changes |= {"archive": switched(body.archive, given.settings.public_url)} if body.archive is not None else {}
    changes |= {"languages": _languages(body, known)} if body.template or body.languages is not None else {}
    changes |= {"template_id": UUID(body.template) if body.template else None} if "html" in said else {}
    changes |= {"plan": plan.from_json(body.plan or {})} if "plan" in said else {}
    return replace(known, words=replace(known.words, **words), **changes)


def _languages(body: BroadcastFacts, known: Draft) -> dict[str, dict[str, str]]:
    """What was said of one language stands for all of that language; null takes it away. Those of a template are all
    there are."""
    given, before = body.languages or {}, {} if body.template else known.languages
    said = speaking.languages_from_json({tag: words for tag, words in given.items() if words is not None})
    gone = {language_tag(tag, "languages") for tag, words in given.items() if words is None}
    return {tag: dict(words) for tag, words in {**before, **said}.items() if tag not in gone}


def _unchosen(given: dict[str, Any] | None) -> dict[str, Any]:
    """Nobody wins before the start; what was read comes back with it."""
    return {name: value for name, value in (given or {}).items() if name != "chosen"}


def _tags(body: BroadcastFacts) -> tuple[tuple[str, str], ...]:
    for n, tag in enumerate(body.tags or ()):
        if wrong := fault(tag.name, tag.value):
            raise invalid(f"tags[{n}].{wrong[0]}", wrong[1])
    return tuple((tag.name, tag.value) for tag in body.tags or ())


def _folded(email: str) -> str | None:
    if not email:
        return None
    try:
        return fold_address(email)
    except AddressError as error:
        raise invalid("email", error.reason) from None
