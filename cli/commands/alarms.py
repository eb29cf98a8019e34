"""`postlane alarms`: what a person has to look at, and closing it by hand."""

from textwrap import shorten
from typing import Annotated
from uuid import UUID

import typer

from alarms.model import Alarm
from alarms.repository import close_alarm, open_alarms
from cli.output import CliError, Column, JsonOption, emit
from cli.sessions import with_database
from store.database import Database

app = typer.Typer(help="What a person has to look at.", no_args_is_help=True)

_COLUMNS = (
    Column("kind", "alarm", style="bold red"),
    Column("subject", style="bold"),
    Column("raised_at", "since (UTC)"),
    Column("count", "times", justify="right"),
    Column("detail", show=lambda detail: shorten(detail, 70, placeholder=" …")),
    Column("id", style="dim", show=lambda value: str(value)[-12:]),
)


@app.command("list")
def list_alarms(as_json: JsonOption = False) -> None:
    """Open alarms, oldest first. One whose cause is gone closes by itself."""

    async def work(database: Database) -> list[Alarm]:
        async with database.connection() as connection:
            return await open_alarms(connection)

    emit(with_database(work), as_json=as_json, columns=_COLUMNS, empty="No alarms.")


@app.command("clear")
def clear(
    alarm: Annotated[str, typer.Argument(metavar="ID", help="Id of the alarm, or its end as `alarms list` shows it.")],
    as_json: JsonOption = False,
) -> None:
    """Close an alarm. When the same thing happens again, it is raised again."""

    async def work(database: Database) -> Alarm:
        async with database.transaction() as connection:
            found = [one for one in await open_alarms(connection) if str(one.id).endswith(alarm.lower())]
            return await close_alarm(connection, _only(found, alarm))

    closed = with_database(work)
    emit({"id": closed.id, "kind": closed.kind, "subject": closed.subject, "cleared": True}, as_json=as_json)


def _only(found: list[Alarm], text: str) -> UUID:
    if len(found) != 1 or len(text) < 4:
        how_many = "no open alarm" if not found else f"{len(found)} open alarms"
        raise CliError("not_found", f"There is {how_many} whose id ends with {text!r}.", "`postlane alarms list`")
    return found[0].id
