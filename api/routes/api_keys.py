"""`/api-keys`: make, list, rename and delete the keys of an application.

Thin: storage is in `accounts/repository`. Every route wants full access and sees only the caller's own keys. A key that
was deleted stops working in this process at once, in others within `accounts.directory.KEEP_SECONDS`.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from accounts import repository
from accounts.repository import KeyRequest
from api.auth import FullAccess, KeyedRoute
from api.deps import Deps, deps
from api.errors import ApiError, invalid_field
from api.openapi import errors
from api.schemas.api_keys import CreateKey, KeyCreated, KeyDeleted, KeyList, KeyReference, RenameKey
from core.paging import Window
from web.answers import json_answer
from web.faces.api_keys import key_created, key_face
from web.faces.references import deleted, reference
from web.paging import listed, window

router = APIRouter(prefix="/api-keys", tags=["API keys"], route_class=KeyedRoute)

With = Annotated[Deps, Depends(deps)]


@router.post(
    "",
    summary="Create an API key",
    status_code=201,
    response_model=KeyCreated,
)
async def create_key(body: CreateKey, who: FullAccess, given: With) -> Response:
    """Makes a key. The token is in this answer and nowhere else: we keep only its hash."""
    if body.domain_id is not None and body.permission != "sending_access":
        raise invalid_field("The `domain_id` field goes with `sending_access` only: full access means all domains.")
    async with given.database.transaction() as connection:
        if body.domain_id is not None:
            # Within the transaction, or a domain deleted meanwhile would end in an error of the foreign key.
            domain = await repository.domain(connection, who.application_id, body.domain_id, lock=True)
            if domain is None:
                raise invalid_field(f"The `domain_id` field names no domain of yours: {body.domain_id}.")
        wanted = KeyRequest(who.application_id, body.name, body.permission, body.domain_id, body.test)
        key, token = await repository.create_key(connection, wanted)
    return json_answer(key_created(key, token), 201)


@router.get("", summary="List API keys", response_model=KeyList)
async def list_keys(who: FullAccess, given: With, wanted: Annotated[Window[UUID], Depends(window)]) -> Response:
    """Keys, newest first; all of them when no `limit` is given."""
    async with given.database.connection() as connection:
        found = await repository.keys(connection, who.application_id, wanted)
    return json_answer(listed(found, key_face))


@router.patch(
    "/{key_id}",
    summary="Rename an API key",
    response_model=KeyReference,
    responses=errors("not_found"),
)
async def rename_key(key_id: UUID, body: RenameKey, who: FullAccess, given: With) -> Response:
    """Gives a key another name."""
    async with given.database.connection() as connection:
        if not await repository.rename_key(connection, who.application_id, key_id, body.name):
            raise _unknown(key_id)
    return json_answer(reference("api_key", key_id))


@router.delete("/{key_id}", summary="Delete an API key", response_model=KeyDeleted, responses=errors("not_found"))
async def delete_key(key_id: UUID, who: FullAccess, given: With) -> Response:
    """Deletes a key. Mail it has sent is not touched."""
    async with given.database.connection() as connection:
        if not await repository.delete_key(connection, who.application_id, key_id):
            raise _unknown(key_id)
    given.directory.forget()
    return json_answer(deleted("api_key", key_id))


def _unknown(key_id: UUID) -> ApiError:
    return ApiError("not_found", f"There is no API key {key_id}.")
