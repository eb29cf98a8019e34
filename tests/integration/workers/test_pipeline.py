"""The way of one batch, from claim to outcome, with real servers at both ends."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import dkim
import pytest

from core.ids import uuid7
from messages import prepare
from messages.personal import Loaded
from mta.model import Attachment
from mta.return_path import parse
from store.database import Connection, Database
from tests.integration.messages.emails import execute, refs, rows, states, store, suppress, waiting
from tests.integration.workers.lane import (
    IPS,
    LANE,
    RULES,
    LaneTest,
    Records,
    due_in,
    due_now,
    events_of,
    lane_test,
    until,
)
from tests.smtp_sink import Rule
from workers import pipeline
from workers.pipeline import deliver_due

RECORDS: Records = {
    ("broken.example", "MX"): 2,
    ("null.example", "MX"): ["0 ."],
}


@pytest.fixture
async def lane(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[LaneTest]:
    async with lane_test(database, database_url, redis_url, tmp_path, *RULES, records=RECORDS) as made:
        yield made


# Delivered


async def test_mail_is_delivered_signed_and_with_a_return_path_of_its_own(lane: LaneTest) -> None:
    email = await lane.put("ann@one.example", html="<p>Hi</p>", subject="Grüße")
    assert await lane.deliver() == []

    (mail,) = lane.sink.mails
    assert mail.rcpt_to == ("ann@one.example",)
    assert parse(lane.collaborators.secret, mail.mail_from) == (email.id, 0)
    assert mail.mail_from.endswith("@bounce.acme.example")
    assert mail.source in IPS
    assert mail.ehlo == f"mta{mail.source[-1]}.acme.example"
    assert email.message_id.encode() in mail.data
    found = await rows(lane.database, "SELECT selector, public_key FROM dkim_keys")
    published = {f"{name}._domainkey.acme.example.".encode(): key for name, key in found}
    assert mail.data.count(b"DKIM-Signature:") == 2

    def record(name: bytes, timeout: float = 5) -> bytes | None:
        key = published.get(name)
        return f"v=DKIM1; k=rsa; p={key}".encode() if key else None

    rsa = 0 if mail.data.index(b"a=rsa-sha256") < mail.data.index(b"a=ed25519") else 1
    assert dkim.DKIM(mail.data).verify(rsa, dnsfunc=record)
    assert await states(lane.database) == {refs(email)[0]: "delivered"}
    assert await waiting(lane.database) == {}


async def test_timeline_says_how_it_went(lane: LaneTest) -> None:
    email = await lane.put("ann@one.example")
    await lane.deliver()

    event = await lane.event(email)
    assert event["ip"] in IPS
    assert {key: event[key] for key in ("kind", "attempt", "provider", "mx", "tls", "phase", "code", "action")} == {
        "kind": "delivered", "attempt": 1, "provider": "other", "mx": "mx.example", "tls": "none", "phase": "dot",
        "code": 250, "action": "delivered",
    }  # fmt: skip


async def test_fifty_recipients_get_the_same_mail_each_with_its_own_outcome(
    lane: LaneTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    composed = []
    compose = prepare.compose_parts

    def counted(draft: Any) -> tuple[bytes, bytes]:
        composed.append(1)
        return compose(draft)

    monkeypatch.setattr(prepare, "compose_parts", counted)
    email = await lane.put(*(f"u{number}@one.example" for number in range(49)), "unknown@one.example")
    await lane.deliver()

    found = await states(lane.database)
    assert sorted(found.values()) == ["bounced"] + ["delivered"] * 49
    assert found[refs(email)[49]] == "bounced"
    assert len({mail.mail_from for mail in lane.sink.mails}) == 49
    bodies = {mail.data.partition(b"\r\n\r\n")[2] for mail in lane.sink.mails}
    assert len(bodies) == 1
    assert len(composed) == 3, "composed once per chunk of recipients"
    composed.clear()
    await lane.put(*(f"u{number}@two.example" for number in range(50)), text="x" * 100_000)
    await lane.deliver()
    assert len(composed) == 1, "large mail is composed once for all whose sessions follow each other"


async def test_large_content_and_attachments_arrive_whole(lane: LaneTest) -> None:
    data = bytes(range(256)) * 2000
    large = await lane.put("large@one.example", text="x" * 70 + "\n" + "y" * 200_000)
    attached = await lane.put(
        "attached@one.example", attachments=(Attachment("a.bin", "application/octet-stream", data),)
    )
    raw = await lane.put("raw@one.example", text=None, raw=b"From: a@acme.example\r\nSubject: raw\r\n\r\nas it is\r\n")
    await lane.deliver()

    assert set((await states(lane.database)).values()) == {"delivered"}
    parsed = dkim.rfc822_parse(lane.mails_to("attached@one.example")[0].data)
    assert len(parsed[1]) > len(data) * 4 // 3
    assert len(lane.mails_to("large@one.example")[0].data) > 200_000
    assert lane.mails_to("raw@one.example")[0].data.endswith(b"as it is\r\n")
    assert {one.id for one in (large, attached, raw)} == {ref.email_id for ref in await states(lane.database)}


async def test_ips_of_the_pool_carry_equal_shares(lane: LaneTest) -> None:
    await store(lane.database, *(lane.email(f"u{number}@one.example") for number in range(90)))
    await lane.deliver("one.example")

    carried = [mail.source for mail in lane.sink.mails]
    assert {ip: carried.count(ip) for ip in IPS} == dict.fromkeys(IPS, 30)


async def test_what_is_more_than_a_batch_is_told(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with lane_test(database, database_url, redis_url, tmp_path, claim_batch=6) as lane:
        await store(database, *(lane.email(f"u{number}@one.example") for number in range(5)))
        await lane.put("u@two.example")
        assert await lane.deliver() == ["one.example"]
        assert await lane.deliver("one.example") == []

        assert set((await states(database)).values()) == {"delivered"}


# Not delivered


async def test_a_hint_waits_for_its_turn_and_is_told_right_before_its_claim(lane: LaneTest) -> None:
    await lane.put("ann@one.example")
    c, claimed_by = lane.collaborators, "SELECT claimed_by FROM delivery_queue"
    found: list[object] = []

    async def claims() -> None:
        found.extend(await rows(lane.database, claimed_by))

    assert c.idle
    c.admission.claiming = 2
    delivering = asyncio.create_task(deliver_due(LANE, ["one.example"], c, claims))
    await asyncio.sleep(0.1)
    assert not found
    assert not c.idle
    c.admission.claiming = 0
    await until(lambda: bool(c.permits))
    assert not c.idle
    await delivering
    assert c.idle

    assert found == [(None,)]
    assert len(lane.sink.mails) == 1


async def test_unknown_user_bounces_and_is_never_written_to_again(lane: LaneTest) -> None:
    first = await lane.put("Unknown@one.example")
    lane.sink.rules.insert(0, Rule("rcpt", "550 5.1.1 no such user", local="Unknown"))
    await lane.deliver()
    assert await lane.state(first) == "bounced"
    assert await rows(lane.database, "SELECT address, scope, reason, source FROM suppressions") == [
        ("unknown@one.example", "all", "hard_bounce", "smtp")
    ]
    commands = len(lane.sink.journal.commands)
    second = await lane.put("unknown@ONE.example")
    await lane.deliver()

    assert await lane.state(second) == "suppressed"
    assert (await lane.event(second))["detail"] == "suppressed: hard_bounce"
    assert len(lane.sink.journal.commands) == commands, "nothing was said to its server"


async def test_content_that_is_refused_ends_the_mail_and_suppresses_nobody(lane: LaneTest) -> None:
    email = await lane.put("spam@one.example")
    await lane.deliver()

    assert await lane.state(email) == "bounced"
    assert await rows(lane.database, "SELECT count(*) FROM suppressions") == [(0,)]


async def test_greylisted_mail_comes_back_through_the_same_ip(lane: LaneTest) -> None:
    email = await lane.put("grey@one.example")
    await lane.deliver()
    refused = (await lane.event(email))["ip"]
    assert await lane.state(email) == "deferred"
    assert timedelta(0) < await due_in(lane, refs(email)[0]) < timedelta(minutes=20)
    assert await lane.deliver() == []
    assert lane.sink.mails == [], "it is not due yet"
    await due_now(lane)
    # Others are sent in between, so that the turn of the IPs has moved on.
    await store(lane.database, lane.email("other@one.example"))
    await lane.deliver()

    assert await lane.state(email) == "delivered"
    assert lane.mails_to("grey@one.example")[0].source == refused
    assert await events_of(lane, refs(email)[0]) == ["deferred", "delivered"]


async def test_busy_server_defers_and_says_when_it_is_tried_again(lane: LaneTest) -> None:
    email = await lane.put("busy@one.example")
    await lane.deliver()

    assert await lane.state(email) == "deferred"
    event = await lane.event(email)
    assert (event["code"], event["phase"], event["attempt"]) == (421, "rcpt", 1)
    assert await due_in(lane, refs(email)[0]) > timedelta(seconds=30)
    assert await rows(lane.database, "SELECT attempts, claimed_by FROM delivery_queue") == [(1, None)]


async def test_lost_answer_after_the_dot_is_tried_late_and_counted(lane: LaneTest) -> None:
    email = await lane.put("lost@one.example")
    await lane.deliver()

    assert await lane.state(email) == "deferred"
    assert await due_in(lane, refs(email)[0]) >= timedelta(minutes=29)
    await due_now(lane)
    await lane.deliver()
    first, second = lane.mails_to("lost@one.example")
    assert email.message_id.encode() in first.data
    assert email.message_id.encode() in second.data


@pytest.mark.parametrize(
    ("domain", "state"),
    [("missing.example", "bounced"), ("null.example", "bounced"), ("broken.example", "deferred")],
)
async def test_dns_decides_before_any_server(lane: LaneTest, domain: str, state: str) -> None:
    email = await lane.put(f"ann@{domain}")
    good = await lane.put("bob@one.example")
    await lane.deliver(domain, "one.example")

    assert (await lane.state(email), await lane.state(good)) == (state, "delivered")
    event = await lane.event(email)
    assert (event["phase"], event["ip"], event["attempt"]) == ("resolve", "", 1)
    assert event["reply"]
    assert await rows(lane.database, "SELECT count(*) FROM suppressions") == [(0,)]


async def test_expired_mail_is_not_sent(lane: LaneTest) -> None:
    email = await lane.put("ann@one.example", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    await lane.deliver()

    assert (await lane.state(email), lane.sink.mails) == ("expired", [])


async def test_mail_that_cannot_be_delivered_for_three_days_expires(lane: LaneTest) -> None:
    at = datetime.now(UTC) - timedelta(hours=71, minutes=59)
    email = await lane.put("busy@one.example", created_at=at)
    await execute(lane.database, "UPDATE delivery_queue SET attempts = 20")
    await lane.deliver()

    assert await lane.state(email) == "expired"
    assert (await lane.event(email))["code"] == 421


async def test_suppressed_recipient_never_reaches_the_server(lane: LaneTest) -> None:
    email = await lane.put("ann@one.example", "bob@one.example")
    await suppress(lane.database, "ann@one.example")
    await lane.deliver()

    assert [await lane.state(email, n) for n in (0, 1)] == ["suppressed", "delivered"]
    assert not any("ann@" in command for _, command in lane.sink.journal.commands)


async def test_suppression_while_the_batch_waits_is_honoured(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """One connection per IP and a slow server: those behind are asked about again, and given back."""
    rules = (Rule("dot", "250 taken", delay=0.5),)
    async with lane_test(database, database_url, redis_url, tmp_path, *rules, connections_per_host=1) as lane:
        await store(database, *(lane.email("ann@one.example") for _ in range(60)))
        sending = asyncio.create_task(deliver_due(pipeline.Lane.TRANSACTIONAL, ["one.example"], lane.collaborators))
        await until(lambda: bool(lane.sink.journal.open))
        await suppress(database, "ann@one.example")
        added = time.monotonic()
        await sending
        await lane.committed()
        # Ten seconds of mail for three connections; a second later none starts. Then come the dot, and a busy machine.
        assert len(lane.sink.mails) < 20
        assert all(mail.at < added + 3 for mail in lane.sink.mails)
        await lane.deliver()

        assert list((await states(database)).values()).count("suppressed") == 60 - len(lane.sink.mails)
        assert set((await states(database)).values()) == {"delivered", "suppressed"}


async def test_mail_whose_content_is_gone_fails(lane: LaneTest) -> None:
    email = await lane.put("ann@one.example")
    await execute(lane.database, "DELETE FROM contents")
    await lane.deliver()

    assert await lane.state(email) == "failed"
    assert "content" in (await lane.event(email))["detail"]


async def test_mail_whose_email_or_domain_is_gone_fails(lane: LaneTest) -> None:
    gone, homeless = await lane.put("ann@one.example"), await lane.put("bob@one.example", domain_id=uuid7())
    await execute(lane.database, "DELETE FROM emails WHERE id = %s", [gone.id])
    await lane.deliver()

    assert [await lane.state(email) for email in (gone, homeless)] == ["failed", "failed"]


async def test_a_campaign_takes_as_long_as_its_ips_need(lane: LaneTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was never tried does not grow too old by waiting for its turn; a receipt does."""
    receipt, news = await lane.put("ann@one.example"), await lane.put("bob@one.example")
    await execute(lane.database, "UPDATE emails SET created_at = now() - interval '73 hours'")
    await execute(lane.database, "UPDATE emails SET campaign_id = gen_random_uuid() WHERE id = %s", [news.id])
    await execute(lane.database, "UPDATE egress_ips SET active = false")

    async def as_they_are(_connection: Connection, found: Mapping[UUID, Loaded]) -> dict[UUID, Loaded]:
        return dict(found)

    monkeypatch.setattr(lane.collaborators.personal, "fill", as_they_are)
    await lane.deliver()

    assert [await lane.state(email) for email in (receipt, news)] == ["expired", "queued"]
    assert timedelta(0) < await due_in(lane, refs(news)[0]) <= timedelta(seconds=31)
    begun = await rows(lane.database, "SELECT scheduled_at > now() - interval '1 minute' FROM emails ORDER BY id")
    assert begun == [(None,), (True,)]


async def test_pool_without_an_active_ip_makes_mail_wait(lane: LaneTest) -> None:
    email = await lane.put("ann@one.example")
    await execute(lane.database, "UPDATE egress_ips SET active = false")
    await lane.deliver()

    assert lane.sink.mails == []
    assert timedelta(0) < await due_in(lane, refs(email)[0]) <= timedelta(seconds=31)
    assert await rows(lane.database, "SELECT attempts FROM delivery_queue") == [(0,)]
