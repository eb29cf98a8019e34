"""`postlane install`: a server with systemd, without Docker. What is laid out is in `cli/installing`."""

import compileall
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from cli import context
from cli.installing.files import FIRST_MAIL, SETTINGS
from cli.installing.laying import Asked, Done, Plan, lay, plan
from cli.output import CliError, JsonOption, emit, tell, wants_json
from core.addresses import AddressError, fold_domain

_UNITS: Final = context.CHECKOUT / "deploy" / "systemd"


def install(
    hostname: Annotated[
        str, typer.Option(help="Name of this server, such as mail.example.com (POSTLANE_HOSTNAME).")
    ] = "",
    database_url: Annotated[str, typer.Option(help="PostgreSQL, where it is not the one of this machine.")] = "",
    redis_url: Annotated[str, typer.Option(help="Valkey or Redis, where it is not the one of this machine.")] = "",
    root: Annotated[Path, typer.Option(help="A folder that stands for /, to look at it or to build an image.")] = Path(
        "/"
    ),
    replace: Annotated[bool, typer.Option("--replace", help="Keep files that stand in the way as FILE.old.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Lay out user, folders, settings with fresh secrets, systemd units and the command `postlane`; safe to run again,
    and after each update."""
    given = {
        "POSTLANE_HOSTNAME": _name(hostname), "POSTLANE_DATABASE_URL": database_url, "POSTLANE_REDIS_URL": redis_url,
    }  # fmt: skip
    made = plan(Asked(root.absolute(), Path(sys.executable).parent / "postlane", _UNITS, given, replace))
    done = list(made.told())
    if not dry_run:
        lay(made)
        _compile()
    if wants_json(as_json):
        told = {
            "root": str(made.asked.root), "dry_run": dry_run, "done": done, "remarks": made.remarks(),
            "next": made.next_steps(), "first_mail": [command for command, _ in FIRST_MAIL],
        }  # fmt: skip
        emit(told, as_json=True)
    else:
        _show(made, done, dry_run=dry_run)


def _name(hostname: str) -> str:
    try:
        folded = fold_domain(hostname) if hostname else ""
    except AddressError:
        folded = "?"
    if folded and "." not in folded:
        raise CliError("invalid", f"--hostname {hostname}: a whole name is wanted, such as mail.example.com.")
    return folded


def _compile() -> None:
    """Services cannot write beside the code: what is not compiled now is compiled anew at each of their starts."""
    if (context.CHECKOUT / "pyproject.toml").exists():
        for package in sorted(context.CHECKOUT.glob("*/__init__.py")):
            compileall.compile_dir(package.parent, quiet=2)


def _show(made: Plan, done: Sequence[Done], *, dry_run: bool) -> None:
    changed = [one for one in done if one.did != "unchanged"]
    tell(_answer(made, changed, dry_run=dry_run))
    if changed:
        typer.echo()
        width = max(len(one.did) for one in changed)
        for one in changed:
            typer.echo(f"  {one.did:<{width}}  {one.what}")
    if not dry_run and Done(str(SETTINGS), "made") in changed:
        typer.echo("\npostlane.env holds the instance secret: copy it to a safe place now.")
    for remark in made.remarks():
        typer.echo("\n" + textwrap.fill(remark, 80, break_long_words=False, break_on_hyphens=False))
    _show_next(made, "unless that is done already, " if Done(str(SETTINGS), "made") not in changed else "")


def _show_next(made: Plan, again: str) -> None:
    named = "POSTLANE_HOSTNAME" in made.settings
    if not named:
        typer.echo("\nPOSTLANE_HOSTNAME is missing, and nothing starts without it.")
    typer.echo(f"\nNext, {again if named else ''}as root:")
    for command in made.next_steps():
        typer.echo(f"  {command}")
    if named:
        typer.echo("\nThen, with addresses and names of yours (docs/operations.md):")
        width = max(len(command) for command, _ in FIRST_MAIL)
        for command, what in FIRST_MAIL:
            typer.echo(f"  {command:<{width}}  {what}".rstrip())


def _answer(made: Plan, changed: Sequence[Done], *, dry_run: bool) -> str:
    if not changed:
        return "Everything is laid out already; nothing was changed."
    if dry_run:
        return "This would be done. Nothing was changed."
    return "Postlane is laid out." if made.asked.root == Path("/") else f"Laid out below {made.asked.root}."
