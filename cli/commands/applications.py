"""`postlane applications`: who sends through this Postlane. An application owns keys and sender domains.

`keys create` and `domains create` make one when it is not there; here they are listed and deleted.
"""

from typing import Annotated
from uuid import UUID

import typer

from accounts import repository
from accounts.repository import Tenant
from campaigns.withdrawal import delete_application
from cli.application import YesOption, chosen, confirm
from cli.output import Column, JsonOption, emit
from cli.sessions import with_database
from store.database import Database
from web.faces.applications import application_face
from web.faces.references import deleted

app = typer.Typer(help="Who sends: applications with their keys and domains.", no_args_is_help=True)

_COLUMNS = (
    Column("name", style="bold"),
    Column("domains", wrap=True),
    Column("keys", justify="right"),
    Column("created_at", "created", drop=2),
    Column("id", style="dim", drop=0),
)


@app.command("list")
def list_applications(as_json: JsonOption = False) -> None:
    """Every application, oldest first, with its domains and how many keys it has."""

    async def work(database: Database) -> list[Tenant]:
        async with database.connection() as connection:
            return await repository.tenants(connection)

    empty = "No applications yet: `postlane keys create NAME` makes the first one."
    found = [application_face(one) for one in with_database(work)]
    emit(found, as_json=as_json, columns=_COLUMNS, empty=empty)


@app.command("delete")
def delete(
    application: Annotated[str, typer.Argument(metavar="APPLICATION", help="Name, id or its beginning.")],
    cancel: Annotated[bool, typer.Option("--cancel", help="Also when mail waits: it is cancelled.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete an application with its keys and domains. What it has sent stays in the history.

    While mail of it waits this is refused, unless that mail is to be cancelled. Takes five seconds, until every process
    knows that its keys are gone.

    Example: postlane applications delete "Old shop"
    """
    what = f"Delete the application {application} with its keys and domains?"
    confirm(f"{what} Its programs can no longer send.", yes)

    async def work(database: Database) -> UUID:
        async with database.connection() as connection:
            found = await chosen(connection, application)
        return (await delete_application(database, found.id, cancel=cancel)).id

    emit(deleted("application", with_database(work)), as_json=as_json)
