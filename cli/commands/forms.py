"""`postlane forms`: sign-up forms. List, show, create, delete; texts and languages are set by the API.

Works on the database directly, with the functions the API uses.
"""

from typing import Annotated
from uuid import UUID

import typer

from audience import confirmations, forms, topics
from audience.forms import Field, FormFacts, Texts
from cli import context
from cli.application import ApplicationOption, YesOption, chosen, confirm
from cli.commands.contact_imports import segment_named
from cli.ids import Candidate, the_one
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, wants_json
from cli.sessions import with_database
from core.paging import Window
from store.database import Connection, Database
from web.faces.forms import form_face
from web.faces.references import deleted

app = typer.Typer(help="Where people sign up.", no_args_is_help=True)

FormArgument = Annotated[str, typer.Argument(metavar="FORM", help="Name of a form, its id or its beginning.")]

_COLUMNS = (
    Column("name", style="bold"),
    Column("from", drop=1),
    Column("waiting", justify="right"),
    Column("confirmed", justify="right"),
    Column("unsent", "no mail", justify="right", drop=3),
    Column("url", drop=2),
)


@app.command("list")
def list_forms(application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Forms, newest first, and how many signed up by them."""

    async def work(database: Database) -> list[dict[str, object]]:
        async with database.connection() as connection:
            owner = (await chosen(connection, application)).id
            found = (await forms.page(connection, owner, Window(forms.MOST))).entries
            figures = await confirmations.figures(connection, [one.id for one in found])
            return [form_face(one, figures[one.id], context.settings().public_url) for one in found]

    empty = "No forms: `postlane forms create NAME --from SENDER` makes one."
    emit(with_database(work), cells=_cells, as_json=as_json, columns=_COLUMNS, empty=empty)


@app.command("show")
def show(form: FormArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """A form, its page, and the HTML for a page of yours.

    Example: postlane forms show Footer
    """

    async def work(database: Database) -> dict[str, object]:
        async with database.connection() as connection:
            owner = (await chosen(connection, application)).id
            found = await forms.get(connection, owner, await _named(connection, owner, form))
            figures = await confirmations.figures(connection, [found.id])
            return form_face(found, figures[found.id], context.settings().public_url)

    face = with_database(work)
    if wants_json(as_json):
        print_json(face)
        return
    embed = face.pop("embed")
    print_table({name: value for name, value in face.items() if name not in ("object", "texts", "fields", "figures")})
    print_table(_cells(face), _COLUMNS)
    if embed:
        typer.echo(f"\n{embed}")


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="For you; nobody else sees it.")],
    sender: Annotated[str, typer.Option("--from", help="'Name <address>' that its mail comes from.")],
    segment: Annotated[str, typer.Option("--segment", "-s", help="The list that people are put on.")] = "",
    topic: Annotated[list[str] | None, typer.Option("--topic", "-t", help="A type of mail to choose; often.")] = None,
    field: Annotated[list[str] | None, typer.Option("--field", help="A name or property to ask; often.")] = None,
    title: Annotated[str, typer.Option(help="Heading of the page.")] = "",
    frequency: Annotated[str, typer.Option(help="How often mail comes: 'Once a month.'")] = "",
    consent: Annotated[str, typer.Option(help="What people agree to, word for word.")] = "",
    language: Annotated[str, typer.Option(help="Language of these texts: en, de, fr or es.")] = "en",
    origin: Annotated[list[str] | None, typer.Option(help="A web origin that may use it by script; often.")] = None,
    welcome: Annotated[bool, typer.Option("--welcome/--no-welcome", help="Whether a welcome mail follows.")] = True,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make a form: a hosted page, and HTML for a page of yours.

    Example: postlane forms create Footer --from "Shop <hello@shop.example>" --field first_name
    """
    public_url = context.settings().public_url
    if not public_url:
        raise CliError("no_public_pages", "There are no public pages to show a form.", "Set POSTLANE_PUBLIC_URL.")
    texts = Texts(title=title, consent=consent, frequency=frequency)

    async def work(database: Database) -> dict[str, object]:
        async with database.transaction() as connection:
            owner = (await chosen(connection, application)).id
            facts = FormFacts(
                name, sender, await segment_named(connection, owner, segment) if segment else None,
                tuple([await _topic_named(connection, owner, one) for one in topic or ()]),
                tuple(Field(one) for one in field or ()), language, {language: texts} if texts != Texts() else {},
                tuple(origin or ()), welcome,
            )  # fmt: skip
            made = await forms.create(connection, owner, facts)
            return form_face(made, confirmations.Figures(0, 0, 0), public_url)

    face = with_database(work)
    emit(face, cells=lambda one: {"id": one["id"], "url": one["url"]}, as_json=as_json)


@app.command("delete")
def delete(
    form: FormArgument, application: ApplicationOption = "", yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """It takes nobody more; links in mail that has left still work."""
    confirm(f"Delete the form {form}?", yes)

    async def work(database: Database) -> UUID:
        async with database.transaction() as connection:
            owner = (await chosen(connection, application)).id
            found = await _named(connection, owner, form)
            await forms.delete(connection, owner, found)
            return found

    emit(deleted("form", with_database(work)), as_json=as_json)


async def _named(connection: Connection, application_id: UUID, text: str) -> UUID:
    known = (await forms.page(connection, application_id, Window(forms.MOST))).entries
    return the_one(text, "form", [Candidate(one.id, one.facts.name) for one in known], "postlane forms list")


async def _topic_named(connection: Connection, application_id: UUID, text: str) -> UUID:
    candidates = [Candidate(one.id, one.name) for one in await topics.every(connection, application_id)]
    return the_one(text, "topic", candidates, "postlane topics list")


def _cells(face: dict[str, object]) -> dict[str, object]:
    figures = face["figures"]
    return {**face, **(figures if isinstance(figures, dict) else {})}
