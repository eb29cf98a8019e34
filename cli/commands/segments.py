"""`postlane segments`: lists of contacts, and filters that find them."""

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

import typer

from audience import audiences, segments
from audience.audiences import Found
from audience.segments import MOST, Explained, Preview, Segment
from cli.application import ApplicationOption, YesOption, chosen, confirm
from cli.ids import Candidate, the_one
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, say, tell, wants_json
from cli.sessions import with_database
from core.clock import SystemClock
from core.paging import Window
from store.database import Connection, Database
from web.faces.references import deleted
from web.faces.segments import found_face, segment_answer, segment_face

app = typer.Typer(help="Lists of contacts, and filters that find them.", no_args_is_help=True)

SegmentArgument = Annotated[str, typer.Argument(metavar="SEGMENT", help="Its name, its id or the beginning of that.")]
FilterOption = Annotated[str, typer.Option("--filter", "-f", help="Who is in it. Without: a list.")]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="People to show.")]

_LONGEST_NAME = 200

_COLUMNS = (
    Column("name", style="bold"),
    Column("filter_text", "who is in it", wrap=True),
    Column("created_at", drop=2),
    Column("id", style="dim", drop=0),
)
_PEOPLE = (
    Column("email", style="bold"),
    Column("first_name", drop=2),
    Column("last_name", drop=3),
    Column("status"),
    Column("created_at", drop=4),
    Column("id", style="dim", drop=1),
)


@app.command("list")
def list_segments(application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Segments of an application, newest first."""

    async def work(database: Database) -> list[Explained]:
        async with database.connection() as connection:
            owner = await chosen(connection, application)
            found = await segments.page(connection, owner.id, Window(MOST))
            return await segments.explained(connection, owner.id, found.entries)

    empty = "No segments yet: `postlane segments create NAME` makes a list, with --filter a segment that fills itself."
    emit(with_database(work), segment_face, cells=_cells, as_json=as_json, columns=_COLUMNS, empty=empty)


@app.command("show")
def show(segment: SegmentArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """A segment with its filter."""

    async def work(database: Database) -> Explained:
        async with database.connection() as connection:
            return await _explained(connection, await _named(connection, application, segment))

    emit(with_database(work), segment_answer, cells=_cells, as_json=as_json, columns=_COLUMNS)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What it is called.")],
    filter_text: FilterOption = "",
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make a list, or a segment of whoever a filter holds for.

    Example: postlane segments create "Readers" --filter 'opened in last 30 days'
    """
    called = _text(name)

    async def work(database: Database) -> Explained:
        async with database.transaction() as connection:
            owner = await chosen(connection, application)
            return await _explained(
                connection, await segments.create(connection, owner.id, called, filter_text.strip() or None)
            )

    emit(with_database(work), segment_answer, cells=_cells, as_json=as_json, columns=_COLUMNS)


@app.command("update")
def update(
    segment: SegmentArgument,
    name: Annotated[str | None, typer.Option("--name", help="What it is called from now on.")] = None,
    filter_text: Annotated[str | None, typer.Option("--filter", "-f", help="Who is in it from now on.")] = None,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Change the name or the filter.

    Example: postlane segments update Readers --filter 'opened in last 60 days'
    """
    called = name if name is None else _text(name)

    async def work(database: Database) -> Explained:
        async with database.transaction() as connection:
            found = await _named(connection, application, segment)
            return await _explained(
                connection, await segments.update(connection, found.application_id, found.id, called, filter_text)
            )

    emit(with_database(work), segment_answer, cells=_cells, as_json=as_json, columns=_COLUMNS)


@app.command("delete")
def delete(
    segment: SegmentArgument, application: ApplicationOption = "", yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Delete a segment and none of its contacts."""
    confirm(f"Delete the segment {segment}? Its contacts stay.", yes)

    async def work(database: Database) -> UUID:
        async with database.transaction() as connection:
            found = await _named(connection, application, segment)
            return (await segments.delete(connection, found.application_id, found.id)).id

    emit(deleted("segment", with_database(work)), as_json=as_json)


@app.command("count")
def count(segment: SegmentArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """How many contacts are in it now."""

    async def work(database: Database) -> tuple[Segment, int]:
        async with database.connection() as connection:
            found = await _named(connection, application, segment)
            meant = await segments.audience(connection, found)
            return found, await audiences.count(connection, found.application_id, meant, SystemClock().now())

    found, number = with_database(work)
    if wants_json(as_json):
        print_json({"object": "segment_count", "id": found.id, "count": number})
        return
    tell(f"{number:,} in {found.name}.")


@app.command("people")
def people(
    segment: Annotated[str, typer.Argument(metavar="[SEGMENT]", help="Name or id; without: use --filter.")] = "",
    filter_text: Annotated[str, typer.Option("--filter", "-f", help="Try a filter that is not stored.")] = "",
    limit: LimitOption = 20,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Some of the contacts in a segment, or of those that a filter finds, newest first.

    Example: postlane segments people --filter 'never opened and created before 2026-01-01'
    """
    if bool(segment) == bool(filter_text):
        raise CliError("usage", "Name a segment, or give a --filter: one of the two.")

    async def work(database: Database) -> tuple[Sequence[Found], int]:
        async with database.connection() as connection:
            if filter_text:
                tried = await _preview(connection, application, filter_text, limit)
                return tried.some, tried.count
            found = await _named(connection, application, segment)
            meant = await segments.audience(connection, found)
            window: Window[UUID] = Window(limit)
            now = SystemClock().now()
            some = (await audiences.page(connection, found.application_id, meant, now, window)).entries
            if len(some) < limit:
                return some, len(some)
            return some, await audiences.count(connection, found.application_id, meant, now)

    some, of = with_database(work)
    shown = [found_face(one) for one in some]
    if wants_json(as_json):
        print_json(shown)
        return
    print_table(shown, _PEOPLE, empty="Nobody is in it now.")
    if of > len(shown):
        say(f"{len(shown):,} of {of:,}: --limit shows more.", style="dim")


async def _preview(connection: Connection, application: str, text: str, limit: int) -> Preview:
    owner = await chosen(connection, application)
    return await segments.preview(connection, owner.id, text, SystemClock().now(), limit)


async def _named(connection: Connection, application: str, text: str) -> Segment:
    owner = await chosen(connection, application)
    known = (await segments.page(connection, owner.id, Window(MOST))).entries
    candidates = [Candidate(one.id, one.name) for one in known]
    found = the_one(text, "segment", candidates, "postlane segments list")
    return next(one for one in known if one.id == found)


async def _explained(connection: Connection, segment: Segment) -> Explained:
    (shown,) = await segments.explained(connection, segment.application_id, [segment])
    return shown


def _cells(explained: Explained) -> dict[str, object]:
    told = explained.text or "a list"
    if explained.problem:
        told += f"\n(cannot be used: {explained.problem})"
    return segment_face(explained) | {"filter_text": told}


def _text(name: str) -> str:
    name = name.strip()
    if not name.isprintable() or not 1 <= len(name) <= _LONGEST_NAME:
        raise CliError("invalid_text", f"The name must be one line of at most {_LONGEST_NAME} characters.")
    return name
