"""Outcomes for tests of recording and of the journal."""

from datetime import UTC, datetime, timedelta
from typing import Any

from core.ids import uuid7
from core.queues import Lane
from messages.model import MessageRef
from messages.states import State
from messages.timeline import EventKind
from outcomes.kinds import AttemptFacts, Outcome
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope

WORKER = uuid7()

HARD_BOUNCE = SuppressionEntry(
    SuppressionScope.ALL, Reason.HARD_BOUNCE, Source.SMTP, "unknown_user at rcpt (transactional): 5.1.1 no such user"
)


def attempt(**changes: Any) -> AttemptFacts:
    """An attempt that was answered with 250."""
    facts: dict[str, Any] = {
        "ip": "127.0.1.1", "provider": "gmail", "mx": "mx.gmail.sim", "tls": "TLSv1.3 verified", "phase": "dot",
        "code": 250, "enhanced": "2.0.0", "reply": "ok", "action": "delivered", "klass": "ok", "scope": "message",
        "rule": "any_2xx", "duration_ms": 12,
    }  # fmt: skip
    return AttemptFacts(**{**facts, **changes})


def outcome(ref: MessageRef, state: State = State.DELIVERED, **changes: Any) -> Outcome:
    """An outcome of one message of the transactional lane, by `WORKER`."""
    facts: dict[str, Any] = {
        "ref": ref,
        "address": "user@example.com",
        "lane": Lane.TRANSACTIONAL,
        "at": datetime.now(UTC),
        "kind": EventKind(state.value),
        "state": state,
        "attempts": 1,
        "worker": WORKER,
        "attempt": attempt(),
    }
    return Outcome(**{**facts, **changes})


def deferral(ref: MessageRef, **changes: Any) -> Outcome:
    """Tried, and to be tried again in five minutes."""
    facts: dict[str, Any] = {
        "attempt": attempt(code=451, action="retry_later", reply="busy"),
        "next_attempt_at": datetime.now(UTC) + timedelta(minutes=5),
    }
    return outcome(ref, State.DEFERRED, **{**facts, **changes})


def bounce(ref: MessageRef, address: str = "user@example.com", **changes: Any) -> Outcome:
    """No such user."""
    facts = attempt(phase="rcpt", code=550, enhanced="5.1.1", reply="no such user", action="bounce")
    return outcome(ref, State.BOUNCED, **{"address": address, "attempt": facts, "suppress": HARD_BOUNCE, **changes})
