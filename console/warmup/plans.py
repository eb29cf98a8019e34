"""`/warmup/plans`: presets and own plans; one made, changed, copied and deleted, with what it would do below it.

Thin: `warmup/library` and `warmup/simulate`, as for the API and the command line. A form of a GET shows its values, the
same of a POST keeps them, so that all of it works without a script.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from fastapi import APIRouter, Response

from accounts.audit import Entry as Audit
from accounts.audit import Values
from accounts.roles import Right
from console.charts import Lines
from console.guard import ConsoleRoute, needs
from console.rendering import page
from console.visit import Visit, Visiting
from console.warmup import drafts, words
from console.warmup.drafts import Draft
from console.warmup.trying import DAYS, projected, shares
from core.refusal import Refused
from mta.from_settings import providers_of
from pools import ips
from store.database import Connection
from warmup import library, status
from warmup.plan import REST, Advance, Plan, as_dict, parse
from warmup.presets import PRESETS
from warmup.simulate import Row, Simulation, Volume, simulate

router = APIRouter(route_class=ConsoleRoute)

_PRESET_NAMES: Final = frozenset(one.name for one in PRESETS)
_LONGEST: Final = 8_000
"""Characters of the stages in an address."""
_GUESS: Final = 10_000
"""Mails a day, where too little was delivered to say."""
ADVANCES: Final = (
    (Advance.EVIDENCE.value, "when its stage was used and the day was healthy"),
    (Advance.CLOCK.value, "every healthy day with mail"),
)


@dataclass(frozen=True, slots=True)
class Outlook:
    """What a plan would do with our mail."""

    plan: Plan
    found: Simulation
    day: int
    """The day that somebody asks about."""
    rows: Sequence[Row]
    """Of that day, the largest first."""
    chart: Lines


@router.get("/warmup/plans")
@needs(Right.MACHINE_SEE)
async def list_plans(visit: Visiting) -> Response:
    """Presets, and our own."""
    async with visit.given.database.connection() as connection:
        own = await library.stored(connection)
        going = [one.plan for one in await status.status(connection, visit.now) if one.state.value != "complete"]
    return page(visit, "warmup/plans.html", own=own, presets=PRESETS, going=going, words=words)


@router.get("/warmup/plans/new")
@needs(Right.MACHINE_SEE)
async def new(visit: Visiting) -> Response:
    """A plan that begins as a copy of another one."""
    return await _editor(visit, "")


@router.post("/warmup/plans")
@needs(Right.MACHINE_CHANGE)
async def create(visit: Visiting) -> Response:
    """Keeps it."""
    try:
        async with visit.given.database.transaction() as connection:
            base = await library.find(connection, visit.field("base") or PRESETS[0].name)
            made = await library.create(connection, _definition(visit, base), providers_of(visit.given.settings).names)
            await visit.note(connection, Audit("plan.create", made.name, None, as_dict(made)))
    except Refused as error:
        return await _editor(visit, "", error)
    return visit.go(f"/warmup/plans/{made.name}", f"{made.name} is kept. Warm up an IP by it when you like.")


@router.get("/warmup/plans/{name}")
@needs(Right.MACHINE_SEE)
async def show(name: str, visit: Visiting) -> Response:
    """One plan: what it says and would do."""
    return await _editor(visit, name)


@router.post("/warmup/plans/{name}")
@needs(Right.MACHINE_CHANGE)
async def change(name: str, visit: Visiting) -> Response:
    """What it says from now on; warm-ups that follow it go on as they began."""
    try:
        async with visit.given.database.transaction() as connection:
            base = await library.find(connection, name)
            names = providers_of(visit.given.settings).names
            was, now = await library.change(connection, name, _definition(visit, base), names)
            await visit.note(connection, Audit("plan.update", now.name, as_dict(was), as_dict(now)))
    except Refused as error:
        return await _editor(visit, name, error)
    return visit.go(f"/warmup/plans/{now.name}", "Saved. Warm-ups that follow it go on as they began.")


@router.post("/warmup/plans/{name}/delete")
@needs(Right.MACHINE_CHANGE)
async def delete(name: str, visit: Visiting) -> Response:
    """Warm-ups that follow it have a copy."""
    try:
        async with visit.given.database.transaction() as connection:
            was: Values = as_dict(await library.find(connection, name))
            await library.delete(connection, name)
            await visit.note(connection, Audit("plan.delete", name, was, None))
    except Refused as error:
        return await _editor(visit, name, error)
    return visit.go("/warmup/plans", f"{name} is gone. Warm-ups that follow it go on.")


async def _editor(visit: Visit, name: str, error: Refused | None = None) -> Response:
    """The form of a plan, or of a new one (`name` is ""), and what its values would do."""
    given = visit.form or visit.request.query_params
    async with visit.given.database.connection() as connection:
        base = await library.find(connection, name or _field(visit, "base") or _field(visit, "copy") or PRESETS[0].name)
        providers = sorted(providers_of(visit.given.settings).names)
        known = name if name and name not in _PRESET_NAMES else _another(base.name)
        draft = drafts.of_plan(base, providers, known)
        if "stages" in given:
            draft = drafts.of_form(lambda one: _field(visit, one), providers)
        per_day, warm = await _flow(connection, visit)
        outlook, refused = await _outlook(connection, visit, draft, base, (per_day, warm))
        going = [one for one in await status.status(connection, visit.now) if one.plan == name]
    wrong = error or refused
    error = drafts.at_its_field(wrong) if wrong else None
    return page(
        visit, "warmup/plan.html", 422 if error and visit.form else 200, name=name, base=base, draft=draft, error=error,
        own=bool(name) and name not in _PRESET_NAMES, presets=PRESETS, providers=_shown(providers, draft),
        others=_hidden(providers, draft), per_day=per_day, warm=warm, outlook=outlook, going=going, words=words,
        whom=words.whom, rates=drafts.RATES, advances=ADVANCES, table=_table(outlook.plan) if outlook else (),
    )  # fmt: skip


def _another(name: str) -> str:
    """A name for a copy."""
    return f"my-{name}" if name in _PRESET_NAMES else f"{name}-copy"


async def _flow(connection: Connection, visit: Visit) -> tuple[str, int]:
    """Mails a day, as asked or as measured, and the IPs that are warm beside a new one."""
    mix = await library.measured_mix(connection)
    measured = sum(mix.values()) // await library.measured_days(connection) or _GUESS
    free = [row for row in await ips.ip_rows(connection) if row.limits is None]
    return _field(visit, "per_day") or str(measured), max(1, len(free) - 1)


async def _outlook(
    connection: Connection, visit: Visit, draft: Draft, base: Plan, flow: tuple[str, int]
) -> tuple[Outlook | None, Refused | None]:
    """What the values would do, or what is wrong with them."""
    try:
        named = draft if draft["name"] else replace(draft, texts={**draft.texts, "name": "unnamed"})
        plan = parse(drafts.definition(named, base), providers_of(visit.given.settings).names)
        measured = await library.measured_mix(connection)
        mix = shares(measured) if measured else _own_mix(plan)
        volume = Volume(words.whole("per_day", flow[0]), mix, 1, flow[1])
        found = await asyncio.to_thread(simulate, plan, volume, DAYS)
    except Refused as error:
        return None, error
    return _at_day(visit, plan, found), None


def _at_day(visit: Visit, plan: Plan, found: Simulation) -> Outlook:
    asked = _field(visit, "day")
    day = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < 4 else min(12, found.ends_on or 12)
    day = min(max(1, day), DAYS)
    rows = sorted((row for row in found.rows if row.day == day), key=lambda row: (row.provider == REST, -row.warming))
    return Outlook(plan, found, day, rows, projected(found))


def _own_mix(plan: Plan) -> dict[str, float]:
    return {track: weight for track, weight in plan.weights.items() if track != REST and weight}


def _definition(visit: Visit, base: Plan) -> dict[str, Any]:
    providers = sorted(providers_of(visit.given.settings).names)
    return drafts.definition(drafts.of_form(lambda one: _field(visit, one), providers), base)


def _field(visit: Visit, name: str) -> str:
    """A field of the form, else of the address."""
    return visit.field(name) or visit.asked(name, _LONGEST)


def _table(plan: Plan) -> list[tuple[int, int, list[int]]]:
    """Stage, its cap, and that of each track, the largest first and all others last."""
    tracks = words.tracks(plan)
    return [(n, cap, [plan.cap(n, track) for track in tracks]) for n, cap in enumerate(plan.stages, 1)]


def _shown(providers: Sequence[str], draft: Draft) -> list[str]:
    """Providers with a share, the largest first; of a plan without any, those that most have."""
    mine = [one for one in providers if draft.weights.get(one)]
    mine.sort(key=lambda one: -drafts.percentage(draft.weights[one]))
    return mine or [one for one in ("gmail", "microsoft", "yahoo", "apple") if one in providers]


def _hidden(providers: Sequence[str], draft: Draft) -> list[str]:
    shown = _shown(providers, draft)
    return [one for one in providers if one not in shown]
