"""`/pools`: which IPs carry whose mail, how it is shared out, and whether each pool has the right size.

Thin: `pools/administration` checks and stores, as it does for the API and the command line.
"""

from collections.abc import Sequence
from typing import Final

from fastapi import APIRouter, Response

from accounts.audit import Entry as Audit
from accounts.audit import Values
from accounts.roles import Right
from console.guard import ConsoleRoute, needs
from console.ips.words import DOES
from console.menu import Entry
from console.noun import Noun
from console.pools.shares import shares
from console.rendering import page
from console.shown import plural
from console.visit import Visit, Visiting
from core.queues import Lane
from core.refusal import Refused, invalid
from pools import administration
from pools.administration import NewPool, PoolChange, PoolRow
from pools.advice import Advice
from pools.ip_status import ip_statuses_by_address

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router, [Entry("Operate", 12, "Pools", "/pools", "pools", Right.MACHINE_SEE)])

_DAYS: Final = 7
"""Looked back at for advice."""
_ENOUGH_DAYS: Final = 3
"""Days of mail below which volumes are no reason to change a pool."""
_WITHOUT_MAIL: Final = ("no_ip", "no_fail_over")
"""Advice that holds however much is sent."""


@router.get("/pools")
@needs(Right.MACHINE_SEE)
async def show(visit: Visiting) -> Response:
    """All pools, with advice."""
    return await _pools(visit)


@router.post("/pools")
@needs(Right.MACHINE_CHANGE)
async def create(visit: Visiting) -> Response:
    """Makes a pool."""
    try:
        wanted = NewPool(visit.field("name"), _lane(visit), reserved=visit.field("reserved") == "on")
        async with visit.given.database.transaction() as connection:
            made = await administration.create_pool(connection, wanted)
            await visit.note(connection, Audit("pool.create", made.name, after=_values(made)))
    except Refused as error:
        return await _pools(visit, error)
    return visit.go("/pools", f"Pool {made.name} is there. Put IPs into it on their pages.")


@router.post("/pools/{pool}")
@needs(Right.MACHINE_CHANGE)
async def change(pool: str, visit: Visiting) -> Response:
    """Where it overflows to, and whether it is its lane's default."""
    default = True if visit.field("default") == "on" else None
    try:
        async with visit.given.database.transaction() as connection:
            was = await administration.one_pool(connection, pool)
            wanted = PoolChange(default=default, overflow=visit.field("overflow"))
            row = await administration.change_pool(connection, pool, wanted)
            await visit.note(connection, Audit("pool.update", row.name, _values(was), _values(row)))
    except Refused as error:
        return await _pools(visit, error)
    return visit.go("/pools", f"Pool {row.name} is changed. Workers know within five seconds.")


@router.post("/pools/{pool}/delete")
@needs(Right.MACHINE_CHANGE)
async def delete(pool: str, visit: Visiting) -> Response:
    """Deletes a pool that nothing depends on; its IPs stay."""
    try:
        async with visit.given.database.transaction() as connection:
            gone = await administration.delete_pool(connection, pool)
            await visit.note(connection, Audit("pool.delete", gone.name, before=_values(gone)))
    except Refused as error:
        return await _pools(visit, error)
    return visit.go("/pools", f"Pool {gone.name} is gone. Its {plural(len(gone.members), 'IP')} stayed.")


def right_size(pools: Sequence[PoolRow], advice: Sequence[Advice]) -> str:
    """Whether the pools have the IPs that their mail needs: a sentence."""
    if not pools:
        return "There is no pool yet, so no mail can leave."
    off = [one for one in advice if one.verdict != "right"]
    wrong = sorted({one.pool for one in off if one.days >= _ENOUGH_DAYS or one.rule in _WITHOUT_MAIL})
    held = plural(len(pools), "pool")
    if off and not wrong:
        seen = plural(max(one.days for one in off), "day")
        return f"{held}. Mail of {seen} is too little to judge them by; what it would suggest stands beside each."
    if not wrong:
        return f"{held}, each with the right number of IPs for its mail of the last {_DAYS} days."
    which = f"pool {wrong[0]}" if len(wrong) == 1 else f"{len(wrong)} of {held}"
    return f"{which[:1].upper()}{which[1:]} should change: what and why stands beside it."


async def _pools(visit: Visit, error: Refused | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        rows = await administration.all_pools(connection)
        advice = await administration.advice(connection, _DAYS, visit.now.date())
        standing = await ip_statuses_by_address(connection)
    return page(
        visit, "pools/pools.html", 422 if error else 200, rows=rows, advice=advice, standing=standing, shares=shares,
        error=error, answered=right_size(rows, advice), does=DOES, lanes=[lane.value for lane in Lane],
    )  # fmt: skip


def _lane(visit: Visit) -> Lane:
    try:
        return Lane(visit.field("lane"))
    except ValueError:
        raise invalid("lane", f"it must be {' or '.join(Lane)}") from None


def _values(row: PoolRow) -> Values:
    shares = {member.address: member.weight for member in row.members}
    kept = {"default": row.default, "reserved": row.reserved, "overflow": row.overflow}
    return {"name": row.name, "lane": row.lane.value, **kept, "ips": shares}
