"""Whether, and where, the mail of one recipient is tracked."""

import re
from email import message_from_bytes
from typing import Any

import pytest

from accounts.senders import Sender
from core.ids import uuid7
from core.queues import Lane
from core.secrets import InstanceSecret
from flags.asking import OFF, ON, Switch
from flags.declared import TRACKING
from messages.link_tokens import Kind, LinkTokens
from messages.model import Claimed, MessageRef, StoredContent, StoredEmail
from messages.prepare import prepare_many
from messages.tracking import SHARED_BYTES, Tracker
from mta.model import Envelope
from tests.switches import switched
from tests.unit.messages.test_prepare import ACCEPTED, stored

SECRET = InstanceSecret.from_text("5" * 64)
TOKENS = LinkTokens(SECRET)
PAGES = "https://mail.postlane.test"
HTML = '<body><a href="https://shop.example/x">x</a></body>'
CONTENT = StoredContent(HTML, "https://shop.example/x", (), None)


def sender(**changes: Any) -> Sender:
    return Sender("acme.example", "bounce.acme.example", (), **changes)


def html(
    email: StoredEmail, whose: Sender, content: StoredContent = CONTENT, url: str = PAGES, position: int = 0
) -> str:
    claimed = Claimed(
        MessageRef(email.id, position), "a@x.example", "a@x.example", "x.example", 0, None, None, None, False, ACCEPTED
    )
    made = Tracker(SECRET, url).tracked(content, claimed, email, whose)
    assert made.text == content.text
    return made.html or ""


def kinds(text: str) -> str:
    return "".join(sorted(re.findall(r"https://[a-z.]+(?::\d+)?/([oct])/", text)))


@pytest.mark.parametrize(
    ("domain", "email", "found"),
    [
        ({}, {}, ""),
        ({"opens": True}, {}, "o"),
        ({"clicks": True}, {}, "ct"),
        ({"opens": True, "clicks": True}, {}, "cot"),
        ({"opens": True, "clicks": True}, {"open_tracking": False, "click_tracking": False}, ""),
        ({"opens": True}, {"open_tracking": False, "click_tracking": True}, "ct"),
        ({}, {"open_tracking": True}, "o"),
    ],
)
def test_the_email_decides_and_else_its_domain(domain: dict[str, bool], email: dict[str, bool], found: str) -> None:
    assert kinds(html(stored(**email), sender(**domain))) == found


def test_links_lead_to_the_tracking_host_of_the_domain_or_to_our_pages() -> None:
    own = html(stored(), sender(clicks=True, tracking_host="links.acme.example"))
    token = re.search(r'href="https://links\.acme\.example/c/([^"]+)"', own)
    assert token is not None
    read = TOKENS.read(Kind.CLICK, token[1])
    assert read is not None
    assert (read.place, read.target) == (TOKENS.place_of("links.acme.example"), "https://shop.example/x")

    shared = html(stored(), sender(clicks=True), url="http://127.0.0.1:8026")
    assert 'href="http://127.0.0.1:8026/c/' in shared
    with_port = html(stored(), sender(clicks=True, tracking_host="links.acme.example"), url=f"{PAGES}:8443")
    assert 'href="https://links.acme.example:8443/c/' in with_port


def test_without_public_pages_and_without_html_nothing_is_tracked() -> None:
    assert html(stored(), sender(opens=True, clicks=True), url="") == HTML
    assert html(stored(), sender(opens=True), StoredContent(None, "text", (), None)) == ""


def test_where_one_unsubscribes_is_left_alone() -> None:
    headers = (("List-Unsubscribe", "<mailto:off@shop.example>, <https://shop.example/x>"),)
    assert html(stored(), sender(clicks=True), StoredContent(HTML, "https://shop.example/x", headers, None)) == HTML


def test_a_large_mail_is_one_for_all_its_recipients() -> None:
    large = {"size": SHARED_BYTES + 1, "open_tracking": True}
    assert kinds(html(stored(**large), sender())) == "o"
    assert kinds(html(stored(**large, to=("a@x.example", "b@x.example")), sender())) == ""
    assert kinds(html(stored(**large), sender(), position=1)) == ""


def test_each_recipient_gets_links_of_their_own_and_without_tracking_all_share_one_mail() -> None:
    def envelopes(**changes: Any) -> list[Envelope]:
        email = stored(**changes)
        work = [
            (Claimed(MessageRef(email.id, n), f"u{n}@x.example", "", "x.example", 0, None, None, None, False, ACCEPTED),
             email, CONTENT, sender())
            for n in range(3)
        ]  # fmt: skip
        found = prepare_many(work, Lane.TRANSACTIONAL, SECRET, ACCEPTED, PAGES)
        assert all(isinstance(envelope, Envelope) for envelope in found)
        return [envelope for envelope in found if isinstance(envelope, Envelope)]

    bodies = [message_from_bytes(envelope.whole).get_payload()[1].get_payload(decode=True).decode() for envelope in
              envelopes(open_tracking=True, click_tracking=True)]  # fmt: skip
    for position, body in enumerate(bodies):
        tokens = re.findall(rf"{PAGES}/([oct])/([A-Za-z0-9_-]+)", body)
        read = [TOKENS.read(Kind(kind), text) for kind, text in tokens]
        assert [token.position for token in read if token is not None] == [position] * 3
    assert len({id(envelope.data) for envelope in envelopes()}) == 1


def test_mail_that_came_by_smtp_is_tracked_in_its_html() -> None:
    raw = (
        b"From: a@acme.example\r\nList-Unsubscribe: <https://shop.example/off>\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\n\r\nhttps://shop.example/x\r\n--b\r\n"
        b"Content-Type: text/html; charset=utf-8\r\n\r\n"
        b'<a href="https://shop.example/x">x</a><a href="https://shop.example/off">y</a>\r\n--b--\r\n'
    )
    email, content = stored(click_tracking=True, open_tracking=True), StoredContent(None, None, (), raw)
    claimed = Claimed(MessageRef(email.id, 0), "", "", "x.example", 0, None, None, None, False, ACCEPTED)
    made = Tracker(SECRET, PAGES).tracked(content, claimed, email, sender()).raw
    assert made is not None
    text, page = (part.get_payload(decode=True).decode() for part in message_from_bytes(made).get_payload())
    assert text == "https://shop.example/x"
    assert kinds(page) == "cot"
    assert '<a href="https://shop.example/off">' in page
    untracked = Tracker(SECRET, PAGES).tracked(content, claimed, stored(), sender())
    assert untracked is content


def test_the_same_mail_is_made_on_every_attempt() -> None:
    email = stored(id=uuid7(), open_tracking=True, click_tracking=True)
    assert html(email, sender()) == html(email, sender())


def test_switched_off_no_mail_has_a_link_of_ours() -> None:
    email, whose = stored(open_tracking=True), sender(clicks=True)
    claimed = Claimed(
        MessageRef(email.id, 0), "a@x.example", "a@x.example", "x.example", 0, None, None, None, False, ACCEPTED
    )
    with switched(TRACKING, Switch(OFF)):
        assert Tracker(SECRET, PAGES).tracked(CONTENT, claimed, email, whose) is CONTENT
    with switched(TRACKING, Switch(OFF, {email.application_id: ON})):
        assert kinds(html(email, whose)) == "cot"
    with switched(TRACKING, Switch(None, {email.application_id: OFF})):
        assert kinds(html(email, whose)) == ""
    assert kinds(html(email, whose)) == "cot"
