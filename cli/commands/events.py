"""`postlane events`: what applications tell of, and what their payloads hold."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import orjson
import typer

from audience.contact_history import ContactAct, ContactSource
from campaigns.automations import events
from campaigns.automations.events import Definition, Happened, Told
from cli.application import ApplicationOption, YesOption, chosen, confirm
from cli.operating import by
from cli.output import CliError, Column, JsonOption, emit
from cli.sessions import with_database
from core.paging import Window
from store.database import Database
from web.faces.events import event_answer, event_face, told_face
from web.faces.references import deleted

app = typer.Typer(help="What applications tell of, for automations.", no_args_is_help=True)

EventArgument = Annotated[str, typer.Argument(metavar="EVENT", help="Its name, such as user.created, or its id.")]
FieldOption = Annotated[
    list[str] | None, typer.Option("--field", help="NAME=TYPE: string, number, boolean, date. As often as you like.")
]

_COLUMNS = (
    Column("name", style="bold"),
    Column("schema", wrap=True),
    Column("created_at", drop=2),
    Column("id", style="dim", drop=0),
)


@app.command("list")
def list_events(application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Events that are defined, newest first. Others are taken too, unchecked."""

    async def work(database: Database) -> Sequence[Definition]:
        async with database.connection() as connection:
            owner = await chosen(connection, application)
            return (await events.page(connection, owner.id, Window(events.MOST))).entries

    empty = "No event is defined; those that are not are taken too."
    emit(with_database(work), event_face, cells=_cells, as_json=as_json, columns=_COLUMNS, empty=empty)


@app.command("define")
def define(
    event: EventArgument, field: FieldOption = None, application: ApplicationOption = "", as_json: JsonOption = False
) -> None:
    """Say what the payload of an event holds, anew where that was said.

    Example: postlane events define order.paid --field total=number --field plan=string
    """
    schema = dict(_field(text) for text in field or ()) or None

    async def work(database: Database) -> Definition:
        async with database.transaction() as connection:
            owner = (await chosen(connection, application)).id
            known = await events.find(connection, owner, event)
            if known is None:
                return await events.define(connection, owner, event, schema)
            return await events.redefine(connection, known, schema)

    emit(with_database(work), event_answer, cells=_cells, as_json=as_json, columns=_COLUMNS)


@app.command("delete")
def delete(
    event: EventArgument, yes: YesOption = False, application: ApplicationOption = "", as_json: JsonOption = False
) -> None:
    """Forget what its payload holds; the event is taken all the same, unchecked."""
    confirm(f"Forget the definition of {event}?", yes)

    async def work(database: Database) -> UUID:
        async with database.transaction() as connection:
            known = await events.get(connection, (await chosen(connection, application)).id, event)
            await events.forget(connection, known)
            return known.id

    emit(deleted("event", with_database(work)), as_json=as_json)


@app.command("send")
def send(
    event: EventArgument,
    email: Annotated[str, typer.Option("--email", help="To whom it happened.")],
    payload: Annotated[str, typer.Option("--payload", help='JSON: \'{"plan": "pro"}\'.')] = "",
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Tell of an event, as an application does: whatever waits for it begins.

    Example: postlane events send user.created --email ann@one.example --payload '{"plan": "pro"}'
    """
    happened = Happened(event, None, email, _payload(payload))

    async def work(database: Database) -> Told:
        async with database.transaction() as connection:
            owner = await chosen(connection, application)
            return await events.tell(connection, owner.id, happened, ContactAct(ContactSource.CLI, actor=by()))

    columns = (Column("event", style="bold"), Column("contact"), Column("runs", "runs begun"))
    emit(with_database(work), told_face, cells=_told, as_json=as_json, columns=columns)


def _told(told: Told) -> dict[str, object]:
    return told_face(told) | {"contact": told.contact.email}


def _cells(definition: Definition) -> dict[str, object]:
    fields = ", ".join(f"{name}: {kind}" for name, kind in (definition.schema or {}).items())
    return event_face(definition) | {"schema": fields}


def _field(text: str) -> tuple[str, str]:
    name, _, kind = text.partition("=")
    return name, kind


def _payload(text: str) -> object:
    try:
        return orjson.loads(text) if text else None
    except orjson.JSONDecodeError as error:
        raise CliError("invalid_payload", f"--payload is no JSON: {error}.") from None
