"""Addresses and domains that do not work.

Path: mail to an unknown user, an unknown domain, a domain that takes no mail, and one whose DNS fails.
Expectation: what is dead bounces at once and an unknown user is suppressed in the same breath, so that the next mail
never leaves; what may recover waits. Each time the API tells the rule. The figures count the bounce, and the
application is told of it.
"""

import pytest

from simulator import client as simulator
from tests.scenarios.hearing import ear, until_counted
from tests.stack import HttpError, RunningStack

pytestmark = pytest.mark.scenario


def _until(stack: RunningStack, email_id: str, word: str) -> dict[str, object]:
    """Wait for an API word; the event that says it."""
    stack.until(lambda: stack.last_event(email_id) == word, 30, f"{email_id} to be {word}")
    return stack.events(email_id)[-1]


def _refusals(stack: RunningStack, what: str) -> int:
    assert stack.simulator is not None
    return sum(int(row.get(what, 0)) for row in simulator.counts(stack.simulator))


def test_a_hard_bounce_suppresses_and_the_next_mail_stays_here(stack: RunningStack) -> None:
    address = "unknown.person@gmail.sim"
    with ear(stack, "/ok/hard", ["email.bounced", "suppression.added"]) as heard:
        email_id = stack.send(address, tags=[{"name": "story", "value": "hard"}])
        bounced = _until(stack, email_id, "bounced")
        assert (bounced["code"], bounced["phase"]) == (550, "rcpt")
        assert bounced["rule"]
        told = heard.until("email.bounced", email_id)["data"]
        assert (told["code"], told["rule"], told["recipient"]) == (550, bounced["rule"], address)
        heard.until("suppression.added", email=address, reason="hard_bounce")
        until_counted(stack, "hard_bounced", "story:hard")
    (entry,) = stack.request("GET", f"/suppressions/{address}")["entries"]
    assert (entry["scope"], entry["reason"]) == ("all", "hard_bounce")
    assert str(bounced["rule"]) in entry["detail"]

    before = _refusals(stack, "unknown_user")
    suppressed = _until(stack, stack.send(address), "suppressed")
    assert "hard_bounce" in str(suppressed["detail"])
    assert suppressed["ip"] is None
    assert _refusals(stack, "unknown_user") == before


@pytest.mark.parametrize("domain", ["no-such-domain.sim", "nullmx.sim"])
def test_mail_to_a_domain_without_mail_bounces_at_once(stack: RunningStack, domain: str) -> None:
    bounced = _until(stack, stack.send(f"somebody@{domain}"), "bounced")
    assert bounced["attempt"] == 1
    assert bounced["rule"]
    assert not bounced["ip"]


def test_mail_waits_while_the_dns_of_its_domain_fails(stack: RunningStack) -> None:
    email_id = stack.send("somebody@servfail.sim")
    deferred = _until(stack, email_id, "delivery_delayed")
    assert deferred["rule"]
    assert deferred["next_attempt_at"]
    with pytest.raises(HttpError) as unknown:
        stack.request("GET", "/suppressions/somebody@servfail.sim")
    assert unknown.value.status == 404
    stack.request("POST", f"/emails/{email_id}/cancel")
    assert stack.last_event(email_id) == "canceled"
