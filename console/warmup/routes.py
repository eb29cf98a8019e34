"""`/warmup`: which IPs warm up, plan against actual, and what an operator does about it; a plan tried before it starts.

Thin: `warmup/repository`, `warmup/library` and `warmup/simulate`, as for the API and the command line.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from fastapi import APIRouter, Response

from accounts.audit import Entry as Audit
from accounts.audit import Values
from accounts.roles import Right
from console.charts import Lines, lines
from console.guard import ConsoleRoute, needs
from console.rendering import page
from console.typed import whole_number
from console.visit import Visit, Visiting
from console.warmup import grid, words
from console.warmup.trying import DAYS, projected, shares
from core.refusal import Refused, invalid
from pools import ips
from pools.ip_values import normal_address
from store.database import Connection
from warmup import library, repository, status
from warmup.model import IpToday
from warmup.plan import REST, Plan
from warmup.presets import PRESETS
from warmup.simulate import Volume, simulate

router = APIRouter(route_class=ConsoleRoute)

_LEDGER: Final = 2000
"""Rows of the ledger on a page: 90 days of 20 providers."""
_STORY: Final = 60
_STEPS: Final[Mapping[str, Callable[..., Awaitable[Any]]]] = {
    "hold": repository.pause,
    "resume": repository.resume,
    "skip": repository.skip,
    "step-back": repository.step_back,
    "complete": repository.complete,
}
"""What can be done to a warm-up that runs."""
_DONE: Final = {
    "hold": "stands still at its stage; today's caps stay in force",
    "resume": "goes on from today",
    "skip": "is a stage further",
    "step-back": "is a stage back",
    "complete": "has no caps any more",
}


@router.get("/warmup")
@needs(Right.MACHINE_SEE)
async def show(visit: Visiting) -> Response:
    """Every warm-up."""
    async with visit.given.database.connection() as connection:
        found = await status.status(connection, visit.now)
    return page(visit, "warmup/list.html", found=found, words=words, behind=grid.behind)


@router.get("/warmup/new")
@needs(Right.MACHINE_SEE)
async def try_plan(visit: Visiting) -> Response:
    """A plan, and what it would do, before it starts."""
    return await _new(visit)


@router.post("/warmup")
@needs(Right.MACHINE_CHANGE)
async def start(visit: Visiting) -> Response:
    """Lets an IP warm up, today being its first day."""
    try:
        async with visit.given.database.transaction() as connection:
            plan = await _plan(connection, visit.field("plan"), visit.field("target"))
            ip = normal_address(visit.field("ip"))
            await repository.start(connection, ip, plan, by=visit.me.email)
            after = {"plan": plan.name, "stages": plan.last_stage, "from": plan.stages[0], "to": plan.stages[-1]}
            await visit.note(connection, Audit("warmup.start", ip, after=after))
    except Refused as error:
        return await _new(visit, error)
    return visit.go(f"/warmup/{ip}", f"{ip} warms up: {plan.stages[0]:,} mails today.")


@router.get("/warmup/{ip}")
@needs(Right.MACHINE_SEE)
async def show_one(ip: str, visit: Visiting) -> Response:
    """One warm-up: plan against actual, and its history."""
    return await _one(visit, ip)


@router.post("/warmup/{ip}/{step}")
@needs(Right.MACHINE_CHANGE)
async def act(ip: str, step: str, visit: Visiting) -> Response:
    """Hold, resume, skip a stage, step back, complete: the whole IP or one track."""
    try:
        if step not in _STEPS:
            raise invalid("", f"a warm-up can only {', '.join(_STEPS)}")
        address = normal_address(ip)
        async with visit.given.database.transaction() as connection:
            was = await status.of_ip(connection, visit.now, address)
            await _work(step, visit)(connection, address)
            now = await status.of_ip(connection, visit.now, address)
            await visit.note(connection, Audit(f"warmup.{step}", address, _values(was), _values(now)))
    except Refused as error:
        return await _one(visit, ip, error)
    return visit.go(f"/warmup/{address}", f"{address} {_DONE[step]}.")


def _work(step: str, visit: Visit) -> Callable[[Connection, str], Awaitable[Any]]:
    reason, track = visit.field("reason"), visit.field("track")
    if not reason.isprintable():
        raise invalid("reason", "it must hold printable characters only")
    given: dict[str, str] = {"reason": reason, "by": visit.me.email}
    if step not in ("hold", "resume"):
        given["track"] = track
    return lambda connection, ip: _STEPS[step](connection, ip, **given)


async def _one(visit: Visit, ip: str, error: Refused | None = None) -> Response:
    address = normal_address(ip)
    async with visit.given.database.connection() as connection:
        one = await status.of_ip(connection, visit.now, address)
        plan = (await repository.get(connection, address)).plan
        days = await repository.days(connection, address, _LEDGER)
        changes = await repository.changes(connection, address, limit=_STORY)
    tracks = sorted(one.tracks, key=lambda track: (track.track == REST, -plan.weights[track.track]))
    return page(
        visit, "warmup/one.html", 422 if error else 200, one=one, plan=plan, changes=changes, words=words, error=error,
        rows=grid.grid(plan, tracks, days), tracks=tracks, whom=words.whom,
        chart=_actual(grid.by_day(days)), late=grid.behind(one, one.started_at),
        choices=[(track.track, words.whom(track.track)) for track in tracks],
    )  # fmt: skip


async def _new(visit: Visit, error: Refused | None = None) -> Response:
    """The form, and below it what its values would do; nothing while they cannot be."""
    asked = {name: visit.field(name) or visit.asked(name) for name in ("ip", "plan", "target", "per_day")}
    async with visit.given.database.connection() as connection:
        free = [row for row in await ips.ip_rows(connection) if row.limits is None]
        known = sorted(free, key=lambda row: row.created_at, reverse=True)  # the newest needs it most
        own = await library.stored(connection)
        mix = await library.measured_mix(connection)
        measured = await library.measured_days(connection)
        per_day = asked["per_day"] or str(sum(mix.values()) // measured or 10_000)
        mails = whole_number(per_day) or 0  # what cannot be read is said where it is used
        share = max(PRESETS[0].start, mails // max(1, len(known)))
        name, target = asked["plan"] or PRESETS[0].name, asked["target"] or str(share)
        plan, found, shorter = None, None, ""
        try:
            plan = await _plan(connection, name, target)
            volume = Volume(words.whole("per_day", per_day), shares(mix), 1, max(0, len(known) - 1))
            found = await asyncio.to_thread(simulate, plan, volume, DAYS)
            shorter = words.shorter(plan, await library.find(connection, name), target)
        except Refused as refusal:
            error = error or refusal
    return page(
        visit, "warmup/new.html", 422 if error and visit.form else 200, error=error, asked=asked, per_day=per_day,
        mails=mails,
        known=known, share=share, measured=measured if mix else 0, plans=_plans(own), plan=plan, shorter=shorter,
        found=found, words=words, chart=projected(found) if found else None, whom=words.whom,
    )  # fmt: skip


async def _plan(connection: Connection, name: str, target: str) -> Plan:
    """The plan asked for up to a target, divided as our mail is."""
    plan = await library.find(connection, name, target=words.whole("target", target) if target else None)
    return await library.divided_as_measured(connection, plan)


def _plans(own: Sequence[library.StoredPlan]) -> list[tuple[str, str]]:
    """Presets and own plans, to choose from."""
    return [*((one.name, one.title) for one in PRESETS), *((one.name, f"{one.name} (your own)") for one in own)]


def _actual(days: Sequence[tuple[Any, int, int]]) -> Lines:
    labels = [words.shown(day) for day, _, _ in days]
    caps: list[float | None] = [float(cap) for _, cap, _ in days]
    sent: list[float | None] = [float(n) for _, _, n in days]
    return lines(labels, [("underway", "Allowed", caps), ("delivered", "Sent", sent)])


def _values(one: IpToday) -> Values:
    return {"state": one.state.value, **{track.track: f"{track.stage} {track.state.value}" for track in one.tracks}}
