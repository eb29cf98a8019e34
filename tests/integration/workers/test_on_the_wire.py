"""Mail that a server may be taking stays with its worker, whatever breaks, moves on or is cancelled beside it."""

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from messages import claim
from store.database import Database, DatabaseUnavailableError
from tests.integration.messages.emails import execute, rows
from tests.integration.workers.lane import IPS, LANE, RULES, LaneTest, due_now, lane_test, new_worker, until
from tests.smtp_sink import Rule
from workers.pipeline import deliver_due

FIRST, *OTHERS = IPS
THROTTLED = Rule("dot", "421 4.7.0 Too many messages from this IP address, try again in 10 minutes", source=FIRST)


async def taken_by_others(lane: LaneTest) -> int:
    """How many messages another worker would get now."""
    async with lane.database.connection() as connection:
        found, _ = await claim.claim(connection, LANE, ["one.example"], new_worker(), 100, timedelta(seconds=60))
    return len(found)


async def test_a_mail_that_moved_on_keeps_its_claim_while_the_next_server_is_slow(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """The note of the move is committed long before the slow server answers. Without a renewal the lease would end
    meanwhile, and the mail be sent twice."""
    slow = [Rule("dot", "250 taken", source=ip, delay=3.5) for ip in OTHERS]
    async with lane_test(database, database_url, redis_url, tmp_path, THROTTLED, *slow, lease_seconds=5.0) as lane:
        for name in ("ann", "bob", "eve"):  # one of them through the first IP
            await lane.put(f"{name}@one.example")
        batch = asyncio.create_task(lane.deliver("one.example"))
        await _noted(lane)
        assert lane.collaborators.claims.held() == 3
        await execute(database, "UPDATE delivery_queue SET due_at = now() + interval '2.6 s'")
        await asyncio.sleep(2.7)
        assert await taken_by_others(lane) == 0
        await batch

        assert lane.collaborators.claims.held() == 0
        assert Counter(mail.rcpt_to[0] for mail in lane.sink.mails).most_common(1)[0][1] == 1


async def _noted(lane: LaneTest) -> None:
    async with asyncio.timeout(5):
        while not await rows(lane.database, "SELECT FROM events WHERE kind = 'rerouted'"):
            await asyncio.sleep(0.02)


async def test_paced_mail_on_the_wire_is_not_returned_when_another_part_of_the_batch_breaks(
    database: Database, database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large mail cannot be loaded while those beside it wait for their server's answer."""
    providers = tmp_path / "providers.toml"
    providers.write_text("[default]\nmessages_per_second = 5\n")

    async def away(*_: Any) -> None:
        raise DatabaseUnavailableError("restarting")

    monkeypatch.setattr(claim, "load_content", away)
    slow = Rule("dot", "250 taken", delay=1.0)
    async with lane_test(database, database_url, redis_url, tmp_path, slow, providers_file=providers) as lane:
        for number in range(25):
            await lane.put(f"u{number}@one.example")
        await lane.put("large@one.example", text="x" * 100_000)
        await lane.deliver("one.example")
        assert await rows(database, "SELECT recipient FROM delivery_queue") == [("large@one.example",)]
        monkeypatch.undo()
        await due_now(lane)
        await lane.deliver("one.example")
        assert Counter(mail.rcpt_to[0] for mail in lane.sink.mails) == Counter(
            ["large@one.example", *(f"u{number}@one.example" for number in range(25))]
        )


async def test_a_cancelled_batch_ends_when_its_mail_has(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with lane_test(database, database_url, redis_url, tmp_path, *RULES) as lane:
        email = await lane.put("slow@one.example")
        batch = asyncio.create_task(deliver_due(LANE, ["one.example"], lane.collaborators))
        await until(lambda: any(command == "DATA" for _, command in lane.sink.journal.commands))
        for _ in range(3):
            batch.cancel()
            await asyncio.sleep(0.05)
        assert await taken_by_others(lane) == 0
        with pytest.raises(asyncio.CancelledError):
            await batch
        await lane.committed()

        assert await lane.state(email) == "delivered"
        assert len(lane.mails_to("slow@one.example")) == 1
        assert lane.collaborators.claims.held() == 0


async def test_a_batch_that_breaks_before_it_is_paced_lets_the_next_one_be_paced(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """What waits for an IP cannot be written down, because of something that is wrong with the table."""
    providers = tmp_path / "providers.toml"
    providers.write_text("[default]\nmessages_per_second = 1\n")
    records = {("two.example", "MX"): ["10 mx2.example."], ("mx2.example", "A"): ["127.0.0.1"]}
    settings = {"records": records, "providers_file": providers}
    async with lane_test(database, database_url, redis_url, tmp_path, **settings) as lane:
        another_batch = (LANE, "mx:mx2.example")
        lane.collaborators.pacing.add(another_batch)
        for number in range(9):
            await lane.put(f"u{number}@one.example")
            await lane.put(f"u{number}@two.example")
        await execute(database, "ALTER TABLE delivery_queue ADD CONSTRAINT broken CHECK (hold IS NULL)")
        with pytest.raises(Exception, match="broken"):
            await deliver_due(LANE, ["one.example", "two.example"], lane.collaborators)
        assert lane.collaborators.pacing == {another_batch}
