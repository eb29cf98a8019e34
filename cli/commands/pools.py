"""`postlane pools`: pools of IPs, what is in them, whose they are, and whether they have the right size.

Works on the database directly, with the functions the API uses. Workers see a change within five seconds.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from cli.application import YesOption, confirm
from cli.ids import Candidate, the_one
from cli.operating import IpArgument, PoolArgument, rests, stage
from cli.output import Column, JsonOption, emit, print_json, print_table, say, wants_json
from cli.sessions import with_database
from core.queues import Lane
from pools import administration, assignments, reputation_repository
from pools.administration import NewPool, PoolChange, PoolMemberRow, PoolRow
from pools.advice import Advice
from pools.assignments import Assignment, SubjectKind
from pools.ip_status import IpStatus, ip_statuses_by_address
from pools.ip_values import normal_address
from store.database import Connection, Database
from web.faces.pools import assignment_face, assignment_path, pool_face
from web.faces.references import deleted

app = typer.Typer(help="Pools of IPs: who sends what from where.", no_args_is_help=True)

_COLUMNS = (
    Column("name", style="bold"),
    Column("lane"),
    Column("role"),
    Column("ips", "IPs", justify="right"),
    Column("sending", justify="right"),
    Column("overflow", "overflows to"),
    Column("assigned", "used by", wrap=True, drop=2),
)
_MEMBERS = (
    Column("ip", "IP", style="bold"),
    Column("weight", justify="right"),
    Column("state"),
    Column("stage", "warm-up"),
    Column("rests", "rests at", wrap=True),
)
_ADVICE = (
    Column("pool", style="bold"),
    Column("ips", "IPs", justify="right"),
    Column("suggested", "should be", justify="right"),
    Column("per_ip_per_day", "mails/IP/day", justify="right", show=lambda n: f"{n:,}", drop=3),
    Column("figures", wrap=True, drop=2),
    Column("advice", wrap=True, drop=0),
)
_ASSIGNED = (
    Column("kind"),
    Column("subject", style="bold"),
    Column("application"),
    Column("lane"),
    Column("pool", style="bold"),
)

LaneOption = Annotated[Lane, typer.Option(help="Which mail it is for.")]
WeightOption = Annotated[int, typer.Option(help="Share relative to the other IPs, 0 to 1000.")]
ApplicationName = Annotated[str, typer.Option("--application", "-a", help="Name or id of an application.")]
_Shown = tuple[PoolRow, dict[str, IpStatus]]
"""A pool, and how the IPs stand."""

DomainName = Annotated[str, typer.Option("--domain", "-d", help="Name or id of a sender domain.")]


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What it is for.")],
    lane: LaneOption,
    default: Annotated[
        bool, typer.Option("--default", help="Mail of the lane that names no pool leaves here.")
    ] = False,
    reserved: Annotated[bool, typer.Option("--reserved", help="Takes only mail that names it.")] = False,
    overflow: Annotated[str, typer.Option(help="The pool that takes what this one cannot.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Make a pool. The first one of a lane is its default.

    Example: postlane pools create offers --lane marketing --overflow bulk
    """
    wanted = NewPool(name, lane, default, reserved, overflow)
    _change(lambda connection: administration.create_pool(connection, wanted), as_json)


@app.command("list")
def list_pools(as_json: JsonOption = False) -> None:
    """All pools."""

    async def work(database: Database) -> tuple[list[PoolRow], dict[str, IpStatus]]:
        async with database.connection() as connection:
            return await administration.all_pools(connection), await ip_statuses_by_address(connection)

    rows, standing = with_database(work)
    empty = "No pools yet. `postlane pools create --help` makes one."
    emit(rows, lambda row: pool_face(row, standing), cells=_cells, as_json=as_json, columns=_COLUMNS, empty=empty)


@app.command("show")
def show(pool: PoolArgument, as_json: JsonOption = False) -> None:
    """A pool and its IPs: who sends, who rests, who warms up."""

    async def work(database: Database) -> _Shown:
        async with database.connection() as connection:
            row = await administration.one_pool(connection, await _named(connection, pool))
            return row, await ip_statuses_by_address(connection)

    _show(with_database(work), as_json)


@app.command("update")
def update(
    pool: PoolArgument,
    name: Annotated[str | None, typer.Option(help="Another name.")] = None,
    default: Annotated[bool, typer.Option("--default", help="Make it the default of its lane.")] = False,
    reserved: Annotated[bool | None, typer.Option("--reserved/--not-reserved", help="Only mail that names it.")] = None,
    overflow: Annotated[str | None, typer.Option(help='The pool that takes what this one cannot; "" for none.')] = None,
    as_json: JsonOption = False,
) -> None:
    """Rename a pool, make it the default, reserve it, or say where it overflows to.

    Example: postlane pools update offers --overflow bulk
    """
    change = PoolChange(name, True if default else None, reserved, overflow)
    _change_one(pool, lambda connection, found: administration.change_pool(connection, found, change), as_json)


@app.command("delete")
def delete(pool: PoolArgument, yes: YesOption = False, as_json: JsonOption = False) -> None:
    """Delete a pool that is no default, no overflow and nobody's. Its IPs stay."""
    confirm(f"Delete the pool {pool}? Mail that names it leaves through the default pool then.", yes)

    async def work(database: Database) -> UUID:
        async with database.transaction() as connection:
            return (await administration.delete_pool(connection, await _named(connection, pool))).id

    emit(deleted("pool", with_database(work)), as_json=as_json)


@app.command("attach")
def attach(pool: PoolArgument, ip: IpArgument, weight: WeightOption = 1, as_json: JsonOption = False) -> None:
    """Put an IP into a pool.

    Example: postlane pools attach offers 192.0.2.10
    """
    address = normal_address(ip)
    _change_one(pool, lambda connection, found: administration.attach(connection, found, address, weight), as_json)


@app.command("detach")
def detach(pool: PoolArgument, ip: IpArgument, as_json: JsonOption = False) -> None:
    """Take an IP out of a pool, also while mail is under way: the others take over within five seconds."""
    _change_one(pool, lambda connection, found: administration.detach(connection, found, normal_address(ip)), as_json)


@app.command("weight")
def weight(
    pool: PoolArgument,
    ip: IpArgument,
    share: Annotated[int, typer.Argument(metavar="WEIGHT", help="0 to 1000; 0 takes it out of use.")],
    as_json: JsonOption = False,
) -> None:
    """Change the share of an IP in a pool.

    Example: postlane pools weight offers 192.0.2.10 2
    """
    address = normal_address(ip)
    _change_one(pool, lambda connection, found: administration.set_weight(connection, found, address, share), as_json)


@app.command("assign")
def assign(
    pool: PoolArgument, application: ApplicationName = "", domain: DomainName = "", as_json: JsonOption = False
) -> None:
    """Let an application or a sender domain use a pool instead of its lane's default.

    Example: postlane pools assign offers --domain shop.example
    """
    kind, name = _subject(application, domain)

    async def work(database: Database) -> Assignment:
        async with database.transaction() as connection:
            subject = await assignments.subject_named(connection, kind, name, application if domain else "")
            return await assignments.assign(connection, kind, subject, await _named(connection, pool), None)

    emit(with_database(work), assignment_face, as_json=as_json, columns=_ASSIGNED)


@app.command("unassign")
def unassign(
    lane: LaneOption, application: ApplicationName = "", domain: DomainName = "", as_json: JsonOption = False
) -> None:
    """Back to the lane's default pool.

    Example: postlane pools unassign --lane marketing --domain shop.example
    """
    kind, name = _subject(application, domain)

    async def work(database: Database) -> UUID:
        async with database.transaction() as connection:
            subject = await assignments.subject_named(connection, kind, name, application if domain else "")
            await assignments.unassign(connection, kind, subject, lane)
            return subject

    gone = assignment_path(kind, with_database(work), lane)
    emit(deleted("pool_assignment", gone), as_json=as_json)


@app.command("assignments")
def list_assignments(as_json: JsonOption = False) -> None:
    """Which applications and domains have a pool of their own."""

    async def work(database: Database) -> list[Assignment]:
        async with database.connection() as connection:
            return await assignments.assignments(connection)

    emit(
        with_database(work),
        assignment_face,
        as_json=as_json,
        columns=_ASSIGNED,
        empty="Everybody uses the default pools.",
    )


@app.command("advice")
def advice(
    days: Annotated[int, typer.Option(min=1, max=reputation_repository.MOST_DAYS, help="Days to look back.")] = 7,
    as_json: JsonOption = False,
) -> None:
    """Has each pool the right number of IPs for its mail? Figures, and what to do."""

    async def work(database: Database) -> list[Advice]:
        async with database.connection() as connection:
            return await administration.advice(connection, days, datetime.now(UTC).date())

    emit(with_database(work), as_json=as_json, columns=_ADVICE, empty="No pools yet.")


def _change(work: Callable[[Connection], Awaitable[PoolRow]], as_json: bool) -> None:
    """One change in one transaction, and the pool as it is then."""

    async def change(database: Database) -> _Shown:
        async with database.transaction() as connection:
            return await work(connection), await ip_statuses_by_address(connection)

    _show(with_database(change), as_json)


def _change_one(pool: str, work: Callable[[Connection, str], Awaitable[PoolRow]], as_json: bool) -> None:
    """The same for a pool that is there: by its name, its id or the beginning of that."""

    async def named(connection: Connection) -> PoolRow:
        return await work(connection, await _named(connection, pool))

    _change(named, as_json)


async def _named(connection: Connection, pool: str) -> str:
    """The id of the pool meant. Raises CliError."""
    known = [Candidate(row.id, row.name) for row in await administration.all_pools(connection)]
    return str(the_one(pool, "pool", known, "postlane pools list"))


def _show(one: _Shown, as_json: bool) -> None:
    if wants_json(as_json):
        print_json(pool_face(*one))
        return
    row, standing = one
    role = f"{_role(row)} " if _role(row) else ""
    title = f"{row.name}: {role}pool of the {row.lane} lane{f', overflows to {row.overflow}' if row.overflow else ''}"
    empty = f"{title}. It has no IPs yet: postlane pools attach {row.name} IP"
    members = [_member(member, standing[member.address]) for member in row.members]
    print_table(members, _MEMBERS, title=title, empty=empty)
    if row.assigned:
        say(f"used by {', '.join(row.assigned)}", style="dim")


def _role(row: PoolRow) -> str:
    return "default" if row.default else "reserved" if row.reserved else ""


def _member(member: PoolMemberRow, one: IpStatus) -> dict[str, object]:
    return {
        "ip": member.address,
        "weight": member.weight,
        "state": one.state,
        "stage": stage(one),
        "rests": rests(one.rests),
    }


def _cells(row: PoolRow) -> dict[str, object]:
    """A pool as a row for people."""
    return {
        "name": row.name,
        "lane": row.lane,
        "role": _role(row),
        "ips": len(row.members),
        "sending": len(row.sending),
        "overflow": row.overflow,
        "assigned": ", ".join(row.assigned),
    }


def _subject(application: str, domain: str) -> tuple[SubjectKind, str]:
    if not application and not domain:
        raise typer.BadParameter("say --application NAME or --domain NAME")
    return ("domain", domain) if domain else ("application", application)
