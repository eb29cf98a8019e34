"""`postlane status`: which processes there are, what waits, which servers answer.

Works on the database directly, with the functions the API uses. The doctor says whether this host is fit to send; this
says what runs, on all of them.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from alarms.system import System, system
from cli import context
from cli.output import Column, JsonOption, print_json, print_table, tell, wants_json
from cli.sessions import with_database
from core.in_force import in_force
from pools.ip_status import ago
from store.database import Database
from store.heartbeats import Process
from web.faces.system import process_face, queue_face, server_face, setting_face, system_face

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
_SETTINGS: Final = (
    Column("name", "setting", style="bold"),
    Column("value", wrap=True, drop=0),
    Column("given", "set", drop=0),
)


def status(
    settings: Annotated[
        bool, typer.Option("--settings", help="Show the settings in force here, secrets hidden.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """What runs, on all hosts: processes with their last sign of life, queues, servers. Exit status 1 when a process is
    silent or a server does not answer."""
    given = context.settings()

    async def work(database: Database) -> System:
        return await system(database, given)

    found = with_database(work, given)
    if wants_json(as_json):
        print_json(system_face(found, in_force(given), None))
    elif settings:
        print_table([setting_face(one) for one in in_force(given)], _SETTINGS)
    else:
        _show(found)
    if found.troubles:
        raise typer.Exit(1)


def _show(found: System) -> None:
    now = datetime.now(UTC)
    tell(found.sentence, style="bold")
    print_table([_cells(one, now) for one in found.processes], _PROCESSES, empty="No process has been heard of.")
    print_table(
        [queue_face(one) | {"waiting": one.told, "oldest": _late(one.oldest_due)} for one in found.queues], _QUEUES
    )
    print_table([server_face(one) for one in found.servers], _SERVERS)


def _cells(one: Process, now: datetime) -> dict[str, object]:
    state = one.trouble or ("silent" if one.silent else "runs")
    return process_face(one) | {
        "state": state, "runs": ago(one.started_at, now), "heard": f"{ago(one.seen_at, now)} ago",
    }  # fmt: skip


def _late(seconds: float) -> str:
    now = datetime.now(UTC)
    return ago(now - timedelta(seconds=seconds), now) if seconds else "none"
