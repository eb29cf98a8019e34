"""The value that what happened to a message is recorded from."""

from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from core.queues import Lane
from messages.entries import Words
from messages.model import MessageRef
from messages.states import State
from messages.timeline import EventKind
from store.counters import Origin
from suppression.reasons import SuppressionEntry


class AttemptFacts(NamedTuple):
    """What is kept of one attempt to deliver."""

    ip: str
    provider: str
    mx: str
    tls: str
    phase: str
    code: int
    enhanced: str
    reply: str
    action: str
    klass: str
    scope: str
    rule: str
    duration_ms: int
    pool: str = ""
    """Id of the pool it left through, "" when it was not tried."""


class Outcome(NamedTuple):
    """One thing that happened to one message, ready to be recorded.

    `state` is the state the message is in now. A terminal state removes the queue row; otherwise `next_attempt_at`
    says when it is due again. `attempts` counts this attempt too; `worker` is the claim it was made under.
    """

    ref: MessageRef
    address: str
    """Folded address of the recipient."""
    lane: Lane
    at: datetime
    kind: EventKind
    state: State
    attempts: int
    worker: UUID
    attempt: AttemptFacts | None = None
    next_attempt_at: datetime | None = None
    detail: str = ""
    suppress: SuppressionEntry | None = None
    origin: Origin | None = None
    """Whose mail it is; None (a replayed journal): to be looked up."""
    waited: float | None = None
    """Of a delivery: seconds since it was accepted, or since its schedule."""
    capture: bool = False
    """It is about a message that does not leave: nothing of it counts for real mail."""
    words: Words | None = None
    """What applications are told of the message; None (a replayed journal): to be read."""

    @property
    def is_note(self) -> bool:
        """Neither ends nor defers its message, which is still on its way under the same claim."""
        return self.kind is EventKind.REROUTED


def storable(outcome: Outcome) -> Outcome:
    """The outcome made fit for PostgreSQL and JSON: text without NUL and half surrogates, numbers within their column.

    For one that was refused as it is. Text is printable by contract; should a bug let more through, what happened to
    the message must be kept all the same.
    """
    attempt, suppress = outcome.attempt, outcome.suppress
    return outcome._replace(
        address=_storable(outcome.address),
        detail=_storable(outcome.detail),
        attempts=min(outcome.attempts, 2**15 - 1),
        attempt=attempt._replace(**_fields(attempt)) if attempt else None,
        suppress=replace(suppress, detail=_storable(suppress.detail)) if suppress else None,
    )


def bare(outcome: Outcome) -> Outcome:
    """That the message has ended or waits, without anything said about it: what can be stored when nothing else can."""
    return storable(outcome)._replace(attempt=None, suppress=None, detail="what was said about it could not be stored")


def _fields(attempt: AttemptFacts) -> dict[str, Any]:
    texts = {name: _storable(v) for name, v in attempt._asdict().items() if isinstance(v, str)}
    return {**texts, "code": min(attempt.code, 2**15 - 1), "duration_ms": min(attempt.duration_ms, 2**31 - 1)}


def _storable(text: str) -> str:
    return text.replace("\x00", "").encode("utf-8", "backslashreplace").decode("utf-8")
