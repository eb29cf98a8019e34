"""A warming IP carries what its ledger allows, through the real pipeline; all else leaves through warm IPs, now."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from core.queues import Lane
from pools.grants import Ask, Granted, Granter
from store.database import Database, DatabaseUnavailableError
from tests.integration.messages.emails import execute, rows
from tests.integration.workers.lane import IPS, LaneTest, lane_test
from tests.smtp_sink import Rule
from warmup import plan, repository
from warmup.ledger import Reserved, Wanted
from workers.pipeline import deliver_due

FIRST, SECOND, THIRD = IPS
NEW = {"name": "new", "stages": [7, 14, 28], "weights": {"*": 1.0}, "hour_limit": 1.0}


async def warm_up(lane: LaneTest, ip: str, *, transactional: plan.Transactional = plan.Transactional.FIRST) -> None:
    """`first`: the whole share of the hour at once, which is the only one of its day. So it must not end just now."""
    while (now := datetime.now(UTC)).minute == 59 and now.second >= 50:
        await asyncio.sleep(1)
    hour = now.hour
    one_hour = {**NEW, "hours": [hour, hour + 1]}
    async with lane.database.transaction() as connection:
        await repository.start(connection, ip, plan.parse(one_hour), transactional=transactional)
    await lane.collaborators.shared.ledger.refresh()


async def granted(lane: LaneTest) -> int:
    ((n,),) = await rows(lane.database, "SELECT coalesce(sum(granted), 0)::int FROM warmup_days")
    return int(str(n))


async def test_the_cap_holds_and_the_rest_leaves_at_once(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with lane_test(database, database_url, redis_url, tmp_path) as lane:
        await warm_up(lane, FIRST)
        for number in range(60):
            await lane.put(f"u{number}@one.example")
        await lane.deliver()
        for number in range(60):
            await lane.put(f"v{number}@two.example")
        await lane.deliver()

        by_ip = Counter(mail.source for mail in lane.sink.mails)
        assert sum(by_ip.values()) == 120
        assert by_ip[FIRST] == 7 == await granted(lane)
        assert abs(by_ip[SECOND] - by_ip[THIRD]) <= 2


async def test_an_allowance_that_was_not_used_is_returned(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """The warming IP cannot connect: its mail leaves through the others, and its day is as it was."""
    refuses = Rule("connect", "421 4.7.0 Too many messages from this IP address, try again in 10 minutes", source=FIRST)
    async with lane_test(database, database_url, redis_url, tmp_path, refuses) as lane:
        await warm_up(lane, FIRST)
        for number in range(20):
            await lane.put(f"u{number}@one.example")
        await lane.deliver()

        by_ip = Counter(mail.source for mail in lane.sink.mails)
        assert (by_ip[FIRST], sum(by_ip.values())) == (0, 20)
        assert await granted(lane) == 0


async def test_a_ledger_that_is_away_when_a_mail_wants_another_ip_costs_it_no_attempt(
    database: Database, database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    throttled = Rule("dot", "421 4.7.0 Too many messages from this IP address, try again in 10 minutes", source=SECOND)
    async with lane_test(database, database_url, redis_url, tmp_path, throttled) as lane:
        await execute(
            database,
            "DELETE FROM pool_ips WHERE egress_ip_id IN (SELECT id FROM egress_ips WHERE address = %s)",
            [THIRD],
        )
        await warm_up(lane, FIRST)
        reserve = lane.collaborators.shared.ledger.reserve
        answers = 0

        async def once(wanted: Sequence[Wanted]) -> list[Reserved]:
            nonlocal answers
            answers += 1
            if answers > 1:
                raise DatabaseUnavailableError("restarting")
            return await reserve(wanted)

        monkeypatch.setattr(lane.collaborators.shared.ledger, "reserve", once)
        for number in range(10):
            await lane.put(f"u{number}@one.example")
        await lane.deliver()

        waiting = await rows(database, "SELECT attempts, due_at < now() + interval '10 s' FROM delivery_queue")
        assert waiting
        assert set(waiting) == {(0, True)}
        reasons = await rows(database, "SELECT DISTINCT detail FROM events WHERE kind = 'deferred'")
        assert reasons == [("no other IP can be granted just now: restarting",)]


class Shuffled:
    """The granter, whose leaves come in another order: warm IPs first."""

    def __init__(self, granter: Granter) -> None:
        self._granter = granter
        self.give_back = granter.give_back

    async def grant(self, asks: Sequence[Ask], lane: Lane, now: datetime) -> list[Granted]:
        answers = await self._granter.grant(asks, lane, now)
        return [replace(one, grants=sorted(one.grants, key=lambda grant: grant.ticket is not None)) for one in answers]


async def test_every_allowance_is_counted_in_whatever_order_it_came(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Of two rounds of asking the second one has leaves of warming IPs too, behind those of warm ones."""
    refuses = Rule("connect", "421 4.7.0 Too many messages from this IP address, try again in 10 minutes", source=FIRST)
    async with lane_test(database, database_url, redis_url, tmp_path, refuses) as lane:
        await warm_up(lane, FIRST)
        for number in range(20):
            await lane.put(f"u{number}@one.example")
        granter = cast(Granter, Shuffled(lane.collaborators.granter))
        await deliver_due(Lane.TRANSACTIONAL, ["one.example"], replace(lane.collaborators, granter=granter))
        await lane.committed()

        assert Counter(mail.source for mail in lane.sink.mails).keys() == {SECOND, THIRD}
        assert await granted(lane) == 0


async def test_transactional_mail_is_kept_off_when_asked(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with lane_test(database, database_url, redis_url, tmp_path) as lane:
        await warm_up(lane, FIRST, transactional=plan.Transactional.AVOID)
        for number in range(12):
            await lane.put(f"u{number}@one.example")
        await lane.deliver()
        assert FIRST not in {mail.source for mail in lane.sink.mails}
        assert len(lane.sink.mails) == 12


async def test_with_nothing_but_warming_ips_the_rest_waits_for_its_share_and_says_so(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with lane_test(database, database_url, redis_url, tmp_path) as lane:
        await execute(database, "DELETE FROM pool_ips WHERE egress_ip_id IN (SELECT id FROM egress_ips"
                                " WHERE address IN (%s, %s))", [SECOND, THIRD])  # fmt: skip
        await warm_up(lane, FIRST)
        for number in range(20):
            await lane.put(f"u{number}@one.example")
        assert await lane.deliver() == []

        assert len(lane.sink.mails) == 7
        held = await rows(lane.database, "SELECT hold, due_at - now() FROM delivery_queue")
        assert len(held) == 13
        assert all("127.0.1.1" in str(why) and "7 of 7" in str(why) for why, _ in held), held[0]
        assert all(isinstance(due, timedelta) and due > timedelta(0) for _, due in held)


async def test_the_most_recently_engaged_go_first_on_a_warming_ip(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    """Of marketing mail: receipts leave in the order they came."""
    async with lane_test(database, database_url, redis_url, tmp_path) as lane:
        await warm_up(lane, FIRST)
        for number in range(30):
            await lane.put(f"u{number}@one.example")
        await execute(
            database,
            "UPDATE delivery_queue SET engaged_at = now() - interval '5 days' WHERE recipient = ANY(%s)",
            [[f"u{number}@one.example" for number in range(20, 23)]],
        )
        await execute(  # of the others the queue does not know: they opened after it was written
            database,
            "INSERT INTO engaged (application_id, address, opened_at) SELECT application_id, address, now()"
            " FROM delivery_queue WHERE recipient = ANY(%s)",
            [[f"u{number}@one.example" for number in range(23, 27)]],
        )
        await execute(database, "UPDATE delivery_queue SET lane = 'marketing'")
        await execute(database, "UPDATE pools SET lane = 'marketing'")
        lane.collaborators.pools._pools.clear()
        await deliver_due(Lane.MARKETING, ["one.example"], lane.collaborators)
        await lane.committed()
        first = {mail.rcpt_to[0] for mail in lane.sink.mails if mail.source == FIRST}
        assert first
        assert first <= {f"u{number}@one.example" for number in range(20, 27)}
