"""How marketing mail says that it can be left: for each recipient, signed, and only where its application does not."""

import base64
import quopri
import re
from email import message_from_bytes
from email.message import Message
from typing import Any

import pytest

from accounts.senders import Sender
from audience.links import LinkSeal
from core.ids import uuid7
from core.queues import Lane
from messages.model import Claimed, MessageRef, StoredContent
from messages.prepare import prepare_many
from mta import return_path
from mta.model import Envelope
from mta.sign import generate_ed25519, load_key
from tests.unit.messages.test_prepare import ACCEPTED, RAW, SECRET, stored

SEAL = LinkSeal(SECRET)
URL = "https://mail.acme.example"
TEXT = StoredContent("<p>Hi</p>", "Hi", (), None)
KEYS = (load_key("acme.example", "s1", generate_ed25519()[0]),)
SENDER = Sender("acme.example", "bounces.acme.example", KEYS)
PLACE = "{{{RESEND_UNSUBSCRIBE_URL}}}"


def mails(
    content: StoredContent, *addresses: str, lane: Lane = Lane.MARKETING, url: str = URL, **changes: Any
) -> list[Message]:
    """What goes out to each of these recipients of one email."""
    email = stored(**{"topic_id": uuid7(), **changes})
    work = [
        (Claimed(MessageRef(email.id, n), one, one, "x.example", 0, None, None, None, False, ACCEPTED), email,
         content, SENDER)
        for n, one in enumerate(addresses or ("a@x.example",))
    ]  # fmt: skip
    made = prepare_many(work, lane, SECRET, ACCEPTED, url)
    assert all(isinstance(one, Envelope) for one in made), made
    return [message_from_bytes(one.whole) for one in made if isinstance(one, Envelope)]


def links(mail: Message) -> tuple[str, str]:
    """The https and the mailto form."""
    web, mailto = re.findall(r"<([^>]*)>", mail["List-Unsubscribe"])
    return web, mailto


@pytest.mark.parametrize("content", [TEXT, StoredContent(None, None, (), RAW)], ids=["api", "smtp"])
def test_marketing_mail_can_be_left_in_both_ways(content: StoredContent) -> None:
    topic = uuid7()
    (mail,) = mails(content, topic_id=topic)
    web, mailto = links(mail)
    link = SEAL.read(web.removeprefix(f"{URL}/u/"))

    assert link is not None
    assert (link.topic_id, link.position, link.address) == (topic, 0, "a@x.example")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    address, subject = mailto.removeprefix("mailto:").split("?subject=")
    assert return_path.parse_unsubscribe(SECRET, address) == (link.email_id, 0)
    assert len(address.partition("@")[0]) <= 64
    assert SEAL.read(subject) == link


def test_both_headers_are_signed() -> None:
    (mail,) = mails(TEXT)
    signed = re.sub(r"\s", "", re.search(r"h=([^;]*);", mail["DKIM-Signature"])[1]).split(":")  # type: ignore[index]

    assert {"List-Unsubscribe", "List-Unsubscribe-Post"} <= set(signed)


def test_each_recipient_has_a_link_of_their_own() -> None:
    found = [SEAL.read(links(mail)[0].rpartition("/")[2]) for mail in mails(TEXT, "a@x.example", "b@x.example")]

    assert [(link.position, link.address) for link in found if link] == [(0, "a@x.example"), (1, "b@x.example")]


def test_the_same_mail_is_made_on_every_attempt() -> None:
    email_id = uuid7()
    facts = {"id": email_id, "application_id": uuid7(), "topic_id": uuid7()}

    assert mails(TEXT, **facts)[0]["List-Unsubscribe"] == mails(TEXT, **facts)[0]["List-Unsubscribe"]


@pytest.mark.parametrize(
    "content",
    [
        StoredContent(None, "Hi", (("list-unsubscribe", "<https://shop.example/u>"),), None),
        StoredContent(None, None, (), b"LIST-Unsubscribe : <https://shop.example/u>\r\n" + RAW),
    ],
    ids=["api", "smtp"],
)
def test_an_application_that_says_so_itself_is_left_alone(content: StoredContent) -> None:
    (mail,) = mails(content)

    assert mail.get_all("List-Unsubscribe") == ["<https://shop.example/u>"]
    assert mail["List-Unsubscribe-Post"] is None


def test_transactional_mail_says_nothing() -> None:
    assert mails(TEXT, lane=Lane.TRANSACTIONAL)[0]["List-Unsubscribe"] is None


def test_without_public_pages_a_mail_is_the_way() -> None:
    (mail,) = mails(TEXT, url="")

    assert mail["List-Unsubscribe"].startswith("<mailto:unsubscribe+")
    assert mail["List-Unsubscribe-Post"] is None


def test_a_report_that_quotes_only_this_header_is_placed_by_it() -> None:
    (mail,) = mails(TEXT)

    assert return_path.find_token(SECRET, mail["List-Unsubscribe"]) == return_path.read_token(
        SECRET, mail[return_path.HEADER]
    )


# The link in the text


@pytest.mark.parametrize("place", [PLACE, "{{{UNSUBSCRIBE_URL}}}"])
@pytest.mark.parametrize("lane", Lane)
def test_a_placeholder_becomes_the_recipients_own_link(place: str, lane: Lane) -> None:
    content = StoredContent(f'<a href="{place}">Leave</a> {{{{{{name}}}}}}', f"Leave: {place}\n{place}", (), None)
    for number, mail in enumerate(mails(content, "a@x.example", "b@x.example", lane=lane)):
        parts = [part.get_payload(decode=True) for part in mail.walk() if not part.is_multipart()]
        texts = [part.decode() for part in parts if isinstance(part, bytes)]
        found = {SEAL.read(text) for text in re.findall(rf"{URL}/u/([\w-]+)", "\n".join(texts))}
        (link,) = found
        assert link is not None
        assert link.position == number
        assert all(place not in text for text in texts)
        assert "{{{name}}}" in texts[1]


def test_the_link_is_the_persons_own_beside_links_that_are_tracked() -> None:
    content = StoredContent(f'<a href="{PLACE}">Leave</a> <a href="https://shop.example/a">Shop</a>', None, (), None)
    for mail in mails(content, "a@x.example", "b@x.example", click_tracking=True):
        text = mail.get_payload(decode=True)
        assert isinstance(text, bytes)
        assert f'href="{links(mail)[0]}"' in text.decode()
        assert "https://shop.example/a" not in text.decode()


def test_a_placeholder_in_submitted_mail_is_filled_where_it_can_be_read() -> None:
    quoted = quopri.encodestring(f'<a href="{PLACE}">ä</a>'.encode()).replace(b"\n", b"\r\n")
    raw = RAW.partition(b"\r\n\r\n")[0] + b"\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n" + quoted
    (mail,) = mails(StoredContent(None, None, (), raw))
    text = mail.get_payload(decode=True)
    assert isinstance(text, bytes)

    assert f'<a href="{links(mail)[0]}">' in text.decode()


def test_a_placeholder_without_public_pages_is_an_address() -> None:
    (mail,) = mails(StoredContent(None, f"Leave: {PLACE}", (), None), url="")

    assert "Leave: mailto:unsubscribe+" in str(mail.get_payload())


def test_text_in_base64_of_submitted_mail_stays_as_it_is() -> None:
    body = base64.b64encode(PLACE.encode())
    raw = RAW.partition(b"\r\n\r\n")[0] + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + body
    (mail,) = mails(StoredContent(None, None, (), raw))

    assert mail.get_payload(decode=True) == PLACE.encode()
