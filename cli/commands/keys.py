"""`postlane keys`: API keys of an application, and those of operators. The token is shown once, when the key is made.

An operator's key runs pools, IPs, throttles and warm-up over the API. It belongs to no application; this command is the
only way to one.
"""

from typing import Annotated
from uuid import UUID

import typer

from accounts import repository
from accounts.directory import OPERATOR
from accounts.names import sender_domain_name
from accounts.repository import ApiKey, KeyRequest
from cli.application import ApplicationOption, YesOption, chosen, chosen_or_new, confirm
from cli.ids import Candidate, the_one
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, wants_json
from cli.sessions import with_database
from core.addresses import AddressError
from store.database import Connection, Database
from web.faces.api_keys import key_created, key_face
from web.faces.references import deleted

app = typer.Typer(help="API keys.", no_args_is_help=True)

PERMISSIONS = ("full_access", "sending_access", OPERATOR)

OperatorsOption = Annotated[bool, typer.Option("--operators", help="Of the operators, not of an application.")]

_COLUMNS = (
    Column("name", style="bold"),
    Column("hint", "begins with", drop=2),
    Column("mode"),
    Column("permission"),
    Column("last_used_at", "last used", drop=3),
    Column("created_at", "created", drop=4),
    Column("id", style="dim", drop=0),
)
_CREATED = (
    Column("token", style="bold green"),
    Column("name"),
    Column("mode"),
    Column("permission"),
    Column("application"),
    Column("id"),
)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What the key is for.")],
    permission: Annotated[str, typer.Option(help=f"{', '.join(PERMISSIONS[:-1])} or {OPERATOR}.")] = PERMISSIONS[0],
    domain: Annotated[str, typer.Option(help="With sending_access: the only domain it may send from.")] = "",
    test: Annotated[
        bool, typer.Option("--test", help="For tests: what it sends is captured in the sandbox, nothing leaves.")
    ] = False,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make a key and show its token, this once.

    For an application: postlane keys create web

    For its tests: postlane keys create ci --test

    To run pools, IPs and warm-up over the API: postlane keys create ops --permission operator
    """
    if permission not in PERMISSIONS:
        raise CliError("invalid_permission", f"{permission} is not a permission.", f"Use {' or '.join(PERMISSIONS)}.")
    if domain and permission != "sending_access":
        raise CliError("invalid_permission", "A key for one domain can only have sending_access.")
    if application and permission == OPERATOR:
        raise CliError("invalid_permission", "An operator's key belongs to no application.", "Leave --application out.")
    if test and permission == OPERATOR:
        raise CliError("invalid_permission", "An operator's key sends nothing, so it cannot be one for tests.")
    if not name.strip() or not name.isprintable():
        raise CliError("invalid_name", "The name must hold printable characters, and at least one.")

    async def work(database: Database) -> tuple[ApiKey, str, str]:
        async with database.transaction() as connection:
            operating = permission == OPERATOR
            owner = await (repository.operators(connection) if operating else chosen_or_new(connection, application))
            domain_id = await _domain_id(connection, owner.id, domain) if domain else None
            wanted = KeyRequest(owner.id, name.strip(), permission, domain_id, test)
            return *await repository.create_key(connection, wanted), "" if operating else owner.name

    key, token, owner_name = with_database(work)
    if wants_json(as_json):
        print_json(key_created(key, token))
        return
    shown = _cells(key) | {"mode": "test: nothing that it sends leaves" if key.test else "live"}
    print_table(shown | {"token": token, "application": owner_name}, _CREATED)


@app.command("list")
def list_keys(
    application: ApplicationOption = "", operators: OperatorsOption = False, as_json: JsonOption = False
) -> None:
    """Keys of an application, or of the operators; newest first."""

    async def work(database: Database) -> list[ApiKey]:
        async with database.connection() as connection:
            if operators:
                owner = await repository.application(connection, repository.OPERATORS)
            else:
                owner = await chosen(connection, application)
            return [*(await repository.keys(connection, owner.id)).entries] if owner else []

    emit(with_database(work), key_face, cells=_cells, as_json=as_json, columns=_COLUMNS, empty="No keys yet.")


@app.command("delete")
def delete(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Name of the key, its id or its beginning.")],
    application: ApplicationOption = "",
    operators: OperatorsOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete a key. Programs that use it are refused within five seconds."""
    confirm(f"Delete the key {key}? Programs that use it can no longer send.", yes)

    async def work(database: Database) -> UUID:
        async with database.transaction() as connection:
            owner = await (repository.operators(connection) if operators else chosen(connection, application))
            keys = (await repository.keys(connection, owner.id)).entries
            known = [Candidate(one.id, one.name, one.hint) for one in keys]
            key_id = the_one(key, "key", known, "postlane keys list")
            await repository.delete_key(connection, owner.id, key_id)
            return key_id

    emit(deleted("api_key", with_database(work)), as_json=as_json)


def _cells(key: ApiKey) -> dict[str, object]:
    return key_face(key) | {"mode": "test" if key.test else "live"}


async def _domain_id(connection: Connection, application_id: UUID, name: str) -> UUID:
    try:
        found = await repository.domain_named(connection, application_id, sender_domain_name(name))
    except AddressError as error:
        raise CliError("invalid_domain", error.reason) from None
    if found is None:
        raise CliError("not_found", f"There is no domain {name}.", "`postlane domains list` shows the domains.")
    return found.id
