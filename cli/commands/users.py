"""`postlane users`: who may use the console, and what for. Their owners set passwords, through one-time links."""

from typing import Annotated
from uuid import UUID

import typer

from accounts import audit, identities, repository, sign_in_links, users
from accounts.audit import Entry
from accounts.roles import MEANING, Role
from accounts.sign_in_links import Purpose
from accounts.users import NewUser, User
from cli.application import YesOption, confirm
from cli.commands.console import show_link
from cli.operating import actor
from cli.output import CliError, Column, JsonOption, emit
from cli.sessions import with_database
from store.database import Connection, Database
from web.faces.users import user_audit, user_face

app = typer.Typer(help="Who may use the console, and what for.", no_args_is_help=True)

_COLUMNS = (
    Column("email", style="bold", drop=0),
    Column("name", drop=4),
    Column("role"),
    Column("applications", drop=3),
    Column("state", drop=1),
    Column("signed_in_at", "last sign-in (UTC)", drop=2),
)

AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="The address they sign in with.")]
RoleOption = Annotated[Role, typer.Option(help="; ".join(f"{role}: {MEANING[role]}" for role in Role))]
ApplicationsOption = Annotated[
    list[str] | None, typer.Option("--application", help="Limit them to this application; may be given again.")
]


@app.command("list")
def list_users(as_json: JsonOption = False) -> None:
    """All users."""

    async def work(database: Database) -> list[User]:
        async with database.connection() as connection:
            return await users.every(connection)

    found = with_database(work)
    empty = "Nobody has an account: `postlane console link` makes the first."
    emit(found, user_face, cells=_cells, as_json=as_json, columns=_COLUMNS, empty=empty)


@app.command()
def create(
    email: AddressArgument,
    role: RoleOption = Role.VIEWER,
    name: Annotated[str, typer.Option(help="What they are called.")] = "",
    application: ApplicationsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a user, and a link by which they choose their password.

    Example: postlane users create anna@example.com --role marketer
    """

    async def work(database: Database) -> str:
        async with database.transaction() as connection:
            limited = tuple([await _application(connection, one) for one in application or ()])
            user = await users.create(connection, NewUser(email, role, name, limited))
            await audit.write(connection, actor(), Entry("user.create", user.email, after=user_audit(user)))
            return await sign_in_links.make(connection, Purpose.PASSWORD, user.id)

    show_link(with_database(work), Purpose.PASSWORD, as_json=as_json)


@app.command()
def change(
    email: AddressArgument,
    role: RoleOption,
    application: ApplicationsOption = None,
    every: Annotated[bool, typer.Option("--all-applications", help="Take their limits away.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give a user another role. The applications they are limited to stay as they are, unless others are named."""
    if application and every:
        raise CliError("invalid", "They are limited to some applications, or see all of them: name one of the two.")

    async def work(database: Database) -> User:
        async with database.transaction() as connection:
            user = await users.get(connection, email)
            named = tuple([await _application(connection, one) for one in application or ()])
            await users.set_role(connection, user, role, None if every else named or user.applications)
            return await _changed(connection, user, "user.change")

    emit(with_database(work), user_face, cells=_cells, as_json=as_json, columns=_COLUMNS)


@app.command()
def disable(email: AddressArgument, yes: YesOption = False, as_json: JsonOption = False) -> None:
    """Sign a user out everywhere and let them in no more."""
    confirm(f"Disable {email}? They are signed out at once.", yes)

    async def work(database: Database) -> User:
        async with database.transaction() as connection:
            user = await users.get(connection, email)
            await users.disable(connection, user)
            return await _changed(connection, user, "user.disable")

    emit(with_database(work), user_face, cells=_cells, as_json=as_json, columns=_COLUMNS)


@app.command()
def enable(email: AddressArgument, as_json: JsonOption = False) -> None:
    """Let a disabled user in again."""

    async def work(database: Database) -> User:
        async with database.transaction() as connection:
            user = await users.get(connection, email)
            await users.enable(connection, user)
            return await _changed(connection, user, "user.enable")

    emit(with_database(work), user_face, cells=_cells, as_json=as_json, columns=_COLUMNS)


@app.command()
def reset(
    email: AddressArgument,
    code: Annotated[bool, typer.Option("--code", help="Take their second factor away, too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make a link by which a user chooses another password. The old one works until then."""

    async def work(database: Database) -> str:
        async with database.transaction() as connection:
            user = await users.get(connection, email)
            if user.disabled_at is not None:
                raise CliError("disabled", f"{user.email} is disabled.", f"`postlane users enable {user.email}` first.")
            if code:
                await users.set_totp(connection, user.id, None)
            await audit.write(
                connection, actor(), Entry("user.reset", user.email, after={"second_factor_removed": code})
            )
            return await sign_in_links.make(connection, Purpose.PASSWORD, user.id)

    show_link(with_database(work), Purpose.PASSWORD, as_json=as_json)


@app.command()
def unlink(email: AddressArgument, as_json: JsonOption = False) -> None:
    """Forget by which identity of the OpenID provider a user signs in: the next one with their address is theirs."""

    async def work(database: Database) -> User:
        async with database.transaction() as connection:
            user = await users.get(connection, email)
            issuer = await identities.forget(connection, user)
            await audit.write(connection, actor(), Entry("user.unlink", user.email, before={"provider": issuer}))
            return user

    emit(with_database(work), user_face, cells=_cells, as_json=as_json, columns=_COLUMNS)


def _cells(user: User) -> dict[str, object]:
    """A user's line. The names of their applications are too many for it: how many there are says enough."""
    face = user_face(user)
    return face | {"applications": f"{len(user.applications):,} of them" if user.applications else "all"}


async def _changed(connection: Connection, before: User, action: str) -> User:
    """The user as they are now; the change is in the audit log."""
    after = await users.get(connection, before.email)
    await audit.write(connection, actor(), Entry(action, after.email, user_audit(before), user_audit(after)))
    return after


async def _application(connection: Connection, name: str) -> UUID:
    found = await repository.application(connection, name)
    if found is None:
        raise CliError("not_found", f"There is no application {name}.", "`postlane applications list` shows them.")
    return found.id
