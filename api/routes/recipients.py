"""`/recipients`: one person by address. May we write to them and why not, what they take, what they did last.

Thin: `outcomes/recipients` knows. An application sees what concerns its own mail, an operator everything. Somebody
nobody knows gets an answer too: nothing forbids mail to them.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Response

from accounts.directory import OPERATOR
from api.auth import FullAccess, FullAccessOrOperator, SharedRoute
from api.errors import ApiError
from api.openapi import errors
from api.operating import With
from api.schemas.recipients import ActivityReported, RecipientFound, ReportActivity
from audience.choices import Person, person_named
from core.refusal import Refused
from outcomes import recipients
from web.answers import json_answer
from web.faces.recipients import activity_face, everywhere_face, recipient_face

router = APIRouter(prefix="/recipients", tags=["Recipients"], route_class=SharedRoute)


@router.get(
    "/{email:path}", summary="Get a recipient", response_model=RecipientFound, responses=errors("invalid_parameter")
)
async def get_recipient(email: str, who: FullAccessOrOperator, given: With) -> Response:
    """Whether we may write to somebody, and if not why, since when and what to tell them; what they take; what was
    last. `invalid_parameter` for what is no address. An operator's key sees all applications."""
    person = _person(who.application_id, email)
    async with given.database.connection() as connection:
        if who.permission == OPERATOR:
            return json_answer(everywhere_face(await recipients.everywhere(connection, person.address)))
        return json_answer(recipient_face(await recipients.of_application(connection, person)))


@router.post(
    "/{email:path}/activity",
    summary="Report activity of a recipient",
    response_model=ActivityReported,
    responses=errors("invalid_parameter"),
)
async def report_activity(
    email: str, who: FullAccess, given: With, body: Annotated[ReportActivity | None, Body()] = None
) -> Response:
    """Says that somebody was seen, such as at a login. Told twice, or late, it changes nothing. Young IPs meet those
    first who were seen last."""
    person, at = _person(who.application_id, email), body.at if body else None
    async with given.database.transaction() as connection:
        last = await recipients.report_activity(connection, person, at, given.clock.now())
    return json_answer(activity_face(person.address, last))


def _person(application_id: UUID, email: str) -> Person:
    """The person in the path: 422 for what is no address, as everybody with an address has an answer."""
    try:
        return person_named(application_id, email)
    except Refused as error:
        raise ApiError("invalid_parameter", f"The `email` in the path is not an address: {error.reason}") from None
