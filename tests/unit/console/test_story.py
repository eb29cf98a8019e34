"""The answer and the timeline of a message, as sentences."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from console.messages.story import story
from messages.repository import EmailDetail, EmailSummary, EventView
from messages.search import MessageRow
from messages.states import State
from outcomes.obstacles import Obstacle

AT = datetime(2026, 11, 28, 17, 0, tzinfo=UTC)
ANN = "ann@example.com"
EMAIL = EmailDetail(
    EmailSummary(
        UUID(int=1), "<1@acme.example>", "a@acme.example", [ANN], [], [], [], "Hello", AT, None, "transactional",
        False, (), 1,
    ),
    (), None, None, "Hi", (),
)  # fmt: skip


def _row(state: State, **changes: Any) -> MessageRow:
    facts: dict[str, Any] = {"next_attempt_at": None, "attempts": 1, **changes}
    return MessageRow("1/0", AT, "transactional", "a@acme.example", ANN, "Hello", state.value, **facts)


def _event(kind: str, seconds: float, **facts: Any) -> EventView:
    names = (
        "attempt", "ip", "provider", "mx", "tls", "phase", "code", "enhanced", "reply", "action", "klass", "scope",
        "rule", "detail", "next_attempt_at", "duration_ms",
    )  # fmt: skip
    known: dict[str, Any] = dict.fromkeys(names) | {"recipient": ANN, **facts}
    return EventView(kind=kind, at=AT + timedelta(seconds=seconds), **known)


GMAIL = {"provider": "gmail", "mx": "mx.gmail.example", "ip": "203.0.113.5", "attempt": 1}
REFUSED = _event(
    "bounced",
    2,
    **GMAIL,
    code=550,
    enhanced="5.1.1",
    reply="no such user",
    action="bounce",
    klass="hard",
    rule="no-user",
)
LATER = _event("deferred", 2, **GMAIL, code=421, reply="later", action="retry", klass="busy", rule="busy")


@pytest.mark.parametrize(
    ("row", "events", "said"),
    [
        (
            _row(State.DELIVERED),
            [_event("delivered", 1.2, **GMAIL, action="delivered", rule="taken")],
            "Delivered to gmail, 1.2 s after it was accepted.",
        ),
        (
            _row(State.DELIVERED),
            [_event("delivered", 70, **(GMAIL | {"attempt": 2, "provider": "other"}), action="delivered")],
            "Delivered to mx.gmail.example at attempt 2, 1 min 10 s after it was accepted.",
        ),
        (_row(State.DELIVERED, captured=True), [], "Captured by the sandbox: it never left."),
        (_row(State.BOUNCED), [REFUSED], "Refused by gmail: “550 5.1.1 no such user”."),
        (_row(State.DEFERRED, next_attempt_at=AT), [LATER], "Put off by gmail: “421 later”."),
        (_row(State.DEFERRED), [LATER], "A worker holds it right now."),
        (
            _row(State.QUEUED, next_attempt_at=AT, waits_for="all IPs rest"),
            [],
            "On its way: it waits for its turn. It waits because all IPs rest.",
        ),
        (_row(State.SCHEDULED, next_attempt_at=AT), [], "Scheduled: it waits for its time."),
        (_row(State.CANCELLED), [_event("cancelled", 5, detail="cancelled by ada")], "Cancelled: cancelled by ada."),
        (_row(State.FAILED), [_event("failed", 5, detail="it cannot be composed")], "Failed: it cannot be composed."),
    ],
)
def test_the_answer_says_where_it_is_and_why(row: MessageRow, events: list[EventView], said: str) -> None:
    assert story(row, EMAIL, events, None).answer == said


def test_what_forbids_further_mail_is_told_behind_it() -> None:
    obstacle = Obstacle("hard_bounce", AT, None)

    told = story(_row(State.BOUNCED), EMAIL, [REFUSED], obstacle).answer

    assert told.endswith("”. Such mail to this address is suppressed (hard bounce) since 2026-11-28 17:00 UTC.")


def test_the_timeline_begins_with_the_acceptance_and_shows_this_recipient_alone() -> None:
    other = _event("delivered", 1, recipient="bob@example.com")

    steps = story(_row(State.BOUNCED), EMAIL, [other, REFUSED], None).steps

    assert [step.what for step in steps] == ["Accepted for the transactional lane", "Bounced at attempt 1"]
    assert steps[1].reply == "550 5.1.1 no such user"
    assert steps[1].rule == "Rule no-user says bounce (hard)"
    assert ("from", "203.0.113.5") in steps[1].facts
