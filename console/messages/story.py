"""The story of one message: its answer in a sentence, and its timeline step by step. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from audience.predicate import LEFT, NOT_ASKED_FOR, PAUSED
from console.shown import lasting
from messages.again import new_id
from messages.repository import EmailDetail, EventView
from messages.search import MessageRow
from messages.states import TERMINAL, State
from messages.timeline import EventKind
from mta.model import Phase
from mta.providers import OTHER
from outcomes.obstacles import Obstacle

_WAITING: Final = frozenset(State) - TERMINAL


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened."""

    at: datetime
    kind: str
    what: str
    """In a few words."""
    reply: str = ""
    """What the other server said."""
    facts: tuple[tuple[str, str], ...] = ()
    """IP, MX, TLS and so on, as far as they apply."""
    rule: str = ""
    """Which rule decided, and what."""
    tls: str = ""
    """How the connection was protected."""
    next_at: datetime | None = None
    new: str = ""
    """Path of the email that it names, if it does."""


@dataclass(frozen=True, slots=True)
class Story:
    """Everything about one message that a page tells."""

    answer: str
    """Where it is, and why."""
    steps: Sequence[Step]
    can_cancel: bool
    repeated: int = 0
    """How often it was sent again."""


def story(row: MessageRow, email: EmailDetail, events: Sequence[EventView], obstacle: Obstacle | None) -> Story:
    """Of the events those of this recipient count. `obstacle`: what forbids such mail to them now."""
    mine = [event for event in events if event.recipient == row.recipient]
    steps = [_acceptance(row, email), *map(_step, mine)]
    answer = _answer(row, email, mine) + _forbidden(obstacle, State(row.state))
    repeated = sum(event.kind == EventKind.SENT_AGAIN for event in mine)
    return Story(answer, steps, State(row.state) in _WAITING, repeated)


def _answer(row: MessageRow, email: EmailDetail, events: Sequence[EventView]) -> str:
    state = State(row.state)
    last = next((one for one in reversed(events) if one.kind == state.value), None)
    if state is State.DELIVERED:
        return _delivered(row, email, last)
    if state is State.BOUNCED:
        return f"Refused by {_whom(last)}{_because(last)}"
    if state is State.SUPPRESSED:
        return f"Not sent: {_detail(last) or 'the suppression list or a choice of theirs forbids it'}."
    if state in _WAITING:
        return _waits(row, events)
    return f"{state.value.capitalize()}{_because(last)}"


def _delivered(row: MessageRow, email: EmailDetail, event: EventView | None) -> str:
    if row.captured:
        return "Captured by the sandbox: it never left."
    if event is None:
        return "Delivered."
    took = (event.at - (email.summary.scheduled_at or email.summary.created_at)).total_seconds()
    tries = f" at attempt {event.attempt}" if (event.attempt or 1) > 1 else ""
    of = "it was due" if email.summary.scheduled_at else "it was accepted"
    return f"Delivered to {_whom(event)}{tries}, {lasting(max(0.0, took))} after {of}."


def _waits(row: MessageRow, events: Sequence[EventView]) -> str:
    if row.next_attempt_at is None:
        return "A worker holds it right now."
    if row.state == State.SCHEDULED:
        return "Scheduled: it waits for its time."
    last = next((one for one in reversed(events) if one.kind in (EventKind.DEFERRED, EventKind.REROUTED)), None)
    told = f"Put off by {_whom(last)}{_because(last)}" if last else "On its way: it waits for its turn."
    return f"{told} It waits because {row.waits_for}." if row.waits_for else told


_CHOSEN: Final = {
    LEFT: "They left this topic",
    NOT_ASKED_FOR: "They never asked for this topic",
    PAUSED: "They paused marketing mail",
}


def _forbidden(obstacle: Obstacle | None, state: State) -> str:
    if obstacle is None:
        return " Nothing forbids such mail now." if state is State.SUPPRESSED else ""
    told = _CHOSEN.get(
        obstacle.reason, f"Such mail to this address is suppressed ({obstacle.reason.replace('_', ' ')})"
    )
    since = f" since {obstacle.since:%Y-%m-%d %H:%M} UTC" if obstacle.since else ""
    return f" {told}{since}."


def _whom(event: EventView | None) -> str:
    if event is None or not (event.provider or event.mx):
        return "its server"
    return event.mx if event.mx and event.provider in (None, OTHER) else event.provider or "its server"


def _because(event: EventView | None) -> str:
    if event is None:
        return "."
    said = _said(event) or _detail(event)
    return f": “{said}”." if _said(event) else f": {said}." if said else "."


def _said(event: EventView) -> str:
    return " ".join(str(part) for part in (event.code or "", event.enhanced or "", event.reply or "") if part)


def _detail(event: EventView | None) -> str:
    return (event.detail or "").removeprefix(f"{event.kind}: ").rstrip(".") if event else ""


def _acceptance(row: MessageRow, email: EmailDetail) -> Step:
    at = email.summary.created_at
    what = f"Accepted for the {row.lane} lane"
    return Step(at, "accepted", what, next_at=email.summary.scheduled_at)


_WORDS: Final = {
    "rerouted": "Put off there, tried through another IP",
    "complaint_withdrawn": "Complaint taken back",
    "delayed": "Their server still tries",
}


_PHASES: Final[Mapping[str, str]] = {
    Phase.RESOLVE: "while its server was looked up",
    Phase.CONNECT: "while connecting",
    Phase.BANNER: "in its greeting",
    Phase.EHLO: "after our name",
    Phase.STARTTLS: "when encryption began",
    Phase.MAIL: "after the sender",
    Phase.RCPT: "after the recipient",
    Phase.DATA: "before the message",
    Phase.DOT: "after the message",
}
"""Where in the conversation it was, for somebody who does not speak SMTP."""


def _step(event: EventView) -> Step:
    if event.engagement is not None:
        return _engaged(event)
    new = new_id(event.detail or "") if event.kind == EventKind.SENT_AGAIN else None
    facts = (
        ("from", event.ip or ""), ("to", event.mx or ""), ("of", event.provider or ""),
        ("answered", _PHASES.get(event.phase or "", event.phase or "")),
        ("took", lasting(event.duration_ms / 1000) if event.duration_ms else ""),
    )  # fmt: skip
    what = _WORDS.get(event.kind, event.kind.replace("_", " ").capitalize())
    if event.attempt and event.kind != EventKind.REROUTED and event.action is not None:
        what += f" at attempt {event.attempt}"
    detail = _detail(event)
    return Step(
        at=event.at,
        kind=event.kind,
        what=what if event.action is not None or not detail else f"{what}: {detail}",
        reply=_said(event),
        facts=tuple((name, value) for name, value in facts if value),
        rule=f"Rule {event.rule} says {event.action} ({event.klass})" if event.rule and event.action else "",
        tls=event.tls or "",
        next_at=event.next_attempt_at,
        new=f"/messages/{new}/0" if new else "",
    )


def _engaged(event: EventView) -> Step:
    known = event.engagement or {}
    facts = (("link", known.get("link")), ("from", known.get("ip")), ("with", known.get("user_agent")))
    machine = f" by a machine ({known['machine']})" if known.get("machine") else ""
    shown = tuple((name, str(value)) for name, value in facts if value)
    return Step(event.at, event.kind, f"{event.kind.replace('_', ' ').capitalize()}{machine}", facts=shown)
