"""`postlane queue`: what waits, by lane and destination."""

from typing import Annotated

import typer

from cli.output import Column, JsonOption, emit
from cli.sessions import with_database
from messages import search
from store.database import Database

app = typer.Typer(help="What waits, by lane and destination.", no_args_is_help=True)

_COLUMNS = (
    Column("lane"),
    Column("destination", style="bold"),
    Column("messages", justify="right"),
    Column("due", "due now", justify="right"),
    Column("first_due_at", "first due", drop=2),
    Column("waits_for", "waits for", style="dim", wrap=True, drop=1),
)


@app.command("list")
def list_queue(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="The longest queues, this many.")] = 30,
    as_json: JsonOption = False,
) -> None:
    """Messages on their way, the longest queues first."""

    async def work(database: Database) -> list[search.DueRow]:
        async with database.connection() as connection:
            return list(await search.waiting(connection, limit))

    emit(with_database(work), as_json=as_json, columns=_COLUMNS, empty="Nothing waits.")
