"""`/pools`: the pools of IPs, what is in them, whose they are, and whether they have the right size.

Thin: rules and storage are in `pools/administration`, `pools/assignments` and `pools/advice`. Every route wants an
operator's key. A change is one transaction; workers see it within five seconds.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from api.auth import Operator
from api.openapi import errors
from api.operating import OperatorRoute, Part, With
from api.schemas.pools import (
    AdviceList,
    AssignmentAnswer,
    AssignmentDeleted,
    AssignmentList,
    AssignPool,
    AttachIp,
    CreatePool,
    PoolAnswer,
    PoolDeleted,
    PoolList,
    SetWeight,
    UpdatePool,
)
from core.objectives import REPORT
from core.paging import Page
from core.queues import Lane
from pools import administration, assignments, reputation_repository
from pools.administration import NewPool, PoolChange, PoolRow
from pools.assignments import SubjectKind
from pools.ip_status import ip_statuses_by_address
from pools.ip_values import normal_address
from store.database import Connection
from web.answers import json_answer
from web.faces.pools import assignment_face, assignment_id, assignment_path, pool_face
from web.faces.references import deleted
from web.objectives import serves
from web.paging import listed, page_of

router = APIRouter(prefix="/pools", tags=["Pools"], route_class=OperatorRoute)

_CHANGING = errors("not_found", "conflict")


@router.post("", summary="Create a pool", status_code=201, response_model=PoolAnswer, responses=errors("conflict"))
async def create_pool(body: CreatePool, who: Operator, given: With) -> Response:
    """Makes a pool. The first one of a lane becomes its default, unless it is reserved."""
    wanted = NewPool(body.name, body.lane, body.default, body.reserved, body.overflow or "")
    async with given.database.transaction() as connection:
        made = await _shown(connection, await administration.create_pool(connection, wanted))
    given.directory.forget()
    return json_answer(made, 201)


@router.get("", summary="List pools", response_model=PoolList)
async def list_pools(who: Operator, given: With, wanted: Part) -> Response:
    """All pools with their IPs and how those stand, by name."""
    async with given.database.connection() as connection:
        found = page_of(await administration.all_pools(connection), lambda row: str(row.id), wanted)
        standing = await ip_statuses_by_address(connection)
    return json_answer(listed(found, lambda row: pool_face(row, standing)))


@router.get("/advice", summary="Get advice about pools", response_model=AdviceList)
@serves(REPORT)
async def pool_advice(
    who: Operator,
    given: With,
    days: Annotated[int, Query(ge=1, le=reputation_repository.MOST_DAYS, description="Days to look back.")] = 7,
) -> Response:
    """For each pool: has it too many IPs to be known at small providers, or too few for its volume?"""
    async with given.database.connection() as connection:
        found = await administration.advice(connection, days, given.clock.now().date())
    return json_answer(listed(Page(found), lambda one: one))


@router.get("/assignments", summary="List assignments of pools", response_model=AssignmentList)
async def list_assignments(who: Operator, given: With, wanted: Part) -> Response:
    """Which applications and domains have a pool of their own."""
    async with given.database.connection() as connection:
        found = page_of(await assignments.assignments(connection), assignment_id, wanted)
    return json_answer(listed(found, assignment_face))


@router.put(
    "/assignments", summary="Assign a pool", response_model=AssignmentAnswer, responses=errors("not_found", "conflict")
)
async def assign_pool(body: AssignPool, who: Operator, given: With) -> Response:
    """Gives an application or domain a pool in the pool's lane, instead of the one it had."""
    async with given.database.transaction() as connection:
        subject = await assignments.subject_named(connection, body.kind, body.subject)
        made = await assignments.assign(connection, body.kind, subject, body.pool, body.lane)
    return json_answer(assignment_face(made))


@router.delete(
    "/assignments/{kind}/{subject_id}/{lane}",
    summary="Remove an assignment",
    response_model=AssignmentDeleted,
    responses=errors("not_found"),
)
async def unassign_pool(kind: SubjectKind, subject_id: UUID, lane: Lane, who: Operator, given: With) -> Response:
    """Back to the lane's default pool."""
    async with given.database.transaction() as connection:
        await assignments.unassign(connection, kind, subject_id, lane)
    return json_answer(deleted("pool_assignment", assignment_path(kind, subject_id, lane)))


@router.get("/{pool}", summary="Get a pool", response_model=PoolAnswer, responses=errors("not_found"))
async def get_pool(pool: str, who: Operator, given: With) -> Response:
    """A pool by its id or name."""
    async with given.database.connection() as connection:
        return json_answer(await _shown(connection, await administration.one_pool(connection, pool)))


@router.patch("/{pool}", summary="Update a pool", response_model=PoolAnswer, responses=_CHANGING)
async def update_pool(pool: str, body: UpdatePool, who: Operator, given: With) -> Response:
    """Renames a pool, makes it the default, reserves it, or says where it overflows to. All of it or nothing."""
    change = PoolChange(body.name, body.default, body.reserved, body.overflow)
    async with given.database.transaction() as connection:
        changed = await _shown(connection, await administration.change_pool(connection, pool, change))
    given.directory.forget()
    return json_answer(changed)


@router.delete(
    "/{pool}", summary="Delete a pool", response_model=PoolDeleted, responses=errors("not_found", "conflict")
)
async def delete_pool(pool: str, who: Operator, given: With) -> Response:
    """Deletes a pool that is no default, no overflow and nobody's. Its IPs stay."""
    async with given.database.transaction() as connection:
        gone = await administration.delete_pool(connection, pool)
    given.directory.forget()
    return json_answer(deleted("pool", gone.id))


@router.post(
    "/{pool}/ips", summary="Add an IP to a pool", status_code=201, response_model=PoolAnswer, responses=_CHANGING
)
async def attach_ip(pool: str, body: AttachIp, who: Operator, given: With) -> Response:
    """Puts an IP into a pool."""
    async with given.database.transaction() as connection:
        row = await administration.attach(connection, pool, normal_address(body.ip), body.weight)
        return json_answer(await _shown(connection, row), 201)


@router.patch(
    "/{pool}/ips/{address}",
    summary="Set the weight of an IP in a pool",
    response_model=PoolAnswer,
    responses=errors("not_found"),
)
async def set_weight(pool: str, address: str, body: SetWeight, who: Operator, given: With) -> Response:
    """Changes the share of an IP in a pool."""
    async with given.database.transaction() as connection:
        row = await administration.set_weight(connection, pool, normal_address(address), body.weight)
        return json_answer(await _shown(connection, row))


@router.delete(
    "/{pool}/ips/{address}",
    summary="Remove an IP from a pool",
    response_model=PoolAnswer,
    responses=errors("not_found"),
)
async def detach_ip(pool: str, address: str, who: Operator, given: With) -> Response:
    """Takes an IP out of a pool, also while mail is under way."""
    async with given.database.transaction() as connection:
        row = await administration.detach(connection, pool, normal_address(address))
        return json_answer(await _shown(connection, row))


async def _shown(connection: Connection, row: PoolRow) -> dict[str, object]:
    return pool_face(row, await ip_statuses_by_address(connection))
