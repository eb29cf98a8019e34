"""A recipient opens a mail and follows a link, a machine does so too, and the server of links is killed meanwhile.

Path: POST /emails with tracking → practice internet's mailbox → its pixel and link at the public pages → timeline.
Expectation: the link leads where the application wanted; the person's open and click stand in the timeline once, also
those that were noted by a process that was killed the moment after; the machine's are marked; the recipient is known to
engage; the application is told, and each is counted once.
"""

import re
import signal
import urllib.error
import urllib.request
from email import message_from_bytes
from email.message import Message
from typing import Any

import pytest

from simulator import client as simulator
from tests.scenarios.hearing import Ear, ear, until_counted
from tests.stack import RunningStack

pytestmark = pytest.mark.scenario

TARGET = "https://shop.example/basket?id=1&from=mail"
HTML = '<a href="https://shop.example/basket?id=1&amp;from=mail">basket</a> <a href="mailto:a@b.example">us</a>'
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"


class _Stay(urllib.request.HTTPRedirectHandler):
    """Shows a redirect instead of following it."""

    def redirect_request(self, *_: Any) -> None:
        return None


def get(url: str, agent: str = FIREFOX) -> tuple[int, str]:
    """Status, and where it leads."""
    request = urllib.request.Request(url, headers={"User-Agent": agent})
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=10) as answer:
            return answer.status, ""
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("location", "")


def html_of(data: bytes) -> str:
    parts = [part for part in message_from_bytes(data).walk() if part.get_content_type() == "text/html"]
    assert isinstance(parts[0], Message)
    payload = parts[0].get_payload(decode=True)
    assert isinstance(payload, bytes)
    return payload.decode()


def engagement(stack: RunningStack, email_id: str) -> list[tuple[str, str | None, bool]]:
    """Opens and clicks in the timeline: kind, machine, first."""
    events = [event for event in stack.events(email_id) if event["event"] in ("opened", "clicked")]
    return [(event["event"], event["machine"], event["first"]) for event in events]


def test_opens_and_clicks_are_told_once_though_the_server_of_links_is_killed(stack: RunningStack) -> None:
    with ear(stack, "/ok/clicks", ["email.opened", "email.clicked"]) as heard:
        _story(stack, heard)


def _story(stack: RunningStack, heard: Ear) -> None:
    assert stack.simulator is not None
    tags = [{"name": "story", "value": "clicks"}]
    email_id = stack.send("reader@gmail.sim", html=HTML, tags=tags, open_tracking=True, click_tracking=True)
    stack.until(lambda: stack.last_event(email_id) == "delivered", 20, "the mail")
    (mail,) = simulator.mailbox(stack.simulator, "reader@gmail.sim", raw=True)
    html = html_of(mail.data)
    assert '<a href="mailto:a@b.example">' in html
    pixel, link = (re.findall(rf'{stack.public_url}/{kind}/[^"]+', html)[0] for kind in "oc")

    # The second after a delivery is a machine's: the story goes on when it is over.
    delivered = "SELECT now() - max(at) > interval '1.5 s' FROM events WHERE email_id = %s AND kind = 'delivered'"
    stack.until(lambda: stack.one(delivered, [email_id]), 10, "the second after the delivery")
    assert get(pixel) == (200, "")
    assert get(link) == (302, TARGET)
    assert get(link, "curl/8.1") == (302, TARGET)
    stack.kill("public", signal.SIGKILL)
    stack.until(lambda: get(link) == (302, TARGET), 30, "the next process to answer")
    assert get(link[:-1])[0] == 404

    wanted = [("clicked", None, True), ("opened", None, True)]
    stack.until(lambda: set(wanted) <= set(engagement(stack, email_id)), 30, "open and click in the timeline")
    stack.until(lambda: len(engagement(stack, email_id)) == 4, 30, "all of them")
    assert engagement(stack, email_id).count(("clicked", None, True)) == 1
    assert ("clicked", "program", False) in engagement(stack, email_id)
    assert stack.last_event(email_id) == "clicked"
    found = stack.sql("SELECT opens, clicks FROM engaged WHERE address = 'reader@gmail.sim'")
    assert found == [(1, 2)]
    told = {heard.until(kind, email_id)["data"]["email_id"] for kind in ("email.opened", "email.clicked")}
    assert told == {email_id}
    for figure in ("unique_opened", "unique_clicked"):
        until_counted(stack, figure, "story:clicks")
