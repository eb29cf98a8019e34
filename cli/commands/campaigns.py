"""`postlane campaigns`: one mail to many people, with one outcome for each. The API calls a campaign a broadcast."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer

from audience import contacts, segments, topics
from campaigns import plan, report, repository, steering, trying
from campaigns.archive import Access, switched
from campaigns.checking import checks
from campaigns.checking.model import Checks
from campaigns.following import Whom
from campaigns.forecasting import of_running
from campaigns.model import Campaign, Draft, Words
from campaigns.report import Kind, Recipient, Report, Wanted
from campaigns.states import Act, CampaignState
from campaigns.trying import To, Whose
from cli import context
from cli.application import ApplicationOption, YesOption, chosen, confirm
from cli.campaign_checks import ends_in_words, show_checks, tools, zone_of
from cli.campaign_content import MOST, CampaignArgument, named, preview, put_on_web, tags_of, templated
from cli.campaign_shown import COLUMNS, called, cells, progress, show_campaign, watch_campaign
from cli.ids import Candidate, the_one
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, say, tell, wants_json
from cli.sessions import with_database
from core.paging import Page, Window
from messages.schedule_text import ScheduleError, parse_schedule
from store.clock import transaction_time
from store.database import Connection, Database
from web.faces.broadcast_checks import checks_face
from web.faces.broadcasts import broadcast_face, recipient_face, report_face
from web.faces.references import deleted

app = typer.Typer(help="One mail to many people, with an outcome for each.", no_args_is_help=True)

WatchOption = Annotated[bool, typer.Option("--watch", "-w", help="Show its progress until it ends.")]

_END_SECONDS = 2.0
"""For asking who keeps the mailboxes, when only the end is told."""

_RECIPIENTS = (
    Column("email", style="bold"),
    Column("state"),
    Column("reason", wrap=True),
    Column("provider", drop=3),
    Column("ended_at", drop=2),
    Column("email_id", style="dim", drop=1),
)
_PARTS = (
    Column("name", "", style="bold"),
    Column("sent"),
    Column("delivered"),
    Column("bounced"),
    Column("opened"),
    Column("clicked"),
    Column("unsubscribed", drop=1),
    Column("complained", drop=2),
)


@app.command("list")
def list_campaigns(application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Campaigns of an application, newest first."""

    async def work(database: Database) -> Sequence[Campaign]:
        async with database.connection() as connection:
            owner = await chosen(connection, application)
            return (await repository.page(connection, owner.id, Window(MOST))).entries

    empty = "No campaigns yet: `postlane campaigns create` makes a draft."
    emit(with_database(work), broadcast_face, cells=cells, as_json=as_json, columns=COLUMNS, empty=empty)


@app.command("show")
def show(
    campaign: CampaignArgument,
    watch: WatchOption = False,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """A campaign: where it is, and how many people are in which state."""
    found = with_database(lambda database: _read(database, campaign, application))
    show_campaign(found, as_json)
    if watch:
        watch_campaign(found.id)
    elif not wants_json(as_json):
        _tell_end(found)


@app.command("create")
def create(
    segment: Annotated[str, typer.Option("--segment", help="Whom it goes to: name or id of a segment.")],
    sender: Annotated[
        str, typer.Option("--from", help="The sender, of a domain of the application; by default the template's.")
    ] = "",
    subject: Annotated[str, typer.Option("--subject", help="A template: `News for {{ first_name }}`.")] = "",
    template: Annotated[
        str, typer.Option("--template", help="Id or alias of a published template, in all its languages.")
    ] = "",
    html: Annotated[Path | None, typer.Option("--html", help="File with the HTML.", exists=True)] = None,
    text: Annotated[Path | None, typer.Option("--text", help="File with the text.", exists=True)] = None,
    name: Annotated[str, typer.Option("--name", help="What you call it.")] = "",
    topic: Annotated[str, typer.Option("--topic", help="Name or id of the type of mail.")] = "",
    preview_text: Annotated[str, typer.Option("--preview-text", help="Shown behind the subject.")] = "",
    utm_tags: Annotated[
        list[str] | None, typer.Option("--utm", metavar="TAG=VALUE", help="source, medium, campaign, content; often.")
    ] = None,
    archive: Annotated[Access, typer.Option("--archive", help="Whether it stands on the web.")] = Access.OFF,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make a draft.

    Example: postlane campaigns create --from news@shop.example --segment all --subject "Hello" --html mail.html
    """
    words = Words(sender, subject, preview_text, (), _content(html), _content(text))
    tags, page = tags_of(utm_tags or []), switched(archive, context.settings().public_url)

    async def work(database: Database) -> Campaign:
        async with database.transaction() as connection:
            owner = await chosen(connection, application)
            whom = await _segment(connection, owner.id, segment)
            draft = Draft(words, name, whom, await _topic(connection, owner.id, topic), utm=tags, archive=page)
            return await steering.create(connection, owner.id, await templated(connection, owner.id, draft, template))

    show_campaign(with_database(work), as_json)


@app.command("check")
def check(campaign: CampaignArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Look at everything that can be known before it begins, and when it will be out. Takes up to half a minute."""
    found = with_database(lambda database: _read(database, campaign, application))
    checked = _checked(found)
    print_json(checks_face(checked)) if wants_json(as_json) else show_checks(checked, found)


@app.command("start")
def start(
    campaign: CampaignArgument,
    watch: WatchOption = False,
    yes: YesOption = False,
    unchecked: Annotated[bool, typer.Option("--unchecked", help="Do not look at it first.")] = False,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Send it now. Who gets it is fixed at this moment. A person is shown first what `check` finds."""
    found = with_database(lambda database: _read(database, campaign, application, Act.START))
    if not (unchecked or wants_json(as_json) or context.secret_if_set(context.settings()) is None):
        _look_first(found)
    confirm(f"Send {called(found)} now?", yes)
    start_it = partial(steering.start, pages=bool(context.settings().public_url))
    started = with_database(lambda database: _do(database, found.id, start_it))
    show_campaign(started, as_json)
    if watch:
        watch_campaign(found.id)


@app.command("schedule")
def schedule(
    campaign: CampaignArgument,
    at: Annotated[str, typer.Option("--at", help="ISO 8601, or a wait such as `in 2 days`.")] = "",
    local_time: Annotated[str, typer.Option("--local-time", help="In each person's own zone: 2026-12-24T09:00.")] = "",
    zone: Annotated[str, typer.Option("--zone", help="For people without a zone, and of the window.")] = "UTC",
    days: Annotated[str, typer.Option("--days", help="Days of the send window: mon,tue,wed.")] = "",
    hours: Annotated[str, typer.Option("--hours", help="Hours of the send window: 09:00-17:00.")] = "",
    spread_hours: Annotated[float | None, typer.Option("--spread-hours", help="Spread over so many hours.")] = None,
    per_hour: Annotated[int | None, typer.Option("--per-hour", help="At most so many an hour.")] = None,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Send it at a time, within hours, or slowly.

    Example: postlane campaigns schedule Spring --at 2026-12-24T09:00Z --hours 09:00-17:00 --zone Europe/Berlin
    """
    since, _, until = hours.partition("-")
    window = {"zone": zone, "days": days.split(",") if days else None, "from": since, "to": until}
    given: dict[str, Any] = {"spread_hours": spread_hours, "per_hour": per_hour, "zone": zone}
    given |= {"local_time": local_time} if local_time else {}
    given |= {"window": window} if days or hours else {}
    pages = bool(context.settings().public_url)

    async def work(database: Database) -> Campaign:
        async with database.transaction() as connection:
            known = await repository.get(connection, None, await named(connection, campaign, application))
            draft = replace(steering.draft_of(known), plan=plan.from_json(given))
            planned = await steering.update(connection, known, draft)
            now = await transaction_time(connection)
            moment = _moment(at, now)
            if moment is None and planned.plan.local is None:
                return await steering.start(connection, planned, pages=pages)
            return await steering.schedule(connection, planned, moment, now, pages=pages)

    show_campaign(with_database(work), as_json)


@app.command("pause")
def pause(campaign: CampaignArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Nothing of it leaves until it is resumed."""
    _act(campaign, application, steering.pause, as_json)


@app.command("resume")
def resume(campaign: CampaignArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """A paused or stopped one goes on where it was."""
    _act(campaign, application, steering.resume, as_json)


@app.command("cancel")
def cancel(
    campaign: CampaignArgument, yes: YesOption = False, application: ApplicationOption = "", as_json: JsonOption = False
) -> None:
    """Whoever has no mail yet gets none. One that is only scheduled is a draft again."""
    confirm(f"Cancel {campaign}? What was not sent yet will not be.", yes)
    _act(campaign, application, steering.cancel, as_json)


@app.command("retry")
def retry(campaign: CampaignArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Try again what failed, expired, or was refused for no fault of its address."""

    async def again(connection: Connection, known: Campaign) -> Campaign:
        return (await steering.retry(connection, known)).campaign

    _act(campaign, application, again, as_json)


@app.command("duplicate")
def duplicate(campaign: CampaignArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """A new draft with the same words."""
    _act(campaign, application, steering.duplicate, as_json)


@app.command("again")
def again(
    campaign: CampaignArgument,
    to: Annotated[Whom, typer.Option("--to", help="Who did not get it, or got it and did not open it.")],
    name: Annotated[str, typer.Option("--name", help="What you call the new one.")] = "",
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """A new draft of the same content, for those who missed it or did not open it, and for nobody else.

    Example: postlane campaigns again Spring --to unopened
    """
    _act(campaign, application, lambda connection, known: steering.again(connection, known, to, name or None), as_json)


@app.command("delete")
def delete(
    campaign: CampaignArgument, yes: YesOption = False, application: ApplicationOption = "", as_json: JsonOption = False
) -> None:
    """A draft, or one that has ended, with its report."""
    confirm(f"Delete {campaign} with all that is known of it?", yes)

    async def work(database: Database) -> Campaign:
        async with database.transaction() as connection:
            known = await repository.get(connection, None, await named(connection, campaign, application))
            await steering.remove(connection, known)
            return known

    gone = with_database(work)
    print_json(deleted("broadcast", gone.id)) if wants_json(as_json) else tell(f"{called(gone)} is deleted.")


@app.command("test")
def send_test(
    campaign: CampaignArgument,
    to: Annotated[list[str] | None, typer.Argument(help="Addresses.")] = None,
    to_seeds: Annotated[
        bool, typer.Option("--seeds", help="Also to the seed accounts of the marketing stream.")
    ] = False,
    whom: Annotated[str, typer.Option("--as", help="As this contact gets it: address or id.")] = "",
    language: Annotated[str, typer.Option("--language", help="In which; by default the person's: de.")] = "",
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Send it to some addresses, to look at, or to seed accounts, to see where it lands. It counts for nothing.

    Example: postlane campaigns test Spring me@shop.example --seeds
    """
    simulated = context.settings().sandbox_domain

    async def work(database: Database) -> list[UUID]:
        async with database.transaction() as connection:
            known = await repository.get(connection, None, await named(connection, campaign, application))
            contact = whom and await contacts.get(connection, known.application_id, contacts.named(whom))
            whose = Whose(contact.id if contact else None, language or None)
            wanted = To(to or (), to_seeds)
            return [mail.id for mail in await trying.send_all(connection, known, wanted, simulated, whose)]

    sent = with_database(work)
    landed = " `postlane seeds list` says in some minutes where it landed." if to_seeds else ""
    print_json({"emails": sent}) if wants_json(as_json) else tell(f"{len(sent)} on the way.{landed}")


@app.command("report")
def show_report(campaign: CampaignArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Figures that count each person once: in all, by provider, IP, variant and hour, and the links."""

    async def work(database: Database) -> Report:
        async with database.connection() as connection:
            known = await repository.get(connection, None, await named(connection, campaign, application))
            return await report.report(connection, known)

    found = with_database(work)
    if wants_json(as_json):
        print_json(report_face(found))
        return
    tell(progress(found.campaign))
    _tell_end(found.campaign)
    print_table([asdict(found.whole), *(asdict(part) for part in found.by["provider"])], _PARTS, title="by provider")
    for title in ("ip", "hour"):
        if found.by[title]:
            rows = [asdict(part) | {"name": _part(part.name)} for part in found.by[title]]
            print_table(rows, _PARTS, title=f"by {title}")
    if found.links:
        print_table([asdict(link) for link in found.links], title="links")


def _part(name: str) -> str:
    """Of an hour its beginning as all times are shown, in UTC; anything else as it is."""
    try:
        return f"{datetime.fromisoformat(name):%Y-%m-%d %H:%M}"
    except ValueError:
        return name


@app.command("recipients")
def recipients(
    campaign: CampaignArgument,
    kind: Annotated[Kind | None, typer.Option("--type", help="Only those.")] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print all of them as CSV.")] = False,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="People to show.")] = 100,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Everybody, with what became of their mail and why.

    Example: postlane campaigns recipients "Spring news" --type bounced --csv > bounced.csv
    """
    if as_csv:
        with_database(lambda database: _write_csv(database, campaign, application, kind))
        return

    async def work(database: Database) -> Page[Recipient]:
        async with database.connection() as connection:
            identifier = await named(connection, campaign, application)
            return await report.recipients(connection, identifier, Wanted(kind), Window(limit))

    found = with_database(work)
    emit(found.entries, recipient_face, cells=recipient_face, as_json=as_json, columns=_RECIPIENTS, empty="Nobody.")
    if found.has_more:
        say("There are more: --limit shows them, --csv everybody.", style="dim")


async def _write_csv(database: Database, campaign: str, application: str, kind: Kind | None) -> None:
    """Page by page: a campaign may have millions."""
    async with database.connection() as connection:
        identifier = await named(connection, campaign, application)
    sys.stdout.write(report.csv_header())
    async for page in report.every(database, identifier, Wanted(kind)):
        sys.stdout.writelines(report.csv_rows(page))


app.command("preview")(preview)
app.command("archive")(put_on_web)


def _checked(found: Campaign) -> Checks:
    return with_database(lambda database: checks.check(tools(database), found))


def _tell_end(found: Campaign) -> None:
    """When one that is being sent will be out."""
    if found.state is CampaignState.SENDING and context.secret_if_set(context.settings()) is not None:
        outlook = with_database(lambda database: of_running(tools(database), found, _END_SECONDS))
        if outlook is not None:
            tell(ends_in_words(outlook, zone_of(found)))


def _look_first(found: Campaign) -> None:
    """Show what there is to know. Raises CliError: it cannot begin."""
    checked = _checked(found)
    show_checks(checked, found)
    if not checked.can_start:
        raise CliError("cannot_start", f"{called(found)} cannot begin.", "Mend what `refuses` it in the table above.")


def _act(
    campaign: str, application: str, act: Callable[[Connection, Campaign], Awaitable[Campaign]], as_json: bool
) -> None:
    async def work(database: Database) -> Campaign:
        async with database.connection() as connection:
            identifier = await named(connection, campaign, application)
        return await _do(database, identifier, act)

    show_campaign(with_database(work), as_json)


async def _do(
    database: Database, identifier: UUID, act: Callable[[Connection, Campaign], Awaitable[Campaign]]
) -> Campaign:
    async with database.transaction() as connection:
        moved = await act(connection, await repository.get(connection, None, identifier))
        return await repository.get(connection, None, moved.id)


async def _read(database: Database, campaign: str, application: str, act: Act | None = None) -> Campaign:
    """As it is now. Raises Refused when its state does not allow what is to be done to it."""
    async with database.connection() as connection:
        found = await repository.get(connection, None, await named(connection, campaign, application))
        if act is not None:
            await repository.require(connection, found, act)
        return found


async def _segment(connection: Connection, application_id: UUID, text: str) -> UUID:
    found = (await segments.page(connection, application_id, Window(MOST))).entries
    return the_one(text, "segment", [Candidate(one.id, one.name) for one in found], "postlane segments list")


async def _topic(connection: Connection, application_id: UUID, text: str) -> UUID | None:
    if not text:
        return None
    found = (await topics.page(connection, application_id, Window(MOST))).entries
    return the_one(text, "topic", [Candidate(one.id, one.name) for one in found], "postlane topics list")


def _moment(text: str, now: datetime) -> datetime | None:
    try:
        return parse_schedule(text, now) if text else None
    except ScheduleError as error:
        raise CliError("invalid", f"--at: {error}") from None


def _content(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError("unreadable", f"{file} cannot be read as UTF-8: {error}") from None
