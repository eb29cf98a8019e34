"""`postlane console`: the process itself; and a one-time link for whoever owns the server.

Without a sub-command it serves, as units and compose files call it.
"""

from typing import Annotated

import typer

from accounts import audit, sign_in_links, users
from accounts.audit import Entry
from accounts.sign_in_links import Purpose
from cli import context
from cli.commands import services
from cli.operating import actor
from cli.output import CliError, JsonOption, print_json, say, wants_json
from cli.sessions import with_database
from store.database import Connection, Database

app = typer.Typer(help="Run the web console; make a one-time link to it.", invoke_without_command=True)


@app.callback()
def serve(context_of_call: typer.Context) -> None:
    """Serve the web console."""
    if context_of_call.invoked_subcommand is None:
        services.console()


@app.command()
def link(
    user: Annotated[str, typer.Argument(help="Address of the user to sign in; not needed for the first one.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Make a link that works once: it makes the first user, or signs one in without a password.

    Example: postlane console link, or postlane console link anna@example.com
    """

    async def work(database: Database) -> tuple[str, Purpose]:
        async with database.transaction() as connection:
            return await _made(connection, user)

    token, purpose = with_database(work)
    show_link(token, purpose, as_json=as_json)


async def _made(connection: Connection, user: str) -> tuple[str, Purpose]:
    if not await users.any_exists(connection):
        await audit.write(connection, actor(), Entry("user.link", "the first user"))
        return await sign_in_links.make(connection, Purpose.FIRST), Purpose.FIRST
    if not user:
        known = [one.email for one in await users.every(connection) if one.disabled_at is None]
        if len(known) != 1:
            raise CliError("ambiguous", "There is more than one user.", "Name one: `postlane console link ADDRESS`.")
        user = known[0]
    found = await users.get(connection, user)
    if found.disabled_at is not None:
        raise CliError(
            "disabled", f"{found.email} is disabled.", f"`postlane users enable {found.email}` lets them in."
        )
    await audit.write(connection, actor(), Entry("user.link", found.email))
    return await sign_in_links.make(connection, Purpose.SIGN_IN, found.id), Purpose.SIGN_IN


def show_link(token: str, purpose: Purpose, *, as_json: bool) -> None:
    """The link, and for how long it works."""
    url = f"{address()}/link/{token}"
    hours = round(sign_in_links.VALID[purpose].total_seconds() / 3600)
    if wants_json(as_json):
        print_json({"object": "console_link", "url": url, "purpose": purpose, "hours": hours})
        return
    say(url)
    say(f"It works once, for {hours} hour{'s' * (hours != 1)}.")


def address() -> str:
    """Where people reach the console."""
    settings = context.settings()
    return settings.console_url or f"http://127.0.0.1:{settings.console_port}"
