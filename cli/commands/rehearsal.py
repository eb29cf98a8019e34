"""`postlane warmup rehearse`: a plan followed by Postlane against a blast, in front of providers that judge IPs.

Needs no server and sends nothing: the simulated providers of `simulator/reputation` and Postlane's own deciding code
run weeks of mail in virtual time (`simulator/rehearsal`). docs/warmup-rehearsal.md has the tables and what they assume.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from cli.commands.warmup_plans import FirstOption, MixOption, TargetOption, providers, read_mix, read_plan, weighted
from cli.output import CliError, Column, JsonOption, print_json, print_table, say, wants_json
from cli.sessions import with_database
from simulator.rehearsal import rehearse as run
from simulator.rehearsal_model import DEFAULT_MIX, OTHER, DayResult, Result, Scenario, Tally, Way
from simulator.rehearsal_senders import STEP
from store.database import Database
from warmup import library
from warmup.plan import REST, Plan, as_dict, invalid_plan
from warmup.presets import PRESETS, preset

MOST_DAYS: Final = 120
MOST_VOLUME: Final = 50_000_000

_WAYS: Final = {
    Way.PLAN: "Postlane with the plan",
    Way.BLAST: "blast",
    Way.FAILOVER: "blast with Postlane's fail-over",
}


def rehearse(
    plan: Annotated[
        str, typer.Option("--plan", help="A preset, a stored plan, or a .toml or .json file.")
    ] = "stages-29",
    volume: Annotated[str, typer.Option("--volume", metavar="N/day", help="Mail a day.")] = "300000/day",
    mix: MixOption = "",
    ips: Annotated[int, typer.Option("--ips", min=1, max=50, help="New IPs.")] = 1,
    warm_ips: Annotated[
        int, typer.Option("--warm-ips", min=0, max=50, help="IPs that carried the volume so far; 0: all are new.")
    ] = 2,
    days: Annotated[int, typer.Option("--days", min=1, max=MOST_DAYS, help="Simulated days.")] = 30,
    seed: Annotated[int, typer.Option("--seed", help="The same seed, the same result.")] = 1,
    strictness: Annotated[
        float, typer.Option("--strictness", min=0.1, max=10, help="Of the providers; 2 halves what newcomers get.")
    ] = 1.0,
    blocks: Annotated[
        bool, typer.Option("--blocks/--no-blocks", help="Whether providers block who ignores their throttles.")
    ] = True,
    complaints: Annotated[float, typer.Option("--complaints", min=0, max=50, help="In percent of the mail.")] = 0.03,
    first: FirstOption = None,
    target: TargetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run days of mail against providers that judge IPs: the plan, a blast, and a blast with fail-over."""
    per_day = _volume(volume)
    share = max(1, per_day // (ips + warm_ips))
    shares = _whole(read_mix(mix)) if mix else dict(DEFAULT_MIX)
    found = _plan(plan, first, target, share)
    if plan in {one.name for one in PRESETS} or mix:
        found = weighted(found, {REST if name == OTHER else name: part for name, part in shares.items()})
    scenario = Scenario(found, per_day, shares, ips, warm_ips, days, seed, strictness, blocks, complaints / 100)
    if not wants_json(as_json):
        say(f"Rehearsing {days} days of {per_day:,} mails in {len(Way)} ways …", style="dim")
    results = run(scenario, providers())
    if wants_json(as_json):
        print_json(record(scenario, results))
        return
    lines, heads = by_day(results)
    print_table(lines, heads, title="Day by day")
    console = Console()
    for one in ("", summary_table(results), ""):
        console.print(one)


def record(scenario: Scenario, results: Sequence[Result]) -> dict[str, Any]:
    """Scenario and results for a program."""
    fields = {name: value for name in scenario.__slots__ if (value := getattr(scenario, name)) is not scenario.plan}
    return {"scenario": {**fields, "plan": as_dict(scenario.plan)}, "results": [asdict(one) for one in results]}


def by_day(results: Sequence[Result]) -> tuple[list[dict[str, object]], list[Column]]:
    """One line a day; for each way what the new IPs delivered, what was refused, lost, and waits."""
    heads = [Column("day", "\n\nday", justify="right"), Column("mail", "\n\nmail", justify="right", drop=0)]
    lines: list[dict[str, object]] = [{"day": day.day, "mail": f"{day.tally.arrived:,}"} for day in results[0].days]
    for result in results:
        start = f"{result.way.value}\n" if result.way is not Way.FAILOVER else "fail-\nover"
        for heading, cell in _columns(result):
            key = f"{result.way.value} {heading}"
            heads.append(Column(key, f"{start}\n{heading}", justify="right", drop=_DROP.get(heading, 1)))
            for number, line in enumerate(lines):
                line[key] = cell(number)
    return lines, heads


_DROP: Final = {"stage": 4, "waiting": 3, "lost": 2}


def summary_table(results: Sequence[Result]) -> Table:
    """The figures of all days, one column a way."""
    table = Table(title="Together", title_justify="left", box=None, pad_edge=False, header_style="bold")
    table.add_column("")
    for result in results:
        table.add_column(_WAYS[result.way], justify="right")
    for name, figure in _FIGURES:
        table.add_row(name, *(figure(result) for result in results))
    return table


def _columns(result: Result) -> list[tuple[str, Callable[[int], str]]]:
    days = result.days

    def count(figure: Callable[[DayResult], int]) -> Callable[[int], str]:
        return lambda number: f"{figure(days[number]):,}"

    columns = [("by new", count(lambda day: day.tally.by_new)), ("refused", count(lambda day: _refused(day.tally)))]
    if result.way is Way.PLAN:
        columns.insert(0, ("stage", lambda number: str(days[number].stage or "-")))
    for heading, figure in (("lost", lambda day: _lost(day.tally)), ("waiting", lambda day: day.waiting)):
        if any(figure(day) for day in days):
            columns.append((heading, count(figure)))
    return columns


def _refused(tally: Tally) -> int:
    return tally.throttled + tally.blocked


def _lost(tally: Tally) -> int:
    return tally.bounced + tally.expired


def _of_mail(n: int, result: Result) -> str:
    return f"{n:,} ({100 * n / result.total.arrived:.1f} %)"


def _hours(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{60 * hours:.0f} min" if 60 * hours >= STEP else f"< {STEP} min"


_FIGURES: Final[tuple[tuple[str, Callable[[Result], str]], ...]] = (
    ("mails", lambda one: f"{one.total.arrived:,}"),
    ("delivered", lambda one: _of_mail(one.total.delivered, one)),
    ("delivered within 24 hours", lambda one: _of_mail(one.total.same_day, one)),
    ("waiting at the end", lambda one: f"{one.waiting:,}"),
    ("expired after 72 hours", lambda one: f"{one.total.expired:,}"),
    ("ended by a refusal of the IP", lambda one: f"{one.total.bounced:,}"),
    ("ended: no such mailbox", lambda one: f"{one.total.unknown:,}"),
    ("throttles met", lambda one: f"{one.total.throttled:,}"),
    ("blocklist refusals met", lambda one: f"{one.total.blocked:,}"),
    ("delay, median / 95 %", lambda one: f"{_hours(one.delay_p50)} / {_hours(one.delay_p95)}"),
    ("new IPs at full rate from day", lambda one: str(one.full_rate_day or "not reached")),
    ("plan complete on day", lambda one: str(one.plan_done_day or "-")),
    ("mails above a cap", lambda one: f"{one.cap_exceeded:,}" if one.way is Way.PLAN else "-"),
)


def _plan(name: str, first: int | None, target: int | None, share: int) -> Plan:
    """A preset cut at one IP's share, a plan of a file, or a stored one."""
    if name in {one.name for one in PRESETS}:
        return preset(name, start=first, target=target or share)
    if name.endswith((".toml", ".json")):
        return library.cut(read_plan(name), first, target)

    async def work(database: Database) -> Plan:
        async with database.connection() as connection:
            return await library.find(connection, name, start=first, target=target)

    return with_database(work)


def _whole(mix: Mapping[str, float]) -> dict[str, float]:
    """The mix with what is missing to the whole as `OTHER`."""
    named = {name: share for name, share in mix.items() if name != REST and share > 0}
    rest = 1 - sum(named.values())
    if not named and rest <= 0:
        raise invalid_plan("mix", "holds no mail")
    return named | ({OTHER: rest} if rest > 1e-6 else {})


def _volume(text: str) -> int:
    found = re.fullmatch(r"([\d_,]+)(?:/day)?", text.strip())
    volume = int(re.sub("[_,]", "", found[1]) or 0) if found else 0
    if not 1 <= volume <= MOST_VOLUME:
        known = f"a number of mails a day up to {MOST_VOLUME:,}, such as 300000/day"
        raise CliError("invalid_volume", f"{text!r} must be {known}")
    return volume
