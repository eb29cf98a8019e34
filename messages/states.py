"""The life of one message: its states, the events that move it, and the one table of allowed moves.

A message is one recipient of an email. It is written with its state when it is accepted, and again only when
something was decided about it. There is deliberately no "sending" state: a claim moves the queue row's lease and
nothing else, so a dead worker leaves no message in a state that somebody would have to repair.

Every accepted message ends in exactly one terminal state. One move leaves a terminal state: a bounce report that
arrives after the remote server had taken the mail turns `delivered` into `bounced`, by the event `late_bounce` only.

Pure: no clock, no database.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from core.errors import PostlaneError
from mta.model import Action, Verdict


class State(StrEnum):
    """Where a message is. The values are stored."""

    QUEUED = "queued"
    """Due now; no attempt has been decided yet."""
    SCHEDULED = "scheduled"
    """Waits for the time its application asked for."""
    DEFERRED = "deferred"
    """At least one attempt ended with "later"; the next one has a time."""
    DELIVERED = "delivered"
    """The remote server took it (a 2xx after the final dot)."""
    BOUNCED = "bounced"
    """A remote server, or its DNS, refused it for good: the recipient, the message or the IP."""
    SUPPRESSED = "suppressed"
    """The suppression list forbade sending."""
    EXPIRED = "expired"
    """The retry clock or `expires_at` ran out."""
    CANCELLED = "cancelled"
    """The application took it back."""
    FAILED = "failed"
    """We could not make the mail: rendering, composing or signing failed. No remote server was to blame."""


class Event(StrEnum):
    """What can happen to a message."""

    RESCHEDULE = "reschedule"
    DEFER = "defer"
    DELIVER = "deliver"
    BOUNCE = "bounce"
    SUPPRESS = "suppress"
    EXPIRE = "expire"
    CANCEL = "cancel"
    FAIL = "fail"
    LATE_BOUNCE = "late_bounce"
    """A bounce report for a mail that the remote server had accepted."""


class IllegalMove(PostlaneError):
    """An event that the state does not allow. A bug of the caller, or an outcome that was already recorded."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"a message that is {state} cannot {event}")
        self.state = state
        self.event = event


TERMINAL: Final = frozenset(
    {State.DELIVERED, State.BOUNCED, State.SUPPRESSED, State.EXPIRED, State.CANCELLED, State.FAILED}
)
"""The outcomes. Nothing is sent from here any more."""

_ON_ITS_WAY: Final = {
    Event.DEFER: State.DEFERRED,
    Event.DELIVER: State.DELIVERED,
    Event.BOUNCE: State.BOUNCED,
    Event.SUPPRESS: State.SUPPRESSED,
    Event.EXPIRE: State.EXPIRED,
    Event.CANCEL: State.CANCELLED,
    Event.FAIL: State.FAILED,
}

MOVES: Final[Mapping[State, Mapping[Event, State]]] = MappingProxyType(
    {
        State.QUEUED: MappingProxyType(_ON_ITS_WAY),
        # The claim writes no state, so a scheduled message whose time has come goes straight to its outcome.
        State.SCHEDULED: MappingProxyType({**_ON_ITS_WAY, Event.RESCHEDULE: State.SCHEDULED}),
        State.DEFERRED: MappingProxyType(_ON_ITS_WAY),
        State.DELIVERED: MappingProxyType({Event.LATE_BOUNCE: State.BOUNCED}),
        State.BOUNCED: MappingProxyType({}),
        State.SUPPRESSED: MappingProxyType({}),
        State.EXPIRED: MappingProxyType({}),
        State.CANCELLED: MappingProxyType({}),
        State.FAILED: MappingProxyType({}),
    }
)
"""Every allowed move. What is not here does not happen."""

_EVENT_OF: Final = {Action.DELIVERED: Event.DELIVER, Action.BOUNCE: Event.BOUNCE, Action.BLOCK: Event.BOUNCE}


def move(current: State, event: Event) -> State:
    """The state after `event`. Raises `IllegalMove` when the table does not allow it."""
    try:
        return MOVES[current][event]
    except KeyError:
        raise IllegalMove(current, event) from None


def sources(event: Event) -> frozenset[State]:
    """The states that allow `event`: the guard of a bulk `UPDATE … WHERE state = ANY(sources)`."""
    return frozenset(state for state, moves in MOVES.items() if event in moves)


def event_for(verdict: Verdict) -> Event:
    """The event an attempt's verdict means. Whatever does not end the message defers it; whether its clock has run
    out is then for `messages/retry` to say, and the event is `expire`."""
    return _EVENT_OF.get(verdict.action, Event.DEFER)


_WORST_FIRST: Final = (
    (State.BOUNCED, "bounced"),
    (State.FAILED, "failed"),
    (State.EXPIRED, "failed"),
    (State.SUPPRESSED, "suppressed"),
    (State.DELIVERED, "delivered"),
    (State.CANCELLED, "canceled"),
)


def last_event(states: Iterable[State], attempts: int = 0) -> str:
    """One word of Resend's `last_event` vocabulary for an email with any number of recipients.

    `states` are those of all its recipients (at least one; `ValueError` otherwise), `attempts` the attempts made for
    all of them together. The rule, first that fits:

    1. somebody is still waiting: `delivery_delayed` when one of them is deferred; `scheduled` when nothing has
       happened but the schedule; `sent` when another recipient is done or an attempt was made; else `queued`;
    2. all are done: the worst outcome is the one to look at, so bounced, failed (also for expired: their
       vocabulary has no word for it), suppressed, delivered, and `canceled` only when all of it was cancelled.
    """
    present = frozenset(states)
    if not present:
        raise ValueError("an email has at least one recipient")
    waiting = present - TERMINAL
    if not waiting:
        return next(word for state, word in _WORST_FIRST if state in present)
    if State.DEFERRED in waiting:
        return "delivery_delayed"
    if attempts > 0 or waiting != present:
        return "sent"
    return "scheduled" if waiting == {State.SCHEDULED} else "queued"
