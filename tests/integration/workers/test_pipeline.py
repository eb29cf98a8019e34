"""The way of one batch, from claim to outcome, with real servers at both ends."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dkim
import pytest

from core.ids import uuid7
from messages import claim, prepare
from messages.model import MessageRef
from mta.model import Attachment, Envelope
from mta.return_path import parse
from outcomes.recorder import Recorder
from store.database import Database, DatabaseUnavailableError
from tests.integration.messages.emails import execute, refs, rows, states, store, suppress, waiting
from tests.integration.workers.lane import IPS, LaneTest, Records, lane_test, until
from tests.smtp_sink import DROP, SILENCE, Rule
from workers import pipeline, wiring
from workers.pipeline import deliver_due

RULES = (
    Rule("rcpt", "550 5.1.1 no such user", local="unknown"),
    Rule("rcpt", "451 4.7.1 Greylisted, please try again later", local="grey", times=1),
    Rule("mail", "421 4.7.0 too busy", source="127.0.1.9"),
    Rule("dot", "554 5.7.1 message looks like spam", local="spam"),
    Rule("rcpt", "421 4.3.2 shutting down", local="busy"),
    Rule("dot", DROP, local="lost"),
    Rule("dot", SILENCE, local="silent"),
    Rule("dot", "250 taken", local="slow", delay=1.5),
)

RECORDS: Records = {
    ("broken.example", "MX"): 2,
    ("null.example", "MX"): ["0 ."],
    ("public.example", "MX"): ["10 mx.public.example."],
}


@pytest.fixture
async def lane(database: Database, database_url: str, tmp_path: Path) -> AsyncIterator[LaneTest]:
    async with lane_test(database, database_url, tmp_path, *RULES, records=RECORDS) as made:
        yield made


async def events_of(lane: LaneTest, ref: MessageRef) -> list[str]:
    found = await rows(
        lane.database, "SELECT kind FROM events WHERE email_id = %s AND position = %s ORDER BY at", list(ref)
    )
    return [kind for (kind,) in found]


async def due_in(lane: LaneTest, ref: MessageRef) -> timedelta:
    return (await waiting(lane.database))[ref] - datetime.now(UTC)


async def due_now(lane: LaneTest) -> None:
    await execute(lane.database, "UPDATE delivery_queue SET due_at = now() - interval '1 s'")


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
    signed = []
    sign = prepare.sign

    def counted(*arguments: Any) -> bytes:
        signed.append(1)
        return sign(*arguments)

    monkeypatch.setattr(prepare, "sign", counted)
    email = await lane.put(*(f"u{number}@one.example" for number in range(49)), "unknown@one.example")
    await lane.deliver()

    found = await states(lane.database)
    assert sorted(found.values()) == ["bounced"] + ["delivered"] * 49
    assert found[refs(email)[49]] == "bounced"
    assert len({mail.mail_from for mail in lane.sink.mails}) == 49
    bodies = {mail.data.partition(b"\r\n\r\n")[2] for mail in lane.sink.mails}
    assert len(bodies) == 1
    assert len(signed) == 3, "composed and signed once per chunk of recipients"
    signed.clear()
    await lane.put(*(f"u{number}@two.example" for number in range(50)), text="x" * 100_000)
    await lane.deliver()
    assert len(signed) == 1, "large mail is composed once for all"


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


async def test_what_is_more_than_a_batch_is_told(database: Database, database_url: str, tmp_path: Path) -> None:
    async with lane_test(database, database_url, tmp_path, claim_batch=6) as lane:
        await store(database, *(lane.email(f"u{number}@one.example") for number in range(5)))
        await lane.put("u@two.example")
        assert await lane.deliver() == ["one.example"]
        assert await lane.deliver("one.example") == []

        assert set((await states(database)).values()) == {"delivered"}


# Not delivered


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
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """One connection per IP and a slow server: those behind are asked about again, and given back."""
    rules = (Rule("dot", "250 taken", delay=0.6),)
    async with lane_test(database, database_url, tmp_path, *rules, connections_per_host=1) as lane:
        emails = [await lane.put(f"u{number}@one.example") for number in range(12)]
        sending = asyncio.create_task(deliver_due(pipeline.Lane.TRANSACTIONAL, ["one.example"], lane.collaborators))
        await asyncio.sleep(0.3)
        for number in range(12):
            await suppress(database, f"u{number}@one.example")
        added = time.monotonic()
        await sending
        await lane.committed()
        assert all(mail.at < added + 1.7 for mail in lane.sink.mails)
        assert 0 < len(lane.sink.mails) < 10
        await lane.deliver()

        assert sorted({await lane.state(email) for email in emails}) == ["delivered", "suppressed"]


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


async def test_pool_without_an_active_ip_makes_mail_wait(lane: LaneTest) -> None:
    email = await lane.put("ann@one.example")
    await execute(lane.database, "UPDATE egress_ips SET active = false")
    await lane.deliver()

    assert lane.sink.mails == []
    assert timedelta(0) < await due_in(lane, refs(email)[0]) <= timedelta(seconds=31)
    assert await rows(lane.database, "SELECT attempts FROM delivery_queue") == [(0,)]


# What goes wrong on our side


async def test_mail_that_cannot_be_composed_does_not_stop_the_others(
    lane: LaneTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug that one mail brings to light. It is tried again by the retry clock, for a repaired worker may send it."""
    compose = prepare.compose

    def broken(draft: Any) -> bytes:
        if draft.subject == "poison":
            raise RuntimeError("a bug in composing")
        return compose(draft)

    monkeypatch.setattr(prepare, "compose", broken)
    poison = await lane.put("poison@one.example", subject="poison")
    others = [await lane.put(f"u{number}@one.example") for number in range(50)]
    await lane.deliver()

    assert {await lane.state(email) for email in others} == {"delivered"}
    assert await lane.state(poison) == "deferred"
    assert "RuntimeError" in (await lane.event(poison))["detail"]
    assert await due_in(lane, refs(poison)[0]) > timedelta(seconds=30)
    monkeypatch.undo()
    await due_now(lane)
    await lane.deliver()
    assert await lane.state(poison) == "delivered"


async def test_a_bug_after_the_server_took_the_mail_does_not_send_it_every_minute(
    lane: LaneTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a bug in judging")

    poison, other = await lane.put("ann@one.example"), await lane.put("bob@two.example")
    suppression_for = pipeline.suppression_for
    monkeypatch.setattr(pipeline, "_judge", broken)
    await lane.deliver("one.example")
    monkeypatch.undo()
    await lane.deliver("two.example")

    assert pipeline.suppression_for is suppression_for
    assert (await lane.state(poison), await lane.state(other)) == ("deferred", "delivered")
    assert await due_in(lane, refs(poison)[0]) >= timedelta(minutes=29)
    assert await rows(lane.database, "SELECT attempts FROM delivery_queue") == [(1,)]


async def test_a_sender_key_that_cannot_be_opened_holds_up_its_own_mail_only(lane: LaneTest) -> None:
    other = uuid7()
    await execute(
        lane.database,
        "INSERT INTO domains (id, application_id, name, return_path_domain) VALUES (%s, %s, 'x.example', 'x.example')",
        [other, lane.application_id],
    )
    await execute(
        lane.database,
        "INSERT INTO dkim_keys (id, domain_id, selector, algorithm, sealed_private_key, public_key)"
        " VALUES (%s, %s, 's', 'rsa', %s, '')",
        [uuid7(), other, b"\x01" * 64],
    )
    mine, theirs = await lane.put("ann@one.example"), await lane.put("bob@one.example", domain_id=other)
    await lane.deliver()

    assert await lane.state(mine) == "delivered"
    assert await lane.state(theirs) == "deferred"
    assert "cannot be decrypted" in (await lane.event(theirs))["detail"]


async def test_mail_under_way_is_not_given_back_when_the_batch_breaks(
    lane: LaneTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first chunk waits for its server's reply while the step before breaks. Giving that mail back would send it
    again in a minute, to a server that is about to take it."""
    monkeypatch.setattr(pipeline, "PREPARE_CHUNK", 1)
    slow = await lane.put("slow@one.example")
    untried = await lane.put("ann@one.example")
    prepared = pipeline._prepare

    async def broken(batch: Any, jobs: Sequence[pipeline.Job], c: Any) -> list[pipeline.Job]:
        if jobs[0].claimed.recipient == "slow@one.example":
            return await prepared(batch, jobs, c)
        await until(lambda: bool(lane.sink.journal.open))
        raise RuntimeError("a bug")

    monkeypatch.setattr(pipeline, "_prepare", broken)
    with pytest.raises(RuntimeError):
        await lane.deliver("one.example")
    monkeypatch.undo()
    await lane.committed()

    assert await lane.state(slow) == "delivered"
    assert await rows(lane.database, "SELECT email_id, claimed_by FROM delivery_queue") == [(untried.id, None)]
    assert lane.collaborators.leases.held() == 0
    await due_now(lane)
    await lane.deliver()
    assert await lane.state(untried) == "delivered"
    assert len(lane.mails_to("slow@one.example")) == 1


async def test_content_that_cannot_be_loaded_holds_up_its_own_mail_only(
    lane: LaneTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: Any) -> None:
        raise RuntimeError("a bug in loading")

    monkeypatch.setattr(claim, "load_content", broken)
    large, small = await lane.put("large@one.example", text="x" * 100_000), await lane.put("small@one.example")
    await lane.deliver()

    assert (await lane.state(large), await lane.state(small)) == ("queued", "delivered")
    assert timedelta(seconds=50) < await due_in(lane, refs(large)[0]) < timedelta(minutes=2)


async def test_away_database_while_content_is_loaded_gives_the_mail_back(
    lane: LaneTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise DatabaseUnavailableError("restarting")

    monkeypatch.setattr(claim, "load_content", away)
    large, small = await lane.put("large@one.example", text="x" * 100_000), await lane.put("small@one.example")
    await lane.deliver()

    assert (await lane.state(large), await lane.state(small)) == ("queued", "delivered")
    assert await rows(lane.database, "SELECT attempts, claimed_by FROM delivery_queue") == [(0, None)]


async def test_stopping_records_what_is_cut_off_before_it_frees_the_claims(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """The dot was sent, the server is silent: that mail is to be repeated late, not at once by the next worker."""
    async with lane_test(database, database_url, tmp_path, *RULES) as lane:
        email = await lane.put("silent@one.example")
        batch = asyncio.create_task(deliver_due(pipeline.Lane.TRANSACTIONAL, ["one.example"], lane.collaborators))
        await until(lambda: any(command == "DATA" for _, command in lane.sink.journal.commands))
        await asyncio.sleep(0.1)
    await asyncio.wait_for(batch, 5)

    assert (await waiting(database))[refs(email)[0]] - datetime.now(UTC) > timedelta(minutes=25)
    assert (await states(database))[refs(email)[0]] == "deferred"


async def test_memory_of_sent_mail_is_free_before_the_batch_ends(lane: LaneTest) -> None:
    await lane.put("slow@one.example")
    await lane.put("ann@one.example")
    batch = asyncio.create_task(lane.deliver())
    await until(lambda: bool(lane.mails_to("ann@one.example")))
    await asyncio.sleep(0.1)
    kept = [one.rcpt_to for one in gc.get_objects() if isinstance(one, Envelope)]
    await batch

    assert kept == ["slow@one.example"]


async def test_large_mails_are_in_memory_a_few_at_a_time(lane: LaneTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 invoices of 10 MB each may not become 2 GB of a batch."""
    most = 0
    prepare_many = prepare.prepare_many
    budget = lane.collaborators.large
    monkeypatch.setattr(budget, "_limit", 300_000)

    def counted(*arguments: Any) -> Any:
        nonlocal most
        most = max(most, budget.used())
        return prepare_many(*arguments)

    monkeypatch.setattr(prepare, "prepare_many", counted)
    lane.sink.rules.insert(0, Rule("dot", "250 taken", delay=0.02))
    await store(lane.database, *(lane.email(f"u{number}@one.example", text="x" * 70_000) for number in range(30)))
    await lane.put("small@one.example")
    await lane.put("huge@one.example", text="x" * 400_000)
    await lane.deliver("one.example")

    assert set((await states(lane.database)).values()) == {"delivered"}
    assert 250_000 < most <= 400_000
    assert budget.used() == 0


async def test_worker_takes_over_what_a_killed_one_left(
    database: Database, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between reply and commit: the journal knows what was sent, the claims become free at once."""
    killed, flush = asyncio.Event(), Recorder._flush

    async def held(recorder: Recorder) -> None:
        await killed.wait()
        await flush(recorder)

    async with lane_test(database, database_url, tmp_path) as lane:
        sent, untried = await lane.put("sent@one.example"), await lane.put("untried@two.example")
        monkeypatch.setattr(Recorder, "_flush", held)
        await deliver_due(pipeline.Lane.TRANSACTIONAL, ["one.example"], lane.collaborators)
        async with database.connection() as connection:
            await claim.claim(
                connection, pipeline.Lane.TRANSACTIONAL, ["two.example"], lane.collaborators.worker, 1, timedelta(60)
            )
        assert await lane.state(sent) == "queued"
        monkeypatch.undo()
        journal = tmp_path / "after"
        (journal / "journals").mkdir(parents=True)
        for file in (tmp_path / "journals").iterdir():
            (journal / "journals" / file.name).write_bytes(file.read_bytes())
        successor, its_journal = await wiring.build(
            lane.settings.model_copy(update={"data_dir": journal}), "transactional-0"
        )
        assert await lane.state(sent) == "delivered"
        assert await rows(database, "SELECT email_id, claimed_by, due_at <= now() FROM delivery_queue") == [
            (untried.id, None, True)
        ]
        await deliver_due(pipeline.Lane.TRANSACTIONAL, ["one.example", "two.example"], successor)
        await until(lambda: successor.recorder.depth() == 0)
        await wiring.close(successor, its_journal)
        killed.set()
        await lane.committed()

        assert await events_of(lane, refs(sent)[0]) == ["delivered"]
        assert [len(lane.mails_to(f"{name}.example")) for name in ("sent@one", "untried@two")] == [1, 1]


async def test_all_outcomes_are_committed_or_kept(lane: LaneTest) -> None:
    """A mixed batch leaves nothing behind that nobody answers for."""
    names: Sequence[str] = ("ann", "unknown", "busy", "spam", "grey", "lost")
    emails = [await lane.put(f"{name}@one.example") for name in names]
    await lane.deliver()

    assert [await lane.state(email) for email in emails] == [
        "delivered", "bounced", "deferred", "bounced", "deferred", "deferred",
    ]  # fmt: skip
    assert lane.collaborators.leases.held() == 0
    assert lane.collaborators.permits == set()
    assert await rows(lane.database, "SELECT count(*) FROM delivery_queue WHERE claimed_by IS NOT NULL") == [(0,)]
