"""`/logs`: the requests that were made with an application's keys. Thin: `requestlog` keeps them.

A test key sees what was asked for with test keys.
"""

from dataclasses import replace
from typing import Annotated, ClassVar, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response
from pydantic import AfterValidator, AwareDatetime

from accounts.directory import Caller
from api.auth import MailAccess
from api.errors import ApiError
from api.openapi import errors
from api.operating import ReadingRoute, With
from api.schemas.logs import LogAnswer, LogList
from api.schemas.shapes import in_reach
from core.paging import Window
from requestlog import repository
from requestlog.repository import Status, Wanted
from web.absent import Absent
from web.answers import json_answer
from web.faces.logs import log_detail, log_face
from web.paging import listed, window


class _Route(ReadingRoute):
    """Test keys see what test keys did."""

    guard: ClassVar = "mail_access"


router = APIRouter(prefix="/logs", tags=["Logs"], route_class=_Route)

_PAGE: Final = 20
_Moment = Annotated[AwareDatetime, AfterValidator(in_reach)]


@router.get("", summary="List requests", response_model=LogList)
async def list_logs(
    who: MailAccess,
    given: With,
    part: Annotated[Window[UUID], Depends(window)],
    status: Annotated[Status | None, Absent, Query(description="Only those answered like this.")] = None,
    method: Annotated[str, Query(max_length=10, description="Only those with this method.")] = "",
    endpoint: Annotated[str, Query(max_length=300, description="Only those whose path begins like this.")] = "",
    since: Annotated[_Moment | None, Absent, Query(description="Only those from here on.")] = None,
    until: Annotated[_Moment | None, Absent, Query(description="Only those before.")] = None,
) -> Response:
    """Requests that came with keys of your application, newest first. What was sent in them is kept without its texts:
    no subject, no body, no address. Where many succeed in a second, some are kept and stand for the others."""
    wanted = replace(_wanted(who), status=status, method=method.upper(), path=endpoint, since=since, until=until)
    async with given.database.connection() as connection:
        found = await repository.page(connection, wanted, replace(part, limit=part.limit or _PAGE))
    return json_answer(listed(found, log_face))


@router.get("/{log_id}", summary="Get a request", response_model=LogAnswer, responses=errors("not_found"))
async def get_log(log_id: UUID, who: MailAccess, given: With) -> Response:
    """A request with what is kept of its body and of the answer's."""
    async with given.database.connection() as connection:
        found = await repository.find(connection, _wanted(who), log_id)
    if found is None:
        raise ApiError("not_found", f"There is no request {log_id} in the log (any more).")
    return json_answer(log_detail(found))


def _wanted(who: Caller) -> Wanted:
    return Wanted((who.application_id,), test=who.test)
