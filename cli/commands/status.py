"""`postlane status`: which processes there are, what waits, which servers answer.

Works on the database directly, with the functions the API uses. The doctor says whether this host is fit to send; this
says what runs, on all of them.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from alarms.doors import RouteStanding, Standing, seconds_shown
from alarms.system import System, system
from cli import context
from cli.output import Column, JsonOption, print_json, print_table, tell, wants_json
from cli.sessions import with_database
from core.in_force import in_force
from pools.ip_status import ago
from store.database import Database
from store.heartbeats import Process
from web.faces.system import (
    objective_face,
    process_face,
    queue_face,
    route_face,
    server_face,
    setting_face,
    system_face,
)

_PROCESSES: Final = (
    Column("name", "process", style="bold"),
    Column("state", drop=0),
    Column("host", drop=3),
    Column("pid", justify="right", drop=4),
    Column("version", drop=2),
    Column("runs", "runs for", justify="right", drop=1),
    Column("heard", "heard of", justify="right", drop=0),
)
_QUEUES: Final = (
    Column("stream", "queue", style="bold"),
    Column("waiting", justify="right", drop=0),
    Column("oldest", "oldest due", justify="right", drop=0),
)
_SERVERS: Final = (
    Column("name", "server", style="bold"),
    Column("version", drop=0, show=lambda text: text or "does not answer"),
    Column("trouble", style="red", wrap=True, drop=0),
)
_OBJECTIVES: Final = (
    Column("class", "answers to", style="bold"),
    Column("within", justify="right", drop=0),
    Column("wanted", justify="right", drop=1),
    Column("good", justify="right", drop=0),
    Column("left", "budget left", justify="right", drop=0),
)
_ROUTES: Final = (
    Column("route", style="bold", wrap=True),
    Column("class", drop=2),
    Column("answers", justify="right", drop=1),
    Column("p50", justify="right", drop=0),
    Column("p95", justify="right", drop=0),
    Column("p99", justify="right", drop=0),
    Column("objective", justify="right", drop=0),
)
_SETTINGS: Final = (
    Column("name", "setting", style="bold"),
    Column("value", wrap=True, drop=0),
    Column("given", "set", drop=0),
)


def status(
    settings: Annotated[
        bool, typer.Option("--settings", help="Show the settings in force here, secrets hidden.")
    ] = False,
    routes: Annotated[
        bool, typer.Option("--routes", help="Show how each route answered in the last 24 hours.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """What runs, on all hosts: processes with their last sign of life, queues, servers, and whether API and public
    pages answer as quickly as they should. Exit status 1 when a process is silent or a server does not answer."""
    given = context.settings()

    async def work(database: Database) -> System:
        return await system(database, given)

    found = with_database(work, given)
    if wants_json(as_json):
        print_json(system_face(found, in_force(given), None))
    elif routes:
        tell(found.doors.sentence, style="bold")
        print_table([_route(one) for one in found.doors.routes], _ROUTES, empty="No route was asked in 24 hours.")
    elif settings:
        print_table([setting_face(one) for one in in_force(given)], _SETTINGS)
    else:
        _show(found)
    if found.troubles:
        raise typer.Exit(1)


def _show(found: System) -> None:
    now = datetime.now(UTC)
    tell(found.sentence, style="bold")
    nobody = "These tables say nothing of processes." if found.outdated else "No process has been heard of."
    print_table([_cells(one, now) for one in found.processes], _PROCESSES, empty=nobody)
    print_table(
        [queue_face(one) | {"waiting": one.told, "oldest": _late(one.oldest_due)} for one in found.queues], _QUEUES
    )
    print_table([server_face(one) for one in found.servers], _SERVERS)
    if found.doors.classes:
        tell(found.doors.sentence, style="bold")
        print_table([_class(one) for one in found.doors.classes], _OBJECTIVES)


def _cells(one: Process, now: datetime) -> dict[str, object]:
    state = one.trouble or ("silent" if one.silent else "runs")
    return process_face(one) | {
        "state": state, "runs": ago(one.started_at, now), "heard": f"{ago(one.seen_at, now)} ago",
    }  # fmt: skip


def _class(one: Standing) -> dict[str, object]:
    good = f"{1 - one.missed / one.answers:.2%} of {one.answers:,}" if one.answers else "none asked"
    return objective_face(one) | {
        "within": seconds_shown(one.objective.seconds), "wanted": f"{one.objective.share:.1%}", "good": good,
        "left": "too few" if not one.judged else "spent" if one.left < 0 else f"{one.left:.0%}",
    }  # fmt: skip


def _route(one: RouteStanding) -> dict[str, object]:
    told = one.answered
    times = {name: seconds_shown(getattr(told, name)) for name in ("p50", "p95", "p99")}
    objective = seconds_shown(one.objective.seconds) + ("" if one.holds else " missed")
    route = f"{told.route.method} {told.route.route}"
    return route_face(one) | times | {"route": route, "answers": f"{told.answers:,}", "objective": objective}


def _late(seconds: float) -> str:
    now = datetime.now(UTC)
    return ago(now - timedelta(seconds=seconds), now) if seconds else "none"
