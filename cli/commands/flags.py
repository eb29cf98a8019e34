"""`postlane flags`: what can be switched off while everything runs, for everything, an application, or a share.

Works on the database directly; every process goes by a change within two seconds.
"""

from typing import Annotated

import typer

from cli.application import application_named
from cli.operating import by
from cli.output import Column, JsonOption, emit, print_json, print_table, tell, wants_json
from cli.sessions import with_database
from flags import service
from flags.repository import Setting
from flags.service import Change, State, percent_of, words_of
from store.database import Database
from web.faces.flags import flag_face

app = typer.Typer(help="What can be switched off while everything runs.", no_args_is_help=True)

FlagArgument = Annotated[str, typer.Argument(metavar="FLAG", help="Name of the flag.")]
OnlyOption = Annotated[str, typer.Option("--application", "-a", help="Only for this application, by name or id.")]
WhyOption = Annotated[str, typer.Option("--reason", "-r", help="Why: kept for whoever asks later.")]

_COLUMNS = (
    Column("name", "flag", style="bold", drop=0),
    Column("state", drop=0),
    Column("meaning", "while it is on", wrap=True, drop=2),
    Column("changed", "switched", wrap=True, drop=3),
)
_ONE = (
    Column("name", "flag", style="bold"),
    Column("state"),
    Column("meaning", "while it is on"),
    Column("off", "while it is off"),
    Column("changed", "switched"),
    Column("share_of", "a share is of"),
    Column("owner", "belongs to"),
    Column("introduced", "since"),
    Column("until", "gone by"),
)
_OWN = (
    Column("application", style="bold"),
    Column("state"),
    Column("changed", "switched", wrap=True),
)


@app.command("list")
def list_flags(as_json: JsonOption = False) -> None:
    """Every flag, whether it is on, and who switched it."""

    async def work(database: Database) -> list[State]:
        async with database.connection() as connection:
            return await service.states(connection)

    emit(with_database(work), flag_face, cells=_cells, as_json=as_json, columns=_COLUMNS)


@app.command("show")
def show(flag: FlagArgument, as_json: JsonOption = False) -> None:
    """One flag: what it does on and off, and which applications have a switch of their own."""

    async def work(database: Database) -> State:
        async with database.connection() as connection:
            return await service.state(connection, flag)

    _show(with_database(work), as_json)


@app.command("set")
def set_flag(
    flag: FlagArgument,
    value: Annotated[str, typer.Argument(metavar="on|off|SHARE%", help="On, off, or for which share it is on.")],
    application: OnlyOption = "",
    reason: WhyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Switch a flag. Every process goes by it within two seconds, and mail under way goes on.

    Example: postlane flags set tracking off --reason "links lead nowhere, ticket 7"

    A share grows: who is in at 10% is in at 20%.
    """
    _switch(flag, percent_of(value), application, reason, as_json)


@app.command("clear")
def clear(
    flag: FlagArgument, application: OnlyOption = "", reason: WhyOption = "", as_json: JsonOption = False
) -> None:
    """Take a switch back: the flag is as declared again, or for an application as it is for everything."""
    _switch(flag, None, application, reason, as_json)


def _switch(flag: str, percent: int | None, application: str, reason: str, as_json: bool) -> None:
    async def work(database: Database) -> State:
        async with database.transaction() as connection:
            owner = await application_named(connection, application)
            return await service.switch(connection, flag, Change(percent, owner, reason), by())

    state = with_database(work)
    _show(state, as_json)
    if not wants_json(as_json):
        tell(f"Every process goes by it within {service.IN_FORCE_SECONDS} seconds.")


def _show(state: State, as_json: bool) -> None:
    if wants_json(as_json):
        print_json(flag_face(state))
        return
    print_table(_cells(state), _ONE)
    if state.own:
        print_table([_own_cells(state, one) for one in state.own], _OWN)


def _cells(state: State) -> dict[str, object]:
    """A flag for people."""
    more = f", {len(state.own)} with their own" if state.own else ""
    return flag_face(state) | {"state": f"{state.told}{more}", "changed": _changed(state.setting)}


def _own_cells(state: State, one: Setting) -> dict[str, object]:
    told = words_of(state.flag, one.percent) if one.percent is not None else ""
    return {"application": one.application, "state": told, "changed": _changed(one)}


def _changed(one: Setting | None) -> str:
    """By whom, when, why; "" for never."""
    if one is None:
        return "never"
    back = "back to what is declared, " if one.percent is None else ""
    why = f": {one.reason}" if one.reason else ""
    return f"{back}{one.at:%Y-%m-%d %H:%M} UTC by {one.by}{why}"
