"""`postlane recipients`: one person. May we write to them and why not, what they take, what they did last."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from audience.choices import person_named
from cli.application import ApplicationOption, application_named, chosen
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, tell, wants_json
from cli.sessions import with_database
from outcomes import recipients
from outcomes.recipients import NOBODY, Everywhere, Recipient
from store.database import Database
from web.faces.recipients import activity_face, everywhere_face, recipient_face

app = typer.Typer(help="One person: may we write to them, what they take, what was last.", no_args_is_help=True)

OneOption = Annotated[
    str, typer.Option("--application", "-a", help="Only of this application, by name or id; by default of all.")
]
AddressArgument = Annotated[str, typer.Argument(metavar="EMAIL", help="Their address.")]


def _day(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d}" if moment else ""


_WHOSE = (Column("application"),)
_MAY = (
    Column("mail", style="bold"),
    Column("allowed"),
    Column("reason"),
    Column("since", show=_day),
    Column("until", show=_day, drop=2),
)
_LAST = (
    Column("last_delivery", show=_day),
    Column("last_open", show=_day),
    Column("last_click", show=_day),
    Column("last_activity", show=_day),
)
_ENTRIES = (
    Column("email", "entry", style="bold"),
    Column("scope"),
    Column("reason"),
    Column("created_at", "since", show=_day),
    Column("expires_at", "until", show=_day, drop=3),
    Column("detail", style="dim", wrap=True, drop=2),
)


@app.command("show")
def show(address: AddressArgument, application: OneOption = "", as_json: JsonOption = False) -> None:
    """May we write to them? If not: why, since when, and what to tell them. What they take, and what was last.

    Of every application that knows them; of one with --application, as that application is shown them.

    Example: postlane recipients show ann@example.com
    """

    async def work(database: Database) -> Recipient | Everywhere:
        async with database.connection() as connection:
            whose = await application_named(connection, application)
            person = person_named(whose or NOBODY, address)
            if whose is None:
                return await recipients.everywhere(connection, person.address)
            return await recipients.of_application(connection, person)

    found = with_database(work)
    face = everywhere_face(found) if isinstance(found, Everywhere) else recipient_face(found)
    if wants_json(as_json):
        print_json(face)
        return
    _print(face)


@app.command("activity")
def activity(
    address: AddressArgument,
    at: Annotated[str, typer.Option("--at", help="When, as ISO 8601 with a zone; now without it.")] = "",
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Say that somebody was seen, such as at a login. Told twice, or late, it changes nothing.

    Example: postlane recipients activity ann@example.com --at 2026-11-27T08:00:00Z
    """
    seen = _moment(at) if at else None

    async def work(database: Database) -> dict[str, object]:
        async with database.transaction() as connection:
            person = person_named((await chosen(connection, application)).id, address)
            last = await recipients.report_activity(connection, person, seen, datetime.now(UTC))
            return activity_face(person.address, last)

    emit(with_database(work), as_json=as_json)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise CliError("invalid_at", f"--at: {text[:60]!r} is no time, such as 2026-11-27T08:00:00Z.") from None


def _print(face: Mapping[str, Any]) -> None:
    """For a person: whether and why not, what to say about it, what was last, and the entries behind it."""
    several = "applications" in face
    # What holds for everybody stands last: its "yes" is no answer while an application's "no" stands beside it.
    blocks = [*face["applications"], {"name": "everybody", **face}] if several else [face]
    whose, rows = _WHOSE if several else (), [row for block in blocks for row in _may(block)]
    tell(face["email"] if face["known"] else f"{face['email']}: nothing is known of them.", style="bold")
    print_table(rows, whose + _MAY)
    for saying in dict.fromkeys(row["tell_them"] for row in rows if row["tell_them"]):
        tell(f"Tell them: {saying}")
    print_table([_last(block) for block in blocks], whose + _LAST)
    if face["suppressions"]:
        print_table(face["suppressions"], _ENTRIES)


def _may(block: Mapping[str, Any]) -> list[dict[str, Any]]:
    whose = {"application": block.get("name")}
    streams = [whose | {"mail": state["stream"]} | state for state in block["streams"]]
    return streams + [whose | {"mail": f'"{state["name"]}"'} | state for state in block["topics"]]


def _last(block: Mapping[str, Any]) -> dict[str, Any]:
    delivery = block["last_delivery"]
    return {"application": block.get("name"), **block, "last_delivery": delivery and delivery["at"]}
