"""`postlane restored`: mail that a restored backup brought back and that may have left since."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Final
from uuid import UUID

import typer

from cli.application import YesOption, application_named, confirm
from cli.output import CliError, Column, JsonOption, emit, tell, wants_json
from cli.sessions import with_database
from messages import restored
from messages.restored import HeldMail
from store.database import Connection, Database

app = typer.Typer(help="What a restored backup holds: send it, or end it.", no_args_is_help=True)

_STEP: Final = 5_000
"""Messages in one transaction."""
_COLUMNS: Final = (
    Column("application", style="bold", show=lambda name: name or "(gone)"),
    Column("stream"),
    Column("messages", justify="right", drop=0),
    Column("first", "accepted from", drop=1),
    Column("last", "until", drop=2),
)

AllOption = Annotated[bool, typer.Option("--all", help="Of all applications.")]
OneOption = Annotated[str, typer.Option("--application", "-a", help="Of this application, by name or id.")]
Step = Callable[[Connection, UUID | None, int], Awaitable[int]]


@app.command("list")
def list_restored(as_json: JsonOption = False) -> None:
    """What is held since a restore, by application and stream, most first."""

    async def work(database: Database) -> list[HeldMail]:
        async with database.connection() as connection:
            return await restored.held(connection)

    emit(
        with_database(work),
        as_json=as_json,
        columns=_COLUMNS,
        empty="Nothing is held: no backup was restored, or all is decided.",
    )


@app.command()
def release(
    application: OneOption = "", everything: AllOption = False, yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Send what is held, at once. Whoever had got it before the loss gets it twice."""
    _decide(restored.release, "Send", "released", application, everything, yes, as_json)


@app.command()
def cancel(
    application: OneOption = "", everything: AllOption = False, yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """End what is held. Whoever had not got it before the loss never will."""
    _decide(restored.cancel, "Cancel", "cancelled", application, everything, yes, as_json)


def _decide(step: Step, verb: str, done: str, application: str, everything: bool, yes: bool, as_json: bool) -> None:
    if bool(application) == everything:
        raise CliError("usage", "Whose mail?", "Name --application NAME, or say --all.")

    async def count(database: Database) -> tuple[UUID | None, int]:
        async with database.connection() as connection:
            one = await application_named(connection, application)
            found = [mail for mail in await restored.held(connection) if one is None or mail.application_id == one]
        return one, sum(mail.messages for mail in found)

    one, held = with_database(count)
    if held:
        confirm(f"{verb} {held:,} messages?", yes)

    async def work(database: Database) -> int:
        total = 0
        while True:
            async with database.transaction() as connection:
                moved = await step(connection, one, _STEP)
            total += moved
            if moved < _STEP:
                return total

    total = with_database(work)
    if wants_json(as_json):
        emit({done: total}, as_json=True)
    else:
        tell(f"{total:,} messages {done}." if total else "Nothing is held.")
