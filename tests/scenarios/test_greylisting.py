"""A provider that greylists takes the second attempt, if it comes from the same IP.

Path: mail to a greylisting mailbox → 451 → deferred → (time passes) → second attempt.
Expectation: deferred with a next attempt and the rule that decided it, then delivered through the very same IP.
"""

import pytest

from tests.stack import RunningStack


@pytest.mark.scenario
def test_the_second_attempt_goes_through_the_same_ip_and_is_taken(stack: RunningStack) -> None:
    ids = [stack.send(f"greylist{number}@small-009.sim") for number in range(6)]
    for email_id in ids:
        stack.until(lambda email_id=email_id: stack.last_event(email_id) == "delivery_delayed", 20, "the greylisting")  # type: ignore[misc]  # mypy infers no type for a lambda with a default
        assert stack.email(email_id)["recipients"][0]["next_attempt_at"] is not None
    _hours_pass(stack, ids)
    stack.until(lambda: {stack.last_event(email_id) for email_id in ids} == {"delivered"}, 30, "the second attempts")
    ips = set()
    for email_id in ids:
        _, first, second = stack.events(email_id)
        assert (first["event"], first["action"], second["event"]) == ("deferred", "retry_same_ip", "delivered")
        assert first["rule"]
        assert first["ip"] == second["ip"]
        ips.add(first["ip"])
    assert len(ips) > 1, "all went through one IP anyway: nothing was proven"


def _hours_pass(stack: RunningStack, ids: list[str]) -> None:
    """What the retry clock waits a minute for; the provider of this stack greylists for one second."""
    stack.sql("UPDATE delivery_queue SET due_at = now() + interval '2 seconds' WHERE email_id = ANY(%s::uuid[])", [ids])
