"""Somebody leaves a newsletter: by one-click while more of it waits, by a mail, and by moving to another address.

Path: marketing mail is delivered; what its reader finds in it is used as a mail program would: List-Unsubscribe over
HTTP and SMTP, the page behind it, the link in the confirmation mail.
Expectation: mail that waits ends as suppressed and says why; the timeline, the counters and the application hear of it;
receipts still arrive; at the new address the newsletter goes on.
"""

import re
import smtplib
import urllib.parse
import urllib.request
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from typing import Any

import pytest

from cli.running import free_ports
from cli.running.stack import Shape
from simulator import client
from tests.stack import Options, RunningStack, running_stack

pytestmark = pytest.mark.scenario

PUBLIC, INBOUND = free_ports.take(2)
URL = f"http://127.0.0.1:{PUBLIC}"


@pytest.fixture(scope="module")
def stack() -> Iterator[RunningStack]:
    """With the pages for recipients, the listener for mail that comes back, and background work."""
    shape = Shape(public=True, public_port=PUBLIC, inbound_port=INBOUND)
    with running_stack(Options(shape, {"POSTLANE_PUBLIC_URL": URL, "POSTLANE_LOG_LEVEL": "warning"})) as running:
        running.until(running.all_running, 60, "every service to run")
        yield running


@pytest.fixture(scope="module")
def newsletter(stack: RunningStack) -> str:
    """A type of mail, and an application that listens."""
    stack.request("POST", "/webhooks", {"endpoint": "https://hooks.acme.example/in", "events": ["email.unsubscribed"]})
    topic = {"name": "Newsletter", "default_subscription": "opt_in", "visibility": "public"}
    return str(stack.request("POST", "/topics", topic)["id"])


def send(stack: RunningStack, to: str, topic: str, **fields: object) -> str:
    return stack.send(to, topic_id=topic, html="<a href='{{{RESEND_UNSUBSCRIBE_URL}}}'>Leave</a>", **fields)


def received(stack: RunningStack, address: str) -> list[Message]:
    """What lies in a mailbox of the practice internet, newest first."""
    assert stack.simulator is not None
    return [message_from_bytes(mail.data) for mail in client.mailbox(stack.simulator, address, raw=True)]


def newest(stack: RunningStack, address: str, subject: str = "Hello") -> Message:
    found = [mail for mail in received(stack, address) if mail["subject"] == subject]
    assert found
    return found[0]


def arrives(stack: RunningStack, address: str, subject: str = "Hello") -> Message:
    what = f"{subject!r} to reach {address}"
    stack.until(lambda: any(mail["subject"] == subject for mail in received(stack, address)), 30, what)
    return newest(stack, address, subject)


def unsubscribe_links(mail: Message) -> tuple[str, str]:
    web, mailto = re.findall(r"<([^>]*)>", mail["List-Unsubscribe"])
    return web, mailto


def post(url: str, **fields: str) -> str:
    """What the page answers."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(url, urllib.parse.urlencode(fields).encode(), timeout=30) as answer:
        assert answer.url == url
        return str(answer.read().decode())


def due_now(stack: RunningStack) -> None:
    stack.sql("UPDATE delivery_queue SET due_at = now()")


def ended(stack: RunningStack, email_id: str) -> dict[str, Any]:
    """The last event of an email that waits for nothing more."""
    stack.until_ended([email_id], 30)
    return stack.events(email_id)[-1]


def test_one_click_stops_what_waits_and_nothing_else(stack: RunningStack, newsletter: str) -> None:
    reader = "reader@gmail.sim"
    first = send(stack, reader, newsletter)
    web, _ = unsubscribe_links(arrives(stack, reader))
    waiting = send(stack, reader, newsletter, scheduled_at="in 1 hour")
    other = stack.send(reader, stream="marketing", subject="Other")
    post(web, **{"List-Unsubscribe": "One-Click"})
    due_now(stack)

    assert ended(stack, waiting)["detail"] == "suppressed: topic_opt_out"
    assert stack.last_event(waiting) == "suppressed"
    assert ended(stack, other)["event"] == "delivered"
    assert ended(stack, stack.send(reader, subject="Receipt"))["event"] == "delivered"
    assert [event["event"] for event in stack.events(first)][1:] == ["delivered", "unsubscribed"]
    assert stack.one("SELECT sum(n) FROM outcome_counts WHERE outcome = 'unsubscribed'") == 1
    told = "SELECT payload::json -> 'data' ->> 'email_id' FROM webhook_events WHERE type = 'email.unsubscribed'"
    assert stack.sql(told) == [(first,)]


def test_a_mail_to_the_unsubscribe_address_does_the_same(stack: RunningStack, newsletter: str) -> None:
    writer = "writer@gmail.sim"
    send(stack, writer, newsletter)
    _, mailto = unsubscribe_links(arrives(stack, writer))
    address, _, subject = mailto.removeprefix("mailto:").partition("?subject=")
    with smtplib.SMTP("127.0.0.1", INBOUND, timeout=20) as smtp:
        smtp.sendmail(writer, address, f"From: {writer}\r\nTo: {address}\r\nSubject: {subject}\r\n\r\n")
    chosen = "SELECT subscription FROM choices WHERE address = %s"
    stack.until(lambda: stack.sql(chosen, [writer]) == [("opt_out",)], 30, "the mail to be worked off")

    assert ended(stack, send(stack, writer, newsletter))["event"] == "suppressed"


def test_the_newsletter_moves_to_another_address(stack: RunningStack, newsletter: str) -> None:
    old, new = "old@gmail.sim", "new@yahoo.sim"
    send(stack, old, newsletter)
    mail = arrives(stack, old)
    web, _ = unsubscribe_links(mail)
    body = mail.get_payload(0).get_payload(decode=True) + mail.get_payload(1).get_payload(decode=True)  # type: ignore[union-attr, operator]
    assert web.encode() in body
    post(web, action="move", address=new)
    confirmation = arrives(stack, new, "Please confirm your new address")
    text = confirmation.get_payload(0).get_payload(decode=True).decode()  # type: ignore[union-attr]
    (link,) = re.findall(rf"{URL}/m/\S+", text)
    assert "Your address is changed" in post(link, action="confirm")

    assert ended(stack, send(stack, old, newsletter))["detail"] == "suppressed: unsubscribe"
    assert ended(stack, send(stack, new, newsletter))["event"] == "delivered"
    arrives(stack, old, "Your mail goes to another address now")
