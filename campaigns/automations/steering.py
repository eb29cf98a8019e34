"""What people do to automations: write them, let people enter, end what is under way.

The one door for the API and the command line. Every function works in the caller's transaction, never commits, and
raises Refused for what cannot be.

Whoever is under way keeps the steps they began with; other steps are for who enters later. Disabling keeps people from
entering, and those under way go on to their end; stopping ends them too. A rule has nobody under way: enabled again, it
goes on with its next day, and makes up for none.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from audience import segments, topics
from audience.topics import Topic
from campaigns import contents
from campaigns import repository as campaigns
from campaigns.automations import recurrence, repository
from campaigns.automations.model import Automation, AutomationState, SendBroadcast, SendEmail, Workflow
from core.addresses import AddressError, parse_mailbox
from core.queues import Lane
from core.refusal import Refused, conflict, invalid
from store.database import Connection
from templates import service as templates

MOST: Final = 200
"""Automations of one application."""
MOST_NAME: Final = 200
USABLE: Final = ("verified", "temporary_failure")
"""A name server that was silent once stops no mail."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What to change; None stays."""

    name: str | None = None
    workflow: Workflow | None = None
    state: AutomationState | None = None


async def create(
    connection: Connection, application_id: UUID, name: str, workflow: Workflow, state: AutomationState
) -> Automation:
    """A new one."""
    if await repository.count(connection, application_id) >= MOST:
        raise conflict(f"an application has at most {MOST} automations", "Delete those that are no longer used.")
    await _check(connection, application_id, workflow, whole=False)
    made = await repository.insert(connection, application_id, _name(name), workflow)
    if state is AutomationState.ENABLED:
        await enable(connection, made)
    return await repository.get(connection, application_id, made.id)


async def update(connection: Connection, known: Automation, changes: Changes) -> Automation:
    """Change what is given."""
    known = await repository.held(connection, known.application_id, known.id)
    if changes.name is not None:
        await repository.rename(connection, known, _name(changes.name))
    if changes.workflow is not None:
        await _check(connection, known.application_id, changes.workflow, whole=False)
        await repository.rewrite(connection, known, changes.workflow)
    state = changes.state or known.state
    if state is AutomationState.ENABLED and (known.state is not state or changes.workflow is not None):
        await enable(connection, known)
    elif state is AutomationState.DISABLED and known.state is not state:
        await disable(connection, known)
    return await repository.get(connection, known.application_id, known.id)


async def enable(connection: Connection, known: Automation) -> Automation:
    """People enter from now on."""
    known = await repository.held(connection, known.application_id, known.id)
    workflow = await repository.workflow_of(connection, known)
    await _check(connection, known.application_id, workflow, whole=True)
    rule, next_at = workflow.trigger.recurrence, None
    if rule is not None:
        next_at = recurrence.following(rule, await now(connection))
        if next_at is None:
            raise conflict("its rule is over: there is no day left", "Give it another `rrule`.")
    await repository.switch(connection, known, AutomationState.ENABLED, next_at)
    return await repository.get(connection, known.application_id, known.id)


async def disable(connection: Connection, known: Automation) -> Automation:
    """Nobody enters any more; who is under way goes on."""
    known = await repository.held(connection, known.application_id, known.id)
    await repository.switch(connection, known, AutomationState.DISABLED, None)
    return await repository.get(connection, known.application_id, known.id)


async def stop(connection: Connection, known: Automation) -> Automation:
    """The same, and whoever is under way gets no more of it. What is in the queue already leaves."""
    known = await repository.held(connection, known.application_id, known.id)
    await repository.stop(connection, known)
    return await repository.get(connection, known.application_id, known.id)


async def duplicate(connection: Connection, known: Automation) -> Automation:
    """A new one with the same steps, disabled."""
    workflow = await repository.workflow_of(connection, known)
    name = f"{known.name} (copy)"[:MOST_NAME]
    return await create(connection, known.application_id, name, workflow, AutomationState.DISABLED)


async def remove(connection: Connection, known: Automation) -> None:
    """It is gone, with all its runs; campaigns that it made stay."""
    await repository.delete(connection, await repository.held(connection, known.application_id, known.id))


async def now(connection: Connection) -> datetime:
    """The database's clock."""
    row = await (await connection.execute("SELECT now()")).fetchone()
    assert row is not None
    found: datetime = row[0]
    return found


async def topic_of(connection: Connection, application_id: UUID, step: SendEmail) -> Topic:
    """What type of mail a step sends. Raises Refused: it is gone."""
    topic_id = step.topic_id or await topics.default_of(connection, application_id)
    return await topics.get(connection, application_id, topic_id)


async def sender_domain(connection: Connection, application_id: UUID, sender: str) -> tuple[UUID, str]:
    """Id and name of the domain that mail leaves as. Raises Refused: it cannot now."""
    try:
        name = parse_mailbox(sender).domain
    except AddressError as error:
        raise invalid("from", error.reason) from None
    cursor = await connection.execute(
        "SELECT id, status FROM domains WHERE application_id = %s AND name = %s", [application_id, name]
    )
    row = await cursor.fetchone()
    if row is None:
        raise invalid("from", f"the domain {name} is not one of yours", code="invalid_from_address")
    if row[1] not in USABLE:
        raise invalid("from", f"the domain {name} is not verified: its status is {row[1]}", "invalid_from_address")
    return row[0], name


def _name(name: str) -> str:
    if not 0 < len(name.strip()) <= MOST_NAME or not name.isprintable():
        raise invalid("name", f"it must be one line of 1 to {MOST_NAME} characters")
    return name.strip()


async def _check(connection: Connection, application_id: UUID, workflow: Workflow, *, whole: bool) -> None:
    """What it names is there; the `whole` can be sent."""
    trigger = workflow.trigger
    if trigger.segment_id is not None:
        await segments.get(connection, application_id, trigger.segment_id)
    if trigger.topic_id is not None:
        await topics.get(connection, application_id, trigger.topic_id)
    for n, step in enumerate(workflow.steps, 1):
        try:
            if isinstance(step, SendEmail):
                await _check_email(connection, application_id, step, whole=whole)
            elif isinstance(step, SendBroadcast):
                await _check_broadcast(connection, application_id, step, whole=whole)
        except Refused as error:
            raise Refused("invalid", error.reason, f"steps[{n}].config", error.hint, error.code) from None


async def _check_email(connection: Connection, application_id: UUID, step: SendEmail, *, whole: bool) -> None:
    await topic_of(connection, application_id, step)
    if not whole:
        await templates.find(connection, application_id, step.template)
        return
    version = await templates.published(connection, application_id, step.template)
    sender = step.sender or version.writing.sender
    if not sender:
        raise invalid("from", "neither the step nor its template has a sender")
    if "{" not in sender:  # else each person's own decides
        await sender_domain(connection, application_id, sender)


async def _check_broadcast(connection: Connection, application_id: UUID, step: SendBroadcast, *, whole: bool) -> None:
    known = await campaigns.get(connection, application_id, step.broadcast_id)
    if known.plan.local is not None:
        raise conflict("the broadcast has a local time of its own: a rule gives it one instant")
    if whole:
        if known.segment_id is None:
            raise conflict("the broadcast has no segment: whom it goes to")
        for words in known.experiment.words(known.words):
            contents.check_whole(words)
        await sender_domain(connection, application_id, known.words.sender)


def is_transactional(topic: Topic) -> bool:
    """Whether mail of it goes to people who asked for nothing."""
    return topic.lane is Lane.TRANSACTIONAL
