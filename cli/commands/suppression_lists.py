"""`postlane suppressions import|imports|export|hash`: whole lists, from and for other systems.

Registered by `cli/commands/suppressions`. An import that was stopped goes on where it was when it is started again.
"""

import io
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TextIO
from uuid import UUID

import orjson
import typer

from audience import topics
from cli.application import application_named
from cli.list_files import TORN, cannot_read, fingerprint, opened, shown
from cli.operating import by
from cli.output import CliError, Column, JsonOption, emit, say, visible
from cli.sessions import with_database
from core.addresses import AddressError, fold_address
from core.list_files import decoded
from core.visible import json_for_terminals
from store.database import Database
from suppression import importing, repository
from suppression.entries import Suppression
from suppression.importing import Import
from suppression.query import Search
from suppression.reading import ListReader, Terms
from suppression.reasons import Reason, SuppressionScope
from suppression.search import search_for
from suppression.subjects import hashed
from suppression.transfer import write_header, write_rows
from web.faces.suppressions import suppression_face

_COUNTS = (
    Column("added", justify="right"),
    Column("known", justify="right"),
    Column("passed", "passed over", justify="right"),
    Column("wrong", justify="right"),
)
_IMPORT_COLUMNS = (
    Column("name", style="bold"),
    Column("finished_at", "finished"),
    Column("updated_at", "seen last", drop=2),
    Column("line", "lines", justify="right"),
    *_COUNTS,
    Column("actor", "by", drop=3),
)


def import_list(
    file: Annotated[str, typer.Argument(help="CSV, JSON, or one address a line; - reads standard input.")],
    scope: Annotated[
        SuppressionScope, typer.Option(help="For what, where the lines say nothing: everything, or one stream.")
    ] = SuppressionScope.ALL,
    only_for: Annotated[str, typer.Option("--for", help="Only the mail of this application.")] = "",
    topic: Annotated[UUID | None, typer.Option(help="Only mail of this topic of the application.")] = None,
    reason: Annotated[
        Reason | None, typer.Option(help="For lines that name no reason; by default what the export is known for.")
    ] = None,
    domains: Annotated[
        bool, typer.Option("--domains", help="Take lines such as @example.com: every address of a domain.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Begin at the beginning, also where an import of this file was stopped.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Add a list from another system, or from `suppressions export`. Wrong lines are named and passed over."""
    if topic and not only_for:
        raise CliError("needs_topic", "A topic belongs to an application: name it in --for.")
    wanted = SuppressionScope.TOPIC if topic else scope

    async def work(database: Database) -> importing.Progress:
        async with database.connection() as connection:
            whose = await application_named(connection, only_for)
            if whose and topic:
                await topics.get(connection, whose, topic)
            known = await topics.pairs(connection)
        terms = Terms(
            datetime.now(UTC), wanted, reason=reason, only_for=whose, topic=topic, actor=by(), topics=known,
            domains=domains,
        )  # fmt: skip
        asked = (terms.scope, terms.reason, terms.only_for, terms.topic, terms.domains)
        with opened(file) as (raw, size):
            mark = "" if again or size is None else fingerprint(Path(file), asked)
            with decoded(raw) as text, shown(raw, size) as tell:
                reader = ListReader(text, terms)
                return await importing.run(database, reader, Path(file).name, mark, lambda now: tell(*_so_far(now)))

    try:
        done = with_database(work)
    except TORN as error:
        raise cannot_read(file, error) from None
    _say_how_it_went(done)
    face = {name: getattr(done, name) for name in ("line", "resumed_at", "added", "known", "passed", "wrong", "faults")}
    emit(face, as_json=as_json, columns=_COUNTS)


def show_imports(as_json: JsonOption = False) -> None:
    """How imports went, and how far those are that are under way."""

    async def work(database: Database) -> list[Import]:
        async with database.connection() as connection:
            return await importing.imports(connection)

    emit(with_database(work), as_json=as_json, columns=_IMPORT_COLUMNS, empty="Nothing was imported yet.")


def export(
    search: Annotated[str, typer.Argument(help="The beginning of an address, or @ and a whole domain.")] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write; else standard output.")] = None,
    reason: Annotated[Reason | None, typer.Option(help="Only entries with this reason.")] = None,
    scope: Annotated[SuppressionScope | None, typer.Option(help="Only entries with this scope.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of CSV.")] = False,
) -> None:
    """Write entries as CSV, also when piped: `suppressions import` reads it back."""
    wanted = search_for(search, (reason,) if reason else (), (scope,) if scope else ())
    if output is None:
        count = _export(wanted, sys.stdout, as_json)
    else:
        try:
            with output.open("w", encoding="utf-8", newline="") as out:
                count = _export(wanted, out, as_json)
        except OSError as error:
            raise CliError("cannot_write", str(error)) from None
    say(f"{count:,} entries exported.", style="dim")


def hash_list(
    file: Annotated[str, typer.Argument(help="One address a line; - reads standard input.")] = "-",
) -> None:
    """Write the hashes of addresses, to hand a list on without its addresses. `suppressions import` takes them."""
    with opened(file) as (raw, _), decoded(raw) as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                sys.stdout.write(f"{_hashed(line.strip(), number)}\n")


def _hashed(text: str, number: int) -> str:
    try:
        return hashed(fold_address(text))
    except AddressError as error:
        raise CliError(error.code, f"line {number}: {text[:200]}: {error.reason}") from None


def _so_far(now: importing.Progress) -> tuple[int, str]:
    return now.line, f"{now.added:,} added, {now.known:,} known, {now.wrong:,} wrong"


def _say_how_it_went(done: importing.Progress) -> None:
    if done.resumed_at:
        say(f"An import of this file had stopped: went on behind line {done.resumed_at:,}.", style="dim")
    for fault in done.faults:
        say(f"line {fault.line}: {visible(fault.text)}: {fault.reason}", style="yellow")
    if done.wrong > len(done.faults):
        say(f"{done.wrong - len(done.faults):,} more lines are wrong.", style="yellow")
    if done.passed:
        say(f"{done.passed:,} were passed over: they get mail where the list comes from, or their time is over.")


def _export(wanted: Search, out: TextIO, as_json: bool) -> int:
    """Write page by page; how many entries."""
    if not as_json:
        write_header(out)
    write: Callable[[TextIO, list[Suppression]], None] = _write_json if as_json else write_rows
    harmless = _harmless(out, as_json)

    async def work(database: Database) -> int:
        count = 0
        async with database.connection() as connection:
            async for entries in repository.each_page(connection, wanted):
                text = io.StringIO()
                write(text, entries)
                out.write(harmless(text.getvalue()))
                count += len(entries)
        return count

    return with_database(work)


def _harmless(out: TextIO, as_json: bool) -> Callable[[str], str]:
    """Files and programs get what is stored, letter by letter; on a terminal it can steer nothing."""
    if not out.isatty():
        return str
    return json_for_terminals if as_json else visible


def _write_json(out: TextIO, entries: list[Suppression]) -> None:
    out.writelines(orjson.dumps(suppression_face(entry)).decode() + "\n" for entry in entries)
