"""Automations and their runs as JSON. Pure; the fields are those of `api/schemas/automations`."""

from campaigns.automations import workflow as workflows
from campaigns.automations.model import (
    NOBODY,
    Automation,
    Delay,
    Done,
    Run,
    RunState,
    Step,
    StepState,
    WholeRun,
    Workflow,
)


def automation_face(automation: Automation) -> dict[str, object]:
    """An automation in a list."""
    return {
        "id": automation.id,
        "name": automation.name,
        "status": automation.state,
        "created_at": automation.created_at,
        "updated_at": automation.updated_at,
        "next_at": automation.next_at,
    }


def automation_answer(automation: Automation, workflow: Workflow) -> dict[str, object]:
    """An automation by itself, with the steps for who enters now."""
    steps, connections = workflows.to_json(workflow)
    return {"object": "automation"} | automation_face(automation) | {"steps": steps, "connections": connections}


def run_face(run: Run) -> dict[str, object]:
    """A run in a list."""
    return {
        "id": run.id,
        "status": run.state,
        "started_at": run.created_at,
        "completed_at": run.ended_at,
        "created_at": run.created_at,
        "contact_id": run.contact_id if run.contact_id != NOBODY else None,
        "reason": run.reason,
        "next_at": run.due_at,
    }


def run_answer(whole: WholeRun) -> dict[str, object]:
    """A run by itself, with all its steps in their order."""
    done = {one.position: one for one in whole.done}
    trigger = _step(whole.run, whole.workflow.trigger.key, "trigger", StepState.COMPLETED, None)
    steps = [
        _step(whole.run, step.key, workflows.kind_of(step), _state(whole, n, step, done), done.get(n))
        for n, step in enumerate(whole.workflow.steps)
    ]
    return {"object": "automation_run"} | run_face(whole.run) | {"steps": [trigger, *steps]}


def _state(whole: WholeRun, position: int, step: Step, done: dict[int, Done]) -> StepState:
    """Where a step is. A delay is waited for until the mail behind it is due."""
    run = whole.run
    if position in done:
        return done[position].state
    if isinstance(step, Delay) and any(n > position for n in done):
        return StepState.COMPLETED
    if run.state is not RunState.RUNNING:
        return StepState.SKIPPED
    held = run.held_since is not None
    if position == run.position:
        return StepState.RUNNING if held else StepState.PENDING
    if position > run.position:
        return StepState.PENDING
    return StepState.COMPLETED if held else StepState.WAITING


def _step(run: Run, key: str, kind: str, state: StepState, done: Done | None) -> dict[str, object]:
    at = done.at if done else run.created_at if kind == "trigger" else None
    output = {"email_id": done and done.email_id, "broadcast_id": done and done.campaign_id}
    held = run.reason if state is StepState.RUNNING else None
    return {
        "key": key,
        "type": kind,
        "status": state,
        "started_at": at,
        "completed_at": at,
        "output": {name: value for name, value in output.items() if value} or None,
        "error": (done.reason or None) if done else held,
        "created_at": run.created_at,
    }
