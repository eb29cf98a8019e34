"""`postlane suppressions`: addresses that get no mail. Add, look, remove, import and export.

Works on the database directly, with the functions the API uses. An import commits every 10,000 entries: one that is
stopped keeps what it has read so far, and can simply be started again.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, TextIO
from uuid import UUID

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

from cli.application import chosen
from cli.operating import by
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, say, visible, wants_json
from cli.sessions import with_database
from core.addresses import AddressError
from core.paging import Page, Window
from store.database import Connection, Database
from suppression import adding, history, removing, repository
from suppression.adding import LARGEST_BATCH
from suppression.entries import Added, Addition, Ended, Suppression
from suppression.query import Search
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope
from suppression.removing import Removal, Remover
from suppression.search import search_for
from suppression.subjects import subject
from suppression.transfer import Fault, plain_detail, read, write_header, write_rows
from web.faces.suppressions import added_face, ended_face, removed_face, suppression_answer, suppression_face

app = typer.Typer(help="Addresses that get no mail.", no_args_is_help=True)

SHOWN_FAULTS: Final = 100
"""Lines of an import that are named when they are wrong; the rest is counted."""

_COLUMNS = (
    Column("address", style="bold"),
    Column("scope"),
    Column("only_for", "only for", drop=4),
    Column("reason"),
    Column("source", drop=3),
    Column("created_at", "since"),
    Column("expires_at", "until", drop=3),
    Column("detail", style="dim", wrap=True, drop=2),
    Column("note", style="dim", wrap=True, drop=3),
)
_ENDED_COLUMNS = (
    Column("ended", style="bold"),
    Column("ended_at", "when"),
    Column("email", drop=3),
    Column("scope", drop=2),
    Column("reason"),
    Column("created_at", "since", drop=2),
    Column("ended_by", "by", wrap=True),
    Column("why", wrap=True),
    Column("detail", style="dim", wrap=True, drop=3),
)

ScopeOption = Annotated[
    SuppressionScope, typer.Option(help="For what: everything, one stream, or (with --topic) one topic.")
]
ForOption = Annotated[
    str, typer.Option("--for", help="Only the mail of this application: its name or id. Without it, everybody's.")
]
WhyOption = Annotated[str, typer.Option("--why", help="Why they go; the history keeps it. A complaint needs it.")]
Subjects = Annotated[
    list[str],
    typer.Argument(metavar="EMAIL...", help="Addresses, @example.com for all of a domain, or sha256: and a hash."),
]


@app.command("add")
def add(
    addresses: Subjects,
    scope: ScopeOption = SuppressionScope.ALL,
    only_for: ForOption = "",
    topic: Annotated[UUID | None, typer.Option(help="Only mail of this topic of the application.")] = None,
    reason: Annotated[Reason, typer.Option(help="Why mail would be wrong.")] = Reason.MANUAL,
    detail: Annotated[str, typer.Option(help="The evidence, for whoever asks later.")] = "",
    note: Annotated[str, typer.Option(help="What else to remember about it.")] = "",
    days: Annotated[int | None, typer.Option(min=1, max=3650, help="End the entry after so many days.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Suppress addresses. Takes effect at once."""
    wanted = SuppressionScope.TOPIC if topic else scope
    if wanted is SuppressionScope.TOPIC and not (topic and only_for):
        raise CliError("needs_topic", "An entry for a topic needs --topic and the application in --for.")
    expires = datetime.now(UTC) + timedelta(days=days) if days else None
    said = plain_detail(detail) or "added on the command line"
    entry = SuppressionEntry(wanted, reason, Source.CLI, said, expires, plain_detail(note))
    kept = [_kept(address) for address in addresses]

    async def work(database: Database) -> list[Added]:
        async with database.transaction() as connection:
            whose = await _application(connection, only_for)
            additions = [Addition(one, entry, None, whose, topic, actor=by()) for one in kept]
            return await adding.add(connection, additions)

    emit(with_database(work), added_face, as_json=as_json)


@app.command("get")
def get(
    address: Annotated[str, typer.Argument(metavar="EMAIL", help="The address.")], as_json: JsonOption = False
) -> None:
    """Why does this address get no mail? Every entry in force, those of its domain too."""
    key = _kept(address)

    async def work(database: Database) -> list[Suppression]:
        async with database.connection() as connection:
            return await repository.about(connection, key)

    found = with_database(work)
    if not found:
        raise CliError("not_found", f"{key} is not suppressed.")
    if wants_json(as_json):
        print_json(suppression_answer(found))
    else:
        print_table(found, _COLUMNS)


@app.command("history")
def show_history(
    address: Annotated[str, typer.Argument(metavar="EMAIL", help="The address, or the id of an entry.")],
    as_json: JsonOption = False,
) -> None:
    """What there was: entries that were removed, replaced or are over, the newest first."""
    identifier = _uuid(address)
    key = "" if identifier else _kept(address)

    async def work(database: Database) -> list[Ended]:
        async with database.connection() as connection:
            if identifier:
                return await history.of_entry(connection, identifier)
            return await history.of_subjects(connection, [key])

    found = with_database(work)
    emit([ended_face(one) for one in found], as_json=as_json, columns=_ENDED_COLUMNS, empty="Nothing has ended.")


@app.command("list")
def list_suppressions(
    search: Annotated[str, typer.Argument(help="The beginning of an address, or @ and a whole domain.")] = "",
    reason: Annotated[Reason | None, typer.Option(help="Only entries with this reason.")] = None,
    scope: Annotated[SuppressionScope | None, typer.Option(help="Only entries with this scope.")] = None,
    only_for: Annotated[str, typer.Option("--for", help="Only entries for the mail of this application.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="Most entries to show.")] = 50,
    after: Annotated[UUID | None, typer.Option(help="Go on behind the entry with this id.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Entries in force: newest first, or by address when the beginning of one is given."""
    asked = search_for(search, (reason,) if reason else (), (scope,) if scope else ())

    async def work(database: Database) -> Page[Suppression] | None:
        async with database.connection() as connection:
            wanted = replace(asked, only_for=await _application(connection, only_for))
            return await repository.page(connection, wanted, Window(limit, after))

    page = with_database(work)
    if page is None:
        raise CliError("not_found", f"The entry {after} is gone.", "Start again without --after.")
    emit(page.entries, suppression_face, as_json=as_json, columns=_COLUMNS, empty="No such entries.")
    if page.has_more:
        say(f"There are more: --after {page.entries[-1].id}", style="dim")


@app.command("remove")
def remove(
    addresses: Subjects,
    scope: Annotated[SuppressionScope | None, typer.Option(help="Only the entry with this scope.")] = None,
    why: WhyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let mail to these addresses through again. The history keeps what there was."""
    keys = [_kept(address) for address in addresses]
    remover = Remover(by(), None, plain_detail(why))

    async def work(database: Database) -> Removal:
        async with database.transaction() as connection:
            return await removing.remove_subjects(connection, keys, remover, (scope,) if scope else ())

    done = with_database(work)
    if not done.removed and done.kept:
        raise removing.refusal(done.kept)
    if not done.removed:
        raise CliError("not_found", f"None of them is suppressed: {', '.join(keys)}.")
    emit(done.removed, removed_face, as_json=as_json)
    for one in done.kept:
        hint = removing.refusal([one]).hint
        say(f"{one.entry.address} stays suppressed ({one.entry.reason}): {hint}", style="yellow")


@app.command("import")
def import_file(
    file: Annotated[str, typer.Argument(help="CSV with a header, or one address a line; - reads standard input.")],
    scope: ScopeOption = SuppressionScope.ALL,
    reason: Annotated[Reason, typer.Option(help="For lines that name no reason themselves.")] = Reason.IMPORT,
    as_json: JsonOption = False,
) -> None:
    """Add a list from another system, or from `suppressions export`. Wrong lines are named and passed over."""
    with _lines(file) as lines:
        items = read(lines, scope, Source.IMPORT, datetime.now(UTC), reason)

        async def work(database: Database) -> dict[str, Any]:
            return await _import(database, items)

        result = with_database(work)
    for fault in result["faults"]:
        say(f"line {fault.line}: {visible(fault.text)}: {fault.reason}", style="yellow")
    emit(result, as_json=as_json, columns=(Column("added"), Column("known"), Column("wrong")))


@app.command("export")
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


async def _import(database: Database, items: Iterable[Addition | Fault]) -> dict[str, Any]:
    """Add everything that can be read, 10,000 entries a commit; the first faults, and how many of each."""
    result: dict[str, Any] = {"added": 0, "known": 0, "wrong": 0, "faults": []}
    waiting: list[Addition] = []

    async def flush() -> None:
        async with database.transaction() as connection:
            added = await adding.add(connection, waiting)
        fresh = sum(one.created for one in added)
        result["added"] += fresh
        result["known"] += len(waiting) - fresh
        waiting.clear()

    for item in items:
        if isinstance(item, Addition):
            waiting.append(item)
            if len(waiting) == LARGEST_BATCH:
                await flush()
            continue
        result["wrong"] += 1
        if len(result["faults"]) < SHOWN_FAULTS:
            result["faults"].append(item)
    if waiting:
        await flush()
    return result


def _export(wanted: Search, out: TextIO, as_json: bool) -> int:
    """Write page by page; how many entries."""
    if not as_json:
        write_header(out)
    write: Callable[[TextIO, list[Suppression]], None] = _write_json if as_json else write_rows

    async def work(database: Database) -> int:
        count = 0
        async with database.connection() as connection:
            async for entries in repository.each_page(connection, wanted):
                write(out, entries)
                count += len(entries)
        return count

    return with_database(work)


def _write_json(out: TextIO, entries: list[Suppression]) -> None:
    out.writelines(orjson.dumps(suppression_face(entry)).decode() + "\n" for entry in entries)


@contextmanager
def _lines(file: str) -> Iterator[Iterable[str]]:
    """The lines of a file or of standard input, with a bar on the terminal. Raises CliError.

    Bytes that are no UTF-8 become the replacement character, so that only their line is refused.
    """
    if file == "-":
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]  # a TextIOWrapper, also when piped
        yield sys.stdin
        return
    try:
        source = Path(file).open("rb")  # noqa: SIM115  # closed below; opening alone may fail with a message
    except OSError as error:
        raise CliError("cannot_read", str(error)) from None
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("reading"), BarColumn(), DownloadColumn(), TimeElapsedColumn(), console=console, transient=True
    )
    with source, bar:
        task = bar.add_task("", total=Path(file).stat().st_size)
        yield _counted(source, lambda size: bar.advance(task, size))


def _counted(source: Iterable[bytes], advance: Callable[[int], object]) -> Iterator[str]:
    """Decoded lines; tells about progress every thousand lines."""
    size = 0
    for number, line in enumerate(source):
        size += len(line)
        if number % 1000 == 999:
            advance(size)
            size = 0
        yield line.decode("utf-8", "replace")
    advance(size)


async def _application(connection: Connection, name: str) -> UUID | None:
    """The application named; None for none. Raises CliError."""
    return (await chosen(connection, name)).id if name else None


def _kept(text: str) -> str:
    try:
        return subject(text)
    except AddressError as error:
        raise CliError(error.code, f"{text}: {error.reason}") from None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
