"""`postlane messages`: where is my message, and why? For operators, over all applications.

`list` finds messages, `show` gives the facts of one email, `why` tells its story in sentences, `cancel` takes back
what has not left, `again` sends the same once more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Annotated, Any
from uuid import UUID

import typer

from cli import context, ids
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, say, tell, wants_json
from cli.sessions import with_database
from cli.whats_next import whats_next
from core.addresses import AddressError, fold_address
from core.queues import Lane
from messages import again, repository, search
from messages.named import emails_between
from messages.repository import EmailDetail, EventView
from messages.states import State
from messages.timeline import EventKind
from store.database import Connection, Database
from web.faces.emails import email_detail, message_face, timeline
from web.faces.references import reference

app = typer.Typer(help="Where is my message, and why? List, show, cancel, send again.", no_args_is_help=True)


_COLUMNS = (
    Column("message", style="cyan", below=True),
    Column("accepted_at", "accepted", drop=2),
    Column("lane", drop=4),
    Column("recipient", drop=0),
    Column("subject", wrap=True),
    Column("state", style="bold", drop=0),
    Column("attempts", "tries", justify="right", drop=3),
    Column("next_attempt_at", "next attempt", drop=4),
)

_EVENT_COLUMNS = (
    Column("at"),
    Column("recipient", drop=5),
    Column("kind", "event", style="bold", drop=0),
    Column("ip", drop=2),
    Column("mx", drop=3),
    Column("tls", drop=6),
    Column("code"),
    Column("reply", wrap=True),
    Column("rule", drop=3),
    Column("next_attempt_at", "next attempt", drop=4),
)

_FIND = "`postlane messages list --to ADDRESS` finds it"

EmailArgument = Annotated[
    str,
    typer.Argument(
        metavar="EMAIL", help="Id of the email or its beginning, `ID/N` for one recipient, or the recipient's address."
    ),
]


@app.command("list")
def list_messages(
    to: Annotated[str, typer.Option(help="Only mail to this address.")] = "",
    state: Annotated[State | None, typer.Option(help="Only messages in this state.")] = None,
    lane: Annotated[Lane | None, typer.Option(help="Only this lane.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """Messages, newest first.

    Example: postlane messages list --to anna@example.com --state deferred
    """
    wanted = search.Filter(_folded(to) if to else "", state.value if state else "", lane.value if lane else "", limit)

    async def work(database: Database) -> list[search.MessageRow]:
        async with database.connection() as connection:
            return await search.find(connection, wanted)

    emit(
        with_database(work), message_face, cells=_cells, as_json=as_json, columns=_COLUMNS, empty="No such messages."
    )  # fmt: skip


@app.command()
def show(email: EmailArgument, as_json: JsonOption = False) -> None:
    """An email's recipients and everything that happened to them."""
    found = _history(email)
    if wants_json(as_json):
        print_json(email_detail(found.email) | {"events": timeline(found.email, found.events)})
        return
    print_table([_cells(row) for row in found.rows], _COLUMNS)
    say("")
    print_table(found.events, _EVENT_COLUMNS, empty="Nothing has happened to it yet.")


@app.command()
def why(email: EmailArgument, as_json: JsonOption = False) -> None:
    """The story of each message in sentences: what was tried, what was answered, which rule decided, what is next.

    Example: postlane messages why 01a20446, or postlane messages why anna@example.com
    """
    found = _history(email, asks_next=True)
    told = [message_face(row) | {"story": _story(row, found)} for row in found.rows]
    if wants_json(as_json):
        print_json(told)
        return
    for one in told:
        tell(f"{one['recipient']}: {one['state']}", style="bold")
        for sentence in one["story"]:
            tell(f"  {sentence}")


@app.command()
def cancel(email: EmailArgument, as_json: JsonOption = False) -> None:
    """Take an email back: every recipient whose mail is not under way at this moment."""

    async def work(database: Database) -> tuple[UUID, repository.Change | None]:
        async with database.transaction() as connection:
            email_id, _ = await _meant(connection, email)
            owners = await repository.applications_of(connection, [email_id])
            if email_id not in owners:
                return email_id, None
            return email_id, await repository.cancel(connection, owners[email_id], email_id, "cancelled by an operator")

    email_id, change = with_database(work)
    if change is None:
        raise _unknown(email)
    if change.moved == 0:
        states = ", ".join(sorted(state.value for state in change.states))
        raise CliError("too_late", f"nothing of {email} can be taken back: it is {states}, or being sent right now")
    if wants_json(as_json):
        print_json(reference("email", email_id))
    else:
        tell(f"{email_id}: taken back for {change.moved} recipient{'s' * (change.moved != 1)}")


@app.command("again")
def send_again(email: EmailArgument, as_json: JsonOption = False) -> None:
    """Send the same once more to one recipient, as a new email. The suppression list is asked as ever.

    Example: postlane messages again 01a20446/1
    """
    simulated = context.settings().sandbox_domain

    async def work(database: Database) -> tuple[UUID, str]:
        async with database.transaction() as connection:
            email_id, position = await _meant(connection, email)
            owners = await repository.applications_of(connection, [email_id])
            if email_id not in owners:
                raise _unknown(email)
            _one_of(position, rows := await search.of_email(connection, email_id), email)
            wish = again.Wish(owners[email_id], email_id, position or 0, "by an operator", simulated)
            new, _ = again.settled(await again.send(connection, wish))
            return new, rows[position or 0].recipient

    new, recipient = with_database(work)
    if wants_json(as_json):
        print_json({"id": new})
    else:
        tell(f"{new}: accepted for {recipient}")
        tell(f"Its story: postlane messages why {new}", style="dim")


def _one_of(position: int | None, rows: Sequence[search.MessageRow], email: str) -> None:
    """Whether it is clear which recipient is meant. Raises CliError."""
    if position is None and len(rows) > 1:
        listed = "\n".join(f"  {row.message}  {row.recipient}" for row in rows[: ids.LISTED])
        more = "\n  and more" if len(rows) > ids.LISTED else ""
        raise CliError("ambiguous", f"{email} has {len(rows)} recipients:\n{listed}{more}", "Name one by ID/N.")
    if position is not None and position >= len(rows):
        raise CliError("not_found", f"{email} has no such recipient", "`postlane messages show ID` lists them")


@dataclass(frozen=True, slots=True)
class _History:
    """An email and what happened to it; of one recipient only where one is asked about."""

    email: EmailDetail
    rows: Sequence[search.MessageRow]
    events: Sequence[EventView]
    next: Mapping[str, list[str]] = field(default_factory=dict)
    """What stands in the way now, by message, where that was asked."""

    def of(self, position: int) -> "_History":
        """What concerns one recipient."""
        rows = [row for row in self.rows if row.message.endswith(f"/{position}")]
        mine = {row.recipient for row in rows}
        recipients = tuple(one for one in self.email.recipients if one.recipient in mine)
        events = [event for event in self.events if event.recipient in mine]
        return replace(self, email=replace(self.email, recipients=recipients), rows=rows, events=events)


def _history(email: str, *, asks_next: bool = False) -> _History:
    async def work(database: Database) -> _History:
        async with database.connection() as connection:
            email_id, position = await _meant(connection, email)
            owners = await repository.applications_of(connection, [email_id])
            detail = email_id in owners and await repository.find_email(connection, owners[email_id], email_id)
            if not detail:
                raise _unknown(email)
            rows = await search.of_email(connection, email_id)
            events, _ = await repository.read_events(connection, email_id)
            following = {}
            if asks_next:
                following = await whats_next(connection, owners[email_id], detail, rows, events)
        found = _History(detail, rows, events, following)
        return found if position is None else found.of(position)

    found = with_database(work)
    if not found.rows:
        raise _unknown(email)
    return found


def _cells(row: search.MessageRow) -> dict[str, object]:
    """A message's line. What was captured never left: its "delivered" is nobody's mailbox."""
    return asdict(row) | {"state": f"captured (as {row.state})" if row.captured else row.state}


async def _meant(connection: Connection, text: str) -> tuple[UUID, int | None]:
    """The email, and which recipient of it if only one is meant. Raises CliError."""
    if "@" in text:
        return await _to_address(connection, text)
    identifier, _, position = text.partition("/")
    bounds = ids.beginning(identifier)
    if bounds is None or (position and not position.isdecimal()):
        raise CliError(
            "bad_id", f"{text or 'an empty text'} is no email id, no beginning of one, and no address", _FIND
        )
    found = await emails_between(connection, *bounds, ids.LISTED + 1)
    if len(found) > 1:
        raise ids.ambiguous(identifier, "email", [ids.Candidate(one, about=about) for one, about in found])
    if not found:
        raise _unknown(text)
    return found[0][0], int(position) if position else None


async def _to_address(connection: Connection, text: str) -> tuple[UUID, int | None]:
    """The only message to an address."""
    rows = await search.find(connection, search.Filter(_folded(text), limit=ids.LISTED + 1))
    if not rows:
        raise CliError("not_found", f"there is no message to {text}", "Content and story are kept for some days only.")
    found = [(UUID(row.message.partition("/")[0]), row) for row in rows]
    if len(rows) > 1:
        about = [ids.Candidate(one, about=f"{row.accepted_at:%Y-%m-%d %H:%M:%S}  {row.subject}") for one, row in found]
        raise ids.ambiguous(text, "message", about)
    return found[0][0], int(rows[0].message.partition("/")[2])


def _folded(address: str) -> str:
    try:
        return fold_address(address)
    except AddressError as error:
        raise CliError("bad_address", f"{address}: {error.reason}") from error


def _unknown(email: str) -> CliError:
    return CliError("not_found", f"there is no email {email}", _FIND)


def _story(row: search.MessageRow, found: _History) -> list[str]:
    told = [f"{row.accepted_at:%Y-%m-%d %H:%M:%S} accepted for the {row.lane} lane: “{row.subject}” from {row.sender}"]
    if found.email.again_of is not None:
        told.append(f"it is the same as {found.email.again_of} once more")
    told += [_sentence(event) for event in found.events if event.recipient == row.recipient]
    if row.next_attempt_at is not None:
        told.append(f"next attempt {row.next_attempt_at:%Y-%m-%d %H:%M:%S} UTC")
        if row.waits_for:
            told.append(f"it waits because {row.waits_for}")
    elif row.state in (State.QUEUED, State.DEFERRED, State.SCHEDULED):
        told.append("a worker holds it right now")
    return told + list(found.next.get(row.message, ()))


def _engagement(kind: str, known: Mapping[str, Any]) -> str:
    what = f"{kind} {known['link']}" if known.get("link") else kind
    who = f"by a machine ({known['machine']})" if known.get("machine") else f"from {known.get('ip')}"
    return f"{what} {who}" + (f" through {known['proxy']}" if known.get("proxy") else "")


def _sentence(event: EventView) -> str:
    when = f"{event.at:%Y-%m-%d %H:%M:%S}"
    if event.engagement is not None:
        return f"{when} {_engagement(event.kind, event.engagement)}"
    if event.action is None:
        detail = (event.detail or "").removeprefix(f"{event.kind}: ")
        return f"{when} {event.kind.replace('_', ' ')}" + (f": {detail}" if detail else "")
    way = f" from {event.ip} to {event.mx} ({event.tls})" if event.ip else ""
    answer = " ".join(str(part) for part in (event.code or "", event.enhanced or "", event.reply or "") if part)
    decided = f"rule {event.rule} says {event.action} ({event.klass})"
    # A throttled IP costs the message no attempt.
    what = "tried" if event.kind == EventKind.REROUTED or not event.attempt else f"attempt {event.attempt}"
    told = f"{when} {what}{way}, at {event.phase}: “{answer}” → {event.kind}; {decided}"
    return told if event.ip or not event.detail else f"{told}; {event.detail}"
