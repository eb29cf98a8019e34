"""A reader changes jobs, and wants the newsletter at another address.

Path: the link that the application put into the newsletter's text, the page behind it, a confirmation that goes to the
new address by real mail, its link, and a word to the old address.
Expectation: before the confirmation nothing has changed. Afterwards what was left stays left at the new address, what
was not is delivered there, the old address gets no marketing mail and keeps its receipts, and the application is told
where the mail goes now.
"""

import re

import pytest

from tests.scenarios.hearing import ear, link_of, mail_of, until_counted, visit
from tests.stack import RunningStack

pytestmark = pytest.mark.scenario
OLD, NEW = "carla@small-033.sim", "carla.new@small-034.sim"


def _topic(stack: RunningStack, name: str) -> str:
    return str(stack.request("POST", "/topics", {"name": name, "default_subscription": "opt_in"})["id"])


def _link_in(stack: RunningStack, address: str, subject: str) -> str:
    """The link in the text of a mail."""
    body = mail_of(stack, address, subject).get_body(("plain",))
    assert body is not None
    (link,) = re.findall(r"http://\S+", body.get_content())
    return str(link)


def _fate(stack: RunningStack, to: str, **fields: object) -> str:
    """How a mail to this address ends."""
    email_id = stack.send(to, **fields)
    stack.until_ended([email_id], 60)
    return stack.last_event(email_id)


def test_choices_move_along_once_the_new_address_has_confirmed(stack: RunningStack) -> None:
    left = {"stream": "marketing", "topic_id": _topic(stack, "What Carla leaves")}
    kept = {"stream": "marketing", "topic_id": _topic(stack, "What Carla keeps")}
    with ear(stack, "/ok/moving", ["contact.topics.updated"]) as heard:
        tags = [{"name": "story", "value": "moving"}]
        first = stack.send(OLD, subject="News", text="Leave: {{{RESEND_UNSUBSCRIBE_URL}}}", tags=tags, **left)
        page = _link_in(stack, OLD, "News")
        assert page == link_of(mail_of(stack, OLD, "News"))
        assert visit("POST", page, action="leave")[0] == 200
        assert visit("POST", page, action="move", address=NEW)[0] == 200

        confirmation = _link_in(stack, NEW, "confirm your new address")
        assert visit("GET", confirmation)[0] == 200
        assert _fate(stack, OLD, **kept) == "delivered", "moved by looking"
        assert visit("POST", confirmation, action="confirm")[0] == 200

        assert "/u/" in _link_in(stack, OLD, "goes to another address now")
        assert (_fate(stack, NEW, **left), _fate(stack, NEW, **kept)) == ("suppressed", "delivered")
        assert (_fate(stack, OLD, **kept), _fate(stack, OLD)) == ("suppressed", "delivered")
        heard.until("contact.topics.updated", email=OLD, moved_to=NEW)
    assert [event["event"] for event in stack.events(first)] == ["queued", "delivered", "unsubscribed"]
    until_counted(stack, "unsubscribed", "story:moving")
