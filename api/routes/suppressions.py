"""`/suppressions`: addresses that get no mail. Add, look up, search, remove; one or ten thousand at a time.

Thin: folding and words here, storage and order in `suppression/repository`. The list belongs to the installation, not
to one application: an address that is dead or has complained is so for everybody who sends from these IPs. Every route
wants full access. A change counts from the commit: the next claim of a worker sees it.
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
from api.errors import ApiError, invalid_field
from api.openapi import errors
from api.schemas.suppressions import (
    LONGEST,
    AddMany,
    AddSuppression,
    BatchAdded,
    BatchRemoved,
    RemoveMany,
    SuppressionAnswer,
    SuppressionList,
    SuppressionReference,
    SuppressionRemoved,
    Terms,
)
from core.addresses import AddressError, fold_address
from core.paging import Window
from suppression import repository
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope
from suppression.repository import LARGEST_BATCH, Addition, Suppression
from suppression.search import SearchError, search_for
from suppression.transfer import plain_detail
from web.absent import Absent
from web.answers import json_answer
from web.bodies import largest_body
from web.faces.references import reference
from web.faces.suppressions import ORIGINS, Origin, added_face, removed_face, suppression_answer, suppression_face
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
        added = await repository.add(connection, [addition])
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
    except SearchError as error:
        raise ApiError("invalid_parameter", f"The `q` parameter is not valid: {error}") from None
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
    addresses = [_address(email, f"emails[{index}]") for index, email in enumerate(body.emails or ())]
    async with given.database.transaction() as connection:
        if body.ids is not None:
            removed = await repository.remove_ids(connection, body.ids, _asker(who))
        else:
            removed = await repository.remove_addresses(connection, addresses, _asker(who), _scopes(body.scope))
    return json_answer({"data": [removed_face(one) for one in removed]})


@router.get("/{id_or_email:path}", response_model=SuppressionAnswer, responses=errors("not_found"))
async def get_suppression(id_or_email: str, who: FullAccessOrOperator, given: With) -> Response:
    """An entry by its id; or by address, then with the entries of all scopes."""
    identifier = _uuid(id_or_email)
    async with given.database.connection() as connection:
        if identifier is not None:
            found = await repository.get(connection, identifier)
            entries = [found] if found else []
        else:
            entries = await repository.of_address(connection, _address(id_or_email, "", in_path=True))
    if not entries:
        raise _unknown(id_or_email)
    seen = [_seen(entry, who) for entry in entries]
    by_id = {"object": "suppression"} | suppression_face(seen[0])
    return json_answer(by_id if identifier is not None else suppression_answer(seen))


@router.delete("/{id_or_email:path}", response_model=SuppressionRemoved, responses=errors("not_found"))
async def remove_suppression(
    id_or_email: str,
    who: FullAccessOrOperator,
    given: With,
    scope: Annotated[SuppressionScope | None, Query(description="By address: only the entry with this scope.")] = None,
) -> Response:
    """Removes an entry by its id; by address, all entries of it, or those with one scope."""
    identifier = _uuid(id_or_email)
    async with given.database.transaction() as connection:
        if identifier is not None:
            removed = await repository.remove_ids(connection, [identifier], _asker(who))
        else:
            address = _address(id_or_email, "", in_path=True)
            removed = await repository.remove_addresses(connection, [address], _asker(who), _scopes(scope))
    if not removed:
        raise _unknown(id_or_email)
    return json_answer(removed_face(min(removed, key=lambda one: one.scope)))


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
        added = await repository.add(connection, additions)
    answer: dict[str, object] = {"data": [added_face(one) for one in added]}
    return json_answer(answer if validation == "strict" else answer | {"errors": wrong})


def _addition(email: str, terms: Terms, who: Caller, now: datetime) -> Addition:
    """What to store. Raises ApiError naming the field."""
    detail = plain_detail(terms.detail) or f"added with API key {who.key_id}"
    entry = SuppressionEntry(terms.scope, terms.reason, Source.API, detail, _end(terms, now))
    return Addition(_address(email, "email"), entry, _asker(who))


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


def _address(text: str, field: str, in_path: bool = False) -> str:
    try:
        return fold_address(text)
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
    return tuple(SuppressionScope) if scope is None else (scope,)


def _asker(who: Caller) -> UUID | None:
    """The application that asks; None for an operator, who may remove every entry."""
    return None if who.permission == OPERATOR else who.application_id


def _seen(entry: Suppression, who: Caller) -> Suppression:
    asker = _asker(who)
    return entry if asker is None else entry.seen_by(asker)


def _unknown(id_or_email: str) -> ApiError:
    return ApiError("not_found", f"{id_or_email} is not suppressed.")
