"""Mail that may not leave, through the real pipeline: composed, signed, kept once, and nothing on any wire."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from accounts.capture_rules import CaptureRules
from audience.choices import Act, Person, Source
from core.paging import Window
from core.queues import Lane
from messages import choosing, claim
from messages.capture import marked, stands_in
from messages.model import MessageRef, NewEmail
from mta.model import EgressIp, Route
from sandbox import complaints, mailbox
from sandbox.mailbox import EVERY, MailView
from sandbox.reading import parsed
from store.database import Database
from tests.integration.messages.emails import execute, rows, suppress
from tests.integration.workers.lane import IPS, LANE, LaneTest, due_in, due_now, events_of, lane_test, new_worker, until
from tests.unit.mta.dkim_reader import verifies
from workers.batch import Job
from workers.pipeline import deliver_due

DOMAIN = "sandbox.example"


@pytest.fixture
async def lane(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[LaneTest]:
    async with lane_test(database, database_url, redis_url, tmp_path) as found:
        yield found


async def put(lane: LaneTest, *addresses: str, **changes: Any) -> NewEmail:
    """Accept an email as a door does: its recipients marked."""
    email = lane.email(*addresses, **changes)
    return await lane.put(
        *addresses, **changes, id=email.id, recipients=marked(email.recipients, CaptureRules(), DOMAIN)
    )


async def caught(lane: LaneTest) -> list[MailView]:
    async with lane.database.connection() as connection:
        return [*(await mailbox.page(connection, EVERY, Window())).entries]


async def raw_of(lane: LaneTest, mail_id: UUID) -> bytes:
    async with lane.database.connection() as connection:
        found = await mailbox.find(connection, EVERY, mail_id)
    assert found is not None
    return found[1]


async def records(lane: LaneTest) -> dict[str, str]:
    """The DKIM keys of the sender domain, as DNS has them."""
    found = await rows(lane.database, "SELECT selector, algorithm, public_key FROM dkim_keys")
    return {f"{name}._domainkey.acme.example.": f"v=DKIM1; k={kind}; p={key}" for name, kind, key in found}


async def counted(lane: LaneTest) -> dict[str, int]:
    found = await rows(lane.database, "SELECT outcome, sum(n)::int FROM outcome_counts GROUP BY 1")
    return dict(found)  # type: ignore[arg-type]


async def test_a_test_mail_is_signed_and_kept_and_does_not_leave(lane: LaneTest) -> None:
    email = await put(lane, "ann@one.example", "bea@nowhere.example", capture=True, subject="Hällo")

    await lane.deliver("one.example", "nowhere.example")

    assert lane.sink.mails == []
    assert lane.dns.asked.total() == 0, "no name server hears of it"
    assert {await lane.state(email, n) for n in (0, 1)} == {"delivered"}
    mails = await caught(lane)
    assert {mail.rcpt_to for mail in mails} == {"ann@one.example", "bea@nowhere.example"}
    assert all(mail.test and mail.subject == "Hällo" and mail.ref.email_id == email.id for mail in mails)
    raw = await raw_of(lane, mails[0].id)
    assert parsed(raw).text == "Thank you.\n"
    assert verifies(raw, await records(lane), 0)
    assert verifies(raw, await records(lane), 1)
    assert mails[0].mail_from.endswith("@bounce.acme.example")
    event = await lane.event(email)
    assert (event["kind"], event["detail"]) == ("delivered", "captured, nothing left: it was sent with a test key")
    assert await counted(lane) == {}


async def test_of_one_email_some_leave_and_some_are_kept(lane: LaneTest) -> None:
    mixed = lane.email("ann@one.example", "qa@two.example")
    receivers = marked(mixed.recipients, CaptureRules.of(["*@two.example"]), DOMAIN)
    email = await lane.put("ann@one.example", "qa@two.example", id=mixed.id, recipients=receivers)

    await lane.deliver()

    assert [mail.rcpt_to for mail in lane.sink.mails] == [("ann@one.example",)]
    assert [mail.rcpt_to for mail in await caught(lane)] == ["qa@two.example"]
    assert (await lane.state(email, 0), await lane.state(email, 1)) == ("delivered", "delivered")
    assert await counted(lane) == {"accepted": 1, "delivered": 1}


async def test_suppression_expiry_and_cancelled_content_hold_for_tests_too(lane: LaneTest) -> None:
    await suppress(lane.database, "ann@one.example")
    gone = await put(lane, "ann@one.example", capture=True)
    late = await put(lane, "bea@one.example", capture=True)
    await execute(lane.database, "UPDATE delivery_queue SET expires_at = now() WHERE email_id = %s", [late.id])
    empty = await put(lane, "cee@one.example", capture=True)
    await execute(lane.database, "DELETE FROM contents WHERE id = %s", [empty.id])

    await lane.deliver()

    assert [await lane.state(email) for email in (gone, late, empty)] == ["suppressed", "expired", "failed"]
    assert await caught(lane) == []
    assert await counted(lane) == {}


async def test_large_mail_is_kept_too(lane: LaneTest) -> None:
    await put(lane, "ann@one.example", capture=True, text="long line\n" * 20_000)

    await lane.deliver()

    [mail] = await caught(lane)
    assert mail.size > 200_000
    assert lane.collaborators.large.used() == 0


@pytest.mark.parametrize(
    ("local", "state", "kept", "code"),
    [("delivered", "delivered", 1, 250), ("bounced", "bounced", 0, 550), ("full", "bounced", 0, 552)],
)
async def test_simulated_recipients_on_a_live_key(lane: LaneTest, local: str, state: str, kept: int, code: int) -> None:
    email = await put(lane, f"{local}+order-7@{DOMAIN}")

    await lane.deliver(DOMAIN)

    event = await lane.event(email)
    assert (await lane.state(email), event["code"], event["provider"]) == (state, code, "sandbox")
    assert event["class"] == {"bounced": "invalid_recipient", "full": "mailbox_full"}.get(local, event["class"])
    assert len(await caught(lane)) == kept
    assert lane.sink.mails == []
    assert await counted(lane) == {}
    assert await rows(lane.database, "SELECT address FROM suppressions") == []


async def test_a_bounce_can_be_tested_again_and_again(lane: LaneTest) -> None:
    for _ in range(2):
        email = await put(lane, f"bounced@{DOMAIN}")
        await lane.deliver(DOMAIN)
        assert await lane.state(email) == "bounced"


async def test_delayed_is_put_off_and_then_taken(lane: LaneTest) -> None:
    email = await put(lane, f"delayed@{DOMAIN}")

    await lane.deliver(DOMAIN)
    assert await lane.state(email) == "deferred"
    assert 5 < (await due_in(lane, MessageRef(email.id, 0))).total_seconds() <= 10
    assert await caught(lane) == []
    await due_now(lane)
    await lane.deliver(DOMAIN)

    assert await events_of(lane, MessageRef(email.id, 0)) == ["deferred", "delivered"]
    assert len(await caught(lane)) == 1


async def test_suppressed_is_suppressed(lane: LaneTest) -> None:
    email = await put(lane, f"suppressed@{DOMAIN}")

    await lane.deliver(DOMAIN)

    assert await lane.state(email) == "suppressed"
    assert (await lane.event(email))["detail"] == "suppressed: simulated"
    assert await counted(lane) == {}


async def test_complained_complains_once_a_moment_later(lane: LaneTest) -> None:
    email = await put(lane, f"complained@{DOMAIN}")
    await lane.deliver(DOMAIN)
    assert await complaints.voice(lane.database) == 0
    await execute(lane.database, "UPDATE simulated_complaints SET due_at = now()")

    voiced = await asyncio.gather(*(complaints.voice(lane.database) for _ in range(3)))

    assert sum(voiced) == 1
    assert sorted(await events_of(lane, MessageRef(email.id, 0))) == ["complained", "delivered"]
    assert await lane.state(email) == "delivered"
    assert await counted(lane) == {}
    assert await rows(lane.database, "SELECT address FROM suppressions") == []


async def test_whoever_is_killed_before_the_commit_keeps_the_mail_once(lane: LaneTest, database_url: str) -> None:
    """The mailbox and the end of the message are one commit: cut off in the middle, both are done again."""
    email = await put(lane, "ann@one.example", capture=True)
    async with await psycopg.AsyncConnection.connect(database_url) as blocker:
        await blocker.execute("LOCK TABLE captured_mails IN ACCESS EXCLUSIVE MODE")
        delivering = asyncio.create_task(deliver_due(LANE, ["one.example"], lane.collaborators))
        killed = await _waits_for_lock(lane)
        await execute(lane.database, "SELECT pg_terminate_backend(%s)", [killed])
        await asyncio.wait_for(delivering, 20)
        await blocker.rollback()
    assert await lane.state(email) == "queued"
    await due_now(lane)

    await lane.deliver("one.example")
    await lane.deliver("one.example")

    assert await lane.state(email) == "delivered"
    assert len(await caught(lane)) == 1
    assert await events_of(lane, MessageRef(email.id, 0)) == ["delivered"]


async def test_two_that_hold_the_same_message_keep_it_once(lane: LaneTest) -> None:
    """A lease that ran out under a worker that lives."""
    email = await put(lane, "ann@one.example", capture=True)
    async with lane.database.transaction() as connection:
        await mailbox.keep(
            connection,
            [mailbox.CapturedMail(MessageRef(email.id, 0), email.application_id, "", "ann@one.example", b"x")] * 2,
        )
    await lane.deliver("one.example")

    assert len(await caught(lane)) == 1


@pytest.mark.parametrize("by", ["queue", "email"])
async def test_what_may_not_leave_cannot_become_a_job(lane: LaneTest, by: str) -> None:
    """The last lock: a pipeline that forgot the way aside has nothing to send it with."""
    stored = await lane.put("ann@one.example", capture=True)
    async with lane.database.connection() as connection:
        [message], _ = await claim.claim(connection, LANE, ["one.example"], new_worker(), 10, timedelta(seconds=60))
        email, content = (await claim.load(connection, [stored.id]))[stored.id]
    if by == "queue":
        email = email._replace(capture=False)
    else:
        message = message._replace(capture=False)
    sender = await lane.collaborators.senders.sender(lane.domain_id)
    assert sender is not None
    ip = EgressIp(IPS[0], IPS[0], "mta1.acme.example")
    pool = await lane.collaborators.pools.pool_for(LANE, None, lane.domain_id, lane.application_id)

    with pytest.raises(AssertionError, match="may not leave"):
        Job(message, email, content, sender, Route("one.example", "", ()), pool, ip)


async def _waits_for_lock(lane: LaneTest) -> int:
    found: list[tuple[int]] = []

    async def look() -> bool:
        found[:] = await rows(
            lane.database,
            "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            " AND query LIKE '%%captured_mails%%'",
        )
        return bool(found)

    async with asyncio.timeout(20):
        while not await look():
            await asyncio.sleep(0.02)
    return found[0][0]


async def test_the_link_of_a_captured_mail_unsubscribes_nobody(lane: LaneTest) -> None:
    """It works, and it acts for a stand-in: the recipient of a test may be a customer."""
    await put(lane, "ann@one.example", capture=True, topic_id=None)
    await execute(lane.database, "UPDATE emails SET lane = 'marketing'")
    await execute(lane.database, "UPDATE delivery_queue SET lane = 'marketing'")
    await deliver_due(Lane.MARKETING, ["one.example"], lane.collaborators)
    await until(lambda: lane.collaborators.recorder.depth() == 0)
    [mail] = await caught(lane)
    raw = await raw_of(lane, mail.id)

    async with lane.database.transaction() as connection:
        link = await choosing.link_of(connection, mail.ref)
        assert link is not None
        person = Person(link.application_id, link.address)
        await choosing.unsubscribe(connection, person, link.topic_id, Act(Source.MAILTO, "", *mail.ref))

    assert b"\r\nList-Unsubscribe:" in raw
    assert stands_in(link.address)
    assert sorted(await events_of(lane, mail.ref)) == ["delivered", "unsubscribed"]
    assert await rows(lane.database, "SELECT 1 FROM suppressions WHERE address NOT LIKE '%%@captured.example'") == []
    assert await rows(lane.database, "SELECT 1 FROM choices WHERE address NOT LIKE '%%@captured.example'") == []
    assert await counted(lane) == {}
