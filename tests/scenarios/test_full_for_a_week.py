"""Somebody is on holiday and the mailbox is full: for a week every mail is refused "for now".

Path: five mails on three days to a mailbox that stays full; each is tried again until its 72 hours are over. Days pass
by moving what is stored into the past: nobody can set the clock of a running Postlane.
Expectation: each mail waits, then expires; a full mailbox bounces nobody. With the fifth in a row the address is
suppressed for a while, not for ever; the next mail stays here, and the application was told all of it.
"""

import pytest

from tests.scenarios.hearing import SECONDS, ear, until_counted
from tests.stack import RunningStack

pytestmark = pytest.mark.scenario
ADDRESS = "full.for.a.week@small-036.sim"
TWO_DAYS = (
    "UPDATE emails SET created_at = created_at - interval '2 days' WHERE id = ANY(%(ids)s::uuid[])",
    "UPDATE events SET at = at - interval '2 days' WHERE email_id = ANY(%(ids)s::uuid[])",
    "UPDATE soft_bounces SET days = ARRAY(SELECT day - 2 FROM unnest(days) day),"
    " first_at = first_at - interval '2 days', last_at = last_at - interval '2 days' WHERE address = %(address)s",
    "UPDATE delivery_queue SET due_at = now() WHERE email_id = ANY(%(ids)s::uuid[])",
)


def _tried(stack: RunningStack, ids: list[str]) -> dict[str, int]:
    """Attempts of those that still wait."""
    found = stack.sql("SELECT email_id, attempts FROM delivery_queue WHERE email_id = ANY(%s::uuid[])", [ids])
    return {str(email_id): attempts for email_id, attempts in found}


def _two_days_pass(stack: RunningStack, ids: list[str]) -> None:
    """What waits was tried, and is tried again, and found too old or put off."""
    stack.until(lambda: all(_tried(stack, ids).values()), SECONDS, "the first try of each")
    before = _tried(stack, ids)
    for statement in TWO_DAYS:
        stack.sql(statement, {"ids": ids, "address": ADDRESS})
    stack.until(lambda: all(n > before[one] for one, n in _tried(stack, ids).items()), SECONDS, "another try of each")


def test_five_in_a_row_suppress_for_a_while(stack: RunningStack) -> None:
    story = [{"name": "story", "value": "full"}]
    with ear(stack, "/ok/full", ["email.bounced", "email.expired", "suppression.added"]) as heard:
        ids: list[str] = []
        for sent_today in (2, 1, 2, 0):
            ids += [stack.send(ADDRESS, tags=story) for _ in range(sent_today)]
            _two_days_pass(stack, ids)
        stack.until_ended(ids, SECONDS)
        assert {stack.last_event(one) for one in ids} == {"failed"}
        assert {stack.events(one)[-1]["event"] for one in ids} == {"expired"}

        (entry,) = stack.request("GET", f"/suppressions/{ADDRESS}")["entries"]
        assert (entry["scope"], entry["reason"]) == ("all", "soft_bounces")
        assert "5 emails in a row on 3 days: 452 4.2.2" in entry["detail"]
        assert entry["expires_at"]
        again = stack.send(ADDRESS)
        stack.until_ended([again], SECONDS)
        assert stack.last_event(again) == "suppressed"

        heard.until("suppression.added", email=ADDRESS, reason="soft_bounces")
        for one in ids:
            heard.until("email.expired", one)
        assert "email.bounced" not in [event["type"] for event in heard.told()]
        until_counted(stack, "expired", "story:full", 5)
