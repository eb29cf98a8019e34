"""`postlane throttles`: which IP or sending domain rests where; end a rest, or rest something by hand.

Works on the database directly; all workers hear of a change at once.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import typer

from cli.operating import ReasonOption, SiteArgument, by, site_named
from cli.output import Column, JsonOption, emit
from cli.sessions import with_database
from pools import throttle_administration
from pools.health import State
from pools.ip_history import place
from pools.ip_status import ago
from pools.throttle_repository import Key, ThrottleRow
from store.database import Database
from web.faces.throttles import throttle_face

app = typer.Typer(help="Which IP or sending domain rests at which provider.", no_args_is_help=True)

Kind = Literal["ip", "domain"]
Subject = Annotated[str, typer.Argument(metavar="SUBJECT", help="Address of an IP; with --kind domain, a domain.")]
KindOption = Annotated[Kind, typer.Option(help="Whom it is about: an IP, or a sending domain.")]

_COLUMNS = (
    Column("subject", style="bold"),
    Column("site", "at"),
    Column("state"),
    Column("left", "rests for"),
    Column("rate", "mails/s", justify="right", show=lambda rate: f"{rate:.3g}", drop=4),
    Column("strikes", justify="right", drop=5),
    Column("rule", drop=3),
    Column("reply", style="dim", wrap=True, drop=2),
)


@app.command("list")
def list_throttles(
    ip: Annotated[str, typer.Option(help="Only this IP.")] = "",
    provider: Annotated[str, typer.Option(help="Only at this provider.")] = "",
    kind: Annotated[Kind | None, typer.Option(help="Only IPs, or only sending domains.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Everything that is not healthy: resting, probing or recovering, with the rule and reply behind it."""
    site = site_named(provider, everywhere=True) if provider else ""

    async def work(database: Database) -> list[ThrottleRow]:
        async with database.connection() as connection:
            return await throttle_administration.found(connection, kind, ip, site)

    empty = "Nothing rests: every IP may send everywhere."
    emit(with_database(work), throttle_face, cells=_cells, as_json=as_json, columns=_COLUMNS, empty=empty)


@app.command("override")
def override(
    subject: Subject, provider: SiteArgument, reason: ReasonOption, kind: KindOption = "ip", as_json: JsonOption = False
) -> None:
    """End a rest. A few mails try the provider now; when it throttles again, the rest begins anew, and longer.

    Example: postlane throttles override 192.0.2.10 gmail --reason "postmaster says it is over"
    """
    site = site_named(provider, everywhere=True)

    async def work(database: Database) -> ThrottleRow:
        async with database.transaction() as connection:
            return await throttle_administration.override(connection, kind, subject, site, reason, by())

    _show(with_database(work), as_json)


@app.command("rest")
def rest(
    subject: Subject,
    provider: SiteArgument,
    reason: ReasonOption,
    minutes: Annotated[int, typer.Option(min=1, max=525_600, help="For how long.")] = 60,
    kind: KindOption = "ip",
    as_json: JsonOption = False,
) -> None:
    """Rest an IP or sending domain at a provider, whatever the provider says; its mail leaves through others.

    Example: postlane throttles rest 192.0.2.10 yahoo --minutes 120 --reason "complaints, ticket 7"
    """
    site, now = site_named(provider, everywhere=True), datetime.now(UTC)
    until = now + timedelta(minutes=minutes)

    async def work(database: Database) -> ThrottleRow:
        async with database.transaction() as connection:
            return await throttle_administration.rest(connection, Key(kind, subject, site), until, reason, by(), now)

    _show(with_database(work), as_json)


def _show(row: ThrottleRow, as_json: bool) -> None:
    emit(row, throttle_face, cells=_cells, as_json=as_json, columns=_COLUMNS)


def _cells(row: ThrottleRow) -> dict[str, object]:
    """A throttle for people."""
    condition = row.condition
    resting = condition.state is State.THROTTLED and condition.rest_until is not None
    left = ago(condition.rest_until, datetime.now(UTC)) if resting and condition.rest_until else ""
    return throttle_face(row) | {"left": left, "site": place(row.key.site).removeprefix("at ")}
