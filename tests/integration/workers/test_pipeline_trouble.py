"""What goes wrong on our side: bugs, broken keys, an away database, a stop. No mail is lost or repeated."""

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from core.ids import uuid7
from messages import claim, prepare
from mta.model import Envelope
from outcomes.journal import Journal
from outcomes.recorder import Recorder
from store.database import Database, DatabaseUnavailableError
from tests.integration.messages.emails import execute, refs, rows, states, store, waiting
from tests.integration.outcomes.facts import outcome as delivered
from tests.integration.workers.lane import RULES, LaneTest, due_in, due_now, events_of, lane_test, until
from tests.smtp_sink import Rule
from workers import pipeline, wiring
from workers.pipeline import deliver_due


@pytest.fixture
async def lane(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[LaneTest]:
    async with lane_test(database, database_url, redis_url, tmp_path, *RULES) as made:
        yield made


@pytest.mark.parametrize("kind", [RuntimeError, ValueError])
async def test_a_bug_in_composing_one_mail_does_not_stop_the_others(
    lane: LaneTest, monkeypatch: pytest.MonkeyPatch, kind: type[Exception]
) -> None:
    """A bug that one mail brings to light. It is tried again by the retry clock, for a repaired worker may send it:
    only what the composer itself refuses fails for good."""
    compose = prepare.compose_parts

    def broken(draft: Any) -> tuple[bytes, bytes]:
        if draft.subject == "poison":
            raise kind("a bug in composing")
        return compose(draft)

    monkeypatch.setattr(prepare, "compose_parts", broken)
    poison = await lane.put("poison@one.example", subject="poison")
    others = [await lane.put(f"u{number}@one.example") for number in range(50)]
    await lane.deliver()

    assert {await lane.state(email) for email in others} == {"delivered"}
    assert await lane.state(poison) == "deferred"
    assert kind.__name__ in (await lane.event(poison))["detail"]
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
    monkeypatch.setattr(pipeline, "facts_of", broken)
    await lane.deliver("one.example")
    monkeypatch.undo()
    await lane.deliver("two.example")

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
    prepared = pipeline.prepare_chunk

    async def broken(batch: Any, jobs: Sequence[pipeline.Job], c: Any) -> list[pipeline.Job]:
        if jobs[0].claimed.recipient == "slow@one.example":
            return await prepared(batch, jobs, c)
        await until(lambda: bool(lane.sink.journal.open))
        raise RuntimeError("a bug")

    monkeypatch.setattr(pipeline, "prepare_chunk", broken)
    with pytest.raises(RuntimeError):
        await lane.deliver("one.example")
    monkeypatch.undo()
    await lane.committed()

    assert await lane.state(slow) == "delivered"
    assert await rows(lane.database, "SELECT email_id, claimed_by FROM delivery_queue") == [(untried.id, None)]
    assert lane.collaborators.claims.held() == 0
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

    assert (await lane.state(large), await lane.state(small)) == ("deferred", "delivered")
    assert timedelta(seconds=30) < await due_in(lane, refs(large)[0]) < timedelta(minutes=2), "it was not on the wire"
    assert lane.collaborators.large.used() == 0


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
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """The dot was sent, the server is silent: that mail is to be repeated late, not at once by the next worker."""
    async with lane_test(database, database_url, redis_url, tmp_path, *RULES) as lane:
        email = await lane.put("silent@one.example")
        batch = asyncio.create_task(deliver_due(pipeline.Lane.TRANSACTIONAL, ["one.example"], lane.collaborators))
        await until(lambda: any(command == "DATA" for _, command in lane.sink.journal.commands))
        await asyncio.sleep(0.1)
    await asyncio.wait_for(batch, 5)

    assert (await waiting(database))[refs(email)[0]] - datetime.now(UTC) > timedelta(minutes=25)
    assert (await states(database))[refs(email)[0]] == "deferred"


async def test_memory_of_sent_mail_is_free_before_the_batch_ends(lane: LaneTest) -> None:
    own = uuid7().hex  # other tests of this process have envelopes too
    lane.sink.rules.insert(0, Rule("dot", "250 taken", local=f"slow-{own}", delay=1.0))
    await lane.put(f"slow-{own}@one.example")
    await lane.put(f"ann-{own}@one.example")
    batch = asyncio.create_task(lane.deliver())
    await until(lambda: bool(lane.mails_to(f"ann-{own}@one.example")))
    await asyncio.sleep(0.1)
    kept = [one.rcpt_to for one in gc.get_objects() if isinstance(one, Envelope) and own in one.rcpt_to]
    await batch

    assert kept == [f"slow-{own}@one.example"]


async def test_large_mails_are_in_memory_a_few_at_a_time(lane: LaneTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """200 invoices of 10 MB each may not become 2 GB of a batch."""
    most = 0
    prepare_many = prepare.prepare_many
    budget = lane.collaborators.large
    monkeypatch.setattr(budget, "_each", 300_000)

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
    database: Database, database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between reply and commit: the journal knows what was sent, the claims become free at once."""
    killed, flush = asyncio.Event(), Recorder._flush

    async def held(recorder: Recorder) -> None:
        await killed.wait()
        await flush(recorder)

    async with lane_test(database, database_url, redis_url, tmp_path) as lane:
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


async def test_the_journal_of_a_worker_that_was_renamed_is_adopted(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Nobody of its name will ever start again; what it sent would be sent once more when its claims run out. One that
    runs is left alone."""
    dead, alive = uuid7(), uuid7()
    async with lane_test(database, database_url, redis_url, tmp_path) as lane:
        sent, untried, others = [await lane.put(f"{name}@one.example") for name in ("sent", "untried", "others")]
        left = {name: Journal(tmp_path / "journals", name) for name in ("old.host-marketing-7", "here-marketing-8")}
        for (name, journal), worker, email in zip(left.items(), (dead, alive), (sent, others), strict=True):
            journal.begin(worker)
            journal.append(delivered(refs(email)[0], worker=worker))
            if name.startswith("old"):
                journal.close()
        await execute(database, "UPDATE delivery_queue SET claimed_by = %s, due_at = now() + interval '1 h'", [dead])
        successor, its_journal = await wiring.build(lane.settings, "transactional-1")
        await wiring.close(successor, its_journal)

        assert [await lane.state(email) for email in (sent, untried, others)] == ["delivered", "queued", "queued"]
        waiting = await rows(database, "SELECT email_id, claimed_by, due_at <= now() FROM delivery_queue ORDER BY 1")
        assert waiting == [(untried.id, None, True), (others.id, None, True)]
        assert len(left["here-marketing-8"].left_behind()[1]) == 1
        left["here-marketing-8"].close()
        again = Journal(tmp_path / "journals", "old.host-marketing-7")
        assert again.left_behind() == (None, [])
        again.close()


async def test_all_outcomes_are_committed_or_kept(lane: LaneTest) -> None:
    """A mixed batch leaves nothing behind that nobody answers for."""
    names: Sequence[str] = ("ann", "unknown", "busy", "spam", "grey", "lost")
    emails = [await lane.put(f"{name}@one.example") for name in names]
    await lane.deliver()

    assert [await lane.state(email) for email in emails] == [
        "delivered", "bounced", "deferred", "bounced", "deferred", "deferred",
    ]  # fmt: skip
    assert lane.collaborators.claims.held() == 0
    assert lane.collaborators.permits == set()
    assert await rows(lane.database, "SELECT count(*) FROM delivery_queue WHERE claimed_by IS NOT NULL") == [(0,)]
