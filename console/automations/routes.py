"""`/automations`: what follows by itself, written, switched on and off; and who is where in it.

Thin: `campaigns/automations`, as for the API and the command line. What lines cannot say is changed by the API.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Response

from accounts.audit import Entry, Values
from accounts.roles import Right
from audience import contacts, segments, topics
from campaigns.automations import repository, runs, steering
from campaigns.automations.model import NOBODY, Automation, AutomationState, Run, RunState, WholeRun, Workflow
from campaigns.automations.steering import Changes
from console.automations import filled, words
from console.guard import ConsoleRoute, NotAllowed, needs
from console.listing import listed, opened, window
from console.owners import chosen
from console.rendering import page
from console.visit import Visit, Visiting
from core.paging import Window
from core.refusal import Refused, conflict, not_found
from store.database import Connection
from web.faces.automations import run_answer

router = APIRouter(route_class=ConsoleRoute)

_Act = Callable[[Connection, Automation], Awaitable[Automation]]
_ACTS: Final[Mapping[str, tuple[_Act, Right, str]]] = {
    "enable": (steering.enable, Right.CAMPAIGNS_SEND, "People enter from now on."),
    "disable": (steering.disable, Right.CAMPAIGNS_SEND, "Nobody enters any more. Who is under way goes on."),
    "stop": (steering.stop, Right.CAMPAIGNS_SEND, "Stopped: nobody enters, and nobody under way gets more of it."),
    "duplicate": (steering.duplicate, Right.CAMPAIGNS_CHANGE, "This is the copy. It is off."),
}
_CANCELLED: Final = "cancelled by hand"
_AGAIN: Final = "What you wrote stands here still. Open it in another window, and save again what of it is to stand."


@router.get("/automations")
@needs(Right.CAMPAIGNS_SEE)
async def list_automations(visit: Visiting) -> Response:
    """All of an application, newest first."""
    async with visit.given.database.connection() as connection:
        owners, part = await chosen(connection, visit), window(visit)
        found = await repository.page(connection, owners.chosen, part)
        every = (await repository.page(connection, owners.chosen, Window(steering.MOST))).entries
        counts = await runs.counts(connection, [one.id for one in every])
        begins = await repository.workflows_of(connection, [one.version_id for one in found.entries])
    return page(
        visit, "automations/list.html", list=listed(visit, found, part, lambda one: one.id), owners=owners,
        counts=counts, begins=begins, words=words, answered=words.overall(every, counts),
    )  # fmt: skip


@router.get("/automations/new")
@needs(Right.CAMPAIGNS_CHANGE)
async def new(visit: Visiting) -> Response:
    """The form that makes one."""
    return await _form(visit)


@router.post("/automations")
@needs(Right.CAMPAIGNS_CHANGE)
async def create(visit: Visiting) -> Response:
    """Makes one; it is off."""
    try:
        async with visit.given.database.transaction() as connection:
            owner = (await chosen(connection, visit)).chosen
            wanted = await filled.filled(connection, visit, owner)
            made = await steering.create(connection, owner, visit.field("name"), wanted, AutomationState.DISABLED)
            await visit.note(connection, Entry("automation.create", str(made.id), None, _values(made), owner))
    except Refused as error:
        return await _form(visit, error=error)
    return visit.go(f"/automations/{made.id}", "It is there, and off: switch it on when it is as you want it.")


@router.get("/automations/{automation_id}")
@needs(Right.CAMPAIGNS_SEE)
async def show(visit: Visiting, automation_id: UUID) -> Response:
    """One of them, and who goes through it."""
    return await _one(visit, automation_id)


@router.get("/automations/{automation_id}/edit")
@needs(Right.CAMPAIGNS_CHANGE)
async def edit(visit: Visiting, automation_id: UUID) -> Response:
    """The same form for one that is there."""
    async with visit.given.database.connection() as connection:
        found = await _the_one(connection, visit, automation_id)
    return await _form(visit, found)


@router.post("/automations/{automation_id}/edit")
@needs(Right.CAMPAIGNS_CHANGE)
async def save(visit: Visiting, automation_id: UUID) -> Response:
    """Another name, other steps. Who is under way keeps those they began with."""
    try:
        async with visit.given.database.transaction() as connection:
            was = await _held(connection, visit, automation_id)
            if visit.field("revision") not in ("", _revision(was)):
                raise conflict("somebody else has changed it since you opened this form", _AGAIN)
            wanted = await filled.filled(connection, visit, was.application_id) if visit.field("begins") else None
            now = await steering.update(connection, was, Changes(visit.field("name"), wanted))
            values = _values(was), _values(now)
            await visit.note(connection, Entry("automation.update", str(was.id), *values, was.application_id))
    except Refused as error:
        async with visit.given.database.connection() as connection:
            was = await _the_one(connection, visit, automation_id)
        return await _form(visit, was, error)
    return visit.go(f"/automations/{was.id}", "Saved. Who is under way keeps the steps they began with.")


@router.post("/automations/{automation_id}/delete")
@needs(Right.CAMPAIGNS_CHANGE)
async def delete(visit: Visiting, automation_id: UUID) -> Response:
    """It goes, with its runs."""
    async with visit.given.database.transaction() as connection:
        was = await _held(connection, visit, automation_id)
        await steering.remove(connection, was)
        await visit.note(connection, Entry("automation.delete", str(was.id), _values(was), None, was.application_id))
    return visit.go(f"/automations?application={was.application_id}", f"{was.name} is gone, with its runs.")


@router.post("/automations/{automation_id}/runs/{run_id}/cancel")
@needs(Right.CAMPAIGNS_SEND)
async def cancel(visit: Visiting, automation_id: UUID, run_id: UUID) -> Response:
    """One person gets no more of it."""
    try:
        async with visit.given.database.transaction() as connection:
            known = await _the_one(connection, visit, automation_id)
            was = await runs.find(connection, known.id, run_id)
            await runs.cancel(connection, was, _CANCELLED)
            states = {"status": was.state.value}, {"status": RunState.CANCELLED.value}
            await visit.note(connection, Entry("automation.cancel", str(run_id), *states, known.application_id))
    except Refused as error:
        return await _one(visit, automation_id, error)
    return visit.go(f"/automations/{automation_id}?open={run_id}", "Cancelled. What was sent was sent.")


@router.post("/automations/{automation_id}/{act}")
@needs(Right.CAMPAIGNS_SEE)
async def do(visit: Visiting, automation_id: UUID, act: str) -> Response:
    """Switch it on or off, stop it, copy it."""
    if act not in _ACTS:
        raise not_found("there is no such page")
    work, right, said = _ACTS[act]
    if not visit.may(right):
        raise NotAllowed(right)
    try:
        async with visit.given.database.transaction() as connection:
            was = await _held(connection, visit, automation_id)
            now = await work(connection, was)
            before = None if act == "duplicate" else _values(was)
            await visit.note(
                connection, Entry(f"automation.{act}", str(now.id), before, _values(now), was.application_id)
            )
    except Refused as error:
        return await _one(visit, automation_id, error)
    return visit.go(f"/automations/{now.id}", said)


async def _the_one(connection: Connection, visit: Visit, automation_id: UUID) -> Automation:
    """One that this person may see. Raises Refused."""
    found = await repository.get(connection, None, automation_id)
    visit.sees(found.application_id)
    return found


async def _held(connection: Connection, visit: Visit, automation_id: UUID) -> Automation:
    """The same, as it stays to the end of the transaction: what the audit log says of it before is what it was."""
    visit.sees((await repository.held(connection, None, automation_id)).application_id)
    return await _the_one(connection, visit, automation_id)


def _revision(found: Automation) -> str:
    return f"{found.version_id} {found.name}"


async def _one(visit: Visit, automation_id: UUID, error: Refused | None = None) -> Response:
    part, state = window(visit), visit.asked("status")
    states = [RunState(state)] if state in list(RunState) else []
    async with visit.given.database.connection() as connection:
        one = await _the_one(connection, visit, automation_id)
        steps = await repository.workflow_of(connection, one)
        found = await runs.page(connection, one.id, part, states)
        counts = (await runs.counts(connection, [one.id])).get(one.id, {})
        shown = await _run(connection, one, visit.asked("open"))
        names = await _people(connection, visit, [*found.entries, *([shown.run] if shown else [])])
    return page(
        visit, "automations/one.html", 200 if error is None else 422, one=one, steps=steps, counts=counts, words=words,
        list=listed(visit, found, part, lambda run: run.id), shown=shown, told=run_answer(shown) if shown else None,
        names=names, nobody=NOBODY, state=state, error=error, at=partial(opened, visit),
    )  # fmt: skip


async def _run(connection: Connection, one: Automation, text: str) -> WholeRun | None:
    """The run in the panel; None for none, and for one that is gone."""
    try:
        return await runs.whole(connection, await runs.find(connection, one.id, UUID(text))) if text else None
    except (ValueError, Refused):
        return None


async def _people(connection: Connection, visit: Visit, found: Sequence[Run]) -> dict[UUID, str]:
    """Their addresses, for who may see people."""
    if not visit.may(Right.PEOPLE_SEE):
        return {}
    known = await contacts.by_ids(connection, [one.contact_id for one in found])
    return {key: one.email for key, one in known.items()}


async def _form(visit: Visit, found: Automation | None = None, error: Refused | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        owners = await chosen(connection, visit)
        owner = found.application_id if found else owners.chosen
        steps: Workflow | None = await repository.workflow_of(connection, found) if found else None
        lists = (await segments.page(connection, owner, Window(segments.MOST))).entries
        kinds = await topics.every(connection, owner)
    given, sayable = filled.written(found.name if found else "", steps)
    if visit.form:
        given = {name: visit.field(name) for name in filled.FIELDS}
    return page(
        visit, "automations/edit.html", 200 if error is None else 422, one=found, given=given, sayable=sayable,
        error=error, owners=owners, owner=owner, words=words, revision=_revision(found) if found else "",
        segments=[(str(one.id), one.name) for one in lists], topics=[(str(one.id), one.name) for one in kinds],
    )  # fmt: skip


def _values(found: Automation) -> Values:
    """What the audit log keeps of it: of its steps only which version they are."""
    return {"name": found.name, "status": found.state.value, "version": str(found.version_id)}
