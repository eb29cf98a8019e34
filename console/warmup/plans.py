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
from console.rehearsing import MOST_DAYS, REHEARSED, WAYS, Wanted
from console.rendering import page
from console.typed import whole_number
from console.visit import Visit, Visiting
from console.warmup import drafts, outcome, words
from console.warmup.drafts import Draft
from console.warmup.trying import DAYS, projected, shares
from core.refusal import Refused, invalid, not_found
from mta.from_settings import providers_of
from pools import ips
from store.database import Connection
from warmup import library, status
from warmup.plan import MOST_STAGES, REST, Advance, Plan, as_dict, parse
from warmup.presets import PRESETS
from warmup.simulate import Row, Simulation, Volume, simulate

router = APIRouter(route_class=ConsoleRoute)

_PRESET_NAMES: Final = frozenset(one.name for one in PRESETS)
_MOST_REHEARSED: Final = 50_000_000
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


@router.post("/warmup/rehearsals")
@needs(Right.MACHINE_CHANGE)
async def rehearse(visit: Visiting) -> Response:
    """Weeks of our mail against providers that judge IPs, by the plan as it stands in the form."""
    name = visit.field("of")
    try:
        made = visit.given.rehearsals.begin(await _wanted(visit), visit.now)
    except Refused as error:
        return await _editor(visit, name, error)
    return visit.go(f"/warmup/rehearsals/{made.id}")


@router.get("/warmup/rehearsals/{identifier}")
@needs(Right.MACHINE_SEE)
async def show_rehearsal(identifier: str, visit: Visiting) -> Response:
    """How far one is, and what came of it."""
    one = visit.given.rehearsals.get(identifier)
    if one is None:
        raise not_found("this rehearsal is not kept any more", "Rehearse the plan again: it is a minute's work.")
    return page(
        visit, "warmup/rehearsal.html", one=one, outcome=outcome, days=outcome.days(one.results), ways=WAYS,
        chart=outcome.chart(one.results),
    )  # fmt: skip


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
    typed = "stage" in (visit.form or visit.request.query_params)
    async with visit.given.database.connection() as connection:
        base = await library.find(connection, name or _field(visit, "base") or _field(visit, "copy") or PRESETS[0].name)
        providers = sorted(providers_of(visit.given.settings).names)
        known = name if name and name not in _PRESET_NAMES else _another(base.name)
        draft = drafts.of_plan(base, providers, known)
        if typed:
            draft = _typed(visit, providers)
        per_day, warm = await _flow(connection, visit)
        outlook, refused = await _outlook(connection, visit, draft, base, (per_day, warm))
        going = [one for one in await status.status(connection, visit.now) if one.plan == name]
    columns = _columns(visit, providers, draft)
    wrong = error or refused
    error = drafts.at_its_field(wrong) if wrong else None
    return page(
        visit, "warmup/plan.html", 422 if error and visit.form else 200, name=name, base=base, draft=draft, error=error,
        own=bool(name) and name not in _PRESET_NAMES, presets=PRESETS, columns=columns,
        others=[one for one in providers if one not in columns], per_day=per_day, warm=warm, outlook=outlook,
        going=going, words=words, whom=words.whom, rates=drafts.RATES, advances=ADVANCES,
        rows=drafts.rows(draft, outlook.plan if outlook else None, [*columns, REST]),
        days=_field(visit, "days") or str(REHEARSED),
        typed_volume=whole_number(per_day) or _GUESS,
    )  # fmt: skip


async def _wanted(visit: Visit) -> Wanted:
    """What the form asks to be rehearsed. Raises Refused."""
    async with visit.given.database.connection() as connection:
        base = await library.find(connection, visit.field("base") or PRESETS[0].name)
        plan = parse(_definition(visit, base), providers_of(visit.given.settings).names)
        per_day, warm = await _flow(connection, visit)
        measured = await library.measured_mix(connection)
    volume = words.whole("per_day", per_day)
    if not 1 <= volume <= _MOST_REHEARSED:
        raise invalid("per_day", f"a rehearsal takes 1 to {_MOST_REHEARSED:,} mails a day")
    days = whole_number(visit.field("days") or str(REHEARSED)) or 0
    if not 1 <= days <= MOST_DAYS:
        raise invalid("days", f"a rehearsal takes 1 to {MOST_DAYS} days")
    mix = shares(measured) if measured else _own_mix(plan)
    return Wanted(as_dict(plan), volume, mix, warm, visit.given.settings.providers_file, days)


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
    return drafts.definition(_typed(visit, sorted(providers_of(visit.given.settings).names)), base)


def _typed(visit: Visit, providers: Sequence[str]) -> Draft:
    stages = visit.form.get("stage") or visit.request.query_params.getlist("stage")
    return drafts.of_form(lambda one: _field(visit, one), stages[:MOST_STAGES], providers)


def _field(visit: Visit, name: str) -> str:
    """A field of the form, else of the address."""
    return visit.field(name) or visit.asked(name)


def _columns(visit: Visit, providers: Sequence[str], draft: Draft) -> list[str]:
    """Providers that have a column: those that had one, for whoever empties a field may be about to fill it, then those
    with a share, the largest first; of a plan without any, those that most have."""
    had = visit.form.get("column") or visit.request.query_params.getlist("column")
    kept = [one for one in dict.fromkeys(had) if one in providers]
    mine = [one for one in providers if draft.weights.get(one) and one not in kept]
    mine.sort(key=lambda one: -drafts.percentage(draft.weights[one]))
    return [*kept, *mine] or [one for one in ("gmail", "microsoft", "yahoo", "apple") if one in providers]
