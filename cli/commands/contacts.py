"""`postlane contacts`: the people an application writes to. List, show, add, change, lists, history, export, erase.

Works on the database directly, with the functions the API uses. A contact is named by its address or its id.
"""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from audience import contact_history, contacts, properties, segments
from audience.choices import Person
from audience.contact_history import ContactAct, ContactPast, ContactSource
from audience.contacts import Changes, Contact, named
from audience.segments import Segment
from campaigns import erasing, readdressing
from cli.application import ApplicationOption, YesOption, chosen, confirm
from cli.commands import contact_imports
from cli.commands.contact_imports import segment_named
from cli.operating import by
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, tell, wants_json
from cli.sessions import with_database
from core.paging import Window
from messages import people
from messages.people import Seen, Wish
from outcomes import exporting
from outcomes.exporting import Held
from store.database import Connection, Database
from suppression.reasons import SuppressionScope
from web.faces import contact_csv
from web.faces.contacts import contact_answer, contact_face, contact_past_face, place_face, removed_face
from web.faces.people import erased_face, held_face
from web.faces.references import reference

app = typer.Typer(help="The people you write to.", no_args_is_help=True)

ContactArgument = Annotated[str, typer.Argument(metavar="CONTACT", help="Address or id of a contact.")]
SegmentArgument = Annotated[str, typer.Argument(metavar="SEGMENT", help="Name of a list, its id or its beginning.")]
FirstOption = Annotated[str | None, typer.Option("--first-name", help='"" clears it.')]
LastOption = Annotated[str | None, typer.Option("--last-name", help='"" clears it.')]
LanguageOption = Annotated[str | None, typer.Option("--language", help="Such as de or pt-BR.")]
ZoneOption = Annotated[str | None, typer.Option("--time-zone", help="Such as Europe/Berlin.")]
ValuesOption = Annotated[
    list[str] | None, typer.Option("--property", "-p", metavar="KEY=VALUE", help="Often; KEY= takes a value away.")
]
ConsentOption = Annotated[str, typer.Option("--consent", help="What they agreed to: kept as the proof.")]

_CSV_PAGE = 1000

_COLUMNS = (
    Column("email", style="bold"),
    Column("first_name", "first", drop=2),
    Column("last_name", "last", drop=2),
    Column("status"),
    Column("unsubscribed", "left"),
    Column("language", drop=4),
    Column("created_at", "since", drop=3),
    Column("id", style="dim", drop=1),
)
_PLACES = (Column("name", "list", style="bold"), Column("status"), Column("added_at", "since"), Column("id", drop=0))
_HISTORY = (
    Column("at"),
    Column("what", style="bold"),
    Column("source"),
    Column("actor", wrap=True, drop=2),
    Column("ip", drop=3),
    Column("detail", wrap=True, drop=1),
)


@app.command("list")
def list_contacts(
    segment: Annotated[str, typer.Option("--segment", "-s", help="Only who is in this segment: name or id.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most contacts to show.")] = 50,
    after: Annotated[UUID | None, typer.Option(help="What follows the contact with this id.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="All of them, as CSV with their properties.")] = False,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Contacts, newest first.

    Example: postlane contacts list --segment News --csv > news.csv
    """
    if as_csv:
        with_database(lambda database: _write_csv(database, application, segment))
        return

    async def work(database: Database) -> list[Seen]:
        async with database.connection() as connection:
            owner = (await chosen(connection, application)).id
            wanted = await _segment(connection, owner, segment)
            return await _page(connection, owner, wanted, Window(limit, after))

    empty = "No contacts: `postlane contacts add EMAIL` makes one."
    emit(with_database(work), contact_face, cells=contact_face, as_json=as_json, columns=_COLUMNS, empty=empty)


@app.command("show")
def show(contact: ContactArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """What is known of a contact, and the lists it is on.

    Example: postlane contacts show ann@example.com
    """

    async def work(database: Database) -> tuple[dict[str, Any], list[dict[str, object]]]:
        async with database.connection() as connection:
            owner = (await chosen(connection, application)).id
            known = await contacts.get(connection, owner, named(contact))
            (seen,) = await people.seen(connection, [known])
            face = contact_answer(seen, await properties.known(connection, owner))
            return face, [place_face(one) for one in await people.places(connection, known)]

    face, places = with_database(work)
    if wants_json(as_json):
        print_json(face)
        return
    values = {f"{key}": one["value"] for key, one in face.pop("properties").items()}
    print_table({key: value for key, value in (face | values).items() if key != "object"})
    print_table(places, _PLACES, empty="On no list.")
    tell(f"May we write to them? `postlane recipients show {face['email']}` says.")


@app.command("add")
def add(
    email: Annotated[str, typer.Argument(metavar="EMAIL", help="Their address.")],
    first_name: FirstOption = None,
    last_name: LastOption = None,
    language: LanguageOption = None,
    time_zone: ZoneOption = None,
    values: ValuesOption = None,
    segment: Annotated[list[str] | None, typer.Option("--segment", "-s", help="A list to put them on; often.")] = None,
    consent: ConsentOption = "",
    unconfirmed: Annotated[bool, typer.Option("--unconfirmed", help="It is not proved that they asked.")] = False,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make somebody a contact; one that is there gets what is given.

    Example: postlane contacts add ann@example.com --first-name Ann --consent "Asked at the fair"
    """
    fields = _fields(first_name, last_name, language, time_zone)
    changes = Changes(fields, _values(values), not unconfirmed, {"text": consent} if consent else {})

    async def work(database: Database) -> Seen:
        async with database.transaction() as connection:
            owner = (await chosen(connection, application)).id
            lists = [await segment_named(connection, owner, one) for one in segment or ()]
            made = await people.create(connection, owner, email, Wish(changes, segments=lists), _act())
            return (await people.seen(connection, [made.contact]))[0]

    emit(with_database(work), contact_face, cells=contact_face, as_json=as_json, columns=_COLUMNS)


@app.command("update")
def update(
    contact: ContactArgument,
    first_name: FirstOption = None,
    last_name: LastOption = None,
    language: LanguageOption = None,
    time_zone: ZoneOption = None,
    values: ValuesOption = None,
    new_email: Annotated[str, typer.Option("--new-email", help="Another address; what they chose goes along.")] = "",
    unsubscribed: Annotated[
        bool | None, typer.Option("--unsubscribed/--subscribed", help="Whether they get no marketing mail at all.")
    ] = None,
    consent: ConsentOption = "",
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Change a contact. What is not named stays.

    Example: postlane contacts update ann@example.com --language de -p plan=pro
    """
    fields = _fields(first_name, last_name, language, time_zone)
    changes = Changes(fields, _values(values), bool(consent), {"text": consent} if consent else {})

    async def work(database: Database) -> Seen:
        async with database.transaction() as connection:
            owner = (await chosen(connection, application)).id
            wish = Wish(changes, unsubscribed, email=new_email)
            changed = await readdressing.update(connection, owner, named(contact), wish, _act())
            return (await people.seen(connection, [changed]))[0]

    emit(with_database(work), contact_face, cells=contact_face, as_json=as_json, columns=_COLUMNS)


@app.command("join")
def join(
    contact: ContactArgument, segment: SegmentArgument, application: ApplicationOption = "", as_json: JsonOption = False
) -> None:
    """Put a contact on a list. Who left that list by their own hand stays off it."""

    async def work(database: Database) -> UUID:
        async with database.transaction() as connection:
            owner = (await chosen(connection, application)).id
            wanted = await segment_named(connection, owner, segment)
            await people.join(connection, owner, named(contact), wanted, _act())
            return wanted

    emit({"id": with_database(work)}, as_json=as_json)


@app.command("leave")
def leave(
    contact: ContactArgument, segment: SegmentArgument, application: ApplicationOption = "", as_json: JsonOption = False
) -> None:
    """Take a contact off a list."""

    async def work(database: Database) -> UUID:
        async with database.transaction() as connection:
            owner = (await chosen(connection, application)).id
            wanted = await segment_named(connection, owner, segment)
            await people.leave(connection, owner, named(contact), wanted, _act())
            return wanted

    emit({"id": with_database(work), "deleted": True}, as_json=as_json)


@app.command("remove")
def remove(
    contact: ContactArgument, application: ApplicationOption = "", yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Take a contact away. What they chose stays: who left is not written to when a list is brought in again.

    To forget a person altogether: `postlane contacts erase`.
    """
    confirm(f"Remove the contact {contact}?", yes)

    async def work(database: Database) -> Contact:
        async with database.transaction() as connection:
            owner = (await chosen(connection, application)).id
            return await people.delete(connection, owner, named(contact), _act())

    emit(with_database(work), removed_face, cells=lambda gone: reference("contact", gone.id), as_json=as_json)


@app.command("history")
def history(contact: ContactArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Every change of a contact, with its time and how it came; proof of consent among them. Newest first.

    What they chose about types of mail: `postlane topics choices`.
    """

    async def work(database: Database) -> list[ContactPast]:
        async with database.connection() as connection:
            owner = (await chosen(connection, application)).id
            known = await contacts.get(connection, owner, named(contact))
            return list((await contact_history.page(connection, known.id)).entries)

    emit(with_database(work), contact_past_face, cells=_past_cells, as_json=as_json, columns=_HISTORY)


def _past_cells(past: ContactPast) -> Mapping[str, object]:
    """What was and what is as people read it: `language: de, was pt`."""
    face, detail = contact_past_face(past), dict(past.detail)
    changed = detail.pop("changed", {})
    pairs = changed.items() if isinstance(changed, Mapping) else ()
    told = [f"{name}: {now or 'none'}, was {was or 'none'}" for name, (was, now) in pairs]
    return face | {"detail": "; ".join([*told, *(f"{name}: {value}" for name, value in detail.items())])}


@app.command("export")
def export(contact: ContactArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """All that is held about a person, as JSON: contact, lists, consent, choices, engagement, mail.

    For whoever has an address, contact or not.

    Example: postlane contacts export ann@example.com > ann.json
    """

    async def work(database: Database) -> Held:
        async with database.connection() as connection:
            return await exporting.export(connection, await _person(connection, application, contact))

    print_json(held_face(with_database(work)))


@app.command("erase")
def erase(
    contact: ContactArgument,
    everything: Annotated[
        bool, typer.Option("--all-mail", help="Never write to them again at all: no receipts, no passwords.")
    ] = False,
    application: ApplicationOption = "",
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Forget a person: contact, history, choices, engagement, and them in stored mail. What waits is not sent.

    So too under the addresses they had before. The hashes stay suppressed for marketing mail, so that no list that is
    brought in writes to them.
    """
    confirm(f"Forget {contact}? Nothing of it comes back.", yes)
    scope = SuppressionScope.ALL if everything else SuppressionScope.MARKETING

    async def work(database: Database) -> dict[str, object]:
        async with database.transaction() as connection:
            person = await _person(connection, application, contact)
            return erased_face(person.address, await erasing.erase(connection, person, _act(), scope))

    emit(with_database(work), as_json=as_json)


async def _write_csv(database: Database, application: str, segment: str) -> None:
    """Page by page: a million contacts stand in no memory."""
    async with database.connection() as connection:
        owner = (await chosen(connection, application)).id
        wanted, definitions = await _segment(connection, owner, segment), await properties.known(connection, owner)
        sys.stdout.write(contact_csv.header(definitions))
        after: UUID | None = None
        while found := await _page(connection, owner, wanted, Window(_CSV_PAGE, after)):
            sys.stdout.writelines(contact_csv.lines(found, definitions))
            after = found[-1].contact.id


async def _page(connection: Connection, owner: UUID, segment: Segment | None, window: Window[UUID]) -> list[Seen]:
    if segment is None:
        found = await contacts.page(connection, owner, window)
    else:
        found = await people.in_segment(connection, segment, window, datetime.now(UTC))
    return await people.seen(connection, found.entries)


async def _segment(connection: Connection, owner: UUID, text: str) -> Segment | None:
    """The one that is named, if one is."""
    if not text:
        return None
    return await segments.get(connection, owner, await segment_named(connection, owner, text))


async def _person(connection: Connection, application: str, text: str) -> Person:
    """Who is meant: by an id a contact, by an address whoever has it."""
    owner, wanted = (await chosen(connection, application)).id, named(text)
    if isinstance(wanted, UUID):
        return (await contacts.get(connection, owner, wanted)).person
    return Person(owner, wanted)


def _act() -> ContactAct:
    return ContactAct(ContactSource.CLI, actor=by())


def _fields(first: str | None, last: str | None, language: str | None, zone: str | None) -> Mapping[str, str | None]:
    given = {"first_name": first, "last_name": last, "language": language, "time_zone": zone}
    return {name: text for name, text in given.items() if text is not None}


def _values(given: list[str] | None) -> dict[str, object]:
    """KEY=VALUE each; an empty value takes one away. Raises CliError."""
    values: dict[str, object] = {}
    for text in given or ():
        key, equals, value = text.partition("=")
        if not equals:
            raise CliError("invalid_property", f"--property {text[:60]}: it must be KEY=VALUE.")
        values[key.strip()] = value or None
    return values


app.command("import")(contact_imports.import_list)
app.command("imports")(contact_imports.show_imports)
app.command("show-import")(contact_imports.show_import)
app.command("stop-import")(contact_imports.stop_import)
