"""`/inbound`: mail that came back, with what was understood and what became of it. List, and show one.

Thin: `outcomes/inbound` stores, `mta/bounces` reads. Every route wants an operator's key: mail to our addresses belongs
to the installation, and holds other people's words.
"""

from dataclasses import replace
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from api.auth import Operator
from api.errors import ApiError
from api.openapi import errors
from api.operating import OperatorRoute, With
from api.schemas.inbound import InboundMailDetailAnswer, InboundMailList
from core.paging import Window
from mta.bounces import parse_bounce
from mta.from_settings import rules_in_force
from outcomes.inbound import get_inbound, page_of_inbound
from outcomes.judging import Result
from web.absent import Absent
from web.answers import json_answer
from web.faces.inbound import inbound_detail, inbound_face
from web.paging import listed, window

router = APIRouter(prefix="/inbound", tags=["Inbound"], route_class=OperatorRoute)

_PAGE: Final = 20


@router.get("", summary="List reports that came in", response_model=InboundMailList)
async def list_inbound(
    who: Operator,
    given: With,
    wanted: Annotated[Window[UUID], Depends(window)],
    result: Annotated[Result | None, Absent, Query(description="Only mails of which this became.")] = None,
) -> Response:
    """Received mails, newest first."""
    results = (result.value,) if result is not None else ()
    async with given.database.connection() as connection:
        found = await page_of_inbound(connection, results, replace(wanted, limit=wanted.limit or _PAGE))
    return json_answer(listed(found, inbound_face))


@router.get(
    "/{mail_id}",
    summary="Get a report that came in",
    response_model=InboundMailDetailAnswer,
    responses=errors("not_found"),
)
async def get_inbound_mail(mail_id: UUID, who: Operator, given: With) -> Response:
    """One of them as it came, and what is understood of it now."""
    async with given.database.connection() as connection:
        found = await get_inbound(connection, mail_id)
    if found is None:
        raise ApiError("not_found", f"There is no received mail {mail_id} (any more).")
    mail, raw = found
    return json_answer(inbound_detail(mail, raw, parse_bounce(raw), rules_in_force(given.settings)))
