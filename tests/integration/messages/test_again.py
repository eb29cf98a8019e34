"""The same mail once more: a new email of its own, accepted as all mail is, told in both stories."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from accounts import quotas
from accounts.quotas import Quota
from core.ids import uuid7
from core.queues import Lane
from core.refusal import Refused
from messages import again, repository
from messages.again import Answer, Wish
from messages.claim import load_content
from messages.model import MessageRef, NewEmail, StoredContent
from messages.repository import EmailDetail
from mta.model import Attachment
from store.database import Database
from tests.integration.api.account import Account, make_account
from tests.integration.messages.emails import delivered, execute, make_partitions, new_email, recipient, rows, store

SIMULATED = "simulated.example"


@pytest.fixture
async def account(database: Database) -> Account:
    """Acme, whose domain acme.example is verified."""
    await make_partitions(database)
    return await make_account(database)


async def _ended(database: Database, account: Account, *people: str, **changes: Any) -> NewEmail:
    """One that was delivered."""
    email = await _stored(database, account, *people, **changes)
    await delivered(database, email.id)
    return email


async def _stored(database: Database, account: Account, *people: str, **changes: Any) -> NewEmail:
    email = new_email(*people, application_id=account.application_id, domain_id=account.domain_id, **changes)
    await store(database, email)
    return email


async def _send(database: Database, account: Account, email_id: UUID, to: int | str | None = 0, **more: Any) -> Answer:
    async with database.transaction() as connection:
        wish = Wish(account.application_id, email_id, to, "by ada@acme.example", SIMULATED, **more)
        return await again.send(connection, wish)


async def _refused(database: Database, account: Account, email_id: UUID, to: int | str | None = 0) -> Refused:
    with pytest.raises(Refused) as refused:
        await _send(database, account, email_id, to)
    return refused.value


async def _detail(database: Database, account: Account, email_id: UUID) -> tuple[EmailDetail, StoredContent]:
    async with database.connection() as connection:
        found = await repository.find_email(connection, account.application_id, email_id)
        content = await load_content(connection, email_id)
    assert found is not None
    assert content is not None
    return found, content


async def test_it_is_a_new_email_that_says_the_same_to_one_recipient(database: Database, account: Account) -> None:
    file = Attachment("a.pdf", "application/pdf", b"%PDF", "")
    old = await _ended(
        database, account, "ann@one.example", "bob@two.example", to=("Ann <ann@one.example>", "Bob <Bob@two.example>"),
        html="<p>Thanks</p>", headers=(("X-Order", "7"), ("Message-ID", "<theirs@acme.example>"), ("Date", "x")),
        attachments=(file,), tags=(("kind", "receipt"),), pool_id=uuid7(), template_id=uuid7(), open_tracking=True,
        reply_to=("help@acme.example",), expires_at=datetime.now(UTC) + timedelta(hours=1),
    )  # fmt: skip

    new, fresh = again.settled(await _send(database, account, old.id, 1))

    detail, content = await _detail(database, account, new)
    summary = detail.summary
    assert fresh
    assert new != old.id
    assert summary.message_id == f"<{new.hex}@acme.example>"
    assert [(one.recipient, one.kind, one.state) for one in detail.recipients] == [("bob@two.example", "to", "queued")]
    assert (summary.to, summary.cc, summary.bcc) == (["Bob <Bob@two.example>"], [], [])
    assert (summary.sender, summary.subject, summary.lane) == (old.sender, old.subject, "transactional")
    assert (detail.tags, detail.template_id, summary.reply_to) == (old.tags, old.template_id, ["help@acme.example"])
    assert (content.html, content.text, content.headers) == (old.html, old.text, (("X-Order", "7"),))
    assert content.attachments == (file,)
    assert detail.again_of == MessageRef(old.id, 1)
    assert detail.expires_at is not None
    assert abs(detail.expires_at - summary.created_at - timedelta(hours=1)) < timedelta(seconds=30)
    kept = "SELECT pool_id, open_tracking, click_tracking FROM emails WHERE id = %s"
    assert await rows(database, kept, [new]) == [(old.pool_id, True, None)]


async def test_the_old_one_tells_of_it_and_ends_as_it_ended(database: Database, account: Account) -> None:
    old = await _ended(database, account, "ann@one.example", "bob@one.example")

    new, _ = again.settled(await _send(database, account, old.id, "BOB@one.example"))

    told = await rows(database, "SELECT email_id, position, kind, detail FROM events")
    assert told == [(old.id, 1, "sent_again", f"as {new}, by ada@acme.example")]
    assert again.new_id(told[0][3]) == new
    assert await rows(database, "SELECT DISTINCT state FROM messages WHERE email_id = %s", [old.id]) == [("delivered",)]
    queued = await rows(database, "SELECT email_id, recipient, destination FROM delivery_queue WHERE due_at <= now()")
    assert queued == [(new, "bob@one.example", "one.example")]
    assert await rows(database, "SELECT sum(n) FROM count_deltas WHERE outcome = 'accepted'") == [(3,)]


async def test_a_submitted_mail_gets_another_message_id_and_date_only(database: Database, account: Account) -> None:
    raw = (
        b"Received: by mx with ESMTPA id 1\r\nFrom: hello@acme.example\r\nTo: ann@one.example\r\nSubject: Hi\r\n"
        b"Date: Mon, 2 Nov 2026 10:00:00 +0000\r\nMessage-ID: <theirs@acme.example>\r\n\r\nHello \xc3\xa4\r\n"
    )
    old = await _ended(database, account, "ann@one.example", raw=raw, text=None)

    new, _ = again.settled(await _send(database, account, old.id))

    _, content = await _detail(database, account, new)
    assert content.raw == (
        b"Received: by mx with ESMTPA id 1\r\nFrom: hello@acme.example\r\nTo: ann@one.example\r\nSubject: Hi\r\n"
        b"\r\nHello \xc3\xa4\r\n"
    )


async def test_one_key_is_one_mail_also_when_nothing_of_it_is_left(database: Database, account: Account) -> None:
    old = await _ended(database, account)
    key = again.pressed(MessageRef(old.id, 0), 0)
    first, fresh = again.settled(await _send(database, account, old.id, key=key))
    await execute(database, "DELETE FROM contents WHERE id = %s", [old.id])

    assert again.settled(await _send(database, account, old.id, key=key)) == (first, False)
    assert fresh
    assert await rows(database, "SELECT count(*) FROM emails") == [(2,)]
    assert await rows(database, "SELECT count(*) FROM events") == [(1,)]


async def test_two_at_once_under_one_key_are_one_mail(database: Database, account: Account) -> None:
    old = await _ended(database, account)
    key = again.pressed(MessageRef(old.id, 0), 0)

    answers = await asyncio.gather(*[_send(database, account, old.id, key=key) for _ in range(2)])

    (one, fresh), (other, second) = map(again.settled, answers)
    assert one == other
    assert {fresh, second} == {True, False}
    assert await rows(database, "SELECT count(*) FROM emails") == [(2,)]


async def test_what_is_under_way_or_waits_for_its_time_is_not_repeated(database: Database, account: Account) -> None:
    queued = await _stored(database, account)
    later = await _stored(database, account, scheduled_at=datetime.now(UTC) + timedelta(hours=1))

    assert "on its way" in (await _refused(database, account, queued.id)).reason
    assert "waits for its time" in (await _refused(database, account, later.id)).reason
    assert await rows(database, "SELECT count(*) FROM emails") == [(2,)]


async def test_what_cannot_be_repeated_exactly_says_why(database: Database, account: Account) -> None:
    campaign = await _ended(database, account, campaign_id=uuid7(), contact_id=uuid7(), content_id=uuid7())
    gone, erased, topical = [await _ended(database, account, topic_id=topic) for topic in (None, None, uuid7())]
    await execute(database, "DELETE FROM contents WHERE id = %s", [gone.id])
    await execute(database, "UPDATE messages SET recipient = 'erased@erased.invalid' WHERE email_id = %s", [erased.id])

    for email, reason in (
        (campaign, "mail of a campaign"),
        (gone, "no longer stored"),
        (erased, "erased"),
        (topical, "topic was deleted"),
    ):
        assert reason in (await _refused(database, account, email.id)).reason


async def test_the_recipient_is_named_where_there_are_several(database: Database, account: Account) -> None:
    old = await _ended(database, account, "ann@one.example", "bob@one.example")

    assert (await _refused(database, account, old.id, None)).field == "recipient"
    assert (await _refused(database, account, old.id, "eve@one.example")).field == "recipient"
    assert (await _refused(database, account, old.id, "no address")).field == "recipient"
    assert (await _refused(database, account, old.id, 2)).kind == "not_found"
    assert (await _refused(database, account, uuid7())).kind == "not_found"


async def test_its_sender_must_still_be_allowed(database: Database, account: Account) -> None:
    old = await _ended(database, account)
    with pytest.raises(Refused, match="may not send from"):
        await _send(database, account, old.id, only_domain=uuid7())
    await execute(database, "UPDATE domains SET status = 'failed' WHERE id = %s", [account.domain_id])
    assert (await _refused(database, account, old.id)).code == "invalid_from_address"
    await execute(database, "DELETE FROM domains WHERE id = %s", [account.domain_id])
    assert "not one of yours" in (await _refused(database, account, old.id)).reason


async def test_it_counts_for_the_quota(database: Database, account: Account) -> None:
    old = await _ended(database, account)
    async with database.transaction() as connection:
        await quotas.set_quota(connection, account.application_id, Quota(per_day=1))

    again.settled(await _send(database, account, old.id))
    with pytest.raises(Refused) as refused:
        again.settled(await _send(database, account, old.id))

    assert refused.value.code == quotas.DAY_IS_OVER
    assert await rows(database, "SELECT count(*) FROM emails") == [(2,)]


async def test_test_mail_stays_test_mail_and_rules_are_asked_anew(database: Database, account: Account) -> None:
    test = await _ended(database, account, "ann@one.example", capture=True)
    live = await _ended(database, account, "bob@two.example")
    await execute(
        database,
        "INSERT INTO capture_rules (id, application_id, pattern) VALUES (%s, %s, '*@two.example')",
        [uuid7(), account.application_id],
    )

    repeats = [again.settled(await _send(database, account, one.id))[0] for one in (test, live)]

    captured = "SELECT e.capture, m.capture FROM emails e JOIN messages m ON m.email_id = e.id WHERE e.id = %s"
    assert [await rows(database, captured, [one]) for one in repeats] == [[(True, True)], [(False, True)]]
    assert (await _detail(database, account, repeats[0]))[0].summary.test
    with pytest.raises(Refused):
        await _send(database, account, live.id, tests_only=True)


async def test_marketing_mail_keeps_its_topic_and_stream(database: Database, account: Account) -> None:
    topic = uuid7()
    await execute(
        database,
        "INSERT INTO topics (id, application_id, name, lane, default_subscription, visibility)"
        " VALUES (%s, %s, 'News', 'marketing', 'opt_out', 'public')",
        [topic, account.application_id],
    )
    old = await _ended(database, account, recipients=(recipient("ann@one.example", "bcc"),), bcc=("ann@one.example",),
                       to=("list@acme.example",), lane=Lane.MARKETING, topic_id=topic)  # fmt: skip

    new, _ = again.settled(await _send(database, account, old.id, None))

    queued = await rows(database, "SELECT email_id, lane, topic_id, address FROM delivery_queue")
    assert queued == [(new, "marketing", topic, "ann@one.example")]
    detail, _ = await _detail(database, account, new)
    assert (detail.summary.to, detail.summary.bcc) == (["ann@one.example"], [])
