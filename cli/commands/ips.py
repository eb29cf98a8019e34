"""`postlane ips`: our sending ips. Add, look, change, pause; why is it slow; how good is its name.

Works on the database directly, with the functions the API uses. `add` and `update` try the IP from this host first.
"""

import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.text import Text

from cli import context
from cli.application import YesOption, confirm
from cli.operating import SHOWN_USES, IpArgument, ReasonOption, by, rests, site_named, stage, uses
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, visible, wants_json
from cli.sessions import with_database
from mta.connect import reachable
from mta.from_settings import own_servers
from mta.model import EgressIp, RelayLimits
from mta.relay import relay_trouble
from mta.via import is_relay, masked
from pools import ips, reputation_repository
from pools.ip_history import Line, history, now_lines
from pools.ip_status import IpStatus, ip_status, ip_statuses
from pools.ip_values import IpChange, LimitsChange, changed, egress_ip, usable
from pools.ips import IpRow
from pools.model import EVERYWHERE
from pools.reputation_repository import GRADES, Imported
from store.database import Connection, Database
from web.faces.ips import imported_face, ip_face, reputation_face, story_face
from web.faces.references import deleted

app = typer.Typer(help="Our sending addresses: state, warm-up, why, reputation.", no_args_is_help=True)

_COLUMNS = (
    Column("address", "IP", style="bold"),
    Column("state"),
    Column("pools", wrap=True, drop=3),
    Column("stage", "warm-up", drop=2),
    Column("rests", "rests at", wrap=True),
    Column("today", "today", wrap=True, drop=4),
)
_ONE = (
    Column("address", "IP", style="bold"),
    Column("state"),
    Column("paused_reason", "paused because"),
    Column("pools"),
    Column("ehlo_name", "EHLO name"),
    Column("bind_address", "bound to"),
    Column("via"),
    Column("limits"),
    Column("stage", "warm-up"),
    Column("rests", "rests at"),
    Column("today", "today"),
    Column("created_at", "since"),
)
_SCORES = (
    Column("provider", style="bold"),
    Column("score", justify="right", show=lambda score: "-" if score is None else str(score)),
    Column("delivered", justify="right", show=lambda n: f"{n:,}"),
    Column("reason", wrap=True),
)
_IMPORTED = (
    Column("source", style="bold"),
    Column("provider"),
    Column("figure"),
    Column("note", wrap=True),
    Column("at", "of"),
)

_ALL: Final = 1000

_VIA: Final = (
    "local; the proxy that has it, socks5://[user:password@]host:port; or a relay, smtp+tls://user:password@host:587."
    " - asks for it, so that no password stands in a list of processes."
)
EhloOption = Annotated[
    str, typer.Option("--ehlo", help="Host name it says in EHLO: that of its PTR record. A relay may do without.")
]
BindOption = Annotated[str, typer.Option("--bind", help="Local address, where it differs from the public one (NAT).")]
ViaOption = Annotated[str, typer.Option(help=_VIA)]
ConnectionsOption = Annotated[int | None, typer.Option(help="Relay: connections at the same time (5).")]
PerSecondOption = Annotated[float | None, typer.Option("--per-second", help="Relay: mails a second; 0: no limit.")]
PerHourOption = Annotated[int | None, typer.Option("--per-hour", help="Relay: mails an hour; 0: no limit.")]
ElsewhereOption = Annotated[bool, typer.Option("--elsewhere", help="Another worker's host has it: do not try it here.")]


@app.command("add")
def add(
    ip: IpArgument,
    ehlo: EhloOption = "",
    bind: BindOption = "",
    via: ViaOption = "local",
    connections: ConnectionsOption = None,
    per_second: PerSecondOption = None,
    per_hour: PerHourOption = None,
    elsewhere: ElsewhereOption = False,
    as_json: JsonOption = False,
) -> None:
    """Add a sending address, or a relay: somebody's mail server. It is tried from here, unless it is elsewhere.

    Example: postlane ips add 192.0.2.10 --ehlo m1.example.com

    A new one: postlane warmup start 192.0.2.10 --plan stages-29, and postlane pools attach POOL 192.0.2.10

    A relay: postlane ips add vendor --via smtp+tls://user:password@smtp.example.com:587 --per-second 14
    """
    settings, via = context.settings(), _asked(via)
    named = ehlo or (settings.hostname if is_relay(via) else "")
    wanted = egress_ip(ip, named, bind, via, LimitsChange(connections, per_second, per_hour))

    async def work(database: Database) -> IpStatus:
        await _tried(wanted, elsewhere)
        async with database.transaction() as connection:
            await ips.add_ip(connection, wanted, context.secret_if_set(settings))
            return await ip_status(connection, wanted.address)

    _show(with_database(work), as_json)


@app.command("list")
def list_ips(as_json: JsonOption = False) -> None:
    """All IPs: state, pools, warm-up stage, where they rest, and today's cap and use by provider."""

    async def work(database: Database) -> list[IpStatus]:
        async with database.connection() as connection:
            return await ip_statuses(connection)

    empty = "No IPs yet. `postlane ips add --help` adds one."
    emit(with_database(work), ip_face, cells=_cells, as_json=as_json, columns=_COLUMNS, empty=empty)


@app.command("show")
def show(ip: IpArgument, as_json: JsonOption = False) -> None:
    """One IP with everything about it."""

    async def work(database: Database) -> IpStatus:
        async with database.connection() as connection:
            return await ip_status(connection, ip)

    _show(with_database(work), as_json)


@app.command("update")
def update(
    ip: IpArgument,
    ehlo: Annotated[str | None, typer.Option("--ehlo", help="Another EHLO name.")] = None,
    bind: Annotated[str | None, typer.Option("--bind", help='Another local address; "" for the public one.')] = None,
    via: Annotated[str | None, typer.Option(help=_VIA)] = None,
    connections: ConnectionsOption = None,
    per_second: PerSecondOption = None,
    per_hour: PerHourOption = None,
    elsewhere: ElsewhereOption = False,
    as_json: JsonOption = False,
) -> None:
    """Change EHLO name, local address or proxy of an IP; login and limits of a relay.

    Example: postlane ips update 192.0.2.10 --via socks5://10.0.0.2:1080
    """

    secret = context.secret_if_set(context.settings())
    change = IpChange(ehlo, bind, via and _asked(via), LimitsChange(connections, per_second, per_hour))

    async def work(database: Database) -> IpStatus:
        async with database.connection() as connection:
            row = await ips.ip_row(connection, ip)
        wanted = changed(row.egress(secret), change)
        await _tried(wanted, elsewhere)
        async with database.transaction() as connection:
            await ips.change_ip(connection, wanted, secret)
            return await ip_status(connection, wanted.address)

    _show(with_database(work), as_json)


@app.command("pause")
def pause(ip: IpArgument, reason: ReasonOption, as_json: JsonOption = False) -> None:
    """Send nothing more through an IP; its mail leaves through the others of its pools.

    Example: postlane ips pause 192.0.2.10 --reason "PTR record is being changed"
    """
    _switch(ip, lambda connection: ips.pause_ip(connection, ip, reason, by()), as_json)


@app.command("resume")
def resume(ip: IpArgument, reason: ReasonOption = "", as_json: JsonOption = False) -> None:
    """End a pause. What providers have against the IP, and its warm-up, stand as they did."""
    _switch(ip, lambda connection: ips.resume_ip(connection, ip, by(), reason), as_json)


@app.command("remove")
def remove(
    ip: IpArgument,
    force: Annotated[bool, typer.Option("--force", help="Also when it is in a pool or warming up.")] = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Forget an IP."""
    confirm(f"Forget the IP {ip}?", yes)

    async def work(database: Database) -> IpRow:
        async with database.transaction() as connection:
            return await ips.remove_ip(connection, ip, force=force)

    emit(deleted("ip", with_database(work).address), as_json=as_json)


@app.command("why")
def why(
    ip: IpArgument,
    provider: Annotated[str, typer.Argument(help="Only this mailbox provider, or mx:SERVER of a small one.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=500, help="Most changes to show.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """How does this IP stand, and how did it come to that? Newest change first.

    Example: postlane ips why 192.0.2.10 gmail
    """
    site = site_named(provider, everywhere=True) if provider else ""

    async def work(database: Database) -> tuple[IpStatus, list[Line]]:
        async with database.connection() as connection:
            found = await ip_status(connection, ip)
            return found, await history(connection, found.ip.address, site, limit)

    found, lines = with_database(work)
    now = now_lines(found, site, datetime.now(UTC))
    if wants_json(as_json):
        print_json(story_face(found, site, now, lines))
        return
    _tell(f"{found.ip.address}{f' at {site}' if site else ''}", now, lines)


@app.command("reputation")
def show_reputation(
    ip: IpArgument,
    days: Annotated[int, typer.Option(min=1, max=reputation_repository.MOST_DAYS, help="Days of evidence.")] = 7,
    as_json: JsonOption = False,
) -> None:
    """How good is its name at each provider, 0 to 100, by what became of its mail; and what others say."""

    async def work(database: Database) -> dict[str, Any]:
        async with database.connection() as connection:
            row = await ips.ip_row(connection, ip)
            found = await reputation_repository.evidence(connection, row.address, days)
            imported = await reputation_repository.latest_imports(connection, row.address)
        return reputation_face(row.address, days, found, imported)

    face = with_database(work)
    if wants_json(as_json):
        print_json(face)
        return
    rows = [one | {"delivered": one["evidence"].delivered} for one in face["providers"]]
    print_table(rows, _SCORES, title=f"{ip}, last {days} days", empty="It has sent nothing in this time.")
    if face["imported"]:
        print_table(face["imported"], _IMPORTED, title="\nWhat others say, 0 (worst) to 100")


@app.command("rate")
def rate(
    ip: IpArgument,
    source: Annotated[str, typer.Argument(help="Who says so: sender_score, snds, postmaster …")],
    figure: Annotated[str, typer.Argument(help=f"0 (worst) to 100, or {', '.join(GRADES)}.")],
    provider: Annotated[str, typer.Option(help="Whose opinion it is; * for nobody's in particular.")] = EVERYWHERE,
    note: Annotated[str, typer.Option(help="What to remember about it.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Keep a figure of Sender Score, SNDS or Postmaster beside our own.

    Example: postlane ips rate 192.0.2.10 postmaster high --provider gmail
    """
    site = site_named(provider, everywhere=True)
    try:
        value = GRADES[figure.lower()] if figure.lower() in GRADES else float(figure)
    except ValueError:
        raise CliError("invalid", f"{figure} is neither a number nor one of {', '.join(GRADES)}.") from None

    async def work(database: Database) -> Imported:
        async with database.transaction() as connection:
            row = await ips.ip_row(connection, ip)
            said = note or (figure if figure.lower() in GRADES else "")
            wanted = Imported(row.address, site, source, value, said, datetime.now(UTC))
            return await reputation_repository.add_import(connection, wanted)

    emit(with_database(work), imported_face, as_json=as_json)


def _switch(ip: str, work: Callable[[Connection], Awaitable[IpRow]], as_json: bool) -> None:
    async def change(database: Database) -> IpStatus:
        async with database.transaction() as connection:
            row = await work(connection)
            return await ip_status(connection, row.address)

    _show(with_database(change), as_json)


def _asked(via: str) -> str:
    """The `via`; where it was given as "-" from the keyboard, without an echo, or from a pipe."""
    if via != "-":
        return via
    return str(typer.prompt("via", hide_input=True)) if sys.stdin.isatty() else sys.stdin.readline().strip()


async def _tried(ip: EgressIp, elsewhere: bool) -> None:
    if not elsewhere:
        settings = context.settings()
        asked = partial(relay_trouble, ca_file=settings.tls_verify_store, guard=own_servers(settings))
        await usable(ip, reachable, asked)


def _show(one: IpStatus, as_json: bool) -> None:
    emit(one, ip_face, cells=lambda one: _cells(one, _ALL), as_json=as_json, columns=_ONE)


def _cells(one: IpStatus, most: int = SHOWN_USES) -> dict[str, object]:
    """An IP for people."""
    return {
        "address": one.ip.address,
        "state": one.state,
        "paused_reason": one.ip.paused_reason,
        "pools": ", ".join(pool.name for pool in one.pools) or "none",
        "ehlo_name": one.ip.ehlo_name,
        "bind_address": one.ip.bind_address,
        "via": masked(one.ip.via),
        "limits": _limits(one.ip.limits),
        "stage": stage(one),
        "rests": rests(one.rests),
        "today": uses(one.uses, most) or "nothing sent",
        "created_at": one.ip.created_at,
    }


def _limits(limits: RelayLimits | None) -> str:
    """What a relay takes, as a cell: "5 connections, 14 a second, 50,000 an hour"."""
    if limits is None:
        return ""
    cells = [f"{limits.connections} connection{'s' * (limits.connections != 1)}"]
    cells += [f"{limits.messages_per_second:g} a second"] if limits.messages_per_second else []
    cells += [f"{limits.messages_per_hour:,} an hour"] if limits.messages_per_hour else []
    return ", ".join(cells)


def _tell(heading: str, now: Sequence[str], lines: Sequence[Line]) -> None:
    """The story for a person: how it is now, then each change with what the provider said."""
    console = Console(highlight=False)
    console.print(Text(visible(heading), style="bold"), soft_wrap=True)
    for sentence in now:
        console.print(Text(f"  now: {visible(sentence)}"), soft_wrap=True)
    if not lines:
        console.print(Text("  Nothing has changed so far.", style="dim"))
    day = ""
    for line in lines:
        if f"{line.at:%Y-%m-%d}" != day:
            day = f"{line.at:%Y-%m-%d}"
            console.print(Text(f"\n{day} (UTC)", style="dim"))
        console.print(Text.assemble((f"  {line.at:%H:%M:%S}  ", "dim"), visible(line.text)), soft_wrap=True)
        if line.reply:
            said = f"            “{visible(line.reply)}”" + (f"  rule {line.rule}" if line.rule else "")
            console.print(Text(said, style="yellow"), soft_wrap=True)
        if line.rule == "operator" or line.by.endswith("command line") or line.by.startswith("API key"):
            console.print(Text(f"            by {visible(line.by)}", style="dim"), soft_wrap=True)
