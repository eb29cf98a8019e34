"""`/topics`: the types of mail of an application, what recipients read of them, and how often each comes.

Thin: `audience/topics` and `audience/tapering`. Other processes hear of a change within seconds.
"""

from collections.abc import Iterator
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Response

from accounts.audit import Entry, Values
from accounts.roles import Right
from audience import tapering, topics
from audience.tapering import Policy
from audience.topics import Changes, NewTopic, Subscription, Topic, Visibility
from console.guard import ConsoleRoute, needs
from console.looks import framed_look
from console.owners import chosen
from console.owners import owners as owners_of
from console.rendering import page
from console.shown import plural
from console.visit import Visit, Visiting
from core.queues import Lane
from core.refusal import Refused, invalid, not_found
from web.previews import What

router = APIRouter(route_class=ConsoleRoute)

_LONGEST: Final = {"name": 50, "description": 200}
"""Characters, as at the other doors."""


@router.get("/topics")
@needs(Right.PEOPLE_SEE)
async def list_topics(visit: Visiting) -> Response:
    """All of an application: there are few."""
    return await _list(visit)


@router.post("/topics")
@needs(Right.PEOPLE_CHANGE)
async def create(visit: Visiting) -> Response:
    """Makes a topic."""
    try:
        name, description = _text(visit, "name"), _text(visit, "description")
        default, visibility, lane = _choices(visit)
        async with visit.given.database.transaction() as connection:
            owner = (await chosen(connection, visit)).chosen
            made = await topics.create(connection, NewTopic(owner, name, default, description, visibility, lane))
            await visit.note(connection, Entry("topic.create", made.name, None, _values(made), owner))
    except Refused as error:
        return await _list(visit, error)
    return visit.go(f"/topics?application={owner}", f"{made.name} is there. Send with it, and people can leave it.")


@router.get("/topics/{topic_id}")
@needs(Right.PEOPLE_SEE)
async def look(visit: Visiting, topic_id: UUID) -> Response:
    """How its readers see it: the page of preferences of somebody who has chosen nothing."""
    async with visit.given.database.connection() as connection:
        names = await owners_of(connection, visit)
        found = [one for owner in names for one in await topics.every(connection, owner) if one.id == topic_id]
    if not found:
        raise not_found("there is no such topic")
    one = found[0]
    return framed_look(visit, What.TOPIC, one.id, one.application_id, "topics/look.html", {"one": one})


@router.post("/topics/{topic_id}")
@needs(Right.PEOPLE_CHANGE)
async def change(visit: Visiting, topic_id: UUID) -> Response:
    """Changes what recipients read, and who sees it."""
    try:
        wanted = Changes(_text(visit, "name"), _text(visit, "description"), _choices(visit)[1])
        async with visit.given.database.transaction() as connection:
            owner = (await chosen(connection, visit)).chosen
            was = await topics.get(connection, owner, topic_id)
            now = await topics.update(connection, owner, topic_id, wanted)
            await visit.note(connection, Entry("topic.update", now.name, _values(was), _values(now), owner))
    except Refused as error:
        return await _list(visit, error, topic_id)
    return visit.go(f"/topics?application={owner}", f"{now.name} is changed.")


@router.post("/topics/{topic_id}/delete")
@needs(Right.PEOPLE_CHANGE)
async def delete(visit: Visiting, topic_id: UUID) -> Response:
    """Hides a topic for good. What people chose still holds for mail of it that waits."""
    try:
        async with visit.given.database.transaction() as connection:
            owner = (await chosen(connection, visit)).chosen
            gone = await topics.delete(connection, owner, topic_id)
            await visit.note(connection, Entry("topic.delete", gone.name, _values(gone), None, owner))
    except Refused as error:
        return await _list(visit, error)
    return visit.go(f"/topics?application={owner}", f"{gone.name} is gone.")


def how_often(policy: Policy) -> Iterator[str]:
    """What a policy means, in sentences."""
    if policy.silent_days is None:
        yield "Whoever is silent goes on getting it, however long."
    else:
        yield f"Who was silent for {plural(policy.silent_days, 'day')} gets none."
    for step in policy.steps:
        share = "none" if step.every is None else f"one of {step.every} campaigns"
        yield f"After {plural(step.after_days, 'day')} of silence: {share}."
    if policy.most_per_week is not None:
        yield f"Nobody gets more than {plural(policy.most_per_week, 'campaign')} of it within 7 days."


async def _list(visit: Visit, error: Refused | None = None, wrong: UUID | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        owners = await chosen(connection, visit)
        found = await topics.every(connection, owners.chosen)
        rows = [(one, list(how_often(await tapering.of_topic(connection, one.id)))) for one in found]
    public = sum(1 for one in found if one.visibility is Visibility.PUBLIC)
    return page(
        visit, "topics/list.html", 200 if error is None else 422, rows=rows, owners=owners, error=error, wrong=wrong,
        public=public, lanes=[lane.value for lane in Lane],
    )  # fmt: skip


def _choices(visit: Visit) -> tuple[Subscription, Visibility, Lane]:
    try:
        return (
            Subscription(visit.field("default") or Subscription.OPT_IN),
            Visibility(visit.field("visibility") or Visibility.PRIVATE),
            Lane(visit.field("lane") or Lane.MARKETING),
        )
    except ValueError:
        raise invalid("", "choose one of the list") from None


def _text(visit: Visit, name: str) -> str:
    text = visit.field(name)
    if len(text) > _LONGEST[name] or not text.isprintable() or (name == "name" and not text):
        raise invalid(name, f"it must have at most {_LONGEST[name]} characters in one line")
    return text


def _values(found: Topic) -> Values:
    kept = {"default": found.default.value, "visibility": found.visibility.value, "lane": found.lane.value}
    return {"name": found.name, "description": found.description, **kept}
