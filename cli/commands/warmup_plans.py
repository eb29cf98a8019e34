"""`postlane warmup presets | plans … | simulate`: what plans there are, and what one would do with a volume of mail.

`simulate` needs no server for a preset or a file. Its weights are those of the mix that is given, and a preset is cut
at an IP's equal share of the volume, as `warmup start` does with what it measures.
"""

import json
import re
import tomllib
from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console

from cli import context
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, say, wants_json
from cli.sessions import with_database
from core.refusal import Refused
from mta import from_settings
from mta.providers import Providers
from store.database import Database
from warmup import library
from warmup.plan import REST, Plan, as_dict, invalid_plan, parse, weights_of_mix
from warmup.presets import PRESETS, preset
from warmup.simulate import Row, Simulation, Volume, simulate
from web.faces.references import deleted
from web.faces.warmup import plan_face, preset_face, simulation_face

plans = typer.Typer(help="Warm-up plans of your own.", no_args_is_help=True)

PROVIDERS_SHOWN: Final = 5
"""Most columns of providers in the table of a simulation, and as many as fit; smaller providers share one."""

MixOption = Annotated[
    str, typer.Option("--mix", metavar="PROVIDER:PERCENT,...", help="Your mail by provider, such as gmail:45,yahoo:20.")
]
TargetOption = Annotated[
    int | None, typer.Option("--target", min=1, help="Mails a day of one IP at which it has arrived: the last stage.")
]
FirstOption = Annotated[int | None, typer.Option("--first", min=1, help="Mails of the first day.")]


def known_providers() -> Collection[str]:
    """Names that plans and mixes may use: the shipped providers and those of the operator's file."""
    return providers().names


def providers() -> Providers:
    """The shipped providers and the operator's own file, without a database. Raises ConfigurationError."""
    return from_settings.known_providers(context.complete(context.read()))


def read_mix(text: str) -> dict[str, float]:
    """`gmail:45,microsoft:20` → shares of 1. Raises Refused for unknown providers and percentages that cannot be."""
    mix: dict[str, float] = {}
    names = known_providers()
    for item in filter(None, (one.strip() for one in text.split(","))):
        provider, _, percent = item.partition(":")
        if provider not in names and provider not in (REST, "other"):
            raise invalid_plan("mix", f"unknown provider {provider!r}; known are {', '.join(sorted(names))}")
        if not re.fullmatch(r"\d{1,3}(\.\d+)?", percent):
            raise invalid_plan("mix", f"{item!r} must be a provider and its percentage, such as gmail:45")
        name = REST if provider == "other" else provider
        mix[name] = mix.get(name, 0.0) + float(percent) / 100
    if sum(mix.values()) > 1 + 1e-6:
        raise invalid_plan("mix", f"adds up to {sum(mix.values()):.4g} times the whole; 100 percent is the most")
    return mix


def weighted(plan: Plan, mix: Mapping[str, float]) -> Plan:
    """The plan divided like a mix; what the mix leaves is for all other providers."""
    rest = max(0.0, 1 - sum(mix.values()))
    return plan.with_weights(weights_of_mix({**mix, REST: mix.get(REST, 0.0) + rest}, plan.stages[0]))


def read_file(file: str) -> dict[str, Any]:
    """A plan as TOML or JSON. Raises CliError naming the file and, where known, the line."""
    try:
        text = Path(file).read_text(encoding="utf-8")
        found = json.loads(text) if file.endswith(".json") else tomllib.loads(text)
    except (OSError, UnicodeDecodeError) as error:
        raise CliError("cannot_read", str(error)) from None
    except ValueError as error:
        raise CliError("invalid_plan", f"{file}: {error}") from None
    if not isinstance(found, dict):
        raise CliError("invalid_plan", f"{file}: a plan is a table of fields")
    return found


def read_plan(file: str) -> Plan:
    """A checked plan of a file, also one that `plans show` or the API gave; errors name the file and the field."""
    given = {name: value for name, value in read_file(file).items() if name not in ("object", "id")}
    try:
        return parse(given, known_providers())
    except Refused as error:
        raise CliError("invalid_plan", f"{file}: {error}") from None


def presets(as_json: JsonOption = False) -> None:
    """Plans after published schedules, with their sources."""
    columns = (
        Column("name", style="bold"),
        Column("stages", justify="right"),
        Column("start", "first day", justify="right", show=_figure),
        Column("target", "last stage", justify="right", show=_figure),
        Column("title", wrap=True),
        Column("source", style="dim", wrap=True, drop=2),
    )
    emit([preset_face(one) for one in PRESETS], as_json=as_json, columns=columns)


@plans.command("list")
def list_plans(as_json: JsonOption = False) -> None:
    """Plans you have stored."""

    async def work(database: Database) -> list[library.StoredPlan]:
        async with database.connection() as connection:
            return await library.stored(connection)

    def cells(one: library.StoredPlan) -> dict[str, object]:
        return plan_face(one.plan) | {"created_at": one.created_at}

    columns = (
        Column("name", style="bold"),
        Column("stages", justify="right", show=lambda stages: f"{len(stages)}"),
        Column("weights", wrap=True),
        Column("zone", drop=2),
        Column("advance", wrap=True, drop=3),
        Column("created_at", "created", drop=0),
    )
    empty = "No plans of your own: `postlane warmup presets` has some."
    found = with_database(work)
    emit(found, lambda one: plan_face(one.plan), cells=cells, as_json=as_json, columns=columns, empty=empty)


@plans.command("show")
def show_plan(
    name: Annotated[str, typer.Argument(help="A preset or a stored plan.")], as_json: JsonOption = False
) -> None:
    """All fields of a plan; with --json in the form that `plans create` reads."""

    async def work(database: Database) -> Plan:
        async with database.connection() as connection:
            return await library.find(connection, name)

    found = preset(name) if name in {one.name for one in PRESETS} else with_database(work)
    emit(found, plan_face, cells=as_dict, as_json=as_json)


@plans.command("create")
def create_plan(
    file: Annotated[str, typer.Argument(help="The plan as .toml or .json.")], as_json: JsonOption = False
) -> None:
    """Store a plan under the name in the file."""
    plan = read_plan(file)

    async def work(database: Database) -> Plan:
        async with database.transaction() as connection:
            return await library.create(connection, as_dict(plan))

    emit(with_database(work), plan_face, cells=as_dict, as_json=as_json)


@plans.command("update")
def update_plan(
    name: Annotated[str, typer.Argument(help="A stored plan.")],
    file: Annotated[str, typer.Argument(help="What it is from now on, as .toml or .json.")],
    as_json: JsonOption = False,
) -> None:
    """Store another definition of a plan. Warm-ups that follow it go on as they began."""
    plan = read_plan(file)

    async def work(database: Database) -> Plan:
        async with database.transaction() as connection:
            return (await library.change(connection, name, as_dict(plan)))[1]

    emit(with_database(work), plan_face, cells=as_dict, as_json=as_json)


@plans.command("delete")
def delete_plan(name: Annotated[str, typer.Argument(help="A stored plan.")], as_json: JsonOption = False) -> None:
    """Forget a plan. Warm-ups that follow it go on: each keeps a copy."""

    async def work(database: Database) -> None:
        async with database.transaction() as connection:
            await library.delete(connection, name)

    with_database(work)
    emit(deleted("warmup_plan", name), as_json=as_json)


def simulate_plan(
    plan: Annotated[str, typer.Option("--plan", help="A preset, a stored plan, or a .toml or .json file.")],
    volume: Annotated[str, typer.Option("--volume", metavar="N/day", help="Mail a day, such as 300000/day.")],
    mix: MixOption = "",
    ips: Annotated[int, typer.Option("--ips", min=1, help="IPs that warm up.")] = 1,
    warm_ips: Annotated[
        int, typer.Option("--warm-ips", min=0, help="Warm IPs beside them; 0: what is above the caps waits.")
    ] = 1,
    days: Annotated[int, typer.Option("--days", min=1, max=1000, help="Longest time to look ahead.")] = 120,
    first: FirstOption = None,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Project, day by day and provider by provider, what goes where and when the plan ends."""
    flow = Volume(_volume(volume), read_mix(mix), ips, warm_ips)
    share = max(1, flow.per_day // (ips + warm_ips))
    is_preset = plan in {one.name for one in PRESETS}
    found = _plan_of(plan, first, target or (share if is_preset else None))
    if flow.mix and (is_preset or "." not in Path(plan).suffix):
        found = weighted(found, flow.mix)
    result = simulate(found, Volume(flow.per_day, flow.mix or _named(found), ips, warm_ips), days)
    result = _until_end(result)
    if wants_json(as_json):
        print_json(simulation_face(found, result))
        return
    _show(result, found, max(1, min(PROVIDERS_SHOWN, (Console().width - 60) // 20)))
    end = f"The plan ends on day {result.ends_on}." if result.ends_on else f"The plan does not end within {days} days."
    say(end, style="bold")
    if is_preset and target is None:
        say(
            f"Cut at {share:,} a day, one IP's equal share of the volume: `warmup start` does the same with"
            f" `--target {share}`, and begins all stages without.",
            style="dim",
        )
    for line in result.stuck if not result.ends_on else ():
        say(line, style="yellow")


def _plan_of(name: str, first: int | None, target: int | None) -> Plan:
    if name in {one.name for one in PRESETS}:
        return preset(name, start=first, target=target)
    if name.endswith((".toml", ".json")):
        return library.cut(read_plan(name), first, target)

    async def work(database: Database) -> Plan:
        async with database.connection() as connection:
            return await library.find(connection, name, start=first, target=target)

    return with_database(work)


def _volume(text: str) -> int:
    found = re.fullmatch(r"([\d_,]+)(?:/day)?", text.strip())
    if not found or not found[1].strip("_,"):
        raise CliError("invalid_volume", f"{text!r} must be a number of mails a day, such as 300000/day")
    return int(re.sub("[_,]", "", found[1]))


def _named(plan: Plan) -> dict[str, float]:
    """The plan's own weights taken for the mix."""
    return {track: weight for track, weight in plan.weights.items() if track != REST}


def _until_end(result: Simulation) -> Simulation:
    if result.ends_on is None:
        return result
    rows = tuple(row for row in result.rows if row.day <= result.ends_on)
    return Simulation(rows, result.ends_on, ())


def _show(result: Simulation, plan: Plan, columns: int) -> None:
    """One line a day: for each large provider what goes through warming and through warm IPs, and the sums."""
    by_day: dict[int, dict[str, Row]] = defaultdict(dict)
    for row in result.rows:
        by_day[row.day][row.provider] = row
    first = by_day[1]
    order = sorted(first, key=lambda provider: (provider == REST, -first[provider].mail))
    shown, others = order[:columns], order[columns:]
    groups = {provider: [provider] for provider in shown} | ({"smaller": others} if others else {})
    lines = [_line(day, rows, groups, plan.last_stage) for day, rows in by_day.items()]
    heads = (
        Column("day", justify="right"),
        Column("stage", justify="right", drop=3),
        *(Column(f"to {group}", _title(group), justify="right", drop=2) for group in groups),
        Column("warming", style="green", justify="right"),
        Column("warm", justify="right"),
        Column("waiting", style="yellow", justify="right"),
    )
    print_table(lines, heads, title=f"{plan.name}: mails through warming + warm IPs")


def _line(day: int, rows: Mapping[str, Row], groups: Mapping[str, list[str]], stages: int) -> dict[str, object]:
    active = [row.stage for row in rows.values() if row.cap is not None]
    return {
        "day": day,
        "stage": f"{min(active)} of {stages}" if active else "done",
        **{f"to {group}": _cell([rows[one] for one in providers]) for group, providers in groups.items()},
        "warming": f"{sum(row.warming for row in rows.values()):,}",
        "warm": f"{sum(row.warm for row in rows.values()):,}",
        "waiting": f"{sum(row.waiting for row in rows.values()):,}",
    }


def _cell(rows: list[Row]) -> str:
    return f"{sum(row.warming for row in rows):,} + {sum(row.warm for row in rows):,}"


def _title(provider: str) -> str:
    return "others" if provider == REST else provider


def _figure(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else ""
