"""Which application a command works for: `--application NAME`, else the oldest one.

Commands that create something make the
application when it is not there, for there is no other way to the first one; all others refuse.
"""

import sys
from typing import Annotated
from uuid import UUID

import typer

from accounts import repository
from accounts.repository import Application
from cli.ids import Candidate, the_one
from cli.output import CliError, say
from store.database import Connection

ApplicationOption = Annotated[
    str, typer.Option("--application", "-a", help="The application by name or id; by default the oldest one.")
]
"""Type of the parameter of these commands: `application: ApplicationOption = ""`."""

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_FIRST = "default"
"""Name of the application that is made when nobody names one."""


async def chosen(connection: Connection, name: str) -> Application:
    """The application meant. Raises CliError when it is not there."""
    known = await repository.applications(connection)
    if not known:
        raise CliError(
            "no_application",
            "There is no application yet.",
            "`postlane keys create NAME` makes one together with a key.",
        )
    if not name:
        return known[0]
    candidates = [Candidate(one.id, one.name) for one in known]
    found = the_one(name, "application", candidates, "postlane applications list", "no_application")
    return next(one for one in known if one.id == found)


async def application_named(connection: Connection, name: str) -> UUID | None:
    """The id of the application meant; None for none. Raises CliError when it is not there."""
    return (await chosen(connection, name)).id if name else None


async def chosen_or_new(connection: Connection, name: str) -> Application:
    """The application meant, made now when it is not there."""
    if not name:
        oldest = next(iter(await repository.applications(connection)), None)
        if oldest is not None:
            return oldest
    made = await repository.create_application(connection, name or _FIRST)
    if made is None:
        return await chosen(connection, name or _FIRST)
    say(f"Made the application {made.name}.")
    return made


def confirm(question: str, yes: bool) -> None:
    """Ask before what cannot be undone. Raises CliError where nobody can answer, typer.Abort for a no."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CliError("needs_yes", question, "Nobody is here to answer: repeat the command with --yes.")
    typer.confirm(question, abort=True, err=True)
