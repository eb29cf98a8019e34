"""`postlane applications`: who sends through this Postlane. An application owns keys and sender domains.

`keys create` and `domains create` make one when it is not there, too. How much an application may bring in over the API
and SMTP is its quota; campaigns and mail of test keys do not count.
"""

from typing import Annotated
from uuid import UUID

import typer

from accounts import applications, repository
from accounts.applications import Changes
from accounts.quotas import MOST_PER_DAY, MOST_PER_SECOND, Quota, quota_of
from accounts.repository import Application, Tenant
from campaigns import withdrawal
from campaigns.withdrawal import delete_application
from cli.application import YesOption, chosen, confirm
from cli.output import Column, JsonOption, emit
from cli.sessions import with_database
from store.database import Database
from web.faces.applications import application_face
from web.faces.references import deleted, reference

app = typer.Typer(help="Who sends: applications with their keys and domains.", no_args_is_help=True)

NameArgument = Annotated[str, typer.Argument(metavar="APPLICATION", help="Name, id or its beginning.")]
PerDayOption = Annotated[
    int | None, typer.Option("--per-day", min=0, max=MOST_PER_DAY, help="Messages a day (UTC); 0 for no quota.")
]
PerSecondOption = Annotated[
    int | None, typer.Option("--per-second", min=0, max=MOST_PER_SECOND, help="Messages a second; 0 for no quota.")
]

_COLUMNS = (
    Column("name", style="bold"),
    Column("domains", wrap=True),
    Column("keys", justify="right"),
    Column("quota", drop=3),
    Column("created_at", "created", drop=2),
    Column("id", style="dim", drop=0),
)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What people call it.")],
    per_day: PerDayOption = None,
    per_second: PerSecondOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make an application. Then make a key for it: postlane keys create web --application NAME"""

    async def work(database: Database) -> Application:
        async with database.transaction() as connection:
            return await applications.create(connection, name, quota_of(per_day, per_second))

    emit(reference("application", with_database(work).id), as_json=as_json)


@app.command("update")
def update(
    application: NameArgument,
    name: Annotated[str | None, typer.Option(help="Another name; id, keys and mail stay.")] = None,
    per_day: PerDayOption = None,
    per_second: PerSecondOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rename an application, or say how many messages it may bring in.

    What is over a quota is refused and says when to try again. Every process knows within five seconds.

    Example: postlane applications update shop --per-day 50000 --per-second 100
    """

    async def work(database: Database) -> Application:
        async with database.transaction() as connection:
            found = await chosen(connection, application)
            quota = _quota(found.quota, per_day, per_second)
            return await applications.change(connection, found, Changes(name, quota))

    emit(reference("application", with_database(work).id), as_json=as_json)


@app.command("list")
def list_applications(as_json: JsonOption = False) -> None:
    """Every application, oldest first, with its domains and how many keys it has."""

    async def work(database: Database) -> list[Tenant]:
        async with database.connection() as connection:
            return await repository.tenants(connection)

    empty = "No applications yet: `postlane keys create NAME` makes the first one."
    emit(with_database(work), application_face, cells=_cells, as_json=as_json, columns=_COLUMNS, empty=empty)


@app.command("delete")
def delete(
    application: NameArgument,
    cancel: Annotated[bool, typer.Option("--cancel", help="Also when mail waits: it is cancelled.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete an application with its keys and domains. What it has sent stays in the history.

    While mail of it waits this is refused, unless that mail is to be cancelled. Takes five seconds, until every process
    knows that its keys are gone.

    Example: postlane applications delete "Old shop"
    """

    async def look(database: Database) -> tuple[Application, withdrawal.Leaving]:
        async with database.connection() as connection:
            found = await chosen(connection, application)
            return found, await withdrawal.leaving(connection, found.id)

    found, leaving = with_database(look)
    confirm(f"Delete {found.name} with {leaving.sentence}? Its programs can no longer send.", yes)

    async def work(database: Database) -> UUID:
        return (await delete_application(database, found.id, cancel=cancel)).id

    emit(deleted("application", with_database(work)), as_json=as_json)


def _quota(before: Quota, per_day: int | None, per_second: int | None) -> Quota | None:
    """As it is to be; None when nothing is said about it."""
    if per_day is None and per_second is None:
        return None
    return quota_of(
        before.per_day if per_day is None else per_day, before.per_second if per_second is None else per_second
    )


def _cells(one: Tenant) -> dict[str, object]:
    quota = one.application.quota
    said = [f"{quota.per_day:,}/day" if quota.per_day else "", f"{quota.per_second:,}/s" if quota.per_second else ""]
    return application_face(one) | {"quota": ", ".join(filter(None, said)) or "none"}
