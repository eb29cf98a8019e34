"""`postlane automations`: what follows by itself: series, mail on events, campaigns that repeat."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any
from uuid import UUID

import typer

from audience import contacts, segments, topics
from audience.contacts import Contact
from audience.newly_confirmed import CONFIRMED
from campaigns import repository as campaigns
from campaigns.automations import lines, repository, runs, steering, workflow
from campaigns.automations.lines import Mails
from campaigns.automations.model import (
    SCHEDULE,
    Automation,
    AutomationState,
    Run,
    RunState,
    SendBroadcast,
    WholeRun,
    Workflow,
)
from campaigns.automations.steering import Changes
from cli.application import ApplicationOption, YesOption, chosen, confirm
from cli.ids import Candidate, the_one
from cli.output import CliError, Column, JsonOption, emit, print_json, print_table, say, shown, wants_json
from cli.sessions import with_database
from core.paging import Window
from core.refusal import Refused
from store.database import Connection, Database
from templates import service
from web.faces.automations import automation_answer, automation_face, run_answer, run_face
from web.faces.references import deleted

app = typer.Typer(help="What follows by itself: series, mail on events, repetition.", no_args_is_help=True)

AutomationArgument = Annotated[
    str, typer.Argument(metavar="AUTOMATION", help="Its name, its id, or the beginning of that.")
]
StepsArgument = Annotated[
    list[str], typer.Argument(metavar="STEP...", help="In their order: send=TEMPLATE, wait='3 days', broadcast=NAME.")
]

_MOST = 1000
_WORDS = {CONFIRMED: "somebody confirms", SCHEDULE: "a rule"}
_CANCELLED = "cancelled by hand"

_COLUMNS = (
    Column("name", style="bold"),
    Column("status"),
    Column("trigger", wrap=True),
    Column("running", drop=3),
    Column("completed", drop=4),
    Column("failed", drop=4),
    Column("next_at", "next", drop=2),
    Column("id", style="dim", drop=0),
)
_RUNS = (
    Column("contact", style="bold"),
    Column("status"),
    Column("started_at", "began", drop=2),
    Column("next_at", "next", drop=1),
    Column("reason", wrap=True, drop=3),
    Column("id", style="dim", drop=0),
)
_STEPS = (
    Column("key", "step", style="bold"),
    Column("type"),
    Column("status"),
    Column("completed_at", "at", drop=2),
    Column("error", wrap=True),
    Column("made", style="dim", drop=1),
)

_CONFIGS = (Column("key", "step", style="bold"), Column("type"), Column("config", wrap=True))


@app.command("list")
def list_automations(application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Automations of an application, newest first."""

    async def work(database: Database) -> list[dict[str, Any]]:
        async with database.connection() as connection:
            owner = await chosen(connection, application)
            found = (await repository.page(connection, owner.id, Window(_MOST))).entries
            return [await _cells(connection, one) for one in found]

    rows = with_database(work)
    if wants_json(as_json):
        print_json([automation_face(row["automation"]) for row in rows])
        return
    print_table(rows, _COLUMNS, empty="No automations yet: `postlane automations create` makes one.")


@app.command("show")
def show(automation: AutomationArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """An automation with its steps, and how many people are where."""
    _act(automation, application, None, as_json)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(help="What you call it.")],
    steps: StepsArgument,
    event: Annotated[str, typer.Option("--event", help="It begins when the application tells of this.")] = "",
    confirmed: Annotated[bool, typer.Option("--confirmed", help="It begins when somebody confirms.")] = False,
    segment: Annotated[str, typer.Option("--segment", help="With --confirmed: only who is in it.")] = "",
    rule: Annotated[str, typer.Option("--rule", help="It begins by a rule: FREQ=WEEKLY;BYDAY=MO.")] = "",
    start: Annotated[str, typer.Option("--start", help="With --rule: first day and time, 2026-12-01T09:00.")] = "",
    zone: Annotated[str, typer.Option("--zone", help="With --rule: whose clock that is.")] = "UTC",
    topic: Annotated[str, typer.Option("--topic", help="Name or id of the type of mail.")] = "",
    sender: Annotated[str, typer.Option("--from", help="The sender; without it the template's.")] = "",
    enable: Annotated[bool, typer.Option("--enable", help="People enter at once.")] = False,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make an automation, disabled unless --enable.

    Example: postlane automations create Welcome --confirmed send=hello wait='3 days' send=tips
    """
    if bool(event) + confirmed + bool(rule) != 1:
        raise CliError("usage", "Say when it begins: --event NAME, --confirmed or --rule RULE, one of them.")
    state = AutomationState.ENABLED if enable else AutomationState.DISABLED

    async def work(database: Database) -> dict[str, Any]:
        async with database.transaction() as connection:
            owner = (await chosen(connection, application)).id
            trigger: dict[str, object] = {"event_name": event or (CONFIRMED if confirmed else SCHEDULE)}
            trigger |= {"rrule": rule, "start": start, "zone": zone} if rule else {}
            trigger |= {"segment_id": str(await _segment(connection, owner, segment))} if segment else {}
            mails = Mails(await _topic(connection, owner, topic) if topic else None, sender)
            wanted = [await _step(connection, owner, n, text, mails) for n, text in enumerate(steps, 1)]
            first = {"key": "start", "type": "trigger", "config": trigger}
            try:
                made = workflow.from_json([first, *wanted], None)
                return await _cells(connection, await steering.create(connection, owner, name, made, state))
            except Refused as error:
                raise _of_step(error, steps) from None

    _show(with_database(work), as_json)


@app.command("update")
def update(
    automation: AutomationArgument,
    steps: Annotated[list[str] | None, typer.Argument(metavar="STEP...", help="All of them anew.")] = None,
    name: Annotated[str | None, typer.Option("--name", help="What you call it.")] = None,
    topic: Annotated[str, typer.Option("--topic", help="Of its mails. Without it that of its mails before.")] = "",
    sender: Annotated[str, typer.Option("--from", help="Of its mails. Without it that of its mails before.")] = "",
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Give it another name or other steps. Who is under way keeps those they began with.

    Example: postlane automations update Welcome send=hello wait='2 days' send=tips
    """

    async def change(connection: Connection, known: Automation) -> Automation:
        if not steps:
            return await steering.update(connection, known, Changes(name))
        before, _ = workflow.to_json(await repository.workflow_of(connection, known))
        mails = await _mails(connection, known, topic, sender)
        wanted = [await _step(connection, known.application_id, n, text, mails) for n, text in enumerate(steps, 1)]
        try:
            return await steering.update(
                connection, known, Changes(name, workflow.from_json([before[0], *wanted], None))
            )
        except Refused as error:
            raise _of_step(error, steps) from None

    _act(automation, application, change, as_json)


@app.command("duplicate")
def duplicate(automation: AutomationArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """A new one with the same steps, disabled."""
    _act(automation, application, steering.duplicate, as_json)


@app.command("enable")
def enable(automation: AutomationArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """People enter from now on; a rule goes on with its next day."""
    _act(automation, application, steering.enable, as_json)


@app.command("disable")
def disable(automation: AutomationArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Nobody enters any more. Who is under way goes on: `stop` ends that too."""
    cells = _act(automation, application, steering.disable, as_json)
    if cells["running"]:
        say(f"{cells['running']:,} are under way and go on; `postlane automations stop` ends that too.")


@app.command("stop")
def stop(
    automation: AutomationArgument,
    yes: YesOption = False,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Disable it, and cancel the runs that are under way."""
    confirm(f"Stop {automation}? Whoever is under way gets no more of it.", yes)
    _act(automation, application, steering.stop, as_json)


@app.command("delete")
def delete(
    automation: AutomationArgument,
    yes: YesOption = False,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Delete it with its runs; whoever is under way gets no more of it."""
    confirm(f"Delete {automation} with all its runs?", yes)

    async def work(database: Database) -> UUID:
        async with database.transaction() as connection:
            known = await _named(connection, automation, application)
            await steering.remove(connection, known)
            return known.id

    emit(deleted("automation", with_database(work)), as_json=as_json)


@app.command("runs")
def list_runs(
    automation: AutomationArgument,
    status: Annotated[str, typer.Option("--status", help="Only those: running, completed, failed, cancelled.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=1000, help="Runs to show.")] = 20,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Who goes through it, newest first: one run for each person and event, or day of a rule."""
    states = [_state(one) for one in status.split(",") if one]

    async def work(database: Database) -> tuple[Sequence[Run], dict[UUID, Contact]]:
        async with database.connection() as connection:
            known = await _named(connection, automation, application)
            found = (await runs.page(connection, known.id, Window(limit), states)).entries
            return found, await contacts.by_ids(connection, [one.contact_id for one in found])

    found, people = with_database(work)

    def cells(run: Run) -> dict[str, object]:
        who = people.get(run.contact_id)
        return run_face(run) | {"contact": who.email if who else run_face(run)["contact_id"]}

    emit(found, run_face, cells=cells, as_json=as_json, columns=_RUNS, empty="Nobody has entered it yet.")


@app.command("run")
def show_run(
    automation: AutomationArgument,
    run: Annotated[str, typer.Argument(metavar="RUN", help="Its id, from `runs`.")],
    cancel: Annotated[bool, typer.Option("--cancel", help="The person gets no more of it.")] = False,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """A run with its steps: what was sent, what was not and why, what comes."""

    async def work(database: Database) -> WholeRun:
        async with database.transaction() as connection:
            known = await _named(connection, automation, application)
            found = await _run(connection, known, run)
            if cancel:
                await runs.cancel(connection, found, _CANCELLED)
            return await runs.whole(connection, await runs.find(connection, known.id, found.id))

    answer = run_answer(with_database(work))
    if wants_json(as_json):
        print_json(answer)
        return
    steps = answer["steps"]
    assert isinstance(steps, list)
    print_table([step | {"made": _made(step["output"])} for step in steps], _STEPS)


def _made(output: dict[str, UUID] | None) -> str:
    return ", ".join(str(one) for one in (output or {}).values())


async def _run(connection: Connection, known: Automation, text: str) -> Run:
    try:
        return await runs.find(connection, known.id, UUID(text))
    except ValueError:
        found = (await runs.page(connection, known.id, Window(_MOST))).entries
    candidates = [Candidate(one.id, str(one.id)) for one in found]
    return await runs.find(connection, known.id, the_one(text, "run", candidates, "postlane automations runs"))


def _act(
    automation: str,
    application: str,
    act: Callable[[Connection, Automation], Awaitable[Automation]] | None,
    as_json: bool,
) -> dict[str, Any]:
    async def work(database: Database) -> dict[str, Any]:
        async with database.transaction() as connection:
            known = await _named(connection, automation, application)
            return await _cells(connection, await act(connection, known) if act is not None else known)

    cells = with_database(work)
    _show(cells, as_json)
    return cells


def _show(cells: dict[str, Any], as_json: bool) -> None:
    if wants_json(as_json):
        print_json(automation_answer(cells["automation"], cells["workflow"]))
        return
    print_table([cells], _COLUMNS)
    steps, _ = workflow.to_json(cells["workflow"])
    print_table([step | {"config": _told(step["config"], cells["broadcasts"])} for step in steps], _CONFIGS)


def _of_step(error: Refused, steps: Sequence[str]) -> Refused:
    """The same, with the step as it was typed instead of its place in the API's list."""
    place = re.match(r"steps\[(\d+)\]", error.field)
    if place is None or not 0 < int(place[1]) <= len(steps):
        return error
    return Refused(error.kind, f"{steps[int(place[1]) - 1]}: {error.reason}", hint=error.hint, code=error.code)


def _told(config: object, broadcasts: Mapping[str, str]) -> str:
    """What a step is told, in words."""
    assert isinstance(config, dict)
    words = {name: value for name, value in config.items() if value}
    if words.get("event_name") in _WORDS:
        words["event_name"] = _WORDS[words["event_name"]]
    if template := words.get("template"):
        given = ", ".join(f"{name} = {shown(value)}" for name, value in template["variables"].items())
        words["template"] = template["id"] + (f" with {given}" if given else "")
    if broadcast := words.pop("broadcast_id", None):
        words["campaign"] = broadcasts.get(broadcast, broadcast)
    return ", ".join(f"{name.removesuffix('_name')}: {shown(value)}" for name, value in words.items())


async def _cells(connection: Connection, automation: Automation) -> dict[str, Any]:
    steps = await repository.workflow_of(connection, automation)
    found = (await runs.counts(connection, [automation.id])).get(automation.id, {})
    counted = {state.value: found.get(state.value, 0) for state in RunState}
    names = {str(one.broadcast_id): "" for one in steps.steps if isinstance(one, SendBroadcast)}
    if names:
        every = (await campaigns.page(connection, automation.application_id, Window(_MOST))).entries
        names = {str(one.id): one.name for one in every if str(one.id) in names and one.name}
    extra = {"automation": automation, "workflow": steps, "trigger": _begins(steps), "broadcasts": names}
    return automation_face(automation) | counted | extra


def _begins(steps: Workflow) -> str:
    rule = steps.trigger.recurrence
    if rule is not None:
        return f"{rule.rule} from {rule.start:%Y-%m-%d %H:%M} {rule.zone}"
    return "somebody confirms" if steps.trigger.event == CONFIRMED else steps.trigger.event


async def _named(connection: Connection, text: str, application: str) -> Automation:
    owner = await chosen(connection, application)
    found = (await repository.page(connection, owner.id, Window(_MOST))).entries
    candidates = [Candidate(one.id, one.name, one.state.value) for one in found]
    identifier = the_one(text, "automation", candidates, "postlane automations list")
    return await repository.get(connection, owner.id, identifier)


async def _step(connection: Connection, owner: UUID, number: int, text: str, mails: Mails) -> dict[str, object]:
    found = lines.parsed(text)
    if found is None:
        raise CliError("usage", f"{text!r} is no step.", "Steps are send=TEMPLATE, wait='3 days', broadcast=NAME.")
    what, value = found
    if what == "send":
        try:
            await service.find(connection, owner, value)
        except Refused:
            raise CliError(
                "not_found", f"There is no template {value}.", "`postlane templates list` shows them."
            ) from None
    if what == "broadcast":
        value = str(await _campaign(connection, owner, value))
    return lines.step(number, what, value, mails)


async def _mails(connection: Connection, known: Automation, topic: str, sender: str) -> Mails:
    """What its mails share from now on. Raises CliError: steps cannot say what they are."""
    said = lines.written(await repository.workflow_of(connection, known))
    if said is None:
        raise CliError(
            "usage",
            f"The steps of {known.name} say more than STEP can: what single mails have of their own would be lost.",
            f"Change them by the API, with PATCH /automations/{known.id}.",
        )  # fmt: skip
    before = said[1]
    chosen_topic = await _topic(connection, known.application_id, topic) if topic else before.topic_id
    return Mails(chosen_topic, sender or before.sender)


async def _campaign(connection: Connection, owner: UUID, text: str) -> UUID:
    found = (await campaigns.page(connection, owner, Window(_MOST))).entries
    return the_one(text, "campaign", [Candidate(one.id, one.name) for one in found], "postlane campaigns list")


async def _segment(connection: Connection, owner: UUID, text: str) -> UUID:
    found = (await segments.page(connection, owner, Window(_MOST))).entries
    return the_one(text, "segment", [Candidate(one.id, one.name) for one in found], "postlane segments list")


async def _topic(connection: Connection, owner: UUID, text: str) -> UUID:
    found = (await topics.page(connection, owner, Window(_MOST))).entries
    return the_one(text, "topic", [Candidate(one.id, one.name) for one in found], "postlane topics list")


def _state(name: str) -> RunState:
    try:
        return RunState(name.strip())
    except ValueError:
        raise CliError("usage", f"There is no status {name!r}, only {', '.join(RunState)}.") from None
