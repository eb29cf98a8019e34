"""`postlane topics`: types of mail of an application, and what one person chose about them, with its history."""

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

import typer

from audience import choices, tapering, topics
from audience.choices import Act, Past, Person, Source, person_named
from audience.tapering import Policy, policy_face
from audience.topics import MOST, Changes, NewTopic, Subscription, Topic, Visibility
from cli.application import ApplicationOption, YesOption, chosen, confirm
from cli.ids import Candidate, the_one
from cli.operating import by
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, tell, wants_json
from cli.policies import policy_from, policy_lines
from cli.sessions import with_database
from core.paging import Window
from core.queues import Lane
from messages import choosing
from messages.choosing import Standing
from store.database import Connection, Database
from web.faces.references import deleted, reference
from web.faces.topics import past_face, preference_face, topic_answer, topic_face

app = typer.Typer(help="Types of mail that recipients may take or leave.", no_args_is_help=True)

TopicArgument = Annotated[str, typer.Argument(metavar="TOPIC", help="Name of the topic, its id or its beginning.")]
AddressArgument = Annotated[str, typer.Argument(metavar="ADDRESS", help="Whose choices.")]
NameOption = Annotated[str | None, typer.Option("--name", help="What recipients read.")]
AboutOption = Annotated[str | None, typer.Option("--description", help="What they read below the name.")]

_LONGEST = {"name": 50, "description": 200}

_COLUMNS = (
    Column("name", style="bold"),
    Column("default_subscription", "by default"),
    Column("visibility", drop=3),
    Column("stream", drop=2),
    Column("is_default", "default topic", drop=4),
    Column("description", style="dim", wrap=True, drop=1),
    Column("id", style="dim", drop=0),
)
_CHOICES = (Column("name", style="bold"), Column("subscription"), Column("chosen", "by choice"), Column("id", drop=0))
_HISTORY = (
    Column("at"),
    Column("what", style="bold"),
    Column("topic", wrap=True),
    Column("source"),
    Column("ip", drop=2),
    Column("detail", wrap=True, drop=1),
)


@app.command("list")
def list_topics(application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Topics of an application, newest first."""

    async def work(database: Database) -> Sequence[Topic]:
        async with database.connection() as connection:
            owner = await chosen(connection, application)
            return (await topics.page(connection, owner.id, Window(MOST + 1))).entries

    empty = "No topics yet: `postlane topics create NAME` makes one, and the first marketing mail the default one."
    emit(with_database(work), topic_face, cells=topic_face, as_json=as_json, columns=_COLUMNS, empty=empty)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What recipients read.")],
    default: Annotated[Subscription, typer.Option(help="For those who have not chosen.")] = Subscription.OPT_IN,
    description: AboutOption = None,
    visibility: Annotated[Visibility, typer.Option(help="Who sees it among the preferences.")] = Visibility.PUBLIC,
    stream: Annotated[Lane, typer.Option(help="Mail of a transactional topic is always on.")] = Lane.MARKETING,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make a type of mail. Send with its id as `topic_id`.

    Example: postlane topics create "Weekly newsletter" --description "Every Friday"
    """
    shown, about = _text("name", name), _text("description", description or "")

    async def work(database: Database) -> Topic:
        async with database.transaction() as connection:
            owner = await chosen(connection, application)
            return await topics.create(connection, NewTopic(owner.id, shown, default, about, visibility, stream))

    emit(with_database(work), topic_answer, cells=topic_face, as_json=as_json, columns=_COLUMNS)


@app.command("update")
def update(
    topic: TopicArgument,
    name: NameOption = None,
    description: AboutOption = None,
    visibility: Annotated[Visibility | None, typer.Option(help="Who sees it among the preferences.")] = None,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Change what recipients read, and who sees it.

    Example: postlane topics update "News and offers" --name "News of the shop"
    """
    changes = Changes(
        name if name is None else _text("name", name),
        description if description is None else _text("description", description),
        visibility,
    )

    async def work(database: Database) -> Topic:
        async with database.transaction() as connection:
            found = await _named(connection, application, topic)
            return await topics.update(connection, found.application_id, found.id, changes)

    emit(with_database(work), topic_answer, cells=topic_face, as_json=as_json, columns=_COLUMNS)


@app.command("delete")
def delete(
    topic: TopicArgument, application: ApplicationOption = "", yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Hide a topic for good; nothing can be sent under it any more. What its recipients chose rules mail that waits."""
    confirm(f"Delete the topic {topic}? Programs that send under it are refused.", yes)

    async def work(database: Database) -> UUID:
        async with database.transaction() as connection:
            found = await _named(connection, application, topic)
            return (await topics.delete(connection, found.application_id, found.id)).id

    emit(deleted("topic", with_database(work)), as_json=as_json)


@app.command("policy")
def policy(
    topic: TopicArgument,
    taper: Annotated[
        str | None, typer.Option(help="`30:2,60:4,90:none`: days of silence, and which campaign they get; or `off`.")
    ] = None,
    silent: Annotated[str | None, typer.Option(help="Days of silence after which nobody gets any, or `never`.")] = None,
    weekly: Annotated[str | None, typer.Option(help="Campaigns of it per person in 7 days, or `any`.")] = None,
    reconfirm: Annotated[
        bool | None,
        typer.Option("--reconfirm/--no-reconfirm", help="Ask by mail before somebody gets none."),
    ] = None,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """How much mail of a topic who gets; with an option changes it.

    Example: postlane topics policy "Weekly newsletter" --taper 30:2,60:4,90:none --weekly 3
    """

    async def work(database: Database) -> tuple[UUID, Policy]:
        async with database.transaction() as connection:
            found = await _named(connection, application, topic)
            stands = await tapering.of_topic(connection, found.id)
            wanted = policy_from(stands, taper, silent, weekly, reconfirm)
            return found.id, stands if wanted is stands else await tapering.put(connection, found, wanted)

    topic_id, stands = with_database(work)
    if wants_json(as_json):
        print_json(policy_face(topic_id, stands))
        return
    for line in policy_lines(stands):
        tell(line)


@app.command("choices")
def show_choices(address: AddressArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """What somebody takes, and everything they did about it: when, how, from which address.

    Example: postlane topics choices ann@example.com
    """

    async def work(database: Database) -> tuple[Person, Standing, list[Past]]:
        async with database.connection() as connection:
            person = person_named((await chosen(connection, application)).id, address)
            past = await choices.history(connection, person)
            return person, await choosing.standing(connection, person), list(past.entries)

    person, stands, past = with_database(work)
    if wants_json(as_json):
        print_json(_choices_face(person.address, stands, past))
        return
    tell(_sentence(person.address, stands))
    print_table([preference_face(one) for one in stands.preferences], _CHOICES, empty="No topics yet.")
    names = {one.topic.id: one.topic.name for one in stands.preferences}
    rows = [past_face(one) | {"topic": names.get(one.topic_id) if one.topic_id else None} for one in past]
    print_table(rows, _HISTORY, empty="They never chose anything.")


@app.command("choose")
def choose(
    address: AddressArgument,
    topic: TopicArgument,
    subscription: Annotated[Subscription, typer.Argument(metavar="opt_in|opt_out", help="Take it or leave it.")],
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Take or leave a topic for somebody who asked for it. It holds for mail that waits, too.

    Example: postlane topics choose ann@example.com "Weekly newsletter" opt_out
    """

    async def work(database: Database) -> Person:
        async with database.transaction() as connection:
            found = await _named(connection, application, topic)
            if found.lane is Lane.TRANSACTIONAL:
                raise CliError("always_on", "Mail of a transactional topic is always on.")
            person = person_named(found.application_id, address)
            await choosing.choose(connection, person, {found.id: subscription}, Act(Source.CLI, detail=by()))
            return person

    emit(reference("contact", with_database(work).address), as_json=as_json)


async def _named(connection: Connection, application: str, text: str) -> Topic:
    owner = await chosen(connection, application)
    known = await topics.every(connection, owner.id)
    candidates = [Candidate(one.id, one.name, one.description) for one in known]
    found = the_one(text, "topic", candidates, "postlane topics list")
    return next(one for one in known if one.id == found)


def _text(field: str, text: str) -> str:
    text = text.strip()
    if not text.isprintable() or len(text) > _LONGEST[field] or (field == "name" and not text):
        raise CliError("invalid_text", f"The {field} must be one line of at most {_LONGEST[field]} characters.")
    return text


def _choices_face(address: str, stands: Standing, past: list[Past]) -> dict[str, Any]:
    return {
        "email": address,
        "left_all": stands.off,
        "blocked": stands.blocked,
        "paused_until": stands.paused_until,
        "topics": [preference_face(one) for one in stands.preferences],
        "history": [past_face(one) for one in past],
    }


def _sentence(address: str, stands: Standing) -> str:
    if stands.off:
        return f"{address} left all marketing mail."
    if stands.paused_until:
        return f"{address} paused all marketing mail until {stands.paused_until:%Y-%m-%d}."
    if stands.blocked:
        return f"{address} is suppressed: `postlane suppressions get {address}` says why."
    return f"{address} may get marketing mail of the topics they take."
