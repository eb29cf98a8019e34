"""`postlane webhooks`: who is told of what happens, what they were told, telling it again, and listening by oneself.

Works on the database directly, with the functions the API uses. `listen` needs no address that others can reach: it is
an endpoint that fetches for itself, and lasts as long as the command runs.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from cli import context
from cli.application import ApplicationOption, YesOption, chosen, confirm
from cli.ids import Candidate, the_one
from cli.listening import Forward, listen_until_stopped
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, say, tell, wants_json
from cli.sessions import with_database
from core.paging import Window
from mta.guard import networks
from store.database import Connection, Database
from web.faces.references import deleted, reference
from web.faces.webhooks import (
    attempt_face,
    event_detail,
    event_face,
    replayed_face,
    webhook_detail,
    webhook_face,
    webhook_signed,
)
from webhooks import choosing, endpoints, events
from webhooks.endpoints import Change, Endpoint
from webhooks.kinds import MEANINGS, OPERATORS_ONLY
from webhooks.targets import check

app = typer.Typer(help="Who is told of what happens.", no_args_is_help=True)

_LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)

OperatorsOption = Annotated[bool, typer.Option("--operators", help="Of the operators, not of an application.")]
WebhookArgument = Annotated[str, typer.Argument(metavar="WEBHOOK", help="URL of the webhook, its id or its beginning.")]
EventsOption = Annotated[
    list[str] | None, typer.Option("--event", "-e", help="A type of events, several times for more; all without it.")
]
OtherEventsOption = Annotated[
    list[str] | None,
    typer.Option("--event", "-e", help="A type of events, several times for more; without it they stay as they are."),
]

_ENDPOINTS = (
    Column("endpoint", style="bold"),
    Column("status", drop=0),
    Column("failing_since", "failing since", style="red"),
    Column("events", drop=3, wrap=True),
    Column("id", style="dim", drop=0),
)
_DETAIL = (
    Column("endpoint", style="bold"),
    Column("status"),
    Column("disabled_reason", "switched off because", style="red"),
    Column("failing_since", "failing since", style="red"),
    Column("events"),
    Column("signing_secret", "secret", style="bold green"),
    Column("created_at", "created"),
    Column("id"),
)
_SIGNED = (Column("signing_secret", "secret", style="bold green"), Column("id", style="dim"))
_EVENTS = (
    Column("type", style="bold"),
    Column("created_at", "at (UTC)", drop=2),
    Column("status", drop=0),
    Column("next_attempt_at", "next try (UTC)", drop=3),
    Column("id", style="dim", drop=0),
)
_ATTEMPTS = (
    Column("sent_at", "at (UTC)", style="bold"),
    Column("http_status_code", "status"),
    Column("duration_ms", "ms", justify="right", drop=3),
    Column("response", wrap=True),
)


@app.command("create")
def create(
    url: Annotated[str, typer.Argument(metavar="URL", help="Where to send, as https://host/path.")],
    event: EventsOption = None,
    application: ApplicationOption = "",
    operators: OperatorsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Tell an endpoint of everything that is recorded from now on; shows the secret that signs.

    For an application: postlane webhooks create https://shop.example/hook -e email.bounced -e email.complained

    For those who run the machine: postlane webhooks create https://ops.example/hook --operators
    """
    target = check(url, networks(context.settings().webhook_networks)).url
    wanted = choosing.chosen(event, operators=operators)
    secret = context.instance_secret(context.settings())

    async def work(connection: Connection, owner: UUID | None) -> tuple[Endpoint, str]:
        return await endpoints.create(connection, secret, owner, target, wanted)

    made, shown = _owned(work, application, operators)
    if wants_json(as_json):
        print_json(webhook_signed(made.id, shown))
        return
    print_table(webhook_detail(made, shown), _DETAIL)
    say(f"What it is told, and how that went: `postlane webhooks events {made.id}`", style="dim")


@app.command("list")
def list_webhooks(
    application: ApplicationOption = "", operators: OperatorsOption = False, as_json: JsonOption = False
) -> None:
    """Endpoints of an application, or of the operators; newest first."""

    async def work(connection: Connection, owner: UUID | None) -> Sequence[Endpoint]:
        return (await endpoints.page(connection, owner, Window())).entries

    found = _owned(work, application, operators, alone=True)
    emit(found, webhook_face, cells=webhook_face, as_json=as_json, columns=_ENDPOINTS, empty="No webhooks yet.")


@app.command("show")
def show(
    webhook: WebhookArgument,
    application: ApplicationOption = "",
    operators: OperatorsOption = False,
    as_json: JsonOption = False,
) -> None:
    """An endpoint with its secret."""
    secret = context.instance_secret(context.settings())

    async def work(connection: Connection, owner: UUID | None) -> dict[str, object]:
        found = await _named(connection, owner, webhook)
        return webhook_detail(found, (await endpoints.secrets_of(connection, secret, found.id))[0])

    emit(_owned(work, application, operators, alone=True), as_json=as_json, columns=_DETAIL)


@app.command("update")
def update(
    webhook: WebhookArgument,
    url: Annotated[str, typer.Option(help="Another URL.")] = "",
    event: OtherEventsOption = None,
    every_event: Annotated[bool, typer.Option("--all-events", help="Tell it of everything.")] = False,
    enable: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Switch it on or off; on, what waits goes out.")
    ] = None,
    application: ApplicationOption = "",
    operators: OperatorsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Change an endpoint. What was known of its troubles is forgotten."""
    target = check(url, networks(context.settings().webhook_networks)).url if url else None
    status = None if enable is None else endpoints.ENABLED if enable else endpoints.DISABLED
    change = Change(target, choosing.chosen(event, operators=operators), every_event, status)

    async def work(connection: Connection, owner: UUID | None) -> Endpoint:
        found = await _named(connection, owner, webhook)
        return await endpoints.change(connection, owner, found.id, change)

    changed = _owned(work, application, operators)
    if wants_json(as_json):
        print_json(reference("webhook", changed.id))
    else:
        emit([changed], cells=webhook_face, columns=_ENDPOINTS)


@app.command("delete")
def delete(
    webhook: WebhookArgument,
    application: ApplicationOption = "",
    operators: OperatorsOption = False,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Delete an endpoint with what it was told."""
    confirm(f"Delete the webhook {webhook}? Nobody is told in its place.", yes)

    async def work(connection: Connection, owner: UUID | None) -> UUID:
        found = await _named(connection, owner, webhook)
        await endpoints.delete(connection, owner, found.id)
        return found.id

    emit(deleted("webhook", _owned(work, application, operators)), as_json=as_json)


@app.command("rotate")
def rotate(
    webhook: WebhookArgument,
    application: ApplicationOption = "",
    operators: OperatorsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Make another secret. The old one goes on signing beside it for 24 hours."""
    secret = context.instance_secret(context.settings())

    async def work(connection: Connection, owner: UUID | None) -> dict[str, object]:
        found = await _named(connection, owner, webhook)
        return webhook_signed(found.id, await endpoints.rotate(connection, secret, owner, found.id))

    emit(_owned(work, application, operators), as_json=as_json, columns=_SIGNED)


@app.command("events")
def list_events(
    webhook: WebhookArgument,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Id of an event: its body, and every try.")] = "",
    status: Annotated[
        events.Status | None, typer.Option(help="Only those pending, attempting, success or failed.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most events to show.")] = 20,
    application: ApplicationOption = "",
    operators: OperatorsOption = False,
    as_json: JsonOption = False,
) -> None:
    """What an endpoint was told, newest first; or one event with its tries."""

    async def work(connection: Connection, owner: UUID | None) -> None:
        found = await _named(connection, owner, webhook)
        if event:
            await _show_event(connection, found.id, _event_id(event), as_json)
            return
        page = await events.page(connection, found.id, Window(limit), status)
        emit(page.entries, event_face, cells=event_face, as_json=as_json, columns=_EVENTS, empty="No such events.")

    _owned(work, application, operators, alone=True)


@app.command("replay")
def replay(
    webhook: WebhookArgument,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Id of one event; without it a range of time.")] = "",
    hours: Annotated[float | None, typer.Option(min=0, max=87_600, help="What was written in the last hours.")] = None,
    which: Annotated[
        events.Which, typer.Option("--which", help="What has failed, that and what still waits, or all.")
    ] = "failed",
    application: ApplicationOption = "",
    operators: OperatorsOption = False,
    as_json: JsonOption = False,
) -> None:
    """Send events again, with the same id and body: one, or what has failed.

    After an outage of yours: postlane webhooks replay WEBHOOK --hours 12 --which unsent
    """
    now = datetime.now(UTC)
    since = now - timedelta(hours=hours) if hours is not None else _LONG_AGO

    async def work(connection: Connection, owner: UUID | None) -> dict[str, object]:
        found = await _named(connection, owner, webhook)
        await endpoints.sending(connection, owner, found.id)
        if event:
            await events.replay(connection, found.id, _event_id(event))
            return reference("webhook_event", event)
        return replayed_face(found.id, await events.replay_some(connection, found.id, since, now, which))

    face = _owned(work, application, operators, alone=True)
    if wants_json(as_json):
        print_json(face)
        return
    count = face.get("replayed", 1)
    tell(f"{count:,} event{'s' * (count != 1)} will be sent again.")
    if count == 0 and which == "failed":
        say(
            "Nothing has failed for good. `--which unsent` takes what still waits too, `all` what was taken.",
            style="dim",
        )


@app.command("listen")
def listen(
    event: EventsOption = None,
    forward_to: Annotated[
        str, typer.Option("--forward-to", help="Send them on, signed, to this URL, such as a program on this machine.")
    ] = "",
    elsewhere: Annotated[
        bool, typer.Option("--elsewhere", help="The URL may be on another machine: events name people.")
    ] = False,
    application: ApplicationOption = "",
    operators: OperatorsOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line, the body as it is sent.")] = False,
) -> None:
    """Print what happens as it happens, for local work: no URL is needed. Ctrl-C ends it.

    Into a program of yours: postlane webhooks listen --forward-to http://localhost:3000/hook
    """
    wanted = choosing.chosen(event, operators=operators)
    forward = _forward(forward_to, elsewhere) if forward_to else None
    if forward is not None:
        say(f"The secret is {forward.secret}")
    say("Listening. Ctrl-C ends it.", style="dim")

    async def work(database: Database) -> None:
        async with database.connection() as connection:
            owner = await _owner(connection, application, operators)
        await listen_until_stopped(database, owner, wanted, forward, as_json=wants_json(as_json))

    with_database(work)


def _forward(url: str, elsewhere: bool) -> Forward:
    return Forward.to(url, context.settings().dns_servers, elsewhere=elsewhere)


@app.command("types")
def types(as_json: JsonOption = False) -> None:
    """The types of events there are."""
    rows = [
        {"type": kind.value, "told_to": "operators" if kind in OPERATORS_ONLY else "applications", "meaning": text}
        for kind, text in MEANINGS.items()
    ]
    columns = (Column("type", style="bold"), Column("told_to", drop=2), Column("meaning", wrap=True))
    emit(rows, as_json=as_json, columns=columns)


def _owned(
    work: Callable[[Connection, UUID | None], Any], application: str, operators: bool, *, alone: bool = False
) -> Any:
    """Run `work` for the owner meant, in one transaction; `alone`: each statement is one."""

    async def run(database: Database) -> Any:
        async with database.connection() if alone else database.transaction() as connection:
            return await work(connection, await _owner(connection, application, operators))

    return with_database(run)


async def _owner(connection: Connection, application: str, operators: bool) -> UUID | None:
    if operators and application:
        raise CliError("usage", "Either of the operators or of an application.", "Leave --application out.")
    return None if operators else (await chosen(connection, application)).id


async def _named(connection: Connection, owner: UUID | None, text: str) -> Endpoint:
    found = {one.id: one for one in (await endpoints.page(connection, owner, Window())).entries}
    known = [Candidate(one.id, one.url) for one in found.values()]
    return found[the_one(text, "webhook", known, "postlane webhooks list")]


def _event_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise CliError("not_found", f"There is no event {text}.", "`postlane webhooks events` shows ids.") from None


async def _show_event(connection: Connection, endpoint_id: UUID, event_id: UUID, as_json: bool) -> None:
    detail = await events.get(connection, endpoint_id, event_id)
    tries = [
        attempt_face(one, event_id)
        for one in (await events.attempts(connection, endpoint_id, event_id, Window())).entries
    ]
    if wants_json(as_json):
        print_json(event_detail(detail) | {"attempts": tries})
        return
    emit(event_face(detail.summary), columns=_EVENTS)
    emit(tries, columns=_ATTEMPTS, empty="Not tried yet.")
    tell(detail.body, style="dim")
