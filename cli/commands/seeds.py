"""`postlane seeds`: mailboxes of ours at the providers, and where mail to them lands.

Works on the database directly; the background worker sends the probes and reads the mailboxes.
"""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from alarms import seeds
from alarms.seeds import PORTS, Account, NewSeed, Probe, Seed
from cli import context
from cli.operating import asked_password, site_named
from cli.output import Column, JsonOption, emit, print_json, print_table, wants_json
from cli.sessions import with_database
from core.queues import Lane
from store.database import Connection, Database
from web.faces.references import deleted
from web.faces.seeds import probe_face, seed_detail, seed_face

app = typer.Typer(help="Where does our mail land? Mailboxes of ours at the providers.", no_args_is_help=True)

_COLUMNS = (
    Column("provider", style="bold"),
    Column("address", drop=0),
    Column("placement", "landed in", drop=0),
    Column("probed_at", "probe of (UTC)", drop=2),
    Column("stream", drop=4),
    Column("active", drop=5),
    Column("trouble", style="red", wrap=True, drop=1),
)
_PROBES = (
    Column("sent_at", "sent (UTC)"),
    Column("placement", "landed in", style="bold", show=lambda place: place or "looked for"),
    Column("folder", drop=2),
    Column("found_at", "found", drop=3),
    Column("email_id", "email", style="dim", drop=1),
)

SeedArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="Address of the account, or its id.")]


@app.command("list")
def list_seeds(as_json: JsonOption = False) -> None:
    """All seed accounts with where their newest probe landed."""

    async def work(database: Database) -> list[Seed]:
        async with database.connection() as connection:
            return await seeds.seeds(connection)

    empty = "No seed accounts. `postlane seeds add --help` adds one."
    emit(with_database(work), seed_face, cells=seed_face, as_json=as_json, columns=_COLUMNS, empty=empty)


@app.command("add")
def add(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Address of the mailbox.")],
    provider: Annotated[str, typer.Option(help="Mailbox provider it is at.")],
    host: Annotated[str, typer.Option(help="Its IMAP server.")],
    sender: Annotated[str, typer.Option("--from", help="Who probes are from: an address of a verified domain.")],
    port: Annotated[int, typer.Option(help="Its port.", show_default="993 with tls, else 143")] = 0,
    tls: Annotated[str, typer.Option(help="tls, starttls or none.")] = "tls",
    login: Annotated[str, typer.Option(help="The name it lets us in by; the address, unless said.")] = "",
    stream: Annotated[Lane, typer.Option(help="How probes travel.")] = Lane.MARKETING,
    every_minutes: Annotated[int, typer.Option(min=5, max=10_080, help="A probe is sent so often.")] = 360,
    as_json: JsonOption = False,
) -> None:
    """Add a mailbox; its password is asked for, or read from a pipe, and kept sealed. A probe is sent within a minute.

    Example: postlane seeds add me@gmail.com --provider gmail --host imap.gmail.com --from news@shop.example
    """
    password = asked_password()
    account = Account(host, port or PORTS.get(tls, 993), tls, login or address, password)
    wanted = NewSeed(address, site_named(provider), account, sender, stream, every_minutes)
    secret = context.instance_secret(context.settings())
    _change(lambda connection: seeds.add(connection, wanted, secret), as_json)


@app.command("show")
def show(seed: SeedArgument, as_json: JsonOption = False) -> None:
    """A seed account with its last probes."""

    async def work(database: Database) -> tuple[Seed, list[Probe]]:
        async with database.connection() as connection:
            found = await seeds.find(connection, seed)
            return found, await seeds.probes(connection, found.id)

    found, probes = with_database(work)
    if wants_json(as_json):
        print_json(seed_detail(found, probes))
        return
    print_table(seed_face(found))
    print_table([probe_face(probe) for probe in probes], _PROBES, empty="No probes yet.")


@app.command("probe")
def probe(seed: SeedArgument, as_json: JsonOption = False) -> None:
    """Send the next probe within a minute."""
    _change(lambda connection: seeds.probe_now(connection, seed), as_json)


@app.command("pause")
def pause(seed: SeedArgument, as_json: JsonOption = False) -> None:
    """Send no probes to an account until it is resumed."""
    _change(lambda connection: seeds.set_active(connection, seed, active=False), as_json)


@app.command("resume")
def resume(seed: SeedArgument, as_json: JsonOption = False) -> None:
    """Send probes to an account again."""
    _change(lambda connection: seeds.set_active(connection, seed, active=True), as_json)


@app.command("remove")
def remove(seed: SeedArgument, as_json: JsonOption = False) -> None:
    """Forget a seed account and its probes."""

    async def work(database: Database) -> Seed:
        async with database.transaction() as connection:
            return await seeds.remove(connection, seed)

    columns = (Column("address", "forgotten", style="bold"), Column("id", style="dim"))
    emit(with_database(work), lambda found: deleted("seed", found.id), as_json=as_json, columns=columns)


def _change(do: Callable[[Connection], Awaitable[Seed]], as_json: bool) -> None:
    async def work(database: Database) -> Seed:
        async with database.transaction() as connection:
            return await do(connection)

    emit(with_database(work), seed_face, cells=seed_face, as_json=as_json, columns=_COLUMNS)
