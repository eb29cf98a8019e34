"""Large mail is in memory only while it is sent, and nobody waits for somebody else's slow server."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from store.database import Database
from tests.integration.messages.emails import suppress
from tests.integration.workers.lane import LANE, LaneTest, lane_test, until
from tests.smtp_sink import Rule, SmtpSink
from workers import preparing
from workers.pipeline import deliver_due

LARGE = "x" * 200_000
HELD = Rule("dot", "250 taken", delay=3.0)


@pytest.fixture
async def lane(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[LaneTest]:
    """`one.example` and `two.example` have a server that answers late, `fast.example` one of its own."""
    records = {("fast.example", "MX"): ["10 mx.fast.example."], ("mx.fast.example", "A"): ["127.0.0.2"]}
    async with lane_test(database, database_url, redis_url, tmp_path, HELD, records=records) as made:
        yield made


async def test_large_mail_goes_on_while_a_slow_server_holds_all_the_memory(
    lane: LaneTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lane.collaborators.large, "_limit", 300_000)
    async with SmtpSink(address="127.0.0.2", port=lane.sink.port) as fast:
        for number in range(10):
            await lane.put(f"u{number}@one.example", text=LARGE)
        slow = asyncio.create_task(deliver_due(LANE, ["one.example"], lane.collaborators))
        await until(lambda: lane.collaborators.large.used() > 0)
        await lane.put("ann@fast.example", text=LARGE)
        started = time.monotonic()
        await deliver_due(LANE, ["fast.example"], lane.collaborators)
        took = time.monotonic() - started

        assert [mail.rcpt_to for mail in fast.mails] == [("ann@fast.example",)]
        assert took < 1
        await slow


async def test_nothing_is_in_memory_while_a_session_is_waited_for(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    silent = Rule("connect", "220 hello", delay=1.0)
    async with lane_test(database, database_url, redis_url, tmp_path, silent) as lane:
        await lane.put("ann@one.example", text=LARGE)
        batch = asyncio.create_task(lane.deliver("one.example"))
        await until(lambda: bool(lane.sink.sessions))
        await asyncio.sleep(0.3)
        assert lane.collaborators.large.used() == 0
        await batch
        assert len(lane.sink.mails) == 1
        assert lane.collaborators.large.used() == 0


async def test_what_waits_for_its_session_takes_no_more_memory_than_there_is_for_it(
    lane: LaneTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small mail, too: of many batches to slow servers a part is composed ahead, the rest when its session is ready."""
    monkeypatch.setattr("workers.pipeline.PREPARE_CHUNK", 2)
    ahead, most = lane.collaborators.ahead, 0
    monkeypatch.setattr(ahead, "_limit", 5_000)
    for number in range(12):
        await lane.put(f"u{number}@fast.example", text="x" * 1_500)
    silent = Rule("connect", "220 hello", delay=0.5)
    async with SmtpSink(silent, address="127.0.0.2", port=lane.sink.port) as slow:
        batch = asyncio.create_task(deliver_due(LANE, ["fast.example"], lane.collaborators))
        while not batch.done():
            most = max(most, ahead.used())
            await asyncio.sleep(0.005)
        await batch
        assert sorted(mail.rcpt_to[0] for mail in slow.mails) == sorted(f"u{n}@fast.example" for n in range(12))
    assert 5_000 <= most < 5_000 + 2 * 3_500, "a chunk more at most"
    assert (ahead.used(), lane.collaborators.large.used()) == (0, 0)


async def test_a_suppression_that_comes_while_a_large_mail_is_loaded_is_heeded(
    lane: LaneTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for memory, loading and signing take longer than an answer is good for."""
    email = await lane.put("ann@one.example", text=LARGE)
    prepared = preparing.prepare_chunk

    async def slowly(*arguments: object) -> object:
        await suppress(lane.database, "ann@one.example")
        await asyncio.sleep(1.1)
        return await prepared(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(preparing, "prepare_chunk", slowly)
    await lane.deliver("one.example")

    assert lane.sink.mails == []
    assert await lane.state(email) == "queued", "its next claim ends it"
    assert lane.collaborators.large.used() == 0


async def test_without_room_a_session_is_not_kept_waiting(lane: LaneTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparing, "ROOM_SECONDS", 0.1)
    budget = lane.collaborators.large
    assert await budget.take("mx:mx.example", 20_000_000, 1)
    email = await lane.put("ann@one.example", text=LARGE)
    await lane.deliver("one.example")

    assert (await lane.state(email), lane.sink.mails) == ("queued", [])
    budget.give_back("mx:mx.example", 20_000_000)
