"""Loads what the letters of a batch of runs are made with, and asks who of them may get theirs.

Asked as for campaigns (`audience/eligibility`), for each type of mail at once: confirmed, not left, not suppressed, not
silent for too long, not over the topic's cap per week, and still on the list by which they entered. Mail of a
transactional topic asks none of that; what
the suppression list says is asked of every mail when it leaves.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from accounts import capture_rules
from accounts.capture_rules import CaptureRules
from audience import contacts, eligibility, properties, segments
from audience.contacts import Contact
from audience.eligibility import Moment, Rules
from audience.topics import Topic
from campaigns import people
from campaigns.automations import repository, steering
from campaigns.automations.events import payloads_of
from campaigns.automations.letters import Desk, Held, Name
from campaigns.automations.model import Run, SendEmail, Workflow
from core.refusal import Refused
from store import arrays
from store.database import Connection
from templates import service as templates
from templates.model import Version

_WHO: Final = """
SELECT p.id, {ineligible} FROM (SELECT {columns} FROM contacts c WHERE c.id = ANY(%(people)s::uuid[])) p
"""

_DOMAINS: Final = "SELECT application_id, name, id, status FROM domains WHERE application_id = ANY(%s::uuid[])"

Topics = Mapping[tuple[UUID, UUID | None], Topic | Held]
Group = tuple[UUID, UUID, UUID | None]
"""Application, topic, and the list by which they entered."""


async def desk_for(connection: Connection, taken: Sequence[Run], simulated_domain: str) -> Desk:
    """All that is needed for these runs, which the caller holds."""
    now = await steering.now(connection)
    automations = await repository.shared(connection, {run.automation_id for run in taken})
    workflows = await repository.workflows_of(connection, {run.version_id for run in taken})
    steps = _steps(workflows, taken)
    owners = {run.application_id for run in taken}
    topics = await _topics(connection, steps)
    known = await contacts.by_ids(connection, [run.contact_id for run in taken])
    reasons, later = await _reasons(connection, await _groups(connection, workflows, topics, steps), known, now)
    return Desk(
        now, simulated_domain, automations, workflows, known,
        await payloads_of(connection, [run.event_id for run in taken if run.event_id is not None]),
        await _templates(connection, {(run.application_id, step.template) for run, step in steps}),
        await _domains(connection, owners),
        topics,
        {owner: await properties.known(connection, owner) for owner in owners},
        {owner: CaptureRules.of(await capture_rules.patterns(connection, owner)) for owner in owners},
        reasons, later,
    )  # fmt: skip


def _steps(workflows: Mapping[UUID, Workflow], taken: Iterable[Run]) -> list[tuple[Run, SendEmail]]:
    """Each run with the mail that is due; without those whose automation is gone."""
    found = []
    for run in taken:
        step = workflows[run.version_id].steps[run.position] if run.version_id in workflows else None
        if isinstance(step, SendEmail):
            found.append((run, step))
    return found


def _may_be_silent(rules: Rules, people: Iterable[Contact]) -> bool:
    """Whether anybody here has been known for long enough; else nobody needs to ask since when people are heard."""
    days = rules.policy.silent_days
    if days is None:
        return False
    return any((one.confirmed_at or one.created_at) < rules.now - timedelta(days=days) for one in people)


async def _topics(connection: Connection, steps: Sequence[tuple[Run, SendEmail]]) -> Topics:
    found: dict[tuple[UUID, UUID | None], Topic | Held] = {}
    for run, step in steps:
        key = run.application_id, step.topic_id
        if key not in found:
            try:
                found[key] = await steering.topic_of(connection, run.application_id, step)
            except Refused:
                found[key] = Held("its topic was deleted")
    return found


async def _templates(connection: Connection, named: Iterable[Name]) -> dict[Name, Version | Held]:
    found: dict[Name, Version | Held] = {}
    for owner, name in named:
        try:
            found[owner, name] = await templates.published(connection, owner, name)
        except Refused as error:
            found[owner, name] = Held(f"its template {name}: {error.reason}")
    return found


async def _domains(connection: Connection, owners: Iterable[UUID]) -> dict[Name, tuple[UUID, str] | Held]:
    rows = await (await connection.execute(_DOMAINS, [arrays.uuids(owners)])).fetchall()
    return {
        (owner, name): (identifier, name)
        if status in steering.USABLE
        else Held(f"the domain {name} is not verified: its status is {status}")
        for owner, name, identifier, status in rows
    }


async def _groups(
    connection: Connection, workflows: Mapping[UUID, Workflow], topics: Topics, steps: Sequence[tuple[Run, SendEmail]]
) -> dict[Group, list[Run]]:
    """Those to whom one question goes; nobody of whom none is asked."""
    lists: dict[UUID, UUID | None] = {}
    found: dict[Group, list[Run]] = defaultdict(list)
    for run, step in steps:
        topic = topics[run.application_id, step.topic_id]
        if isinstance(topic, Held) or steering.is_transactional(topic):
            continue
        segment_id = workflows[run.version_id].trigger.segment_id
        if segment_id is not None and segment_id not in lists:
            segment = await segments.find(connection, run.application_id, segment_id)
            lists[segment_id] = segment.id if segment and segment.filter is None else None
        found[run.application_id, topic.id, lists[segment_id] if segment_id else None].append(run)
    return found


async def _reasons(
    connection: Connection, groups: Mapping[Group, Sequence[Run]], known: Mapping[UUID, Contact], now: datetime
) -> tuple[dict[UUID, str], frozenset[UUID]]:
    """By run: why its person may not get the mail. And the runs of which that cannot be said beside another one's."""
    found: dict[UUID, str] = {}
    first: dict[tuple[UUID, UUID | None], UUID] = {}
    later: set[UUID] = set()
    for (owner, topic_id, list_id), taken in sorted(groups.items(), key=lambda one: str(one[0][1])):
        rules = await eligibility.rules_for(connection, (taken[0].automation_id, topic_id, list_id), None, now)
        if rules.policy.most_per_week is not None:
            await eligibility.alone(connection, topic_id)
            later |= {run.id for run in taken if first.setdefault((run.contact_id, topic_id), run.id) != run.id}
        if _may_be_silent(rules, [known[run.contact_id] for run in taken if run.contact_id in known]):
            rules = replace(rules, heard_since=await eligibility.heard_since(connection, owner))
        names = eligibility.names(rules) | {
            "people": arrays.uuids(run.contact_id for run in taken), "topic": topic_id,
        }  # fmt: skip
        statement = _WHO.format(columns=people.COLUMNS, ineligible=eligibility.ineligible("p", rules, Moment.MAKING))
        rows = await (await connection.execute(statement, names)).fetchall()
        reasons = {contact: reason for contact, reason in rows if reason is not None}
        found |= {run.id: reasons[run.contact_id] for run in taken if run.contact_id in reasons}
    return found, frozenset(later)
