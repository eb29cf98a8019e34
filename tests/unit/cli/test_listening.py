"""An event in one line of a terminal."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from cli.listening import line
from webhooks.kinds import EventType
from webhooks.listening import Heard

AT = datetime(2026, 11, 28, 8, 0, tzinfo=UTC)


def heard(kind: EventType, **data: Any) -> Heard:
    return Heard(UUID(int=1), kind.value, AT, orjson.dumps({"type": kind, "created_at": AT, "data": data}).decode())


@pytest.mark.parametrize("kind", EventType)
def test_it_fits_eighty_columns_whatever_it_says(kind: EventType) -> None:
    event = heard(kind, recipient="a" * 60 + "@example.com", provider="gmail", code=550, detail="x" * 300)
    text = line(event, " → 200", 80).plain
    assert len(text) <= 80
    assert kind.value in text
    assert text.endswith("… → 200")


def test_it_says_whom_it_is_about_and_how_it_went() -> None:
    event = heard(EventType.EMAIL_BOUNCED, recipient="bob@example.com", provider="gmail", code=550, subject="Hi")
    assert line(event, "", 80).plain.endswith("email.bounced           bob@example.com  gmail 550")


def test_what_others_wrote_cannot_steer_the_terminal() -> None:
    event = heard(EventType.DOMAIN_UPDATED, name="a\x1b[2J\nb")
    text = line(event, "", 80).plain
    assert "\x1b" not in text
    assert "\n" not in text
