"""`/warmup`: let an IP warm up, hold it, move it on or back; plans and presets; what a plan would do.

Thin: `warmup/repository` and `warmup/library` store, `warmup/simulate` reckons. Every route wants an operator's key.
Workers know a change within two seconds.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from accounts.directory import Caller
from api.auth import Operator
from api.deps import Deps
from api.errors import ApiError
from api.openapi import errors
from api.operating import OperatorRoute, Part, With, by, known_site
from api.schemas.warmup import (
    ChangeList,
    PlanAnswer,
    PlanBody,
    PlanDeleted,
    PlanList,
    PresetList,
    ShiftTraffic,
    Simulated,
    SimulateWarmup,
    StartWarmup,
    WarmupAnswer,
    WarmupList,
    WarmupReason,
    WarmupStep,
)
from core.objectives import REPORT
from core.paging import Page
from mta.from_settings import providers_of
from pools.ip_history import MOST
from pools.ip_values import normal_address
from store.database import Connection
from warmup import library, repository, status
from warmup.plan import REST, Plan, Transactional, parse, weights_of_mix
from warmup.presets import PRESETS
from warmup.simulate import Volume, simulate
from web.answers import json_answer
from web.faces.references import deleted
from web.faces.warmup import plan_face, preset_face, simulation_face, warmup_face
from web.objectives import serves
from web.paging import listed, page_of

router = APIRouter(prefix="/warmup", tags=["Warm-up"], route_class=OperatorRoute)

_STARTING = errors("not_found", "conflict")
_CHANGING = errors("not_found", "conflict")


@router.post("", summary="Start a warm-up", status_code=201, response_model=WarmupAnswer, responses=_STARTING)
async def start_warmup(body: StartWarmup, who: Operator, given: With) -> Response:
    """Lets an IP warm up by a plan, today being its first day. An IP has one plan at a time."""
    async with given.database.transaction() as connection:
        plan = await _plan(connection, given, body)
        return await _begin(connection, given, normal_address(body.ip), plan, body.transactional, None, who)


@router.post(
    "/shift", summary="Shift traffic to other IPs", status_code=201, response_model=WarmupAnswer, responses=_STARTING
)
async def shift_traffic(body: ShiftTraffic, who: Operator, given: With) -> Response:
    """Moves traffic to another IP: it warms up, and the old one keeps what it may not carry yet."""
    async with given.database.transaction() as connection:
        plan = await _plan(connection, given, body)
        old, new = normal_address(body.from_), normal_address(body.to)
        return await _begin(connection, given, new, plan, body.transactional, old, who)


@router.get("", summary="List warm-ups", response_model=WarmupList)
async def list_warmups(who: Operator, given: With, wanted: Part) -> Response:
    """All warm-ups: stage, today's caps and use, and when they end."""
    async with given.database.connection() as connection:
        found = page_of(await status.status(connection, given.clock.now()), lambda one: one.ip, wanted)
    return json_answer(listed(found, warmup_face))


@router.get("/presets", summary="List presets of warm-up plans", response_model=PresetList)
async def list_presets(who: Operator) -> Response:
    """Published schedules to start from."""
    return json_answer(listed(Page(PRESETS), preset_face))


@router.get("/plans", summary="List warm-up plans", response_model=PlanList)
async def list_plans(who: Operator, given: With, wanted: Part) -> Response:
    """Your own plans, by name."""
    async with given.database.connection() as connection:
        found = page_of(await library.stored(connection), lambda one: one.name, wanted)
    return json_answer(listed(found, lambda one: plan_face(one.plan)))


@router.post(
    "/plans", summary="Create a warm-up plan", status_code=201, response_model=PlanAnswer, responses=errors("conflict")
)
async def create_plan(body: PlanBody, who: Operator, given: With) -> Response:
    """Stores a plan of your own."""
    async with given.database.transaction() as connection:
        plan = await library.create(connection, body.definition(), providers_of(given.settings).names)
    return json_answer(plan_face(plan), 201)


@router.put(
    "/plans/{name}",
    summary="Update a warm-up plan",
    response_model=PlanAnswer,
    responses=errors("not_found", "conflict"),
)
async def update_plan(name: str, body: PlanBody, who: Operator, given: With) -> Response:
    """Stores another definition of a plan, under its name or another. Warm-ups that run by it go on as they began."""
    names = providers_of(given.settings).names
    async with given.database.transaction() as connection:
        _, plan = await library.change(connection, name, body.definition(), names)
    return json_answer(plan_face(plan))


@router.delete(
    "/plans/{name}",
    summary="Delete a warm-up plan",
    response_model=PlanDeleted,
    responses=errors("not_found", "conflict"),
)
async def delete_plan(name: str, who: Operator, given: With) -> Response:
    """Forgets a plan. Warm-ups that run by it go on: they have a copy."""
    if not name.isprintable():
        raise ApiError("not_found", f"There is no plan {name[:60]!r}.")
    async with given.database.transaction() as connection:
        await library.delete(connection, name)
    return json_answer(deleted("warmup_plan", name))


@router.post("/simulate", summary="Simulate a warm-up plan", response_model=Simulated, responses=errors("not_found"))
@serves(REPORT)
async def simulate_plan(body: SimulateWarmup, who: Operator, given: With) -> Response:
    """What goes where, day by day and provider by provider, and when the plan ends."""
    for provider in body.mix:
        if provider != REST:
            known_site(given, provider, field="mix")
    if body.definition is not None:
        plan = library.cut(
            parse(body.definition.definition(), providers_of(given.settings).names), body.start, body.target
        )
    else:
        async with given.database.connection() as connection:
            plan = await library.find(connection, body.plan, start=body.start, target=body.target)
    volume = Volume(body.per_day, body.mix, body.warming_ips, body.warm_ips)
    found = await asyncio.to_thread(simulate, plan, volume, body.days)
    return json_answer(simulation_face(plan, found))


@router.get("/{ip}", summary="Get a warm-up", response_model=WarmupAnswer, responses=errors("not_found"))
async def get_warmup(ip: str, who: Operator, given: With) -> Response:
    """The warm-up of an IP."""
    async with given.database.connection() as connection:
        return json_answer(warmup_face(await status.of_ip(connection, given.clock.now(), normal_address(ip))))


@router.get(
    "/{ip}/changes", summary="List changes of a warm-up", response_model=ChangeList, responses=errors("not_found")
)
async def warmup_changes(
    ip: str,
    who: Operator,
    given: With,
    limit: Annotated[int, Query(ge=1, le=MOST, description="Most changes to return.")] = 50,
) -> Response:
    """What changed, and which days were held, with their figures; newest first."""
    address = normal_address(ip)
    async with given.database.connection() as connection:
        await repository.get(connection, address)
        found = await repository.changes(connection, address, limit=limit + 1)
    return json_answer(listed(Page(found[:limit], len(found) > limit), lambda change: change))


@router.post("/{ip}/pause", summary="Pause a warm-up", response_model=WarmupAnswer, responses=_CHANGING)
async def pause_warmup(ip: str, body: WarmupReason, who: Operator, given: With) -> Response:
    """Lets the stages stand still. Their caps stay in force; to send nothing at all, pause the IP."""
    return await _change(given, ip, lambda c, a: repository.pause(c, a, reason=_plain(body.reason), by=by(who)))


@router.post("/{ip}/resume", summary="Resume a warm-up", response_model=WarmupAnswer, responses=_CHANGING)
async def resume_warmup(ip: str, body: WarmupReason, who: Operator, given: With) -> Response:
    """Lets the days count again."""
    return await _change(given, ip, lambda c, a: repository.resume(c, a, reason=_plain(body.reason), by=by(who)))


@router.post("/{ip}/skip", summary="Skip a stage of a warm-up", response_model=WarmupAnswer, responses=_CHANGING)
async def skip_stage(ip: str, body: WarmupStep, who: Operator, given: With) -> Response:
    """One stage on, for one track or all."""
    why, track = _plain(body.reason), _plain(body.track, "track")
    return await _change(given, ip, lambda c, a: repository.skip(c, a, track, reason=why, by=by(who)))


@router.post("/{ip}/step-back", summary="Step a warm-up back", response_model=WarmupAnswer, responses=_CHANGING)
async def step_back(ip: str, body: WarmupStep, who: Operator, given: With) -> Response:
    """One stage back, for one track or all. What was granted today stays granted."""
    why, track = _plain(body.reason), _plain(body.track, "track")
    return await _change(given, ip, lambda c, a: repository.step_back(c, a, track, reason=why, by=by(who)))


@router.post("/{ip}/complete", summary="Complete a warm-up", response_model=WarmupAnswer, responses=_CHANGING)
async def complete_warmup(ip: str, body: WarmupStep, who: Operator, given: With) -> Response:
    """No caps any more, for one track or all."""
    why, track = _plain(body.reason), _plain(body.track, "track")
    return await _change(given, ip, lambda c, a: repository.complete(c, a, track, reason=why, by=by(who)))


async def _plan(connection: Connection, given: Deps, body: StartWarmup | ShiftTraffic) -> Plan:
    """The plan asked for, divided by the mix given; a preset else by what was measured. Raises Refused, ApiError."""
    plan = await library.find(connection, body.plan, start=body.start, target=body.target)
    for provider in body.mix:
        if provider != REST:
            known_site(given, provider, field="mix")
    if not body.mix:
        return await library.divided_as_measured(connection, plan)
    return plan.with_weights(weights_of_mix(body.mix, plan.stages[0]))


async def _begin(
    connection: Connection,
    given: Deps,
    ip: str,
    plan: Plan,
    transactional: Transactional,
    moved_from: str | None,
    who: Caller,
) -> Response:
    await repository.start(connection, ip, plan, transactional=transactional, moved_from=moved_from, by=by(who))
    return json_answer(warmup_face(await status.of_ip(connection, given.clock.now(), ip)), 201)


async def _change(given: Deps, ip: str, work: Callable[[Connection, str], Awaitable[Any]]) -> Response:
    address = normal_address(ip)
    async with given.database.transaction() as connection:
        await work(connection, address)
        return json_answer(warmup_face(await status.of_ip(connection, given.clock.now(), address)))


def _plain(text: str, field: str = "reason") -> str:
    if text and not text.isprintable():
        raise ApiError("validation_error", f"The `{field}` field must hold printable characters only.", status=422)
    return text.strip()
