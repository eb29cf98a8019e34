"""`/suppressions`: addresses that get no mail. Add, look up, search, remove; one or ten thousand at a time.

Thin: who may what is for `suppression/asking` and `suppression/wishes`, storage and order for the rest of that folder.
Every route wants full access or an operator. A change counts from the commit: the next claim of a worker sees it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Header, Query, Response
from pydantic import Field

from accounts.directory import OPERATOR, Caller
from api.auth import FullAccessOrOperator, SharedRoute
from api.deps import Deps, deps
from api.errors import ApiError, invalid_field, refused
from api.openapi import errors
from api.operating import by
from api.schemas.suppressions import (
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
from audience import topics
from core.paging import Page, Window
from core.refusal import Refused
from store.database import Connection
from suppression import adding, history, removing, repository
from suppression.adding import LARGEST_BATCH
from suppression.asking import Asker
from suppression.entries import Addition
from suppression.reasons import Origin, Reason, Source, SuppressionScope
from suppression.search import owned, reasons_of, search_for
from suppression.subjects import named
from suppression.wishes import Wish, addition, asked_subject
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

router = APIRouter(prefix="/suppressions", tags=["Suppressions"], route_class=SharedRoute)

_PAGE: Final = 20
_BATCH_BYTES: Final = 10 * 1024 * 1024
"""10,000 entries with long addresses and details."""

_CHOSEN: Final = "Topics that somebody left and pauses stand in `GET /recipients/{email}`."
"""Half of those who ask why an address gets no mail are here for one who unsubscribed."""

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
    summary="Suppress an address",
    status_code=201,
    response_model=SuppressionReference,
    responses={
        200: {"model": SuppressionReference, "description": "There was an entry; it stands, or lasts longer now."},
    },
)
async def add_suppression(body: AddSuppression, who: FullAccessOrOperator, given: With) -> Response:
    """Suppresses an address; an application's key, for its own mail. Of two entries with the same scope the one that
    lasts longer stands."""
    wanted = addition(body.email, _wish(body), _asker(who), Source.API, given.clock.now())
    async with given.database.transaction() as connection:
        if await _unknown_topics(connection, [wanted]):
            raise _no_topic(wanted.topic)
        added = await adding.add(connection, [wanted])
    return json_answer(reference("suppression", added[0].id), 201 if added[0].created else 200)


@router.get("", summary="List suppressions", response_model=SuppressionList)
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
        Annotated[str, Field(max_length=100)] | None,
        Absent,
        Query(description="Only entries for this application's mail alone; `self`: yours."),
    ] = None,
    origin: Annotated[Origin | None, Absent, Query(description="Only entries of this kind of reason.")] = None,
) -> Response:
    """Entries in force: newest first, or by address when `q` is the beginning of one. An application's key lists what
    is its own: entries for its mail alone, and those that its own mail led to."""
    reasons = reasons_of(reason, origin)
    if reasons is None:
        return json_answer(listed(Page([]), suppression_face))
    try:
        search = owned(search_for(q or "", reasons, (scope,) if scope else ()), _asker(who), only_for or "")
    except Refused as error:
        name = "only_for" if error.field == "only_for" else "q"
        raise ApiError("invalid_parameter", f"The `{name}` parameter is not valid: {error.reason}.") from None
    async with given.database.connection() as connection:
        found = await repository.page(connection, search, replace(wanted, limit=wanted.limit or _PAGE))
    return json_answer(listed(there(found), suppression_face))


@router.post("/batch", summary="Suppress addresses, each with its terms", response_model=BatchAdded)
@largest_body(_BATCH_BYTES)
async def add_batch(
    body: Annotated[list[AddSuppression], Body(min_length=1, max_length=LARGEST_BATCH)],
    who: FullAccessOrOperator,
    given: With,
    validation: Validation = "permissive",
) -> Response:
    """Suppresses up to 10,000 addresses in one transaction, each with its own scope, reason and end."""
    return await _add_all([(one.email, one) for one in body], who, given, validation)


@router.post("/batch/add", summary="Suppress addresses with the same terms", response_model=BatchAdded)
@largest_body(_BATCH_BYTES)
async def add_many(
    body: AddMany, who: FullAccessOrOperator, given: With, validation: Validation = "strict"
) -> Response:
    """Suppresses up to 10,000 addresses in one transaction, all with the same terms."""
    return await _add_all([(email, body) for email in body.emails], who, given, validation)


@router.post("/batch/remove", summary="Delete many suppressions", response_model=BatchRemoved)
@largest_body(_BATCH_BYTES)
async def remove_many(body: RemoveMany, who: FullAccessOrOperator, given: With) -> Response:
    """Removes up to 10,000 entries, by address or by id. What is not on the list is left out of the answer."""
    if (body.emails is None) == (body.ids is None):
        raise invalid_field("Give either the `emails` field or the `ids` field.")
    if body.ids is not None and body.scope is not None:
        raise invalid_field("The `scope` field goes with `emails`: an id is one entry with one scope.")
    subjects = [asked_subject(email, f"emails[{index}]") for index, email in enumerate(body.emails or ())]
    remover = _asker(who).remover(body.why)
    async with given.database.transaction() as connection:
        if body.ids is not None:
            done = await removing.remove_ids(connection, body.ids, remover)
        else:
            done = await removing.remove_subjects(connection, subjects, remover, _scopes(body.scope))
    return json_answer({"data": [removed_face(one) for one in done.removed]} | kept_face(done))


@router.get(
    "/{id_or_email:path}/history",
    summary="List ended suppressions of an address",
    response_model=SuppressionHistory,
    responses=errors("not_found"),
)
async def get_history(id_or_email: str, who: FullAccessOrOperator, given: With) -> Response:
    """How an entry was before it was removed or replaced; by address, all entries there were."""
    wanted = named(id_or_email)
    async with given.database.connection() as connection:
        if isinstance(wanted, UUID):
            found = await history.of_entry(connection, wanted)
        else:
            found = await history.of_subjects(connection, [wanted])
    return json_answer(listed(Page(_asker(who).sees_ended(found)), ended_face))


@router.get(
    "/{id_or_email:path}", summary="Get a suppression", response_model=SuppressionAnswer, responses=errors("not_found")
)
async def get_suppression(id_or_email: str, who: FullAccessOrOperator, given: With) -> Response:
    """An entry by its id; or by address, then with all entries that forbid mail to it. Of everybody's entries an
    application sees since when and why, and nothing of what led to them."""
    wanted = named(id_or_email)
    async with given.database.connection() as connection:
        if isinstance(wanted, UUID):
            entry = await repository.get(connection, wanted)
            found = _asker(who).sees([entry] if entry else [])
        else:
            found = _asker(who).sees(await repository.about(connection, wanted))
    if not found:
        raise _unknown(id_or_email)
    if isinstance(wanted, UUID):
        return json_answer({"object": "suppression"} | suppression_face(found[0]))
    return json_answer(suppression_answer(found))


@router.delete(
    "/{id_or_email:path}",
    summary="Delete a suppression",
    response_model=SuppressionRemoved,
    responses=errors("not_found", "conflict"),
)
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
    wanted, remover = named(id_or_email), _asker(who).remover(why)
    async with given.database.transaction() as connection:
        if isinstance(wanted, UUID):
            done = await removing.remove_ids(connection, [wanted], remover)
        else:
            done = await removing.remove_subjects(connection, [wanted], remover, _scopes(scope))
    if not done.removed:
        raise refused(removing.refusal(done.kept)) if done.kept else _unknown(id_or_email)
    return json_answer(removal_face(done))


async def _add_all(
    wanted: Sequence[tuple[str, Terms]], who: Caller, given: Deps, validation: Literal["strict", "permissive"]
) -> Response:
    """Add what is right. A wrong entry is named: alone in the error when strict, by its index when permissive."""
    now, asker = given.clock.now(), _asker(who)
    additions: dict[int, Addition] = {}
    wrong: list[dict[str, Any]] = []
    for index, (email, terms) in enumerate(wanted):
        if index % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)  # other requests want their turn
        try:
            additions[index] = addition(email, _wish(terms), asker, Source.API, now)
        except Refused as error:
            wrong.append(_wrong(index, refused(error), validation))
    async with given.database.transaction() as connection:
        unknown = await _unknown_topics(connection, list(additions.values()))
        for index in [index for index, one in additions.items() if one.topic in unknown]:
            wrong.append(_wrong(index, _no_topic(additions.pop(index).topic), validation))
        added = await adding.add(connection, list(additions.values()))
    answer: dict[str, object] = {"data": [added_face(one) for one in added]}
    return json_answer(
        answer if validation == "strict" else answer | {"errors": sorted(wrong, key=itemgetter("index"))}
    )


def _wrong(index: int, error: ApiError, validation: Literal["strict", "permissive"]) -> dict[str, Any]:
    """What a permissive answer says of an entry that is not taken; a strict one raises ApiError."""
    if validation == "strict":
        raise invalid_field(f"Entry {index} of the batch: {error.message}")
    return {"index": index, "message": error.message}


async def _unknown_topics(connection: Connection, additions: Sequence[Addition]) -> set[UUID]:
    """Topics that their application does not have: an entry for one would keep nothing back."""
    asked = {(one.only_for, one.topic) for one in additions if one.only_for is not None and one.topic is not None}
    return {topic for owner, topic in asked if await topics.find(connection, owner, topic) is None}


def _no_topic(topic: UUID | None) -> ApiError:
    return invalid_field(f"The `topic_id` field is not valid: the application has no topic {topic}.")


def _wish(terms: Terms) -> Wish:
    return Wish(
        terms.scope, terms.only_for, terms.topic_id, terms.reason, terms.detail, terms.note, terms.expires_at,
        terms.expires_in,
    )  # fmt: skip


def _scopes(scope: SuppressionScope | None) -> tuple[SuppressionScope, ...]:
    return () if scope is None else (scope,)


def _asker(who: Caller) -> Asker:
    return Asker(by(who), None if who.permission == OPERATOR else who.application_id)


def _unknown(id_or_email: str) -> ApiError:
    said = f"{id_or_email} is not suppressed."
    return ApiError("not_found", f"{said} {_CHOSEN}" if "@" in id_or_email[1:] else said)
