"""`/flags`: what can be switched off while everything runs, for everything, for an application, or for a share.

Thin: `flags/service` checks and stores. Every route wants an operator's key.
Every process goes by a change within two seconds.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import Field

from api.auth import Operator
from api.openapi import errors
from api.operating import OperatorRoute, Part, With, by
from api.schemas.flags import FlagAnswer, FlagList, SetFlag
from flags import service
from flags.service import Change
from pools.assignments import subject_named
from store.database import Connection
from web.absent import Absent
from web.answers import json_answer
from web.faces.flags import flag_face
from web.paging import listed, page_of

router = APIRouter(prefix="/flags", tags=["Flags"], route_class=OperatorRoute)


@router.get("", summary="List flags", response_model=FlagList)
async def list_flags(who: Operator, given: With, wanted: Part) -> Response:
    """Every flag, with what it does and who switched it."""
    async with given.database.connection() as connection:
        found = await service.states(connection)
    return json_answer(listed(page_of(found, lambda state: state.flag.name, wanted), flag_face))


@router.get("/{flag}", summary="Get a flag", response_model=FlagAnswer, responses=errors("not_found"))
async def get_flag(flag: str, who: Operator, given: With) -> Response:
    """One of them."""
    async with given.database.connection() as connection:
        return json_answer(flag_face(await service.state(connection, flag)))


@router.put("/{flag}", summary="Switch a flag", response_model=FlagAnswer, responses=errors("not_found"))
async def set_flag(flag: str, body: SetFlag, who: Operator, given: With) -> Response:
    """Switches it for everything, or for one application. A share is the same in every process, and grows: who is in at
    10 is in at 20."""
    async with given.database.transaction() as connection:
        owner = await _application(connection, body.application)
        state = await service.switch(connection, flag, Change(body.percent, owner, body.reason), by(who))
    return json_answer(flag_face(state))


@router.delete(
    "/{flag}", summary="End the switch of a flag", response_model=FlagAnswer, responses=errors("not_found", "conflict")
)
async def clear_flag(
    flag: str,
    who: Operator,
    given: With,
    application: Annotated[
        Annotated[str, Field(max_length=300)] | None,
        Absent,
        Query(description="Name or id of the application to clear it for."),
    ] = None,
) -> Response:
    """Takes the switch back: the flag is as it is declared again, or for an application as it is for everything."""
    async with given.database.transaction() as connection:
        owner = await _application(connection, application)
        state = await service.switch(connection, flag, Change(None, owner), by(who))
    return json_answer(flag_face(state))


async def _application(connection: Connection, text: str | None) -> UUID | None:
    return await subject_named(connection, "application", text) if text else None
