"""`/topics`: types of mail of an application, which its recipients may take or leave. `audience/topics` stores."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from api.auth import FullAccess
from api.openapi import errors
from api.operating import ApplicationRoute, With
from api.schemas.topics import (
    CreateTopic,
    PolicyAnswer,
    PutPolicy,
    TopicAnswer,
    TopicDeleted,
    TopicList,
    TopicReference,
    UpdateTopic,
)
from audience import tapering, topics
from audience.tapering import Policy, Step, policy_face
from audience.topics import MOST, Changes, NewTopic
from core.paging import Window
from web.answers import json_answer
from web.faces.references import deleted, reference
from web.faces.topics import topic_answer, topic_face
from web.paging import listed, window

router = APIRouter(prefix="/topics", tags=["Topics"], route_class=ApplicationRoute)


@router.post("", summary="Create a topic", status_code=201, response_model=TopicReference, responses=errors("conflict"))
async def create_topic(body: CreateTopic, who: FullAccess, given: With) -> Response:
    """Makes a type of mail. Send with its id as `topic_id`, and whoever left it gets none of it."""
    wanted = NewTopic(
        who.application_id, body.name, body.default_subscription, body.description, body.visibility, body.stream
    )
    async with given.database.transaction() as connection:
        made = await topics.create(connection, wanted)
    given.topics.forget()
    return json_answer(reference("topic", made.id), 201)


@router.get("", summary="List topics", response_model=TopicList)
async def list_topics(who: FullAccess, given: With, wanted: Annotated[Window[UUID], Depends(window)]) -> Response:
    """The topics of your application, newest first; all of them without `limit`."""
    async with given.database.connection() as connection:
        found = await topics.page(connection, who.application_id, replace(wanted, limit=wanted.limit or MOST + 1))
    return json_answer(listed(found, topic_face))


@router.get("/{topic_id}", summary="Get a topic", response_model=TopicAnswer, responses=errors("not_found"))
async def get_topic(topic_id: UUID, who: FullAccess, given: With) -> Response:
    """A topic."""
    async with given.database.connection() as connection:
        return json_answer(topic_answer(await topics.get(connection, who.application_id, topic_id)))


@router.get(
    "/{topic_id}/policy", summary="Get a topic's policy", response_model=PolicyAnswer, responses=errors("not_found")
)
async def get_policy(topic_id: UUID, who: FullAccess, given: With) -> Response:
    """Who gets how many campaigns of the topic: tapering for the silent, and a cap per week for everybody."""
    async with given.database.connection() as connection:
        await topics.get(connection, who.application_id, topic_id)
        return json_answer(policy_face(topic_id, await tapering.of_topic(connection, topic_id)))


@router.put(
    "/{topic_id}/policy",
    summary="Set a topic's policy",
    response_model=PolicyAnswer,
    responses=errors("not_found", "conflict"),
)
async def put_policy(topic_id: UUID, body: PutPolicy, who: FullAccess, given: With) -> Response:
    """Replaces the policy. It holds for campaigns that begin from now on; the cap per week for every mail not made."""
    steps = tuple(Step(one.after_days, one.send_every) for one in body.tapering)
    wanted = Policy(steps, body.silent_after_days, body.most_per_week, body.reconfirm)
    async with given.database.transaction() as connection:
        topic = await topics.get(connection, who.application_id, topic_id)
        made = await tapering.put(connection, topic, wanted)
    return json_answer(policy_face(topic_id, made))


@router.patch(
    "/{topic_id}", summary="Update a topic", response_model=TopicReference, responses=errors("not_found", "conflict")
)
async def update_topic(topic_id: UUID, body: UpdateTopic, who: FullAccess, given: With) -> Response:
    """Changes what recipients read, and who sees it."""
    changes = Changes(body.name, body.description, body.visibility)
    async with given.database.transaction() as connection:
        await topics.update(connection, who.application_id, topic_id, changes)
    given.topics.forget()
    return json_answer(reference("topic", topic_id))


@router.delete(
    "/{topic_id}", summary="Delete a topic", response_model=TopicDeleted, responses=errors("not_found", "conflict")
)
async def delete_topic(topic_id: UUID, who: FullAccess, given: With) -> Response:
    """Hides a topic for good. Mail of it that waits still keeps to what its recipients chose. The default topic
    cannot be deleted."""
    async with given.database.transaction() as connection:
        await topics.delete(connection, who.application_id, topic_id)
    given.topics.forget()
    return json_answer(deleted("topic", topic_id))
