"""`postlane logs`: what applications asked the API for, and how that went. Thin: `requestlog` keeps it."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from cli import ids
from cli.application import ApplicationOption, chosen
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, say, tell, wants_json
from cli.sessions import with_database
from core.paging import Page, Window
from requestlog import repository
from requestlog.repository import Logged, LoggedDetail, Status, Wanted
from store.database import Database
from web.faces.logs import log_detail, log_face

app = typer.Typer(help="What applications asked the API for, and how that went.", no_args_is_help=True)

_COLUMNS: Final = (
    Column("created_at", "at (UTC)", drop=2),
    Column("response_status", "status", style="bold", drop=0),
    Column("method", drop=1),
    Column("endpoint", wrap=True, drop=0),
    Column("error", style="red", drop=3),
    Column("duration_ms", "ms", justify="right", drop=5),
    Column("user_agent", "by", wrap=True, drop=6),
    Column("id", style="dim", drop=0),
)


@app.command("list")
def list_logs(
    status: Annotated[Status | None, typer.Option(help="Only those answered like this.")] = None,
    method: Annotated[str, typer.Option(help="Only those with this method, such as POST.")] = "",
    path: Annotated[str, typer.Option(help="Only those whose path begins like this, such as /emails.")] = "",
    hours: Annotated[float | None, typer.Option(min=0, max=10_000, help="Only those of the last hours.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Requests of an application, newest first. What they say of people is not kept.

    What was refused lately: postlane logs list --status failed --hours 24
    """
    since = datetime.now(UTC) - timedelta(hours=hours) if hours is not None else None

    async def work(database: Database) -> Page[Logged]:
        async with database.connection() as connection:
            owner = (await chosen(connection, application)).id
            wanted = Wanted((owner,), status=status, method=method.upper(), path=path, since=since)
            return await repository.page(connection, wanted, Window(limit))

    found = with_database(work)
    empty = "No such requests. They are kept for POSTLANE_REQUEST_LOG_DAYS days."
    emit(found.entries, log_face, cells=_cells, as_json=as_json, columns=_COLUMNS, empty=empty)
    if found.has_more:
        say("There are more: --limit shows them.", style="dim")


@app.command("show")
def show(
    request: Annotated[str, typer.Argument(metavar="ID", help="Id of the request, or its beginning.")],
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """One request: its fields without their texts, and what was answered.

    Example: postlane logs show 01a20446-5b1c
    """

    async def work(database: Database) -> LoggedDetail | None:
        async with database.connection() as connection:
            wanted = Wanted(((await chosen(connection, application)).id,))
            bounds = ids.beginning(request)
            known = await repository.between(connection, wanted, *bounds, ids.LISTED + 1) if bounds else []
            candidates = [ids.Candidate(one.id, about=f"{one.method} {one.path} {one.status}") for one in known]
            meant = ids.the_one(request, "request", candidates, "postlane logs list")
            return await repository.find(connection, wanted, meant)

    found = with_database(work)
    if found is None:
        raise CliError(
            "not_found", f"There is no request {request} (any more).", "`postlane logs list` shows what there is."
        )
    if wants_json(as_json):
        print_json(log_detail(found))
        return
    print_table(_cells(found.summary), _COLUMNS)
    for title, body in (("Asked", found.request_body), ("Answered", found.response_body)):
        tell(f"{title}: {body or 'nothing'}")


def _cells(one: Logged) -> Mapping[str, object]:
    shown = f"{one.status} x{one.stands_for}" if one.stands_for > 1 else str(one.status)
    return log_face(one) | {"response_status": shown}
