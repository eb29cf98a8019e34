"""People who want no more of it, and the mail that is already on its way to them.

Path: a button of a mail program (a POST by RFC 8058, without cookie or log-in) while more mail of that type, of another
type and a receipt wait in the queue; and a mail to the other address of the same header, sent by real SMTP.
Expectation: what was left is not sent any more, also what was queued before; other types of mail and receipts are.
Looking at the page changes nothing. The timeline, the figures and the application hear of it.
"""

import signal

import pytest

from tests.scenarios.hearing import (
    Ear,
    ear,
    link_of,
    mail_of,
    suppressions,
    until_counted,
    until_event,
    visit,
)
from tests.stack import MARKETING, HttpError, RunningStack

pytestmark = pytest.mark.scenario
QUEUED = 20


def _story(name: str) -> list[dict[str, str]]:
    """A tag by which the figures of a mail are found."""
    return [{"name": "story", "value": name}]


def _topic(stack: RunningStack, name: str) -> str:
    """A type of mail that everybody gets who has not left it."""
    return str(stack.request("POST", "/topics", {"name": name, "default_subscription": "opt_in"})["id"])


def test_one_click_stops_queued_mail_of_its_type_and_nothing_else(stack: RunningStack) -> None:
    person = "anna.leaves@yahoo.sim"
    news, offers = _topic(stack, "Anna's news"), _topic(stack, "Anna's offers")
    with ear(stack, "/ok/one-click") as heard:
        first = stack.send(person, stream="marketing", topic_id=news, subject="First", tags=_story("one-click"))
        link = link_of(mail_of(stack, person, "First"))
        assert visit("GET", link)[0] == 200
        stack.until_ended([first], 60)  # a worker that stands still in the middle of a commit would hold its rows
        stack.send_signal(MARKETING, signal.SIGSTOP)
        try:
            queued = [stack.send(person, stream="marketing", topic_id=news) for _ in range(QUEUED)]
            other = stack.send(person, stream="marketing", topic_id=offers)
            assert visit("POST", link, **{"List-Unsubscribe": "One-Click"}) == (200, "Unsubscribed.\n")
            assert visit("POST", link, **{"List-Unsubscribe": "One-Click"})[0] == 200
        finally:
            stack.send_signal(MARKETING, signal.SIGCONT)
        receipt = stack.send(person)
        stack.until_ended([*queued, other, receipt], 60)
        assert {stack.last_event(one) for one in queued} == {"suppressed"}
        assert (stack.last_event(other), stack.last_event(receipt)) == ("delivered", "delivered")
        _told(stack, heard, first, queued)


def _told(stack: RunningStack, heard: Ear, first: str, queued: list[str]) -> None:
    left = until_event(stack, first, "unsubscribed")
    assert "one_click" in left["detail"]
    assert [event["event"] for event in stack.events(first)] == ["queued", "delivered", "unsubscribed"]
    heard.until("email.unsubscribed", first)
    for one in queued:
        heard.until("email.suppressed", one)
    # By their ids: an event may come more than once.
    told = {event["id"] for event in heard.told() if event["type"] == "email.unsubscribed"}
    assert len(told) == 1, "the second click told it again"
    heard.until("contact.topics.updated")
    until_counted(stack, "unsubscribed", "story:one-click")


def test_by_mail_from_the_person_s_own_program(stack: RunningStack) -> None:
    person = "unsubscribe.bob+mail@gmx.sim"
    with ear(stack, "/ok/mailto", ["email.unsubscribed", "email.suppressed"]) as heard:
        first = stack.send(person, stream="marketing", tags=_story("mailto"))
        left = until_event(stack, first, "unsubscribed")
        assert "mailto" in left["detail"]
        heard.until("email.unsubscribed", first, recipient=person)
        again, receipt = stack.send(person, stream="marketing"), stack.send(person)
        heard.until("email.suppressed", again)
        stack.until_ended([receipt], 30)
        assert stack.last_event(receipt) == "delivered"
        until_counted(stack, "unsubscribed", "story:mailto")
    with pytest.raises(HttpError):
        suppressions(stack, person.replace("+", "%2B"))
