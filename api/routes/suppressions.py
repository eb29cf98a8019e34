"""`/suppressions`: addresses that get no mail. Add, look up, search, remove; one or ten thousand at a time.

Thin: folding and words here, storage and order in `suppression`. The list belongs to the installation: an address that
is dead or has complained is so for everybody who sends from these IPs. What somebody said to one application only, an
unsubscribe above all, holds for that application, and no other one sees it. Every route wants full access. A change
counts from the commit: the next claim of a worker sees it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Header, Query, Response

from accounts.directory import OPERATOR, Caller
from api.auth import FullAccessOrOperator, KeyedRoute
from api.deps import Deps, deps
from api.errors import ApiError, invalid_field, refused
from api.openapi import errors
from api.operating import by
from api.schemas.suppressions import (
    LONGEST,
    AddMany,
    AddSuppression,
    BatchAdded,
    BatchRemoved,
    RemoveMany,
    SuppressionAnswer,
    SuppressionHistory,
    SuppressionList,
    SuppressionReference,
    SuppressionRemoved,
    Terms,
)
from core.addresses import AddressError
from core.paging import Page, Window
from core.refusal import Refused
from suppression import adding, history, removing, repository
from suppression.adding import LARGEST_BATCH
from suppression.entries import Addition, Ended, Suppression
from suppression.reasons import ORIGINS, Origin, Reason, Source, SuppressionEntry, SuppressionScope
from suppression.removing import Remover
from suppression.rules import plain_detail
from suppression.search import search_for
from suppression.subjects import is_domain, subject
from web.absent import Absent
from web.answers import json_answer
from web.bodies import largest_body
from web.faces.references import reference
from web.faces.suppressions import (
    added_face,
    ended_face,
    kept_face,
    removal_face,
    removed_face,
    suppression_answer,
    suppression_face,
)
from web.paging import listed, there, window


class _Route(KeyedRoute):
    """The list belongs to the installation: its operators may look after it as applications do."""

    guard = "full_access_or_operator"


router = APIRouter(prefix="/suppressions", tags=["Suppressions"], route_class=_Route)

_PAGE: Final = 20
_BATCH_BYTES: Final = 10 * 1024 * 1024
"""10,000 entries with long addresses and details."""

_AT_ONCE: Final = 1000
"""Addresses folded without a break: about 10 ms."""

With = Annotated[Deps, Depends(deps)]
Validation = Annotated[
    Literal["strict", "permissive"],
    Header(
        alias="x-batch-validation",
        description="Whether one wrong entry refuses the batch (`strict`) or only itself (`permissive`).",
    ),
]


@router.post(
    "",
    status_code=201,
    response_model=SuppressionReference,
    responses={
        200: {"model": SuppressionReference, "description": "There was an entry; it stands, or lasts longer now."},
    },
)
async def add_suppression(body: AddSuppression, who: FullAccessOrOperator, given: With) -> Response:
    """Suppresses an address. Of two entries with the same scope the one that lasts longer stands."""
    addition = _addition(body.email, body, who, given.clock.now())
    async with given.database.transaction() as connection:
        added = await adding.add(connection, [addition])
    return json_answer(reference("suppression", added[0].id), 201 if added[0].created else 200)


@router.get("", response_model=SuppressionList)
async def list_suppressions(
    who: FullAccessOrOperator,
    given: With,
    wanted: Annotated[Window[UUID], Depends(window)],
    q: Annotated[
        str | None, Query(max_length=320, description="The beginning of an address, or `@` and a whole domain.")
    ] = None,
    reason: Annotated[Reason | None, Absent, Query(description="Only entries with this reason.")] = None,
    scope: Annotated[SuppressionScope | None, Absent, Query(description="Only entries with this scope.")] = None,
    only_for: Annotated[
        str | None,
        Absent,
        Query(max_length=100, description="Only entries for this application's mail; `self`: yours."),
    ] = None,
    origin: Annotated[Origin | None, Absent, Query(description="Only entries of this kind of reason.")] = None,
) -> Response:
    """Entries in force: newest first, or by address when `q` is the beginning of one."""
    reasons = ORIGINS[origin] if origin else ()
    if reason is not None:
        if reasons and reason not in reasons:
            return json_answer({"object": "list", "has_more": False, "data": []})
        reasons = (reason,)
    try:
        search = search_for(q or "", reasons, (scope,) if scope else ())
    except Refused as error:
        raise ApiError("invalid_parameter", f"The `q` parameter is not valid: {error.reason}.") from None
    whose = _whose(only_for, who, "parameter") if only_for else None
    search = replace(search, only_for=whose, seen_by=_asker(who))
    async with given.database.connection() as connection:
        found = await repository.page(connection, search, replace(wanted, limit=wanted.limit or _PAGE))
    return json_answer(listed(there(found), lambda entry: suppression_face(_seen(entry, who))))


@router.post("/batch", response_model=BatchAdded)
@largest_body(_BATCH_BYTES)
async def add_batch(
    body: Annotated[list[AddSuppression], Body(min_length=1, max_length=LARGEST_BATCH)],
    who: FullAccessOrOperator,
    given: With,
    validation: Validation = "permissive",
) -> Response:
    """Suppresses up to 10,000 addresses in one transaction, each with its own scope, reason and end."""
    return await _add_all([(one.email, one) for one in body], who, given, validation)


@router.post("/batch/add", response_model=BatchAdded)
@largest_body(_BATCH_BYTES)
async def add_many(
    body: AddMany, who: FullAccessOrOperator, given: With, validation: Validation = "strict"
) -> Response:
    """Suppresses up to 10,000 addresses in one transaction, all with the same terms."""
    return await _add_all([(email, body) for email in body.emails], who, given, validation)


@router.post("/batch/remove", response_model=BatchRemoved)
@largest_body(_BATCH_BYTES)
async def remove_many(body: RemoveMany, who: FullAccessOrOperator, given: With) -> Response:
    """Removes up to 10,000 entries, by address or by id. What is not on the list is left out of the answer."""
    if (body.emails is None) == (body.ids is None):
        raise invalid_field("Give either the `emails` field or the `ids` field.")
    if body.ids is not None and body.scope is not None:
        raise invalid_field("The `scope` field goes with `emails`: an id is one entry with one scope.")
    subjects = [_subject(email, f"emails[{index}]") for index, email in enumerate(body.emails or ())]
    remover = _remover(who, body.why)
    async with given.database.transaction() as connection:
        if body.ids is not None:
            done = await removing.remove_ids(connection, body.ids, remover)
        else:
            done = await removing.remove_subjects(connection, subjects, remover, _scopes(body.scope))
    return json_answer({"data": [removed_face(one) for one in done.removed]} | kept_face(done))


@router.get("/{id_or_email:path}/history", response_model=SuppressionHistory, responses=errors("not_found"))
async def get_history(id_or_email: str, who: FullAccessOrOperator, given: With) -> Response:
    """How an entry was before it was removed or replaced; by address, all entries there were."""
    identifier = _uuid(id_or_email)
    async with given.database.connection() as connection:
        if identifier is not None:
            found = await history.of_entry(connection, identifier)
        else:
            found = await history.of_subjects(connection, [_subject(id_or_email, "", in_path=True)])
    asker = _asker(who)
    seen = [_ended_seen(one, asker) for one in found if asker is None or one.entry.concerns(asker)]
    return json_answer(listed(Page(seen), ended_face))


@router.get("/{id_or_email:path}", response_model=SuppressionAnswer, responses=errors("not_found"))
async def get_suppression(id_or_email: str, who: FullAccessOrOperator, given: With) -> Response:
    """An entry by its id; or by address, then with all entries that forbid mail to it."""
    identifier = _uuid(id_or_email)
    async with given.database.connection() as connection:
        if identifier is not None:
            found = await repository.get(connection, identifier)
            entries = [found] if found else []
        else:
            entries = await repository.about(connection, _subject(id_or_email, "", in_path=True))
    asker = _asker(who)
    seen = [_seen(entry, who) for entry in entries if asker is None or entry.concerns(asker)]
    if not seen:
        raise _unknown(id_or_email)
    by_id = {"object": "suppression"} | suppression_face(seen[0])
    return json_answer(by_id if identifier is not None else suppression_answer(seen))


@router.delete("/{id_or_email:path}", response_model=SuppressionRemoved, responses=errors("not_found", "conflict"))
async def remove_suppression(
    id_or_email: str,
    who: FullAccessOrOperator,
    given: With,
    scope: Annotated[
        SuppressionScope | None, Absent, Query(description="By address: only entries with this scope.")
    ] = None,
    why: Annotated[
        str, Query(max_length=500, description="Why; the history keeps it. An operator needs it for a complaint.")
    ] = "",
) -> Response:
    """Removes an entry by its id; by address, all entries of it, or those with one scope."""
    identifier = _uuid(id_or_email)
    remover = _remover(who, why)
    async with given.database.transaction() as connection:
        if identifier is not None:
            done = await removing.remove_ids(connection, [identifier], remover)
        else:
            kept = _subject(id_or_email, "", in_path=True)
            done = await removing.remove_subjects(connection, [kept], remover, _scopes(scope))
    if not done.removed:
        raise refused(removing.refusal(done.kept)) if done.kept else _unknown(id_or_email)
    return json_answer(removal_face(done))


async def _add_all(
    wanted: Sequence[tuple[str, Terms]], who: Caller, given: Deps, validation: Literal["strict", "permissive"]
) -> Response:
    """Add what is right. A wrong entry is named: alone in the error when strict, by its index when permissive."""
    now = given.clock.now()
    additions: list[Addition] = []
    wrong: list[dict[str, object]] = []
    for index, (email, terms) in enumerate(wanted):
        if index % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)  # other requests want their turn
        try:
            additions.append(_addition(email, terms, who, now))
        except ApiError as error:
            if validation == "strict":
                raise invalid_field(f"Entry {index} of the batch: {error.message}") from None
            wrong.append({"index": index, "message": error.message})
    async with given.database.transaction() as connection:
        added = await adding.add(connection, additions)
    answer: dict[str, object] = {"data": [added_face(one) for one in added]}
    return json_answer(answer if validation == "strict" else answer | {"errors": wrong})


def _addition(email: str, terms: Terms, who: Caller, now: datetime) -> Addition:
    """What to store. Raises ApiError naming the field."""
    kept = _subject(email, "email")
    scope = SuppressionScope.TOPIC if terms.topic_id else terms.scope
    only_for = _only_for(terms, scope, kept, who)
    if scope is SuppressionScope.TOPIC and (terms.topic_id is None or only_for is None):
        raise invalid_field("An entry for a topic needs the `topic_id` field and, in `only_for`, its application.")
    detail = plain_detail(terms.detail) or f"added with API key {who.key_id}"
    entry = SuppressionEntry(scope, terms.reason, Source.API, detail, _end(terms, now), plain_detail(terms.note))
    return Addition(kept, entry, _asker(who), only_for, terms.topic_id, actor=by(who))


def _only_for(terms: Terms, scope: SuppressionScope, kept: str, who: Caller) -> UUID | None:
    """Whose mail the entry forbids. What one application was told, or wants for a whole domain, is its own matter."""
    asker = _asker(who)
    if terms.only_for:
        wanted = _whose(terms.only_for, who, "field")
        if wanted is None and asker is not None and is_domain(kept):
            raise invalid_field("The `only_for` field is not valid: only an operator can forbid everybody a domain.")
        return wanted
    own = terms.reason is Reason.UNSUBSCRIBE or scope is SuppressionScope.TOPIC or is_domain(kept)
    return asker if own else None


def _whose(text: str, who: Caller, kind: Literal["field", "parameter"]) -> UUID | None:
    """The application that `only_for` names; None for `everybody`. Raises ApiError."""
    asker = _asker(who)
    wanted = asker if text == "self" else _uuid(text)
    if text == "everybody":
        return None
    if wanted is None or (asker is not None and wanted != asker):
        ways = "an application's id or `everybody`" if asker is None else "`self` or `everybody`"
        error = "validation_error" if kind == "field" else "invalid_parameter"
        raise ApiError(error, f"The `only_for` {kind} is not valid: it must be {ways}.", status=422)
    return wanted


def _end(terms: Terms, now: datetime) -> datetime | None:
    if terms.expires_in is not None:
        if terms.expires_at is not None:
            raise invalid_field("Give either the `expires_at` field or the `expires_in` field.")
        return now + timedelta(seconds=terms.expires_in)
    end = terms.expires_at
    if end is None:
        return None
    if end.tzinfo is None:
        raise invalid_field("The `expires_at` field needs a time zone, such as a `Z` at its end.")
    if not now < end <= now + LONGEST:
        raise invalid_field(f"The `expires_at` field must lie in the future, at most {LONGEST.days} days from now.")
    return end


def _subject(text: str, field: str, in_path: bool = False) -> str:
    try:
        return subject(text)
    except AddressError as error:
        if in_path:
            raise ApiError("not_found", f"The path holds neither an id nor an address: {error.reason}") from None
        raise invalid_field(f"The `{field}` field is not valid: {error.reason}") from None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _scopes(scope: SuppressionScope | None) -> tuple[SuppressionScope, ...]:
    return () if scope is None else (scope,)


def _asker(who: Caller) -> UUID | None:
    """The application that asks; None for an operator, who may remove every entry."""
    return None if who.permission == OPERATOR else who.application_id


def _seen(entry: Suppression, who: Caller) -> Suppression:
    asker = _asker(who)
    return entry if asker is None else entry.seen_by(asker)


def _ended_seen(one: Ended, asker: UUID | None) -> Ended:
    if asker is None or one.entry.owner == asker:
        return one
    return replace(one, entry=one.entry.seen_by(asker), by="", why="")


def _remover(who: Caller, why: str) -> Remover:
    return Remover(by(who), _asker(who), plain_detail(why))


def _unknown(id_or_email: str) -> ApiError:
    return ApiError("not_found", f"{id_or_email} is not suppressed.")
