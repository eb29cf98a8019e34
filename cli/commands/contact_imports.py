"""`postlane contacts import|imports`: a list of contacts from a file. Registered by `cli/commands/contacts`.

Works on the file directly, however large. What the columns mean is shown before anything is done. An import that was
stopped goes on where it was when it is started again.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from audience import confirmations, segments, topics
from audience.importing import asking, imports, slices
from audience.importing.columns import FIELDS, ColumnMap
from audience.importing.imports import Import
from audience.importing.merging import Consent, Terms, stored
from audience.importing.rows import ContactReader, Row
from audience.importing.slices import Domains, Progress, Work
from audience.topics import Subscription
from cli import context
from cli.application import ApplicationOption, YesOption, chosen, confirm
from cli.ids import Candidate, the_one
from cli.list_files import TORN, cannot_read, fingerprint, opened, shown
from cli.operating import by
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, say, tell, visible, wants_json
from cli.sessions import with_database
from core.ids import uuid7
from core.list_files import decoded
from core.paging import Window
from messages.confirmation_pool import reserved_pool
from mta.from_settings import known_providers, make_resolver
from store.database import Connection, Database
from web.faces.contact_imports import import_answer, import_face

ImportArgument = Annotated[
    str, typer.Argument(metavar="IMPORT", help="Id of the import or its beginning, from `contacts imports`.")
]

_PREVIEWED = 3
_MOST = 50
"""Imports in a list."""
_COUNTS = (
    Column("total", "lines", justify="right"),
    Column("created", justify="right"),
    Column("updated", justify="right"),
    Column("skipped", justify="right"),
    Column("failed", justify="right"),
    Column("confirmations", "to be asked", justify="right"),
)
_IMPORTS = (
    Column("name", style="bold"),
    Column("status"),
    *(replace(count, drop=2) for count in _COUNTS),
    Column("created_at", "begun", drop=3),
    Column("id", style="dim", drop=0),
)
_ASKING = (
    Column("waiting", "to be asked", justify="right"),
    Column("asked", justify="right"),
    Column("confirmed", justify="right"),
    Column("unsent", "never", justify="right"),
    Column("held", "waits because", wrap=True),
)
_TAKEN = (Column("column", style="bold"), Column("taken", "is taken as"))
_PEOPLE = (
    Column("email", style="bold"),
    Column("first_name", "first"),
    Column("last_name", "last"),
    Column("language", drop=2),
    Column("properties", wrap=True, drop=1),
)


@dataclass(frozen=True, slots=True)
class _Given:
    """What was asked for, by name."""

    file: str
    columns: ColumnMap
    segments: tuple[str, ...]
    topics: tuple[str, ...]
    form: UUID | None
    language: str
    consent: Consent | None
    upsert: bool
    asks: bool
    application: str


def import_list(
    file: Annotated[
        str, typer.Argument(help="CSV or one address a line, also gzipped or zipped; - reads it from stdin.")
    ],
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="FIELD=COLUMN", help="A field or property, and the column it is in; often."),
    ] = None,
    segment: Annotated[list[str] | None, typer.Option("--segment", "-s", help="A list to put them on; often.")] = None,
    topic: Annotated[list[str] | None, typer.Option("--topic", "-t", help="What they are asked for; often.")] = None,
    form: Annotated[UUID | None, typer.Option("--form", help="The sign-up form in whose words they are asked.")] = None,
    language: Annotated[str, typer.Option(help="Of those of whom the list says none: de.")] = "",
    upsert: Annotated[bool, typer.Option("--upsert", help="Contacts that are there get what the list says.")] = False,
    no_mail: Annotated[bool, typer.Option("--no-mail", help="Ask nobody: they wait until they sign up.")] = False,
    consent_source: Annotated[str, typer.Option(help="They did agree: where, such as 'trade fair, paper forms'.")] = "",
    consent_date: Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], help="When they agreed.")] = None,
    consent_text: Annotated[str, typer.Option(help="What they agreed to, word for word.")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would become of each line, and keep nothing.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="Begin at the beginning, also where it was stopped.")] = False,
    yes: YesOption = False,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Bring a list of people in. Each is unconfirmed and gets one mail that asks whether they want yours, from the pool
    that is kept for that; unless you vouch for their consent.

    Example: postlane contacts import people.csv --map city=Town --dry-run
    """
    consent = _consent(consent_source, consent_date, consent_text)
    given = _Given(
        file, _columns(columns or []), tuple(segment or ()), tuple(topic or ()), form, language, consent, upsert,
        not no_mail and consent is None, application,
    )  # fmt: skip
    try:
        _preview(given, ask=not (dry_run or yes or wants_json(as_json)))
        done = with_database(lambda database: _bring(database, given, dry_run, again))
    except TORN as error:
        raise cannot_read(file, error) from None
    _say_how_it_went(done, dry_run)
    face = {name: getattr(done, name) for name in ("line", "resumed_at", *(one.key for one in _COUNTS))}
    emit(face | {"reasons": dict(done.reasons), "faults": done.faults}, as_json=as_json, columns=_COUNTS)


def show_import(
    named: ImportArgument,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """How one import went, and how far asking its people is."""

    async def work(database: Database) -> dict[str, Any]:
        async with database.connection() as connection:
            owner = (await chosen(connection, application)).id
            identifier = await _import_named(connection, owner, named)
            found = await imports.get(connection, owner, identifier)
            return import_answer(found, await confirmations.asking(connection, identifier))

    face = with_database(work)
    if wants_json(as_json):
        print_json(face)
        return
    print_table(face | face["counts"], _IMPORTS)
    print_table(face["asking"], _ASKING)
    for fault in face["faults"]:
        say(f"line {fault['line']}: {visible(fault['text'])}: {fault['reason']}", style="yellow")


def show_imports(application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """How imports went, and how far those are that are under way."""

    async def work(database: Database) -> list[Import]:
        async with database.connection() as connection:
            owner = (await chosen(connection, application)).id
            return list((await imports.page(connection, owner, Window(_MOST))).entries)

    emit(
        with_database(work), import_face, cells=_cells, as_json=as_json, columns=_IMPORTS, empty="Nothing was imported."
    )


def stop_import(
    named: ImportArgument,
    application: ApplicationOption = "",
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """The wrong list: nothing more of it comes in, and nobody more of it is asked. Contacts that it made stay."""
    confirm("Stop this import, and the mail that asks its people?", yes)

    async def work(database: Database) -> tuple[Import, int]:
        async with database.transaction() as connection:
            owner = (await chosen(connection, application)).id
            identifier = await _import_named(connection, owner, named)
            return await imports.stop(connection, owner, identifier, by())

    found, unasked = with_database(work)
    tell(f"{unasked:,} people are not asked.")
    emit(found, import_face, cells=_cells, as_json=as_json, columns=_IMPORTS)


def _cells(one: Import) -> dict[str, object]:
    face: dict[str, Any] = import_face(one)
    return {**face, **face["counts"]}


# What is asked for


def _columns(given: list[str]) -> ColumnMap:
    fields: dict[str, str] = {}
    extra: dict[str, str] = {}
    for text in given:
        name, equals, column = text.partition("=")
        if not equals or not name.strip():
            raise CliError("invalid_map", f"--map {text[:60]}: it must be FIELD=COLUMN.")
        (fields if name.strip() in FIELDS else extra)[name.strip()] = column.strip()
    return ColumnMap(fields, extra)


def _consent(source: str, at: datetime | None, text: str) -> Consent | None:
    """All three, or none: half a proof is none."""
    if not (source or at or text):
        return None
    if not (source and at and text):
        raise CliError(
            "needs_proof", "Consent is proved by --consent-source, --consent-date and --consent-text together."
        )
    return Consent(source, at.astimezone(), text)


async def _terms(connection: Connection, given: _Given) -> Terms:
    owner = (await chosen(connection, given.application)).id
    if given.asks:
        settings = context.settings()
        await reserved_pool(connection, settings.confirmation_pool)
        if not settings.public_url:
            raise CliError(
                "no_public_pages",
                "There are no public pages that a confirmation could lead to.",
                "Set POSTLANE_PUBLIC_URL.",
            )
    return Terms(
        owner,
        by(),
        given.upsert,
        tuple([await segment_named(connection, owner, one) for one in given.segments]),
        {await _topic_named(connection, owner, one): Subscription.OPT_IN for one in given.topics},
        given.consent,
        given.asks,
        given.form,
        given.columns,
        given.language[:2].lower() or await asking.language_of(connection, owner, given.form),
    )


async def segment_named(connection: Connection, application_id: UUID, text: str) -> UUID:
    """The segment that somebody names: by name, id or its beginning."""
    known = (await segments.page(connection, application_id, Window(segments.MOST))).entries
    candidates = [Candidate(one.id, one.name) for one in known]
    return the_one(text, "segment", candidates, "postlane segments list")


async def _import_named(connection: Connection, application_id: UUID, text: str) -> UUID:
    known = (await imports.page(connection, application_id, Window(_MOST))).entries
    candidates = [Candidate(one.id, about=one.name) for one in known]
    return the_one(text, "import", candidates, "postlane contacts imports")


async def _topic_named(connection: Connection, application_id: UUID, text: str) -> UUID:
    candidates = [Candidate(one.id, one.name) for one in await topics.every(connection, application_id)]
    return the_one(text, "topic", candidates, "postlane topics list")


# What is done


def _preview(given: _Given, *, ask: bool) -> None:
    """What is taken from which column, and the first people. Nothing is done before that is right."""
    if given.file == "-":
        return

    async def work(database: Database) -> None:
        async with database.connection() as connection:
            known = await asking.check(connection, await _terms(connection, given))
        with opened(given.file) as (raw, _), decoded(raw) as text:
            _show(asking.reader(text, known, given.columns))

    with_database(work)
    if ask:
        confirm("Import these people?", yes=False)


def _show(reader: ContactReader) -> None:
    layout = reader.opened()
    people = [one for one in islice(reader, 20) if isinstance(one, Row)][:_PREVIEWED]
    taken = [{"column": visible(column), "taken": name} for column, name in asking.shown(layout)]
    if wants_json(False):
        return
    print_table(taken, _TAKEN)
    if layout.left:
        say(f"Not taken: {visible(', '.join(layout.left)[:300])}.", style="yellow")
    rows = [
        {"email": one.email, "first_name": one.fields[0], "last_name": one.fields[1], "language": one.fields[2],
         "properties": one.properties} for one in people
    ]  # fmt: skip
    print_table(rows, _PEOPLE, empty="None of the first lines is an address.")


async def _bring(database: Database, given: _Given, dry_run: bool, again: bool) -> Progress:
    settings = context.settings()
    domains = Domains(make_resolver(settings, known_providers(settings)))
    async with database.transaction() as connection:
        terms = await _terms(connection, given)
        known = await asking.check(connection, terms)
    with opened(given.file) as (raw, size):
        mark = "" if again or size is None else await asyncio.to_thread(fingerprint, Path(given.file), stored(terms))
        with decoded(raw) as text, shown(raw, size) as told:
            reader = asking.reader(text, known, given.columns)
            reader.opened()
            import_id = uuid7() if dry_run else await _begin(database, terms, Path(given.file).name, mark)
            work = Work(import_id, terms, reader, domains, dry_run)
            return await slices.run(database, work, lambda now: told(now.line, _so_far(now)))


async def _begin(database: Database, terms: Terms, name: str, mark: str) -> UUID:
    async with database.transaction() as connection:
        made = await imports.begin(connection, terms.application_id, name, terms.actor, stored(terms), mark)
    return made.id


def _so_far(now: Progress) -> str:
    return f"{now.created:,} created, {now.skipped:,} skipped, {now.failed:,} failed"


def _say_how_it_went(done: Progress, dry_run: bool) -> None:
    if dry_run:
        say("Nothing was kept: this is what would become of the list.", style="bold")
    if done.resumed_at:
        say(f"An import of this file had stopped: went on behind line {done.resumed_at:,}.", style="dim")
    for fault in done.faults:
        say(f"line {fault['line']}: {visible(fault['text'])}: {fault['reason']}", style="yellow")
    named = len(done.faults)
    counted = ", ".join(f"{count:,} {why.replace('_', ' ')}" for why, count in done.reasons.most_common())
    if counted:
        say(f"Not taken: {counted}{f'; the first {named} are named above' if named else ''}.", style="yellow")
    if done.confirmations and not dry_run:
        tell(f"{done.confirmations:,} people are asked, at the pace of POSTLANE_CONFIRMATIONS_AN_HOUR.")
