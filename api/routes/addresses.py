"""`/addresses/check`: is this an address that mail to people should go to? `audience/checks` knows."""

from fastapi import APIRouter, Response

from api.auth import FullAccess
from api.operating import ApplicationRoute, With
from api.schemas.addresses import MOST, CheckAddresses, CheckedList
from audience import checks
from audience.checks import Problem
from core.objectives import REPORT
from core.paging import Page
from suppression.forbidden import marketing_forbidden
from web.answers import json_answer
from web.bodies import largest_body
from web.faces.addresses import checked_face
from web.objectives import serves
from web.paging import listed

router = APIRouter(prefix="/addresses", tags=["Contacts"], route_class=ApplicationRoute)


@router.post("/check", summary="Check addresses", response_model=CheckedList)
@largest_body(MOST * 2100)
@serves(REPORT)
async def check_addresses(body: CheckAddresses, who: FullAccess, given: With) -> Response:
    """Says of up to 100 addresses what speaks against writing to them: no address, a domain that takes no mail, a
    likely typo with what was meant, a mailbox for minutes, an office's address, one that is suppressed for your
    marketing mail. Nothing is sent, and no mail server is asked."""
    found = await checks.check(given.resolver, body.addresses)
    async with given.database.connection() as connection:
        addresses = [one.address for one in found if one.address]
        closed = await marketing_forbidden(connection, who.application_id, addresses)
    said = [one.and_also(Problem.SUPPRESSED) if one.address in closed else one for one in found]
    return json_answer(listed(Page(said), checked_face))
