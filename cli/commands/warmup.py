"""`postlane warmup`: let an IP grow to its normal volume. Start, look, pause, resume, skip, step back, complete, shift.

Works on the database directly, with the functions the API uses. Plans and the simulation are in `warmup_plans`.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, cast

import typer

from cli.commands import warmup_plans
from cli.commands.rehearsal import rehearse
from cli.commands.warmup_plans import FirstOption, MixOption, TargetOption
from cli.output import Column, JsonOption, emit, print_json, print_table, say, wants_json
from cli.sessions import with_database
from store.database import Connection, Database
from warmup import library, repository, status
from warmup.model import Change, IpToday, TrackToday, Warmup
from warmup.plan import REST, Plan, Transactional
from web.faces.warmup import warmup_face

app = typer.Typer(help="Let an IP grow to its normal volume.", no_args_is_help=True)
app.command("presets")(warmup_plans.presets)
app.command("simulate")(warmup_plans.simulate_plan)
app.command("rehearse")(rehearse)
app.add_typer(warmup_plans.plans, name="plans")

Ip = Annotated[str, typer.Argument(metavar="IP", help="Address of the IP.")]
TrackOption = Annotated[str, typer.Option("--provider", help="Only this provider's track; * is that of all others.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why, for whoever reads the history.")]
PlanOption = Annotated[str, typer.Option("--plan", help="A preset or a stored plan.")]
TransactionalOption = Annotated[
    Transactional, typer.Option(help="Transactional mail: by the same rules, kept off this IP, or served first.")
]

BY = "cli"

_CHANGES = (
    Column("at", style="dim"),
    Column("track", "provider", show=lambda track: _name(str(track or "")) if track else "(IP)"),
    Column("change", style="bold"),
    Column("from_stage", "from", justify="right", drop=2),
    Column("to_stage", "to", justify="right", drop=2),
    Column("reason", wrap=True),
    Column("by", style="dim", drop=3),
)


_TRACKS = (
    Column("provider"),
    Column("stage", justify="right"),
    Column("since", drop=2),
    Column("used", "used today", justify="right", drop=0),
    Column("bar", " ", drop=4),
    Column("last", "last mail", drop=3),
)


@app.command("start")
def start(
    ip: Ip,
    plan: PlanOption,
    mix: MixOption = "",
    first: FirstOption = None,
    target: TargetOption = None,
    transactional: TransactionalOption = Transactional.SHARE,
    as_json: JsonOption = False,
) -> None:
    """Start today. Without --mix a preset is divided like your mail of the last 30 days, where there is enough."""

    async def work(database: Database) -> tuple[Warmup, IpToday]:
        async with database.transaction() as connection:
            chosen = await _divided(connection, await library.find(connection, plan, start=first, target=target), mix)
            made = await repository.start(connection, ip, chosen, transactional=transactional, by=BY)
            return made, await status.of_ip(connection, await _now(connection), made.ip)

    made, found = with_database(work)
    _show_started(made, found, as_json)
    if target is None and not wants_json(as_json):
        _say_where_it_ends(made.plan)


@app.command("shift")
def shift(
    source: Annotated[str, typer.Option("--from", metavar="IP", help="The IP that carries the traffic now.")],
    to: Annotated[str, typer.Option("--to", metavar="IP", help="The IP that takes it over, in the same pools.")],
    plan: PlanOption = "stages-29",
    mix: MixOption = "",
    first: FirstOption = None,
    target: TargetOption = None,
    transactional: TransactionalOption = Transactional.SHARE,
    as_json: JsonOption = False,
) -> None:
    """Move traffic to another IP: the new one ramps up by a plan while the old one keeps the rest."""

    async def work(database: Database) -> tuple[Warmup, IpToday]:
        async with database.transaction() as connection:
            chosen = await _divided(connection, await library.find(connection, plan, start=first, target=target), mix)
            made = await repository.start(connection, to, chosen, transactional=transactional, moved_from=source, by=BY)
            return made, await status.of_ip(connection, await _now(connection), made.ip)

    made, found = with_database(work)
    _show_started(made, found, as_json)
    if target is None and not wants_json(as_json):
        _say_where_it_ends(made.plan)
    say(f"Keep {source} in the same pools until {to} is complete; the history of {to} will say so.", style="dim")


@app.command("list")
def list_warmups(as_json: JsonOption = False) -> None:
    """Every IP with a warm-up: stage, today's cap and use, and when it will be done."""

    async def work(database: Database) -> list[IpToday]:
        async with database.connection() as connection:
            return await status.status(connection, await _now(connection))

    columns = (
        Column("ip", "IP", style="bold"),
        Column("state"),
        Column("plan", drop=2),
        Column("stage", justify="right"),
        Column("today", "used today", justify="right"),
        Column("tracks", "by provider", wrap=True, drop=4),
        Column("ends", "done", wrap=True, drop=3),
    )
    emit(with_database(work), warmup_face, cells=_line, as_json=as_json, columns=columns, empty="No IP warms up.")


@app.command("show")
def show(ip: Ip, as_json: JsonOption = False) -> None:
    """One IP: each provider's stage, today's cap and use, and the last changes."""

    async def work(database: Database) -> tuple[IpToday, list[Change]]:
        async with database.connection() as connection:
            found = await status.of_ip(connection, await _now(connection), ip)
            return found, await repository.changes(connection, ip, limit=10)

    found, changes = with_database(work)
    if wants_json(as_json):
        print_json(warmup_face(found) | {"changes": changes})
        return
    title = f"{found.ip}: {found.state.value}, plan {found.plan}, {_ends(found)}"
    print_table([_track(track) for track in found.tracks], _TRACKS, title=title)
    print_table(changes, _CHANGES, title="Last changes")


@app.command("history")
def history(
    ip: Ip,
    track: TrackOption = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most lines to show.")] = 100,
    as_json: JsonOption = False,
) -> None:
    """What changed, from which figures, the newest first."""

    async def work(database: Database) -> list[Change]:
        async with database.connection() as connection:
            await repository.get(connection, ip)
            return await repository.changes(connection, ip, track, limit)

    emit(with_database(work), as_json=as_json, columns=_CHANGES, empty="Nothing has changed.")


@app.command("pause")
def pause(ip: Ip, reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Let the stages stand still. Their caps stay in force: to send nothing, pause the IP itself."""
    _change(ip, lambda connection: repository.pause(connection, ip, reason=reason, by=BY), as_json)


@app.command("resume")
def resume(ip: Ip, reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """Let the days count again, from today on."""
    _change(ip, lambda connection: repository.resume(connection, ip, reason=reason, by=BY), as_json)


@app.command("skip")
def skip(ip: Ip, track: TrackOption = "", reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """One stage on, from now on."""
    _change(ip, lambda connection: repository.skip(connection, ip, track, reason=reason, by=BY), as_json)


@app.command("step-back")
def step_back(ip: Ip, track: TrackOption = "", reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """One stage back, from now on; what was sent today stays counted."""
    _change(ip, lambda connection: repository.step_back(connection, ip, track, reason=reason, by=BY), as_json)


@app.command("complete")
def complete(ip: Ip, track: TrackOption = "", reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """No caps any more."""
    _change(ip, lambda connection: repository.complete(connection, ip, track, reason=reason, by=BY), as_json)


def _change(ip: str, do: Callable[[Connection], Awaitable[Change | list[Change]]], as_json: bool) -> None:
    """Make one change in a transaction; print how the IP stands now, for people what was written down."""

    async def work(database: Database) -> tuple[Change | list[Change], IpToday]:
        async with database.transaction() as connection:
            made = await do(connection)
            return made, await status.of_ip(connection, await _now(connection), ip)

    made, found = with_database(work)
    if wants_json(as_json):
        print_json(warmup_face(found))
    else:
        print_table(made if isinstance(made, list) else [made], _CHANGES)


async def _divided(connection: Connection, plan: Plan, mix: str) -> Plan:
    """The plan divided by the mix that was given; a preset else by what was measured. Raises Refused."""
    if mix:
        return warmup_plans.weighted(plan, warmup_plans.read_mix(mix))
    return await library.divided_as_measured(connection, plan)


async def _now(connection: Connection) -> datetime:
    row = await (await connection.execute("SELECT now()")).fetchone()
    assert row is not None
    return cast(datetime, row[0])


def _show_started(warmup: Warmup, found: IpToday, as_json: bool) -> None:
    if wants_json(as_json):
        print_json(warmup_face(found))
        return
    plan = warmup.plan
    cells = {
        "ip": warmup.ip,
        "plan": plan.name,
        "stages": list(plan.stages),
        "weights": dict(plan.weights),
        "zone": plan.zone,
        "transactional": warmup.transactional.value,
        "moved_from": warmup.moved_from,
    }
    columns = (
        Column("ip", "IP", style="bold"),
        Column("plan"),
        Column("stages", "mails a day", show=_stages),
        Column("weights", "divided", show=_weights),
        Column("zone"),
        Column("transactional"),
        *([Column("moved_from", "takes over from")] if warmup.moved_from else []),
    )
    print_table(cells, columns)


def _say_where_it_ends(plan: Plan) -> None:
    """Of a plan that nobody cut: `simulate` cuts a preset at what the IP is meant to carry."""
    say(
        f"All {plan.last_stage} stages, up to {plan.stages[-1]:,} mails a day. `warmup simulate --volume N/day` ends a"
        " preset at what this IP is to carry; `--target N` starts it like that.",
        style="dim",
    )


def _line(one: IpToday) -> dict[str, object]:
    return {
        "ip": one.ip,
        "state": one.state.value,
        "plan": one.plan,
        "stage": f"{one.stage} of {one.stages}",
        "today": f"{one.used:,}" if one.cap is None else f"{one.used:,} of {one.cap:,}",
        "tracks": ", ".join(f"{_name(track.track)} {_use(track)}" for track in one.tracks if track.cap or track.used),
        "ends": _ends(one),
    }


def _track(track: TrackToday) -> dict[str, object]:
    return {
        "provider": _name(track.track),
        "stage": f"{track.stage} of {track.stages}",
        "since": track.stage_since,
        "used": _use(track),
        "bar": _bar(track),
        "last": track.last_used,
    }


def _use(track: TrackToday) -> str:
    return "no cap" if track.cap is None else f"{track.used:,}/{track.cap:,}"


def _bar(track: TrackToday) -> str:
    if not track.cap:
        return ""
    full = min(20, round(20 * track.used / track.cap))
    return "█" * full + "░" * (20 - full)


def _ends(one: IpToday) -> str:
    if one.earliest_end is None:
        return "done"
    likely = f", at this pace {one.likely_end}" if one.likely_end else ""
    return f"{one.earliest_end} at the earliest{likely}"


def _stages(stages: list[int]) -> str:
    few = [f"{cap:,}" for cap in stages]
    return ", ".join(few if len(few) <= 8 else [*few[:5], "…", few[-1]]) + f" ({len(stages)} stages)"


def _weights(weights: dict[str, float]) -> str:
    return ", ".join(f"{_name(track)} {100 * weight:.3g} %" for track, weight in weights.items())


def _name(track: str) -> str:
    return "others" if track == REST else track
