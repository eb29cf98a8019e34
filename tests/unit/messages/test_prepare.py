"""The bytes that go out, from what was stored: on every attempt the same, and for each recipient with their token."""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from accounts.senders import Sender
from core.ids import uuid7
from core.queues import Lane
from core.secrets import InstanceSecret
from messages.feedback_id import feedback_id
from messages.model import Claimed, MessageRef, StoredContent, StoredEmail
from messages.prepare import prepare_many
from mta import return_path
from mta.model import Envelope
from mta.sign import generate_ed25519, load_key

ACCEPTED = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)
SECRET = InstanceSecret.from_text("5" * 64)
RAW = b"From: hello@acme.example\r\nTo: a@x.example\r\nSubject: Hi\r\n\r\nThank you.\r\n"


def stored(**changes: Any) -> StoredEmail:
    facts: dict[str, Any] = {
        "id": uuid7(), "application_id": uuid7(), "domain_id": uuid7(), "pool_id": None, "content_id": uuid7(),
        "created_at": ACCEPTED, "scheduled_at": None, "sender": "hello@acme.example", "subject": "Hi",
        "to": ("a@x.example",), "cc": (), "reply_to": (), "message_id": "<1@acme.example>",
    }  # fmt: skip
    return StoredEmail(**{**facts, **changes})


def made(now: datetime, content: StoredContent, **changes: Any) -> bytes:
    email = stored(**changes)
    ref = MessageRef(email.id, 0)
    message = Claimed(ref, "a@x.example", "a@x.example", "x.example", 0, None, None, None, False, now)
    sender = Sender("acme.example", "bounces.acme.example", ())
    (envelope,) = prepare_many([(message, email, content, sender)], Lane.TRANSACTIONAL, SECRET, now)
    assert isinstance(envelope, Envelope), envelope
    return envelope.whole


@pytest.mark.parametrize("content", [StoredContent(None, "Thank you.", (), None), StoredContent(None, None, (), RAW)])
@pytest.mark.parametrize("schedule", [None, ACCEPTED + timedelta(days=2)])
def test_the_date_is_that_of_acceptance_or_schedule_on_every_attempt(
    content: StoredContent, schedule: datetime | None
) -> None:
    for hours in (50, 60):
        mail = message_from_bytes(made(ACCEPTED + timedelta(hours=hours), content, scheduled_at=schedule))
        assert parsedate_to_datetime(mail["Date"]) == (schedule or ACCEPTED)


def test_an_empty_body_of_older_rows_is_no_part() -> None:
    mail = message_from_bytes(made(ACCEPTED, StoredContent("", "Thank you.", (), None)))
    assert mail.get_content_type() == "text/plain"


def _several(content: StoredContent, recipients: int, **changes: Any) -> list[Envelope]:
    email = stored(**changes)
    sender = Sender("acme.example", "bounces.acme.example", (load_key("acme.example", "r1", generate_ed25519()[0]),))
    work = [
        (Claimed(MessageRef(email.id, n), f"u{n}@x.example", "", "x.example", 0, None, None, None, False, ACCEPTED),
         email, content, sender)
        for n in range(recipients)
    ]  # fmt: skip
    prepared = prepare_many(work, Lane.MARKETING, SECRET, ACCEPTED)
    envelopes = [envelope for envelope in prepared if isinstance(envelope, Envelope)]
    assert len(envelopes) == recipients
    return envelopes


@pytest.mark.parametrize("content", [StoredContent(None, "Thank you.", (), None), StoredContent(None, None, (), RAW)])
def test_each_recipient_has_a_token_in_header_and_return_path_and_shares_the_rest(content: StoredContent) -> None:
    envelopes = _several(content, 3)
    for number, envelope in enumerate(envelopes):
        mail = message_from_bytes(envelope.whole)
        found = return_path.read_token(SECRET, mail[return_path.HEADER])
        assert found is not None
        assert found[1] == number
        assert return_path.parse(SECRET, envelope.mail_from) == found
        assert "Postlane-Ref" in mail["DKIM-Signature"]
        assert envelope.front.isascii() and envelope.front.endswith(b"\r\n")
    assert len({envelope.front for envelope in envelopes}) == 3
    assert len({id(envelope.data) for envelope in envelopes}) == 1


def test_an_own_reference_of_an_application_comes_behind_ours() -> None:
    foreign = return_path.make_token(SECRET, uuid7(), 7)
    raw = b"Postlane-Ref: " + foreign.encode() + b"\r\n" + RAW
    (envelope,) = _several(StoredContent(None, None, (), raw), 1)
    found = return_path.find_token(SECRET, envelope.whole.decode())
    assert found is not None and found == return_path.parse(SECRET, envelope.mail_from)


@pytest.mark.parametrize(("second", "needed"), [("Jürgen <jürgen@acme.example>", True), ("j@bücher.example", False)])
def test_smtputf8_is_asked_for_by_whatever_header_holds_such_an_address(second: str, needed: bool) -> None:
    headers = tuple(("Disposition-Notification-To", value) for value in ("first@acme.example", second))
    (envelope,) = _several(StoredContent(None, "Thank you.", headers, None), 1)
    assert envelope.smtputf8 == needed


@pytest.mark.parametrize(
    ("tags", "campaign"),
    [((), ""), ((("order", "1"), ("campaign", "spring sale:1")), "spring-sale-1"), ((("kind", "welcome"),), "welcome")],
)
def test_feedback_id(tags: tuple[tuple[str, str], ...], campaign: str) -> None:
    (envelope,) = _several(StoredContent(None, "Thank you.", (), None), 1, tags=tags)
    slots = message_from_bytes(envelope.whole)["Feedback-ID"].split(":")
    assert (slots[0], slots[2], slots[3]) == (campaign, "marketing", "acme.example")
    assert 5 <= len(slots[3]) <= 15


@pytest.mark.parametrize(
    ("tags", "slot"),
    [((), None), ((("kind", "news"),), None), ((("kind", "news"), ("campaign", "spring")), "spring")],
)
def test_mail_of_a_campaign_is_counted_by_its_id_unless_a_tag_names_it(
    tags: tuple[tuple[str, str], ...], slot: str | None
) -> None:
    campaign = uuid7()
    content = StoredContent(None, "Thank you.", (), None)
    (one,), (other,) = (_several(content, 1, tags=tags, campaign_id=campaign) for _ in range(2))
    ids = [message_from_bytes(envelope.whole)["Feedback-ID"] for envelope in (one, other)]
    assert [found.split(":")[0] for found in ids] == [slot or campaign.hex] * 2


@pytest.mark.parametrize("domain", ["a.b", "newsletter.with.a.long.name.example", "shop.example"])
def test_the_sender_of_a_feedback_id_has_five_to_fifteen_characters(domain: str) -> None:
    made = feedback_id(stored(), Lane.MARKETING, domain).rpartition(":")[2]
    assert 5 <= len(made) <= 15
    assert made == feedback_id(stored(tags=(("x", "y"),)), Lane.TRANSACTIONAL, domain).rpartition(":")[2]
