"""`postlane contact-properties`: what an application keeps of its contacts beside their name, each with a type."""

from typing import Annotated

import typer

from audience import properties
from audience.properties import MOST, Property, PropertyType
from cli.application import ApplicationOption, YesOption, chosen, confirm
from cli.output import Column, JsonOption, emit
from cli.sessions import with_database
from core.paging import Window
from store.database import Database
from web.faces.contacts import property_answer, property_face
from web.faces.references import deleted

app = typer.Typer(help="What is kept of contacts beside their name.", no_args_is_help=True)

KeyArgument = Annotated[str, typer.Argument(metavar="KEY", help="How mail and filters name it.")]
FallbackOption = Annotated[str, typer.Option("--fallback", help="What mail shows of a contact that has none.")]

_COLUMNS = (
    Column("key", style="bold"),
    Column("type"),
    Column("fallback_value", "fallback", wrap=True, drop=1),
    Column("created_at", "since", drop=3),
    Column("id", style="dim", drop=2),
)


@app.command("list")
def list_properties(application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Properties of an application's contacts, newest first."""

    async def work(database: Database) -> list[Property]:
        async with database.connection() as connection:
            owner = (await chosen(connection, application)).id
            return list((await properties.page(connection, owner, Window(MOST))).entries)

    empty = "No properties: `postlane contact-properties create KEY` makes one."
    emit(with_database(work), property_face, cells=property_face, as_json=as_json, columns=_COLUMNS, empty=empty)


@app.command("create")
def create(
    key: KeyArgument,
    kind: Annotated[PropertyType, typer.Option("--type", help="Cannot be changed.")] = PropertyType.STRING,
    fallback: FallbackOption = "",
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Define a property.

    Example: postlane contact-properties create plan --fallback free
    """

    async def work(database: Database) -> Property:
        async with database.transaction() as connection:
            owner = (await chosen(connection, application)).id
            return await properties.create(connection, owner, key, kind, fallback or None)

    emit(with_database(work), property_answer, cells=property_face, as_json=as_json, columns=_COLUMNS)


@app.command("update")
def update(
    key: KeyArgument, fallback: FallbackOption = "", application: ApplicationOption = "", as_json: JsonOption = False
) -> None:
    """Give a property another fallback, or none."""

    async def work(database: Database) -> Property:
        async with database.transaction() as connection:
            owner = (await chosen(connection, application)).id
            return await properties.update(connection, owner, key, fallback or None)

    emit(with_database(work), property_answer, cells=property_face, as_json=as_json, columns=_COLUMNS)


@app.command("delete")
def delete(
    key: KeyArgument, application: ApplicationOption = "", yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Delete a property, and its value of every contact."""
    confirm(f"Delete the property {key}, and its value of every contact?", yes)

    async def work(database: Database) -> Property:
        async with database.transaction() as connection:
            owner = (await chosen(connection, application)).id
            return await properties.delete(connection, owner, key)

    emit(deleted("contact_property", with_database(work).id), as_json=as_json)
