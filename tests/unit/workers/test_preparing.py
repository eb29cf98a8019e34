"""Which mail is prepared on the event loop, and that everybody else has a turn meanwhile."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from accounts.senders import Sender
from core.ids import uuid7
from core.queues import Lane
from messages.claim import INLINE_CONTENT
from messages.model import Claimed, MessageRef, StoredContent
from messages.personal import CampaignContent, Personal
from messages.prepare import prepare_many
from tests.unit.messages.test_prepare import ACCEPTED, SECRET, stored
from workers import preparing
from workers.batch import Composable

SENDER = Sender("acme.example", "bounces.acme.example", ())


def mail(content: StoredContent | Personal, **changes: Any) -> Composable:
    email = stored(**changes)
    message = Claimed(MessageRef(email.id, 0), "a@x.example", "a@x.example", "x.example", 0, None, None, None, False,
                      ACCEPTED)  # fmt: skip
    return Composable(message, email, content, SENDER)


@pytest.mark.parametrize(
    ("size", "quick"), [(1, True), (INLINE_CONTENT, True), (INLINE_CONTENT + 1, False), (0, False)]
)
def test_mail_is_quick_that_is_small(size: int, quick: bool) -> None:
    assert preparing._is_quick(mail(StoredContent(None, "Hi", (), None), size=size)) is quick


@pytest.mark.parametrize(
    ("html", "quick"),
    [
        ("<p>Hi {{ name }}</p>", True),
        ("{% for n in names %}{{ n }}{% endfor %}", False),
        ("<p>Hi {{ name }}</p>" + "x" * INLINE_CONTENT, False),
    ],
    ids=["plain", "loop", "large"],
)
def test_mail_of_a_campaign_is_quick_once_it_was_compiled_and_has_no_loops(html: str, quick: bool) -> None:
    content = CampaignContent(uuid7(), html, "Hi")
    one = mail(Personal(content, {"name": "Ann", "names": ["Ann"]}))
    assert not preparing._is_quick(one), "compiling takes its time"
    prepare_many([(one.claimed, one.email, one.content, one.sender)], Lane.MARKETING, SECRET, ACCEPTED)
    assert preparing._is_quick(one) is quick


@pytest.mark.parametrize(
    ("content", "quick"),
    [
        (StoredContent("<a href='https://x.example/'>" * 300 + "x" * 9000, None, (), None), True),
        (StoredContent("<a href='https://\xfc.example/'>" * 301, None, (), None), False),
        (StoredContent(None, None, (), b"x" * 8192), True),
        (StoredContent(None, None, (), b"x" * 8193), False),
    ],
    ids=["some", "many", "short", "perhaps many"],
)
def test_mail_with_very_many_links_keeps_nobody_waiting(content: StoredContent, quick: bool) -> None:
    """1,800 names of another alphabet took the loop 160 ms."""
    assert preparing._is_quick(mail(content, size=INLINE_CONTENT)) is quick


async def test_others_have_their_turn_between_two_mails() -> None:
    turns = 0

    def made() -> Iterator[str]:
        for number in range(5):
            time.sleep(preparing.TURN_SECONDS)
            yield f"{number} {turns}"

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(other())
    prepared = await preparing._by_turns(made())
    beside.cancel()
    assert prepared == ["0 0", "1 1", "2 2", "3 3", "4 4"]
