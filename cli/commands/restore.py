"""`postlane restore`: an installation made of a backup, in an empty database or data folder."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from backups import manifest, restoring
from backups.manifest import Manifest
from backups.restoring import Restored
from cli import context
from cli.output import JsonOption, emit, say, tell, wants_json
from cli.running.embedded_place import prepare_data_dir
from cli.running.embedded_postgres import start_postgres
from core.errors import ConfigurationError
from core.settings import Settings
from pools.ip_status import ago

_BESIDE: Final = """\
If the installation that was copied is gone, start the processes. While it still works, what is put off or
scheduled leaves there: look at this one with `postlane up --marketing 0 --transactional 0`, which sends nothing."""
_NEXT: Final = """\
Nothing of this leaves before you decide.
  postlane restored list               what is held, by application and stream
  postlane restored release --all      send it; who had it already gets it twice
  postlane restored cancel --all       end it; who had not got it will not
Paused campaigns: `postlane campaigns list`, then resume or cancel each."""


def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `postlane backup` made.")],
    as_json: JsonOption = False,
) -> None:
    """Make an installation of a backup, in an empty database. What may have left since the backup is held."""
    settings = context.read()
    backup = manifest.read(folder)
    with _database(settings) as database_url, Console(stderr=True).status(f"reading {folder} …") as shown:
        secret = _secret(settings, folder, backup)
        shown.update("restoring; indexes come last …")
        made = restoring.restore(database_url, secret, folder, lambda: None)
    if wants_json(as_json):
        emit(_face(made), as_json=True)
        return
    _tell(made)


@contextlib.contextmanager
def _database(settings: Settings) -> Iterator[str]:
    """The one that is set; else that of the data folder, started for as long as this takes."""
    if settings.database_url:
        yield settings.database_url
        return
    server = start_postgres(settings.data_dir, say)
    try:
        yield server.url
    finally:
        server.stop()


def _secret(settings: Settings, folder: Path, backup: Manifest) -> str:
    """The one in force here; where there is none, that of the backup is kept in the data folder."""
    given = settings.secret.get_secret_value() or context.secret_of(settings.data_dir)
    found = given or restoring.kept_secret(folder)
    if not found:
        raise ConfigurationError(
            "no instance secret is set, and none is in the backup: set POSTLANE_SECRET to that of the installation that"
            " was copied."
        )
    restoring.check_secret(backup, found)
    return given or context.keep_secret(prepare_data_dir(settings.data_dir), found)


def _tell(made: Restored) -> None:
    taken = made.backup.taken_at
    tell(
        f"Restored: everything as it was at {taken:%Y-%m-%d %H:%M:%S} UTC, {ago(taken, datetime.now(UTC))} ago.", "bold"
    )
    tell(f"What came after that is not in it. Tables of revision {made.revision}.")
    aside = made.aside
    if not (made.held or aside.campaigns or aside.automations or aside.runs):
        tell("Nothing was under way that may have left since.")
        typer.echo(_BESIDE)
        return
    for number, what in (
        (made.held, "messages may have left since, and are held"),
        (aside.campaigns, "campaigns were sending, or should have begun, and are paused"),
        (aside.automations, "repeating campaigns had a day since, and are disabled"),
        (aside.runs, "people had mail of an automation due since, and are out of it"),
    ):
        if number:
            tell(f"  {number:>9,} {what}")
    typer.echo(_NEXT)
    typer.echo(_BESIDE)


def _face(made: Restored) -> dict[str, object]:
    return {
        "taken_at": made.backup.taken_at, "revision": made.revision, "held_messages": made.held,
        "paused_campaigns": made.aside.campaigns, "disabled_automations": made.aside.automations,
        "cancelled_runs": made.aside.runs,
    }  # fmt: skip
