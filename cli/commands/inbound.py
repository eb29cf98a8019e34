"""`postlane inbound`: the listener itself; and what it took: list, and show a mail as it came and as it was understood.

Without a sub-command it serves, as units and compose files call it.
"""

from typing import Annotated, Final
from uuid import UUID

import typer

from cli import context, ids
from cli.commands import services
from cli.output import CliError, Column, JsonOption, emit, print_json, print_raw, print_table, say, wants_json
from cli.sessions import with_database
from core.paging import Page, Window
from mta.bounces import parse_bounce
from mta.from_settings import rules_in_force
from outcomes.inbound import ShownMail, get_inbound, inbound_between, page_of_inbound
from outcomes.judging import Result
from store.database import Database
from web.faces.inbound import inbound_detail, inbound_face

app = typer.Typer(
    help="Run the listener for bounces and SMTP submission; list and show what came back.", invoke_without_command=True
)

_COLUMNS: Final = (
    Column("received_at", "received (UTC)", drop=3),
    Column("result", style="bold", drop=0),
    Column("kind", drop=1),
    Column("from", wrap=True, drop=2),
    Column("subject", wrap=True, drop=4),
    Column("detail", style="dim", wrap=True, drop=5),
    Column("id", style="dim", drop=0),
)


@app.callback()
def serve(context_of_call: typer.Context) -> None:
    """Listen for SMTP submission and for mail that comes back."""
    if context_of_call.invoked_subcommand is None:
        services.inbound()


@app.command("list")
def list_inbound(
    result: Annotated[Result | None, typer.Option(help="Only mails of which this became.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most mails to show.")] = 50,
    after: Annotated[UUID | None, typer.Option(help="Go on behind the mail with this id.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Mail that came back, newest first. `--result unread` is what nobody understood, `unplaced` what names no mail of
    ours."""

    async def work(database: Database) -> Page[ShownMail]:
        async with database.connection() as connection:
            return await page_of_inbound(connection, (result.value,) if result else (), Window(limit, after))

    page = with_database(work)
    emit(page.entries, inbound_face, cells=inbound_face, as_json=as_json, columns=_COLUMNS, empty="No such mail.")
    if page.has_more:
        say(f"There are more: --after {page.entries[-1].id}", style="dim")


@app.command("show")
def show(
    mail: Annotated[str, typer.Argument(metavar="ID", help="Id of the mail, or its beginning.")],
    raw: Annotated[bool, typer.Option("--raw", help="Write the mail as it came, and nothing else.")] = False,
    as_json: JsonOption = False,
) -> None:
    """One mail: where it came from, what is understood of it, and what became of it."""

    async def work(database: Database) -> tuple[ShownMail, bytes] | None:
        async with database.connection() as connection:
            bounds = ids.beginning(mail)
            known = await inbound_between(connection, *bounds, ids.LISTED + 1) if bounds else []
            candidates = [ids.Candidate(one, about=about) for one, about in known]
            return await get_inbound(
                connection, ids.the_one(mail, "received mail", candidates, "postlane inbound list")
            )

    found = with_database(work)
    if found is None:
        raise CliError(
            "not_found", f"There is no received mail {mail} (any more).", "`postlane inbound list` shows what there is."
        )
    if raw:
        print_raw(found[1])
        return
    detail = inbound_detail(*found, parse_bounce(found[1]), rules_in_force(context.settings()))
    if wants_json(as_json):
        print_json(detail)
        return
    report = detail.pop("report")
    print_table({name: value for name, value in detail.items() if name not in ("object", "raw_base64")})
    if isinstance(report, dict):
        print_table(
            {name: value for name, value in report.items() if name not in ("object", "recipients")}, title="report"
        )
        print_table(report["recipients"], empty="It names no recipient.")
    say(f"As it came: postlane inbound show {mail} --raw", style="dim")
