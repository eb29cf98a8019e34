"""`postlane addresses`: what speaks against writing to an address, before anything is sent."""

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from audience import checks
from audience.checks import Checked, Problem
from cli import context
from cli.application import ApplicationOption, chosen
from cli.output import Column, JsonOption, emit
from cli.sessions import with_database
from mta.from_settings import known_providers, make_resolver
from store.database import Database
from suppression.forbidden import marketing_forbidden
from web.faces.addresses import checked_face

app = typer.Typer(help="What speaks against writing to an address.", no_args_is_help=True)

_COLUMNS = (
    Column("given", "address", style="bold"),
    Column("ok"),
    Column("problems", wrap=True),
    Column("suggestion", "meant?", drop=1),
)


@app.callback()
def _group() -> None:
    """Keeps the name of the one command."""


@app.command("check")
def check(
    addresses: Annotated[list[str], typer.Argument(metavar="ADDRESS...", help="As people typed them.")],
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Is it an address, does its domain take mail, is it mistyped, for ten minutes, an office's, suppressed?

    Nothing is sent, and no mail server is asked.

    Example: postlane addresses check ann@gmial.com
    """
    settings = context.settings()

    async def work(database: Database) -> list[Checked]:
        found = await checks.check(make_resolver(settings, known_providers(settings)), addresses)
        async with database.connection() as connection:
            whose = (await chosen(connection, application)).id
            closed = await marketing_forbidden(connection, whose, [one.address for one in found if one.address])
        return [one.and_also(Problem.SUPPRESSED) if one.address in closed else one for one in found]

    emit(with_database(work), checked_face, cells=_cells, as_json=as_json, columns=_COLUMNS)


def _cells(found: Checked) -> Mapping[str, Any]:
    face: dict[str, Any] = checked_face(found)
    return face | {"problems": " ".join(one["message"] for one in face["problems"])}
