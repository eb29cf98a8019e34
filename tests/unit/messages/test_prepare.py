"""The bytes that go out, from what was stored: the same for all recipients and on every attempt."""

from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from accounts.senders import Sender
from core.ids import uuid7
from core.queues import Lane
from core.secrets import InstanceSecret
from messages.model import Claimed, MessageRef, StoredContent, StoredEmail
from messages.prepare import prepare_many
from mta.model import Envelope

ACCEPTED = datetime(2026, 11, 28, 9, 0, tzinfo=UTC)
SECRET = InstanceSecret.from_text("5" * 64)
RAW = b"From: hello@acme.example\r\nTo: a@x.example\r\nSubject: Hi\r\n\r\nThank you.\r\n"


def made(now: datetime, content: StoredContent, **changes: Any) -> bytes:
    facts: dict[str, Any] = {
        "id": uuid7(), "application_id": uuid7(), "domain_id": uuid7(), "pool_id": None, "content_id": uuid7(),
        "created_at": ACCEPTED, "scheduled_at": None, "sender": "hello@acme.example", "subject": "Hi",
        "to": ("a@x.example",), "cc": (), "reply_to": (), "message_id": "<1@acme.example>",
    }  # fmt: skip
    email = StoredEmail(**{**facts, **changes})
    ref = MessageRef(email.id, 0)
    message = Claimed(ref, "a@x.example", "a@x.example", "x.example", 0, None, None, None, False, now)
    sender = Sender("acme.example", "bounces.acme.example", ())
    (envelope,) = prepare_many([(message, email, content, sender)], Lane.TRANSACTIONAL, SECRET, now)
    assert isinstance(envelope, Envelope), envelope
    return envelope.data


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
