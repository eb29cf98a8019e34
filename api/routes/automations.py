"""`/automations`: what follows by itself, in Resend's shape. `campaigns/automations/steering` decides."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from api.auth import FullAccess
from api.openapi import errors
from api.operating import ApplicationRoute, With
from api.schemas.automations import (
    AutomationAnswer,
    AutomationDeleted,
    AutomationList,
    AutomationReference,
    AutomationRunAnswer,
    AutomationRunList,
    AutomationRunReference,
    AutomationStopped,
    CreateAutomation,
    UpdateAutomation,
)
from campaigns.automations import repository, runs, steering, workflow
from campaigns.automations.model import AutomationState, RunState, Workflow
from campaigns.automations.steering import Changes
from core.paging import Window
from core.refusal import invalid
from web.absent import Absent
from web.answers import json_answer
from web.bodies import largest_body
from web.faces.automations import automation_answer, automation_face, run_answer, run_face
from web.faces.references import deleted, reference
from web.paging import listed, window

router = APIRouter(prefix="/automations", tags=["Automations"], route_class=ApplicationRoute)

PAGE = 20
CANCELLED = "cancelled by hand"
_BODY = 4 * 1024 * 1024
_Window = Annotated[Window[UUID], Depends(window)]
_REFUSALS = errors("not_found", "conflict")


@router.post(
    "", summary="Create an automation", status_code=201, response_model=AutomationReference, responses=_REFUSALS
)
@largest_body(_BODY)
async def create_automation(body: CreateAutomation, who: FullAccess, given: With) -> Response:
    """Makes one, disabled unless `status` says otherwise."""
    wanted = _workflow(body)
    assert wanted is not None, "steps are needed"
    state = body.status or AutomationState.DISABLED
    async with given.database.transaction() as connection:
        made = await steering.create(connection, who.application_id, body.name, wanted, state)
    return json_answer(reference("automation", made.id), 201)


@router.get("", summary="List automations", response_model=AutomationList)
async def list_automations(
    who: FullAccess,
    given: With,
    wanted: _Window,
    status: Annotated[AutomationState | None, Absent, Query(description="Only those.")] = None,
) -> Response:
    """Your automations, newest first."""
    wanted = replace(wanted, limit=wanted.limit or PAGE)
    async with given.database.connection() as connection:
        found = await repository.page(connection, who.application_id, wanted, status)
    return json_answer(listed(found, automation_face))


@router.get("/{automation_id}", summary="Get an automation", response_model=AutomationAnswer, responses=_REFUSALS)
async def get_automation(automation_id: UUID, who: FullAccess, given: With) -> Response:
    """An automation with its steps."""
    async with given.database.connection() as connection:
        known = await repository.get(connection, who.application_id, automation_id)
        return json_answer(automation_answer(known, await repository.workflow_of(connection, known)))


@router.patch(
    "/{automation_id}", summary="Update an automation", response_model=AutomationReference, responses=_REFUSALS
)
@largest_body(_BODY)
async def update_automation(automation_id: UUID, body: UpdateAutomation, who: FullAccess, given: With) -> Response:
    """Whoever is under way keeps the steps they began with. Disabled, nobody enters, and those under way go on."""
    changes = Changes(body.name, _workflow(body), body.status)
    async with given.database.transaction() as connection:
        await steering.update(connection, await repository.get(connection, who.application_id, automation_id), changes)
    return json_answer(reference("automation", automation_id))


@router.delete(
    "/{automation_id}", summary="Delete an automation", response_model=AutomationDeleted, responses=_REFUSALS
)
async def delete_automation(automation_id: UUID, who: FullAccess, given: With) -> Response:
    """With its runs; whoever is under way gets no more of it."""
    async with given.database.transaction() as connection:
        await steering.remove(connection, await repository.get(connection, who.application_id, automation_id))
    return json_answer(deleted("automation", automation_id))


@router.post(
    "/{automation_id}/duplicate",
    summary="Duplicate an automation",
    status_code=201,
    response_model=AutomationReference,
    responses=_REFUSALS,
)
async def duplicate_automation(automation_id: UUID, who: FullAccess, given: With) -> Response:
    """A new one with the same steps, disabled."""
    async with given.database.transaction() as connection:
        known = await repository.get(connection, who.application_id, automation_id)
        made = await steering.duplicate(connection, known)
    return json_answer(reference("automation", made.id), 201)


@router.post(
    "/{automation_id}/stop", summary="Stop an automation", response_model=AutomationStopped, responses=_REFUSALS
)
async def stop_automation(automation_id: UUID, who: FullAccess, given: With) -> Response:
    """Disables it, and cancels the runs that are under way."""
    async with given.database.transaction() as connection:
        known = await repository.get(connection, who.application_id, automation_id)
        stopped = await steering.stop(connection, known)
    return json_answer(reference("automation", automation_id) | {"status": stopped.state})


@router.get(
    "/{automation_id}/runs", summary="List runs of an automation", response_model=AutomationRunList, responses=_REFUSALS
)
async def list_runs(
    automation_id: UUID,
    who: FullAccess,
    given: With,
    wanted: _Window,
    status: Annotated[
        str,
        Query(max_length=100, description="Only those, with commas: running, completed, failed, cancelled."),
    ] = "",
) -> Response:
    """Runs, newest first."""
    states = [_state(name.strip()) for name in status.split(",") if name.strip()]
    async with given.database.connection() as connection:
        known = await repository.get(connection, who.application_id, automation_id)
        found = await runs.page(connection, known.id, replace(wanted, limit=wanted.limit or PAGE), states)
    return json_answer(listed(found, run_face))


@router.get(
    "/{automation_id}/runs/{run_id}",
    summary="Get a run of an automation",
    response_model=AutomationRunAnswer,
    responses=_REFUSALS,
)
async def get_run(automation_id: UUID, run_id: UUID, who: FullAccess, given: With) -> Response:
    """A run with its steps: what was sent, what was not and why, what comes."""
    async with given.database.connection() as connection:
        known = await repository.get(connection, who.application_id, automation_id)
        return json_answer(run_answer(await runs.whole(connection, await runs.find(connection, known.id, run_id))))


@router.post(
    "/{automation_id}/runs/{run_id}/cancel",
    summary="Cancel a run of an automation",
    response_model=AutomationRunReference,
    responses=_REFUSALS,
)
async def cancel_run(automation_id: UUID, run_id: UUID, who: FullAccess, given: With) -> Response:
    """The person gets no more of it; what was sent was sent."""
    async with given.database.transaction() as connection:
        known = await repository.get(connection, who.application_id, automation_id)
        await runs.cancel(connection, await runs.find(connection, known.id, run_id), CANCELLED)
    return json_answer(reference("automation_run", run_id) | {"status": RunState.CANCELLED})


def _workflow(body: CreateAutomation | UpdateAutomation) -> Workflow | None:
    if body.steps is None:
        if body.connections is not None:
            raise invalid("connections", "they go with `steps`")
        return None
    steps = [one.model_dump() for one in body.steps]
    if body.connections is None:
        return workflow.from_json(steps, None)
    return workflow.from_json(steps, [one.model_dump(by_alias=True) for one in body.connections])


def _state(name: str) -> RunState:
    try:
        return RunState(name)
    except ValueError:
        raise invalid("status", f"it must be of {', '.join(RunState)}") from None
