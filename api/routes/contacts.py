"""`/contacts/{contact}/topics`: which types of mail one person takes. A contact is named by address.

What the application says here is kept with its source, beside what the person says on their page. It can take or leave
topics for them, but not take back that they left all marketing mail, nor end their pause.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from api.auth import FullAccess
from api.openapi import errors
from api.operating import ApplicationRoute, With
from api.schemas.topics import Choice, Choices, ChooseTopics, ContactReference, ContactTopics
from audience import choices, topics
from audience.choices import Act, Person, Preference, Source, person_named
from audience.topics import MOST, Subscription
from core.paging import Window, page_within
from core.queues import Lane
from core.refusal import invalid
from messages import choosing
from store.database import Connection
from web.answers import json_answer
from web.bodies import largest_body
from web.faces.references import reference
from web.faces.topics import preference_face
from web.paging import listed, there, window

router = APIRouter(prefix="/contacts", tags=["Contacts"], route_class=ApplicationRoute)

_BODY: Final = 64 * 1024


@router.get(
    "/{contact:path}/topics",
    summary="List what a contact takes",
    response_model=ContactTopics,
    responses=errors("not_found"),
)
async def list_contact_topics(
    contact: str, who: FullAccess, given: With, wanted: Annotated[Window[UUID], Depends(window)]
) -> Response:
    """Every topic, and whether this person gets it."""
    async with given.database.connection() as connection:
        found = await _preferences(connection, person_named(who.application_id, contact))
    part = page_within(found, lambda one: one.topic.id, replace(wanted, limit=wanted.limit or MOST))
    return json_answer(listed(there(part), preference_face))


@router.patch(
    "/{contact:path}/topics",
    summary="Change what a contact takes",
    response_model=ContactReference,
    responses=errors("not_found"),
)
@largest_body(_BODY)
async def update_contact_topics(contact: str, body: ChooseTopics, who: FullAccess, given: With) -> Response:
    """Takes or leaves topics for a person. It holds for mail that waits, too."""
    person = person_named(who.application_id, contact)
    act = Act(Source.API, detail=f"API key {who.key_id}")
    async with given.database.transaction() as connection:
        wanted = _wanted(body.topics if isinstance(body, Choices) else body, await _preferences(connection, person))
        await choosing.choose(connection, person, wanted, act)
    return json_answer(reference("contact", person.address))


def _wanted(given: Sequence[Choice], known: Sequence[Preference]) -> dict[UUID, Subscription]:
    lanes = {one.topic.id: one.topic.lane for one in known}
    for number, choice in enumerate(given):
        lane = lanes.get(choice.id)
        if lane is None:
            raise invalid(f"topics[{number}].id", "there is no such topic")
        if lane is Lane.TRANSACTIONAL and choice.subscription is Subscription.OPT_OUT:
            raise invalid(f"topics[{number}].id", "a transactional topic is always on")
    return {choice.id: choice.subscription for choice in given if lanes[choice.id] is Lane.MARKETING}


async def _preferences(connection: Connection, person: Person) -> list[Preference]:
    return await choices.preferences(connection, person, await topics.every(connection, person.application_id))
