"""Mail for later: scheduled, cancelled, moved, expired.

Path: POST /emails with `scheduled_at` or `expires_in`, POST /emails/{id}/cancel, PATCH /emails/{id}.
Expectation: nothing leaves before its time, cancelled mail never does, a moved schedule counts, and mail that cannot be
delivered in time expires.
"""

from datetime import UTC, datetime, timedelta

import pytest

from tests.stack import HttpError, RunningStack

pytestmark = pytest.mark.scenario


def _left_at(stack: RunningStack, recipient: str) -> list[datetime]:
    return [datetime.fromtimestamp(entry.at, UTC) for entry in stack.ledger() if entry.recipient == recipient]


def _state(stack: RunningStack, email_id: str) -> str:
    return str(stack.email(email_id)["recipients"][0]["state"])


def test_scheduled_mail_leaves_at_its_time_and_cancelled_mail_never(stack: RunningStack) -> None:
    at = datetime.now(UTC) + timedelta(seconds=4)
    later = stack.send("later@small-001.sim", scheduled_at=at.isoformat())
    never = stack.send("never@small-001.sim", scheduled_at=at.isoformat())
    sooner = stack.send("sooner@small-001.sim", scheduled_at="in 2 days")
    assert {_state(stack, one) for one in (later, never, sooner)} == {"scheduled"}
    stack.request("POST", f"/emails/{never}/cancel")
    stack.request("PATCH", f"/emails/{sooner}", {"scheduled_at": at.isoformat()})

    stack.until(lambda: {_state(stack, later), _state(stack, sooner)} == {"delivered"}, 30, "the scheduled mails")
    for recipient in ("later@small-001.sim", "sooner@small-001.sim"):
        (left,) = _left_at(stack, recipient)
        assert at <= left < at + timedelta(seconds=10)
    assert _state(stack, never) == "cancelled"
    assert stack.last_event(never) == "canceled"
    assert _left_at(stack, "never@small-001.sim") == []
    assert [event["event"] for event in stack.events(never)] == ["scheduled", "cancelled"]


def test_delivered_mail_cannot_be_cancelled(stack: RunningStack) -> None:
    email_id = stack.send("quick@small-001.sim")
    stack.until(lambda: _state(stack, email_id) == "delivered", 20, "the mail")
    with pytest.raises(HttpError) as refused:
        stack.request("POST", f"/emails/{email_id}/cancel")
    assert refused.value.status == 409


def test_mail_that_cannot_be_delivered_in_time_expires(stack: RunningStack) -> None:
    email_id = stack.send("full@small-001.sim", expires_in=3)
    stack.until(lambda: _state(stack, email_id) == "expired", 30, "the expiry")
    events = stack.events(email_id)
    assert [event["event"] for event in events] == ["queued", "deferred", "expired"]
    accepted, expired = (datetime.fromisoformat(events[n]["created_at"]) for n in (0, 2))
    assert expired - accepted >= timedelta(seconds=2.5)
