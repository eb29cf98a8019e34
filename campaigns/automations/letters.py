"""What becomes of runs whose step is due, and the mail of those that get one. Pure: all it needs was loaded (`Desk`).

A person who may not get the mail is passed over, with the reason, and the run goes on; whoever is gone gets no more. A
step that cannot be done for a reason that people can mend (a domain that is not verified, a template that is not
published) is tried again for `PATIENCE`; one that can never be done for this person ends the run.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from accounts.capture_rules import CaptureRules
from audience.contacts import Contact
from audience.properties import Definitions
from audience.topics import Topic
from campaigns.automations.model import Automation, Run, RunState, SendEmail, StepState, Workflow
from campaigns.automations.runs import Settled
from campaigns.automations.workflow import next_mail, resolved
from core.addresses import AddressError, parse_mailbox
from core.refusal import Refused
from core.tracing import mail_id
from messages.capture import marked
from messages.model import NewEmail, Recipient
from messages.personal import fault_of, variables
from templates.filling import Filled, fill
from templates.model import Version
from templates.render import RenderError, compile_line

AGAIN: Final = timedelta(minutes=10)
PATIENCE: Final = timedelta(hours=72)
"""As long as mail is tried."""
SHARE: Final = 0.25
WHOLE: Final = 2.0
GONE: Final = "its recipient was deleted"
STOPPED: Final = "the automation was stopped"
DELETED: Final = "the automation was deleted"

Name = tuple[UUID, str]
"""What an application calls something."""


class Held(NamedTuple):
    """It cannot be done now."""

    reason: str


@dataclass(frozen=True, slots=True)
class Desk:
    """What the letters of one batch are made with. What is missing in a mapping is gone."""

    now: datetime
    simulated_domain: str
    automations: Mapping[UUID, Automation]
    workflows: Mapping[UUID, Workflow]
    people: Mapping[UUID, Contact]
    payloads: Mapping[UUID, Mapping[str, Any]]
    templates: Mapping[Name, Version | Held]
    domains: Mapping[Name, tuple[UUID, str] | Held]
    """By the name of the domain."""
    topics: Mapping[tuple[UUID, UUID | None], Topic | Held]
    """By what the step says."""
    definitions: Mapping[UUID, Definitions]
    rules: Mapping[UUID, CaptureRules]
    reasons: Mapping[UUID, str] = field(default_factory=dict)
    """Why the person of a run may not get its mail."""
    later: frozenset[UUID] = frozenset()
    """Runs that keep their place: whether their person may have another mail is asked when the first one counts."""


def turns(
    desk: Desk, runs: Iterable[Run], seconds: Callable[[], float] = time.thread_time
) -> tuple[list[Settled], list[NewEmail]]:
    """What becomes of each run, and the mail that leaves. Templates of users may take a second each, and whoever waits
    holds these runs: an application has `SHARE` seconds of the processor, all have `WHOLE`, and what is left over keeps
    its place."""
    settled, emails = [], []
    spent: Counter[UUID] = Counter()
    for run in in_turns(runs):
        if spent[run.application_id] > SHARE or spent.total() > WHOLE or run.id in desk.later:
            continue
        since = seconds()
        made = _made(desk, run)
        spent[run.application_id] += seconds() - since  # type: ignore[assignment]  # it counts fractions
        if isinstance(made, NewEmail):
            emails.append(made)
            settled.append(_over(desk, run, StepState.COMPLETED, email_id=made.id))
        else:
            settled.append(made)
    return settled, emails


def in_turns(runs: Iterable[Run]) -> list[Run]:
    """The first of each application before the second of any."""
    seen: Counter[UUID] = Counter()
    ranked = []
    for n, run in enumerate(runs):
        seen[run.application_id] += 1
        ranked.append((seen[run.application_id], n, run))
    return [run for _, _, run in sorted(ranked, key=lambda one: one[:2])]


def _made(desk: Desk, run: Run) -> NewEmail | Settled:
    automation, contact = desk.automations.get(run.automation_id), desk.people.get(run.contact_id)
    workflow = desk.workflows.get(run.version_id)
    if automation is None or workflow is None:
        return _cancelled(run, DELETED)
    if automation.stopped_at is not None and run.created_at <= automation.stopped_at:
        return _cancelled(run, STOPPED)
    if contact is None:
        return _cancelled(run, GONE)
    step = workflow.steps[run.position]
    assert isinstance(step, SendEmail), "what else there is belongs to rules"
    if reason := desk.reasons.get(run.id):
        return _over(desk, run, StepState.SKIPPED, reason)
    try:
        made = _email(desk, run, step, contact)
    except RenderError as error:
        return _failed(run, fault_of(error))
    except Refused as error:
        return _failed(run, str(error))
    return put_off(run, made.reason, desk.now) if isinstance(made, Held) else made


def _email(desk: Desk, run: Run, step: SendEmail, contact: Contact) -> NewEmail | Held:
    """Raises Refused or RenderError: it cannot be made for this person."""
    owner = run.application_id
    template, topic = desk.templates[owner, step.template], desk.topics[owner, step.topic_id]
    if isinstance(template, Held):
        return template
    if isinstance(topic, Held):
        return topic
    seen = seen_by(desk, run, contact)
    values = {**seen, **resolved(step.variables, seen)}
    filled = fill(template, values, contact.language)
    sender = step.sender or filled.sender
    domain = desk.domains.get((owner, domain_of(sender)), Held(f"the sender {sender!r} is of no domain of yours"))
    if isinstance(domain, Held):
        return domain
    subject = _line(step.subject).render(values) if step.subject else filled.subject
    return _written(desk, contact, topic, domain, sender, subject, filled, step)


def _written(
    desk: Desk, contact: Contact, topic: Topic, domain: tuple[UUID, str], sender: str, subject: str, filled: Filled,
    step: SendEmail,
) -> NewEmail:  # fmt: skip
    identifier = mail_id()
    to = Recipient(contact.email, contact.address, contact.address.rpartition("@")[2], "to")
    return NewEmail(
        id=identifier,
        application_id=contact.application_id,
        domain_id=domain[0],
        lane=topic.lane,
        created_at=desk.now,
        message_id=f"<{identifier.hex}@{domain[1]}>",
        sender=sender,
        subject=subject,
        recipients=marked((to,), desk.rules[contact.application_id], desk.simulated_domain),
        to=(contact.email,),
        reply_to=step.reply_to or filled.reply_to,
        html=filled.html,
        text=filled.text,
        topic_id=topic.id,
        contact_id=contact.id,
        template_id=filled.template_id,
    )


def seen_by(desk: Desk, run: Run, contact: Contact) -> dict[str, object]:
    """What a template sees: the person, and below `event` what the event carried."""
    event = desk.payloads.get(run.event_id, {}) if run.event_id else {}
    return {**variables(contact, desk.definitions[run.application_id]), "event": event}


def domain_of(sender: str) -> str:
    """Of an address; "" when it is none."""
    try:
        return parse_mailbox(sender).domain
    except AddressError:
        return ""


_line = lru_cache(200)(compile_line)


def _over(desk: Desk, run: Run, state: StepState, reason: str = "", email_id: UUID | None = None) -> Settled:
    """The step is over; the next one is due after its delays, counted from now."""
    following = next_mail(desk.workflows[run.version_id].steps, run.position + 1)
    if following is None:
        return Settled(run, run.position + 1, RunState.COMPLETED, reason=reason, step=state, email_id=email_id)
    return Settled(run, following[0], wait=following[1], reason=reason, step=state, email_id=email_id)


def put_off(run: Run, reason: str, now: datetime) -> Settled:
    """It is tried again, for so long."""
    if run.held_since is not None and now - run.held_since > PATIENCE:
        return _failed(run, reason)
    return Settled(run, run.position, wait=AGAIN, reason=reason, held=True)


def _failed(run: Run, reason: str) -> Settled:
    return Settled(run, run.position, RunState.FAILED, reason=reason, step=StepState.FAILED)


def _cancelled(run: Run, reason: str) -> Settled:
    return Settled(run, run.position, RunState.CANCELLED, reason=reason)
