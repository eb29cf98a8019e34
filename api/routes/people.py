"""`/contacts/{contact}/export` and `/erase`: what the law gives people. For whoever has an address, contact or not.

`outcomes/exporting` and `campaigns/erasing` know where something of a person lies.
"""

from typing import Annotated

from fastapi import APIRouter, Body, Request, Response

from api.auth import FullAccess
from api.contacting import act_of, person_meant
from api.openapi import errors
from api.operating import ApplicationRoute, With
from api.schemas.people import ErasePerson, PersonErased, PersonExported
from campaigns import erasing
from core.objectives import REPORT
from outcomes import exporting
from suppression.reasons import SuppressionScope
from web.answers import json_answer
from web.faces.people import erased_face, held_face
from web.objectives import serves

router = APIRouter(prefix="/contacts", tags=["Contacts"], route_class=ApplicationRoute)


@router.get(
    "/{contact:path}/export", summary="Export a person", response_model=PersonExported, responses=errors("not_found")
)
@serves(REPORT)
async def export_person(contact: str, who: FullAccess, given: With) -> Response:
    """All that you hold about a person, under each address they had: contact, lists, consent, choices, engagement, mail
    with its timeline and, while it is stored, its text, broadcasts, events and automations."""
    async with given.database.connection() as connection:
        person, _ = await person_meant(connection, who.application_id, contact)
        return json_answer(held_face(await exporting.export(connection, person)))


@router.post(
    "/{contact:path}/erase", summary="Erase a person", response_model=PersonErased, responses=errors("not_found")
)
async def erase_person(
    contact: str, request: Request, who: FullAccess, given: With, body: Annotated[ErasePerson | None, Body()] = None
) -> Response:
    """Forgets a person, under each address they had: contact, history, choices, engagement, and them in stored mail.
    What waits is not sent. The hashes of the addresses stay suppressed, so that they are not written to again when a
    list is brought in."""
    scope = SuppressionScope(body.suppress if body else "marketing")
    async with given.database.transaction() as connection:
        person, _ = await person_meant(connection, who.application_id, contact)
        erased = await erasing.erase(connection, person, act_of(request, who), scope)
    return json_answer(erased_face(person.address, erased))
