"""`postlane domains`: sender domains, their DNS records in copyable form, and the check whether those are published."""

from collections.abc import Iterator, Sequence
from typing import Annotated
from uuid import UUID

import typer

from accounts import advice, registering, repository, rotation
from accounts.advice import Advice
from accounts.domain import Domain, DomainTracking
from accounts.names import return_path_name, sender_domain_name
from accounts.records import DnsRecord, operator_spf
from accounts.repository import DomainRequest
from accounts.verify import CHECK_SECONDS, Installation, fresh_resolver, records_of, verify_domain
from cli import context
from cli.application import ApplicationOption, YesOption, chosen, chosen_or_new, confirm
from cli.ids import Candidate, beginning, the_one
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, say, wants_json
from cli.sessions import with_database
from core.addresses import AddressError
from core.settings import Settings
from pools import assignments
from store.database import Connection, Database
from web.faces.domains import advice_face, domain_detail, domain_face
from web.faces.references import deleted

app = typer.Typer(help="Sender domains, their DNS records and keys.", no_args_is_help=True)

TrackingOption = Annotated[
    str,
    typer.Option(
        metavar="LABEL", help="Label below the domain that tracked links lead to; by default our public name."
    ),
]
DomainArgument = Annotated[str, typer.Argument(metavar="DOMAIN", help="Name of the domain, its id or its beginning.")]

_COLUMNS = (
    Column("name", style="bold"),
    Column("status"),
    Column("return_path", "return path", drop=3),
    Column("checked_at", "checked", drop=2),
    Column("created_at", "created", drop=4),
    Column("id", style="dim", drop=0),
)
_RECORD_COLUMNS = (
    Column("kind", "record"),
    Column("status", style="bold"),
    Column("type", drop=2),
    Column("name"),
    Column("reason", style="yellow", wrap=True, drop=0),
)

_ADVICE_COLUMNS = (
    Column("topic"),
    Column("standing", style="bold"),
    Column("name", drop=1),
    Column("advice", wrap=True, drop=0),
)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="The domain behind the @ of your senders.")],
    return_path: Annotated[
        str, typer.Option(help="Label below the domain that receives bounces; the setting by default.")
    ] = "",
    open_tracking: Annotated[bool, typer.Option(help="Track opens in its mail.")] = False,
    click_tracking: Annotated[bool, typer.Option(help="Track clicks in its mail.")] = False,
    tracking_subdomain: TrackingOption = "",
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Register a domain, make its DKIM keys, and show the records to publish."""
    settings = context.settings()
    try:
        folded = sender_domain_name(name)
        below = return_path_name(folded, return_path or settings.return_path_label)
    except AddressError as error:
        raise CliError("invalid_domain", error.reason) from None
    asked = DomainTracking(open_tracking, click_tracking, tracking_subdomain)
    tracking = registering.tracked(asked, folded, below, settings.public_url)
    secret = context.instance_secret(settings)

    async def work(database: Database) -> Domain | None:
        keys = await repository.make_keys()
        async with database.transaction() as connection:
            owner = await chosen_or_new(connection, application)
            request = DomainRequest(owner.id, folded, below, keys, tracking)
            return await repository.create_domain(connection, secret, request)

    made = with_database(work, settings)
    if made is None:
        raise CliError("conflict", f"The domain {folded} is already registered.", f"`postlane domains get {folded}`")
    _show(made, settings, as_json)


@app.command("list")
def list_domains(application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Domains of an application, newest first."""

    async def work(database: Database) -> Sequence[Domain]:
        async with database.connection() as connection:
            owner = await chosen(connection, application)
            return (await repository.domains(connection, owner.id)).entries

    emit(
        with_database(work), domain_face, cells=domain_face, as_json=as_json, columns=_COLUMNS, empty="No domains yet."
    )


@app.command("get")
def get(
    domain: DomainArgument,
    zone: Annotated[bool, typer.Option("--zone", help="Print the records as lines of a zone file.")] = False,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show the records of a domain, and how they stood at the last check."""
    settings = context.settings()

    async def work(database: Database) -> tuple[Domain, list[str]]:
        async with database.connection() as connection:
            return await _found(connection, application, domain), await repository.sending_addresses(connection)

    found, addresses = with_database(work, settings)
    if not zone:
        _show(found, settings, as_json)
        return
    for record in _records(found, settings):
        typer.echo(record.zone_line)
    typer.echo("; of the operator, once for all sender domains:")
    typer.echo(operator_spf(settings.hostname, addresses).zone_line)


@app.command("verify")
def verify(domain: DomainArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> int:
    """Check the records now. Ends with status 1 when the domain is not verified."""
    settings = context.settings()

    async def work(database: Database) -> Domain | None:
        async with database.connection() as connection:
            known = await _found(connection, application, domain)
        ours = Installation.of(settings)
        return await verify_domain(database, fresh_resolver(settings), ours, known.id, by=None)

    found = with_database(work, settings)
    if found is None:
        raise _unknown(domain)
    _show(found, settings, as_json)
    return 0 if found.status == "verified" else 1


@app.command("advice")
def show_advice(domain: DomainArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Look up what receivers look at besides: DMARC's policy, BIMI, MTA-STS, TLS reports, names of our IPs."""
    settings = context.settings()

    async def work(database: Database) -> list[Advice]:
        async with database.connection() as connection:
            found = await _found(connection, application, domain)
            ips = await advice.egress_names(connection)
        return await advice.look_around(fresh_resolver(settings), found.name, ips, CHECK_SECONDS)

    emit(with_database(work, settings), advice_face, cells=advice_face, as_json=as_json, columns=_ADVICE_COLUMNS)


@app.command("update")
def update(
    domain: DomainArgument,
    open_tracking: Annotated[bool | None, typer.Option(help="Track opens in its mail.")] = None,
    click_tracking: Annotated[bool | None, typer.Option(help="Track clicks in its mail.")] = None,
    tracking_subdomain: Annotated[
        str | None, typer.Option(metavar="LABEL", help='Label that tracked links lead to; "" for our public name.')
    ] = None,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Change what is tracked in the mail of a domain; workers know within a minute."""
    settings = context.settings()

    async def work(database: Database) -> Domain | None:
        async with database.transaction() as connection:
            found = await _found(connection, application, domain)
            before = found.tracking
            asked = DomainTracking(
                before.opens if open_tracking is None else open_tracking,
                before.clicks if click_tracking is None else click_tracking,
                before.subdomain if tracking_subdomain is None else tracking_subdomain,
            )
            wanted = registering.tracked(asked, found.name, found.return_path_domain, settings.public_url)
            await repository.set_tracking(connection, found.id, wanted)
            return await repository.domain(connection, found.application_id, found.id)

    changed = with_database(work, settings)
    if changed is None:
        raise _unknown(domain)
    _show(changed, settings, as_json)


@app.command("rotate")
def rotate(
    domain: DomainArgument,
    cancel: Annotated[bool, typer.Option("--cancel", help="Give up the keys that are coming.")] = False,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make new DKIM keys and show their records, to be published beside the old ones.

    Mail is signed with the old keys until the new records are found: by `postlane domains verify`, or by itself. The
    old records have to stay for a week after that; `postlane domains get` says until when.
    """
    settings = context.settings()
    secret = context.instance_secret(settings)

    async def work(database: Database) -> Domain:
        keys = () if cancel else await repository.make_keys()
        async with database.transaction() as connection:
            found = await _found(connection, application, domain)
            if cancel:
                return await rotation.give_up(connection, found)
            return await rotation.begin(connection, secret, found, keys)

    _show(with_database(work, settings), settings, as_json)


@app.command("delete")
def delete(
    domain: DomainArgument, application: ApplicationOption = "", yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Delete a domain, its DKIM keys, and the API keys that are bound to it."""
    confirm(f"Delete the domain {domain} with its keys? Mail from it that still waits cannot be signed.", yes)

    async def work(database: Database) -> UUID:
        async with database.transaction() as connection:
            found = await _found(connection, application, domain)
            await repository.delete_domain(connection, found.application_id, found.id)
            await assignments.forget_gone(connection)
            return found.id

    emit(deleted("domain", with_database(work)), as_json=as_json)


async def _found(connection: Connection, application: str, text: str) -> Domain:
    """The domain meant by a name or an id. Raises CliError."""
    owner = await chosen(connection, application)
    found = None
    try:
        found = await repository.domain_named(connection, owner.id, sender_domain_name(text))
    except AddressError as error:
        if beginning(text) is None:
            raise CliError("invalid_domain", error.reason) from None
    if found is None:
        known = [Candidate(one.id, one.name) for one in (await repository.domains(connection, owner.id)).entries]
        found = await repository.domain(connection, owner.id, the_one(text, "domain", known, "postlane domains list"))
    if found is None:  # deleted in this moment
        raise _unknown(text)
    return found


def _unknown(text: str) -> CliError:
    return CliError("not_found", f"There is no domain {text}.", "`postlane domains list` shows the domains.")


def _show(domain: Domain, settings: Settings, as_json: bool) -> None:
    """The domain with its records: one object for programs, a table and what to publish for people."""
    if wants_json(as_json):
        print_json(domain_detail(domain, settings.hostname, settings.public_name))
        return
    records = _records(domain, settings)
    rows = [_row(record, domain) for record in records]
    print_table(rows, _RECORD_COLUMNS, title=f"{domain.name}: {domain.status}")
    missing = [record for record, row in zip(records, rows, strict=True) if row["status"] != "verified"]
    if missing:
        say("\nTo publish, as lines of a zone file:", style="dim")
    for record in missing:
        typer.echo(record.zone_line)  # not in the table: whoever copies a key needs all of it
    for line in _about_keys(domain):
        say(f"\n{line}", style="dim")


def _about_keys(domain: Domain) -> Iterator[str]:
    """What stands around those that sign."""
    if not domain.keys and not domain.coming:
        yield f"It has no keys, so its mail cannot be signed: `postlane domains rotate {domain.name}` makes new ones."
    if domain.coming:
        yield (
            "New keys are coming. Publish the records that end in _coming and leave the others: mail is signed with"
            " the new keys as soon as `postlane domains verify` finds them."
        )
    for key in domain.retired:
        name, until = f"{key.selector}._domainkey.{domain.name}", rotation.keep_until(key)
        yield f"{name} signs no more. Leave its record until {until:%Y-%m-%d %H:%M} UTC, then remove it."


def _records(domain: Domain, settings: Settings) -> list[DnsRecord]:
    return records_of(domain, settings.hostname, settings.public_name)


def _row(record: DnsRecord, domain: Domain) -> dict[str, object]:
    check = domain.checks.get(record.kind)
    return {
        "kind": record.kind.value,
        "type": record.type,
        "name": record.name,
        "status": check.status if check else "not_started",
        "reason": check.reason if check else "",
    }
