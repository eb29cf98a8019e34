"""`postlane alarms`: what a person has to look at, and closing it by hand."""

from typing import Annotated

import typer

from alarms.model import Alarm
from alarms.repository import close_alarm, open_alarms
from cli.ids import Candidate, the_one
from cli.output import Column, JsonOption, emit
from cli.sessions import with_database
from store.database import Database
from web.faces.alarms import alarm_face, cleared

app = typer.Typer(help="What a person has to look at.", no_args_is_help=True)

_COLUMNS = (
    Column("kind", "alarm", style="bold red"),
    Column("subject", style="bold"),
    Column("raised_at", "since (UTC)", drop=2),
    Column("count", "times", justify="right", drop=3),
    Column("detail", wrap=True),
    Column("id", style="dim", drop=0),
)


@app.command("list")
def list_alarms(as_json: JsonOption = False) -> None:
    """Open alarms, oldest first. One whose cause is gone closes by itself."""

    async def work(database: Database) -> list[Alarm]:
        async with database.connection() as connection:
            return await open_alarms(connection)

    emit(with_database(work), alarm_face, as_json=as_json, columns=_COLUMNS, empty="No alarms.")


@app.command("clear")
def clear(
    alarm: Annotated[str, typer.Argument(metavar="ID", help="Id of the alarm, its beginning or its end.")],
    as_json: JsonOption = False,
) -> None:
    """Close an alarm. When the same thing happens again, it is raised again."""

    async def work(database: Database) -> Alarm:
        async with database.transaction() as connection:
            known = [Candidate(one.id, about=f"{one.kind} {one.subject}") for one in await open_alarms(connection)]
            return await close_alarm(connection, the_one(alarm, "open alarm", known, "postlane alarms list"))

    columns = (Column("kind", "alarm closed", style="bold"), Column("subject"), Column("id", style="dim"))
    emit(with_database(work), cleared, as_json=as_json, columns=columns)
