"""`postlane version`: which version this is, and what it will do to a database."""

from typing import Annotated, Final

import typer

from cli import context
from cli.output import Column, JsonOption, emit, print_table, tell, wants_json
from core.version import version
from store import migrate, revisions
from store.revisions import Tables

_COLUMNS: Final = (Column("revision", style="bold"), Column("what", "what it does", wrap=True, drop=0))


def show_version(
    check: Annotated[
        bool, typer.Option("--check", help="Compare with the database: what will `postlane migrate` do?")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Which version this is; with --check, what a migration would do. Changes nothing."""
    told: dict[str, object] = {"version": version(), "newest_revision": revisions.newest()}
    if not check:
        if wants_json(as_json):
            emit(told, as_json=True)
        else:
            tell(f"Postlane {version()}, with tables of revision {revisions.newest()}.")
        return
    revision = migrate.current(context.settings().database_url)
    tables = revisions.compare(revision)
    steps = [] if tables is Tables.NEWER else migrate.missing(revision)
    if wants_json(as_json):
        emit(told | {"revision": revision, "tables": tables.value, "missing": steps}, as_json=True)
        return
    tell(_sentence(revision, len(steps)), "bold")
    if steps:
        print_table(steps, _COLUMNS)
        tell("Take a backup (postlane backup), then: postlane migrate. Processes of the older version go on meanwhile.")


def _sentence(revision: str, steps: int) -> str:
    if revisions.compare(revision) is Tables.NEWER:
        return (
            f"The database has revision {revision}, and Postlane {version()} knows {revisions.newest()}: a newer"
            " version has migrated it. This one has nothing to migrate; its processes work on. Upgrade them next."
        )
    if not revision:
        return f"The database is empty: postlane migrate makes the tables of Postlane {version()}."
    if not steps:
        return f"The database has the tables of this version, Postlane {version()}: there is nothing to migrate."
    several = "1 migration leads" if steps == 1 else f"{steps} migrations lead"
    return f"The database has revision {revision}; {several} to Postlane {version()}."
