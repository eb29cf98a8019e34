"""`/api-keys`: make, list, rename and delete the keys of an application.

Thin: storage is in `accounts/repository`. Every route wants full access and sees only the caller's own keys. A key that
was deleted stops working in this process at once, in others within `accounts.directory.KEEP_SECONDS`.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from accounts import audit, repository
from accounts.audit import Entry
from accounts.directory import Caller
from accounts.repository import ApiKey, KeyRequest
from api.auth import FullAccess, KeyedRoute
from api.deps import Deps, deps
from api.errors import ApiError, invalid_field
from api.openapi import errors
from api.schemas.api_keys import CreateKey, KeyCreated, KeyDeleted, KeyList, KeyReference, RenameKey
from core.paging import Window
from store.database import Connection
from web.answers import json_answer
from web.faces.api_keys import key_audit, key_created, key_face
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
        await _note(connection, who, Entry("key.create", key.name, None, key_audit(key), who.application_id))
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
    async with given.database.transaction() as connection:
        before = await _own(connection, who, key_id)
        await repository.rename_key(connection, who.application_id, key_id, body.name)
        values = key_audit(before), key_audit(before) | {"name": body.name}
        await _note(connection, who, Entry("key.rename", body.name, *values, who.application_id))
    return json_answer(reference("api_key", key_id))


@router.delete("/{key_id}", summary="Delete an API key", response_model=KeyDeleted, responses=errors("not_found"))
async def delete_key(key_id: UUID, who: FullAccess, given: With) -> Response:
    """Deletes a key. Mail it has sent is not touched."""
    async with given.database.transaction() as connection:
        gone = await _own(connection, who, key_id)
        await _note(connection, who, Entry("key.revoke", gone.name, key_audit(gone), None, who.application_id))
        await repository.delete_key(connection, who.application_id, key_id)
    given.directory.forget()
    return json_answer(deleted("api_key", key_id))


async def _own(connection: Connection, who: Caller, key_id: UUID) -> ApiKey:
    found = await repository.key(connection, key_id)
    if found is None or found.application_id != who.application_id:
        raise _unknown(key_id)
    return found


async def _note(connection: Connection, who: Caller, entry: Entry) -> None:
    await audit.write(connection, await audit.of_key(connection, who.key_id), entry)


def _unknown(key_id: UUID) -> ApiError:
    return ApiError("not_found", f"There is no API key {key_id}.")
