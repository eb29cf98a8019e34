"""What people do to webhooks: make, change, switch, rotate, send again, delete.

Thin: `webhooks/endpoints` and `webhooks/events`; each act stands in the audit log, in its transaction. A secret is
shown on the page that answers the form which made it, and on no other.
"""

from collections.abc import Sequence
from uuid import UUID

from fastapi import APIRouter, Response

from accounts.audit import Entry
from accounts.roles import Right
from console.guard import ConsoleRoute, needs
from console.rendering import page
from console.visit import Visit, Visiting
from console.webhooks import words
from console.webhooks.door import choices, owner_named, the_one, values
from console.webhooks.routes import range_of, show_one
from core.refusal import Refused, invalid
from mta.guard import networks
from store.database import Connection
from webhooks import endpoints, events
from webhooks.choosing import chosen
from webhooks.endpoints import DISABLED, ENABLED, OVERLAP, Change, Endpoint
from webhooks.standing import Standing
from webhooks.targets import check

router = APIRouter(route_class=ConsoleRoute)


@router.get("/webhooks/new")
@needs(Right.SENDING_CHANGE)
async def ask_for_new(visit: Visiting) -> Response:
    """The form for a new endpoint."""
    return await _form(visit)


@router.post("/webhooks")
@needs(Right.SENDING_CHANGE)
async def create(visit: Visiting) -> Response:
    """A new endpoint, told of what happens from now on; its secret is shown this once."""
    try:
        async with visit.given.database.transaction() as connection:
            owner = await owner_named(connection, visit)
            url, kinds = _url(visit), _events(visit, owner)
            made, secret = await endpoints.create(connection, visit.given.secret, owner, url, kinds)
            await visit.note(connection, Entry("webhook.create", str(made.id), None, values(made), owner))
    except Refused as error:
        return await _form(visit, error=error)
    return page(visit, "webhooks/secret.html", endpoint=made, secret=secret, hours=0)


@router.get("/webhooks/{webhook_id}/edit")
@needs(Right.SENDING_CHANGE)
async def edit(visit: Visiting, webhook_id: UUID) -> Response:
    """The form for another URL or other events."""
    return await _form(visit, webhook_id)


@router.post("/webhooks/{webhook_id}/edit")
@needs(Right.SENDING_CHANGE)
async def change(visit: Visiting, webhook_id: UUID) -> Response:
    """Another URL, other events; what was known of its troubles is forgotten."""
    try:
        async with visit.given.database.transaction() as connection:
            was = (await the_one(connection, visit, webhook_id, change=True)).endpoint
            kinds = _events(visit, was.application_id)
            wanted = Change(_url(visit), kinds, every_event=kinds is None)
            await _change(connection, visit, was, wanted)
    except Refused as error:
        return await _form(visit, webhook_id, error)
    return visit.go(f"/webhooks/{webhook_id}", "Changed. It is told so from now on.")


@router.post("/webhooks/{webhook_id}/switch")
@needs(Right.SENDING_CHANGE)
async def switch(visit: Visiting, webhook_id: UUID) -> Response:
    """On or off."""
    status = ENABLED if visit.field("on") else DISABLED
    async with visit.given.database.transaction() as connection:
        was = (await the_one(connection, visit, webhook_id, change=True)).endpoint
        await _change(connection, visit, was, Change(status=status))
    said = "It is on: what waited goes out now." if status == ENABLED else "It is off: it is told of nothing."
    return visit.go(f"/webhooks/{webhook_id}", said)


@router.post("/webhooks/{webhook_id}/rotate")
@needs(Right.SENDING_CHANGE)
async def rotate(visit: Visiting, webhook_id: UUID) -> Response:
    """Another secret, shown this once; the one before signs beside it for a day."""
    async with visit.given.database.transaction() as connection:
        one = (await the_one(connection, visit, webhook_id, change=True)).endpoint
        secret = await endpoints.rotate(connection, visit.given.secret, one.application_id, webhook_id)
        await visit.note(connection, Entry("webhook.rotate", str(one.id), application_id=one.application_id))
    return page(visit, "webhooks/secret.html", endpoint=one, secret=secret, hours=OVERLAP.total_seconds() // 3600)


@router.post("/webhooks/{webhook_id}/replay")
@needs(Right.SENDING_CHANGE)
async def replay(visit: Visiting, webhook_id: UUID) -> Response:
    """Events of a range of time again, with the same ids and bodies."""
    try:
        wanted = range_of(visit, visit.field("since"), visit.field("until"), visit.field("which"))
        async with visit.given.database.connection() as connection:
            one = await _on(connection, visit, webhook_id)
    except Refused as error:
        if error.kind == "not_found":
            raise
        return await show_one(visit, webhook_id, error)
    async with visit.given.database.connection() as connection:  # in steps: what is due again leaves meanwhile
        count = await events.replay_some(connection, webhook_id, wanted.since, wanted.until, wanted.which)
    async with visit.given.database.transaction() as connection:
        after = {"events": count, "which": wanted.which, "since": wanted.since, "until": wanted.until}
        entry = Entry("webhook.replay", str(webhook_id), None, after, one.endpoint.application_id)
        await visit.note(connection, entry)
    return visit.go(f"/webhooks/{webhook_id}", f"{words.events(count)} will be sent again.")


@router.post("/webhooks/{webhook_id}/events/{event_id}/replay")
@needs(Right.SENDING_CHANGE)
async def replay_one(visit: Visiting, webhook_id: UUID, event_id: UUID) -> Response:
    """One event again, with what waits of the same mail."""
    async with visit.given.database.transaction() as connection:
        one = await _on(connection, visit, webhook_id)
        await events.replay(connection, webhook_id, event_id)
        entry = Entry("webhook.replay", str(webhook_id), None, {"event": str(event_id)}, one.endpoint.application_id)
        await visit.note(connection, entry)
    return visit.go(f"/webhooks/{webhook_id}?open={event_id}", "It will be sent again, with the same id and body.")


@router.post("/webhooks/{webhook_id}/delete")
@needs(Right.SENDING_CHANGE)
async def delete(visit: Visiting, webhook_id: UUID) -> Response:
    """The endpoint with what it was told."""
    async with visit.given.database.transaction() as connection:
        was = (await the_one(connection, visit, webhook_id, change=True)).endpoint
        await endpoints.delete(connection, was.application_id, webhook_id)
        entry = Entry("webhook.delete", str(was.id), values(was), None, was.application_id)
        await visit.note(connection, entry)
    return visit.go("/webhooks", f"{was.url} is told of nothing any more.")


async def _form(visit: Visit, webhook_id: UUID | None = None, error: Refused | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        one = (await the_one(connection, visit, webhook_id, change=True)).endpoint if webhook_id else None
        options = await choices(connection, visit)
    operators = None if one is None else one.application_id is None
    return page(
        visit, "webhooks/form.html", 200 if error is None else 422, one=one, options=options, error=error,
        url=visit.field("endpoint") if error else one.url if one else "", ticked=_ticked(visit, one, error),
        groups=words.groups(operators=operators), application=visit.field("application") or visit.asked("application"),
    )  # fmt: skip


def _ticked(visit: Visit, one: Endpoint | None, error: Refused | None) -> Sequence[str] | None:
    """Types that the form shows as chosen; None for all."""
    if error is not None:
        return list(visit.form.get("events") or ()) if visit.field("which") == "some" else None
    return one.events if one else None


async def _on(connection: Connection, visit: Visit, webhook_id: UUID) -> Standing:
    """An endpoint that something can be sent to. Raises Refused."""
    one = await the_one(connection, visit, webhook_id, change=True)
    await endpoints.sending(connection, one.endpoint.application_id, webhook_id)
    return one


async def _change(connection: Connection, visit: Visit, was: Endpoint, wanted: Change) -> None:
    now = await endpoints.change(connection, was.application_id, was.id, wanted)
    entry = Entry("webhook.update", str(was.id), values(was), values(now), was.application_id)
    await visit.note(connection, entry)


def _url(visit: Visit) -> str:
    return check(visit.field("endpoint"), networks(visit.given.settings.webhook_networks)).url


def _events(visit: Visit, owner: UUID | None) -> list[str] | None:
    """The types that were ticked; None for all. Raises Refused."""
    if visit.field("which") != "some":
        return None
    ticked = list(visit.form.get("events") or ())
    if not ticked:
        raise invalid("events", "tick one type at least, or choose all of them")
    return chosen(ticked, operators=owner is None)
