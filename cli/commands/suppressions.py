"""`postlane suppressions`: addresses that get no mail. Add, look, remove, import and export.

Works on the database directly, with the functions the API uses. Whole lists: `suppression_lists`.
"""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import typer

from audience import topics
from cli.application import application_named
from cli.commands import suppression_lists
from cli.operating import by
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, say, wants_json
from cli.sessions import with_database
from core.paging import Page, Window
from store.database import Database
from suppression import adding, history, removing, repository
from suppression.asking import Asker
from suppression.entries import Added, Ended, Suppression
from suppression.reasons import Reason, Source, SuppressionScope
from suppression.removing import Removal
from suppression.search import search_for
from suppression.subjects import HASHED, named
from suppression.wishes import Wish, addition, asked_subject
from web.faces.suppressions import added_face, ended_face, removed_face, suppression_answer, suppression_face

app = typer.Typer(help="Addresses that get no mail.", no_args_is_help=True)


def _subject(kept: object) -> str:
    """A hash by its two ends, for its length would drive all else from the table; --json has the whole."""
    text = str(kept)
    return f"{text[:15]}…{text[-8:]}" if text.startswith(HASHED) else text


_COLUMNS = (
    Column("address", style="bold", show=_subject),
    Column("scope"),
    Column("only_for", "only for", drop=4),
    Column("reason", drop=0),
    Column("source", drop=3),
    Column("created_at", "since", drop=2),
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
    if (topic and not only_for) or (scope is SuppressionScope.TOPIC and not topic):
        raise CliError("needs_topic", "An entry for a topic names it in --topic, and its application in --for.")
    seconds = days * 86_400 if days else None

    async def work(database: Database) -> list[Added]:
        async with database.transaction() as connection:
            owner = await application_named(connection, only_for)
            if owner and topic:
                await topics.get(connection, owner, topic)
            wish = Wish(scope, str(owner or ""), topic, reason, detail, note, expires_in=seconds)
            now = datetime.now(UTC)
            additions = [addition(one, wish, Asker(by()), Source.CLI, now) for one in addresses]
            return await adding.add(connection, additions)

    emit(with_database(work), added_face, as_json=as_json)


@app.command("get")
def get(
    address: Annotated[str, typer.Argument(metavar="EMAIL", help="The address.")], as_json: JsonOption = False
) -> None:
    """Why does this address get no mail? Every entry in force, those of its domain too."""
    key = asked_subject(address)

    async def work(database: Database) -> list[Suppression]:
        async with database.connection() as connection:
            return await repository.about(connection, key)

    found = with_database(work)
    if not found:
        raise CliError("not_found", f"{key} is not suppressed.", _left(key))
    if wants_json(as_json):
        print_json(suppression_answer(found))
    else:
        print_table(found, _COLUMNS)


def _left(key: str) -> str:
    """Where to look next: whoever left a topic, or paused, is not on this list."""
    return f"`postlane recipients show {key}` tells the topics they left, and pauses." if "@" in key[1:] else ""


@app.command("history")
def show_history(
    address: Annotated[str, typer.Argument(metavar="EMAIL", help="The address, or the id of an entry.")],
    as_json: JsonOption = False,
) -> None:
    """What there was: entries that were removed, replaced or are over, the newest first."""
    wanted = named(address)

    async def work(database: Database) -> list[Ended]:
        async with database.connection() as connection:
            if isinstance(wanted, UUID):
                return await history.of_entry(connection, wanted)
            return await history.of_subjects(connection, [wanted])

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
            wanted = replace(asked, only_for=await application_named(connection, only_for))
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
    keys, remover = [asked_subject(address) for address in addresses], Asker(by()).remover(why)

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


app.command("import")(suppression_lists.import_list)
app.command("imports")(suppression_lists.show_imports)
app.command("export")(suppression_lists.export)
app.command("hash")(suppression_lists.hash_list)
