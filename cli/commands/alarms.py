"""`postlane alarms`: what a person has to look at, what raises it, who is told, and streams that were stopped."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer

from alarms import breakers, mail_settings, repository, rule_settings
from alarms.breakers import Breaker
from alarms.mail_settings import PORTS, AlarmMail, Smarthost
from alarms.model import Alarm, AlarmChange
from alarms.rule_settings import RuleState
from alarms.rules import rule_named
from cli import context
from cli.ids import Candidate, the_one
from cli.operating import ReasonOption, SiteArgument, asked_password, by, site_named
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, tell, wants_json
from cli.sessions import with_database
from core.errors import PostlaneError
from core.queues import Lane
from messages.stopped import let_go
from pools.assignments import subject_named
from store.database import Connection, Database
from web.faces.alarms import (
    alarm_detail,
    alarm_face,
    alarm_mail_face,
    breaker_ended,
    breaker_face,
    cleared,
    rule_face,
)
from workers import alarming

app = typer.Typer(help="What a person has to look at.", no_args_is_help=True)
rules_app = typer.Typer(help="What raises alarms, and at which values.", no_args_is_help=True)
breakers_app = typer.Typer(help="Streams that may send nothing to a provider.", no_args_is_help=True)
mail_app = typer.Typer(help="Who is told of alarms by mail, and how.", no_args_is_help=True)
app.add_typer(rules_app, name="rules")
app.add_typer(breakers_app, name="breakers")
app.add_typer(mail_app, name="mail")

_COLUMNS = (
    Column("kind", "alarm", style="bold red"),
    Column("subject", style="bold"),
    Column("severity", drop=3),
    Column("raised_at", "since (UTC)", drop=2),
    Column("state", drop=4),
    Column("detail", wrap=True),
    Column("id", style="dim", drop=0),
)
_ONE = (
    Column("kind", "alarm", style="bold red"),
    Column("subject", style="bold"),
    Column("severity"),
    Column("state"),
    Column("raised_at", "since (UTC)"),
    Column("last_at", "seen last"),
    Column("count", "times"),
    Column("detail"),
    Column("meaning"),
    Column("what_to_do", "what to do", style="cyan"),
    Column("id", style="dim"),
)
_CHANGES = (Column("at"), Column("change", style="bold"), Column("severity", drop=3), Column("by", drop=2),
            Column("detail", wrap=True))  # fmt: skip

AlarmArgument = Annotated[str, typer.Argument(metavar="ID", help="Id of the alarm, its beginning or its end.")]


@app.command("list")
def list_alarms(
    days: Annotated[int, typer.Option(min=0, max=400, help="Also those that were over in so many days.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Open alarms, oldest first. One whose cause is gone closes by itself."""

    async def work(database: Database) -> list[Alarm]:
        async with database.connection() as connection:
            past = await repository.past_alarms(connection, days) if days else []
            return await repository.open_alarms(connection) + past

    emit(with_database(work), alarm_face, cells=_cells, as_json=as_json, columns=_COLUMNS, empty="No alarms.")


@app.command("show")
def show(alarm: AlarmArgument, as_json: JsonOption = False) -> None:
    """An alarm with what it means, what to do, and what happened to it."""

    async def work(database: Database) -> tuple[Alarm, list[AlarmChange]]:
        async with database.connection() as connection:
            found = await repository.find_alarm(connection, await _meant(connection, alarm, past=True))
            return found, await repository.story(connection, found.id)

    found, changes = with_database(work)
    if wants_json(as_json):
        print_json(alarm_detail(found, changes))
        return
    print_table(_cells(found), _ONE)
    print_table(changes, _CHANGES)


@app.command("ack")
def acknowledge(alarm: AlarmArgument, as_json: JsonOption = False) -> None:
    """Look after an alarm: nobody is told again, unless it gets worse."""
    _change(alarm, lambda connection, identifier: repository.acknowledge(connection, identifier, by()), as_json)


@app.command("snooze")
def snooze(
    alarm: AlarmArgument,
    minutes: Annotated[int, typer.Option(min=1, max=129_600, help="For how long.")] = 60,
    as_json: JsonOption = False,
) -> None:
    """Tell nobody of an alarm for a while, unless it gets worse. Still open then, it is told anew."""
    lasting = timedelta(minutes=minutes)
    _change(alarm, lambda connection, identifier: repository.snooze(connection, identifier, lasting, by()), as_json)


@app.command("clear")
def clear(alarm: AlarmArgument, as_json: JsonOption = False) -> None:
    """Close an alarm. When the same thing happens again, it is raised again."""

    async def work(database: Database) -> Alarm:
        async with database.transaction() as connection:
            return await repository.close_alarm(connection, await _meant(connection, alarm), by())

    columns = (Column("kind", "alarm closed", style="bold"), Column("subject"), Column("id", style="dim"))
    emit(with_database(work), cleared, as_json=as_json, columns=columns)


# Rules


@rules_app.command("list")
def list_rules(as_json: JsonOption = False) -> None:
    """All rules with the values in force."""

    async def work(database: Database) -> list[RuleState]:
        async with database.connection() as connection:
            return list((await rule_settings.rules(connection)).values())

    found = with_database(work)
    if wants_json(as_json):
        print_json([rule_face(state) for state in found])
        return
    rows = [
        {"rule": state.rule.kind.value, **setting} for state in found for setting in _settings(state)
    ]  # fmt: skip
    print_table(rows, (Column("rule", style="bold"), Column("name", "setting", drop=0),
                       Column("value", justify="right", drop=0), Column("default", justify="right", drop=2),
                       Column("meaning", wrap=True)))  # fmt: skip


@rules_app.command("set")
def set_rule(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Name of the rule.")],
    values: Annotated[list[str], typer.Argument(metavar="NAME=VALUE...", help="An empty value gives the default.")],
    as_json: JsonOption = False,
) -> None:
    """Set values of a rule.

    Example: postlane alarms rules set complaints warn=0.001 stop=0.003

    Switch one off: postlane alarms rules set delivered_share enabled=0
    """
    known, given = rule_named(rule), dict(_value(text) for text in values)

    async def work(database: Database) -> RuleState:
        async with database.transaction() as connection:
            return await rule_settings.change(connection, known, given, by())

    state = with_database(work)
    if wants_json(as_json):
        print_json(rule_face(state))
        return
    print_table(_settings(state), (Column("name", "setting", style="bold"), Column("value", justify="right"),
                                   Column("meaning", wrap=True)))  # fmt: skip


def _value(text: str) -> tuple[str, float | None]:
    name, _, value = text.partition("=")
    try:
        return name, float(value) if value else None
    except ValueError:
        raise CliError("bad_value", f"{text}: {value!r} is no number", "Write NAME=VALUE.") from None


def _settings(state: RuleState) -> list[dict[str, object]]:
    face = rule_face(state)["settings"]
    assert isinstance(face, list)
    return [{**one, "value": f"{one['value']:g}", "default": f"{one['default']:g}"} for one in face]


# Breakers

_BREAKERS = (
    Column("application", style="bold"),
    Column("lane", "stream", drop=0),
    Column("provider", "to", drop=0),
    Column("until", "until (UTC)"),
    Column("reason", wrap=True),
    Column("by", drop=3),
)

ApplicationArgument = Annotated[str, typer.Argument(metavar="APPLICATION", help="Name or id of the application.")]
StreamArgument = Annotated[Lane, typer.Argument(metavar="STREAM", help="transactional or marketing.")]


@breakers_app.command("list")
def list_breakers(as_json: JsonOption = False) -> None:
    """Streams that are stopped, why, and until when."""

    async def work(database: Database) -> list[Breaker]:
        async with database.connection() as connection:
            return await breakers.holding(connection)

    emit(with_database(work), breaker_face, as_json=as_json, columns=_BREAKERS, empty="No stream is stopped.")


@breakers_app.command("stop")
def stop_stream(
    application: ApplicationArgument,
    stream: StreamArgument,
    provider: SiteArgument,
    reason: ReasonOption,
    hours: Annotated[float, typer.Option(min=0.01, max=2160, help="It goes on after so many hours.")] = 24,
    as_json: JsonOption = False,
) -> None:
    """Stop a stream of an application at a provider. Its mail waits; every worker knows within seconds.

    Example: postlane alarms breakers stop shop marketing yahoo --hours 48 --reason "complaints, ticket 7"
    """
    site = site_named(provider)

    async def work(database: Database) -> Breaker:
        async with database.transaction() as connection:
            key = await _stream(connection, application, stream, site)
            await breakers.trip(connection, key, hours, reason, by(), again=True)
            return next(one for one in await breakers.holding(connection) if one.id == "/".join(map(str, key)))

    emit(with_database(work), breaker_face, as_json=as_json, columns=_BREAKERS)


@breakers_app.command("end")
def end_breaker(
    application: ApplicationArgument, stream: StreamArgument, provider: SiteArgument, as_json: JsonOption = False
) -> None:
    """Let a stream go on: what waited for it is due at once."""
    site = site_named(provider)

    async def work(database: Database) -> dict[str, object]:
        async with database.transaction() as connection:
            key = await _stream(connection, application, stream, site)
            return breaker_ended("/".join(map(str, key)), await let_go(connection, key, by()))

    found = with_database(work)
    if wants_json(as_json):
        print_json(found)
    else:
        tell(f"{stream.value} mail of {application} to {site} goes on; {found['released']} mails had waited")


async def _stream(connection: Connection, application: str, stream: Lane, provider: str) -> breakers.Key:
    return await subject_named(connection, "application", application), stream.value, provider


# Mail

_MAIL = (
    Column("recipients", "told"),
    Column("sender", "from"),
    Column("host", "through"),
    Column("port"),
    Column("tls"),
    Column("login"),
    Column("last_at", "last mail"),
    Column("trouble", "trouble", style="red"),
)


@mail_app.command("show")
def show_mail(as_json: JsonOption = False) -> None:
    """Who is told, and how the last mail went."""

    async def work(database: Database) -> AlarmMail | None:
        async with database.connection() as connection:
            return await mail_settings.alarm_mail(connection)

    _show_mail(with_database(work), as_json)


@mail_app.command("set")
def set_mail(
    to: Annotated[list[str], typer.Option("--to", help="Who is told; several times for several.")],
    sender: Annotated[str, typer.Option("--from", help="Who it is from.")],
    host: Annotated[str, typer.Option(help="A mail server that lets us in; none: our own transactional lane.")] = "",
    port: Annotated[int, typer.Option(help="Its port.", show_default="587 with starttls, 465 with tls")] = 0,
    tls: Annotated[str, typer.Option(help="starttls, tls or none.")] = "starttls",
    login: Annotated[str, typer.Option(help="The name it lets us in by; its password is asked for.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Tell people of alarms by mail.

    Example: postlane alarms mail set --to ops@example.com --from alarms@example.com --host mail.example.com --login me

    A mail server of somebody else tells of alarms also when ours stands still.
    """
    password = asked_password() if login else ""
    server = Smarthost(host, port or PORTS.get(tls, 587), tls, login, password) if host else None
    secret = context.instance_secret(context.settings())

    async def work(database: Database) -> AlarmMail:
        async with database.transaction() as connection:
            return await mail_settings.set_alarm_mail(connection, to, sender, server, secret)

    _show_mail(with_database(work), as_json)


@mail_app.command("test")
def test_mail() -> None:
    """Send a mail that says it is a test, now, and say what the server answers."""
    settings = context.settings()
    secret = context.instance_secret(settings)

    async def work(database: Database) -> AlarmMail | None:
        return await alarming.send_test(database, settings, secret)

    try:
        how = with_database(work)
    except PostlaneError as error:
        raise CliError("not_sent", str(error), "`postlane alarms mail set` corrects it.") from error
    if how is None:
        raise CliError("nobody_told", "nobody is told by mail", "`postlane alarms mail set` changes that.")
    tell(f"Handed to {how.host or 'our own transactional lane'} for {', '.join(how.recipients)}.")


@mail_app.command("off")
def mail_off() -> None:
    """Tell nobody by mail."""

    async def work(database: Database) -> None:
        async with database.transaction() as connection:
            await mail_settings.forget_alarm_mail(connection)

    with_database(work)
    tell("Nobody is told by mail.")


def _show_mail(how: AlarmMail | None, as_json: bool) -> None:
    face = alarm_mail_face(how)
    if wants_json(as_json):
        print_json(face)
    elif how is None:
        tell("Nobody is told by mail. `postlane alarms mail set` changes that.")
    else:
        print_table({**face, "host": face["host"] or "our own transactional lane"}, _MAIL)


# What they share


def _change(text: str, do: Callable[[Connection, UUID], Awaitable[Alarm]], as_json: bool) -> None:
    async def work(database: Database) -> Alarm:
        async with database.transaction() as connection:
            return await do(connection, await _meant(connection, text))

    emit(with_database(work), alarm_face, cells=_cells, as_json=as_json, columns=_ONE)


async def _meant(connection: Connection, text: str, *, past: bool = False) -> UUID:
    alarms = await repository.open_alarms(connection)
    if past:
        alarms += await repository.past_alarms(connection, 400)
    known = [Candidate(one.id, about=f"{one.kind} {one.subject}") for one in alarms]
    return the_one(text, "alarm" if past else "open alarm", known, "postlane alarms list")


def _cells(alarm: Alarm) -> dict[str, object]:
    """An alarm for people."""
    return alarm_face(alarm) | {"state": _state(alarm)}


def _state(alarm: Alarm) -> str:
    def since(moment: datetime) -> str:
        return f"{moment:%Y-%m-%d %H:%M}"

    if alarm.cleared_at:
        return f"over since {since(alarm.cleared_at)}"
    if alarm.snoozed_until:
        return f"snoozed until {since(alarm.snoozed_until)}"
    return f"looked after by {alarm.acknowledged_by}" if alarm.acknowledged_at else "open"
