"""`postlane messages`: where is my message, and why? For operators, over all applications.

`list` finds messages, `show` gives the facts of one email, `why` tells its story in sentences, `cancel` takes back
what has not left.
"""

from typing import Annotated
from uuid import UUID

import typer

from cli.output import CliError, Column, JsonOption, emit, say, wants_json
from cli.sessions import with_database
from core.addresses import AddressError, fold_address
from core.queues import Lane
from messages import repository, search
from messages.repository import EventView
from messages.states import State
from messages.timeline import EventKind
from store.database import Database

app = typer.Typer(help="Where is my message, and why? List, show, cancel.", no_args_is_help=True)

_COLUMNS = (
    Column("message", style="cyan"),
    Column("accepted_at", "accepted"),
    Column("lane"),
    Column("recipient"),
    Column("subject"),
    Column("state", style="bold"),
    Column("attempts", justify="right"),
    Column("next_attempt_at", "next attempt"),
)

_EVENT_COLUMNS = (
    Column("at"),
    Column("recipient"),
    Column("kind", "event", style="bold"),
    Column("ip"),
    Column("mx"),
    Column("tls"),
    Column("code"),
    Column("reply"),
    Column("rule"),
    Column("next_attempt_at", "next attempt"),
)

EmailArgument = Annotated[str, typer.Argument(help="Id of the email; `<id>/<n>` names one recipient of it.")]


@app.command("list")
def list_messages(
    to: Annotated[str, typer.Option(help="Only mail to this address.")] = "",
    state: Annotated[State | None, typer.Option(help="Only messages in this state.")] = None,
    lane: Annotated[Lane | None, typer.Option(help="Only this lane.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Messages, newest first."""
    try:
        address = fold_address(to) if to else ""
    except AddressError as error:
        raise CliError("bad_address", f"--to {to}: {error.reason}") from error
    wanted = search.Filter(address, state.value if state else "", lane.value if lane else "", limit)

    async def work(database: Database) -> list[search.MessageRow]:
        async with database.connection() as connection:
            return await search.find(connection, wanted)

    emit(with_database(work), as_json=as_json, columns=_COLUMNS, empty="No such messages.")


@app.command()
def show(email: EmailArgument, as_json: JsonOption = False) -> None:
    """An email's recipients and everything that happened to them."""
    rows, events = _history(email)
    if wants_json(as_json):
        emit({"messages": rows, "events": events}, as_json=True)
        return
    emit(rows, columns=_COLUMNS)
    say("")
    emit(events, columns=_EVENT_COLUMNS, empty="Nothing has happened to it yet.")


@app.command()
def why(email: EmailArgument, as_json: JsonOption = False) -> None:
    """The story of each message in sentences: what was tried, what was answered, which rule decided, what is next."""
    rows, events = _history(email)
    told = [
        {"message": row.message, "recipient": row.recipient, "state": row.state, "story": _story(row, events)}
        for row in rows
    ]
    if wants_json(as_json):
        emit(told, as_json=True)
        return
    for one in told:
        typer.secho(f"{one['recipient']}: {one['state']}", bold=True)
        for sentence in one["story"]:
            typer.echo(f"  {sentence}")


@app.command()
def cancel(email: EmailArgument, as_json: JsonOption = False) -> None:
    """Take an email back: every recipient whose mail is not under way at this moment."""
    email_id, _ = _parse(email)

    async def work(database: Database) -> repository.Change | None:
        async with database.transaction() as connection:
            owners = await repository.applications_of(connection, [email_id])
            if email_id not in owners:
                return None
            return await repository.cancel(connection, owners[email_id], email_id, "cancelled by an operator")

    change = with_database(work)
    if change is None:
        raise _unknown(email)
    if change.moved == 0:
        states = ", ".join(sorted(state.value for state in change.states))
        raise CliError("too_late", f"nothing of {email} can be taken back: it is {states}, or being sent right now")
    emit({"email": str(email_id), "cancelled": change.moved}, as_json=as_json)


def _history(email: str) -> tuple[list[search.MessageRow], list[EventView]]:
    email_id, position = _parse(email)

    async def work(database: Database) -> tuple[list[search.MessageRow], list[EventView]]:
        async with database.connection() as connection:
            rows = await search.of_email(connection, email_id)
            events, _ = await repository.read_events(connection, email_id)
            return rows, events

    rows, events = with_database(work)
    if position is not None:
        rows = [row for row in rows if row.message.endswith(f"/{position}")]
        events = [event for event in events if rows and event.recipient == rows[0].recipient]
    if not rows:
        raise _unknown(email)
    return rows, events


def _parse(text: str) -> tuple[UUID, int | None]:
    identifier, _, position = text.partition("/")
    try:
        return UUID(identifier), int(position) if position else None
    except ValueError as error:
        raise CliError("bad_id", f"{text} is not an email id", "`postlane messages list` shows ids") from error


def _unknown(email: str) -> CliError:
    return CliError("not_found", f"there is no email {email}", "`postlane messages list --to ADDRESS` finds it")


def _story(row: search.MessageRow, events: list[EventView]) -> list[str]:
    told = [f"{row.accepted_at:%Y-%m-%d %H:%M:%S} accepted for the {row.lane} lane: “{row.subject}” from {row.sender}"]
    told += [_sentence(event) for event in events if event.recipient == row.recipient]
    if row.next_attempt_at is not None:
        told.append(f"next attempt {row.next_attempt_at:%Y-%m-%d %H:%M:%S} UTC")
        if row.waits_for:
            told.append(f"it waits because {row.waits_for}")
    elif row.state in (State.QUEUED, State.DEFERRED, State.SCHEDULED):
        told.append("a worker holds it right now")
    return told


def _sentence(event: EventView) -> str:
    when = f"{event.at:%Y-%m-%d %H:%M:%S}"
    if event.action is None:
        return f"{when} {event.kind}" + (f": {event.detail}" if event.detail else "")
    way = f" from {event.ip} to {event.mx} ({event.tls})" if event.ip else ""
    answer = " ".join(str(part) for part in (event.code or "", event.enhanced or "", event.reply or "") if part)
    decided = f"rule {event.rule} says {event.action} ({event.klass})"
    # A throttled IP costs the message no attempt.
    what = "tried" if event.kind == EventKind.REROUTED or not event.attempt else f"attempt {event.attempt}"
    return f"{when} {what}{way}, at {event.phase}: “{answer}” → {event.kind}; {decided}"
