"""What is remembered about an IP, a domain or a file ends when the contrary is seen, and not only by time."""

from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from alarms.model import AlarmKind
from alarms.repository import open_alarms
from core.queues import Lane
from core.secrets import InstanceSecret
from mta.model import EgressIp
from mta.providers import load_providers
from mta.rule_book import RuleBook
from pools import administration, assignments, ips, upkeep
from pools import throttle_repository as repository
from pools.health import FULL_RATE, State
from pools.model import EVERYWHERE
from pools.throttle import ThrottleBook
from store.database import Database
from tests.integration.pools.throttling import IP, NEVER, SITE, book, evidence, now, until

SECRET = InstanceSecret.from_text("5e" * 32)
EGRESS = EgressIp(IP, IP, "out1.example.com")


async def listening(database: Database) -> ThrottleBook:
    """A worker that hears of changes by notification alone."""
    made = book(database, "worker-2", NEVER)
    await made.start()
    return made


async def written(one: ThrottleBook) -> None:
    await until(lambda: one.depth() == 0)


async def alarms(database: Database) -> list[tuple[str, str]]:
    async with database.connection() as connection:
        return [(one.kind, one.subject) for one in await open_alarms(connection)]


async def throttled(database: Database, kind: str = "ip", subject: str = IP) -> None:
    """Blocklisted at gmail, and unusable everywhere."""
    one = book(database)
    await one.start()
    one.throttled(kind, subject, SITE, evidence("blocklisted"), now(), now())  # type: ignore[arg-type]
    if kind == "ip":
        one.throttled("ip", subject, EVERYWHERE, evidence("local"), now(), now())
    await written(one)
    await one.stop()


async def test_a_removed_ip_leaves_no_rest_no_alarm_and_every_worker_hears_of_it(database: Database) -> None:
    async with database.transaction() as connection:
        await ips.add_ip(connection, EGRESS, SECRET)
    await throttled(database)
    worker = await listening(database)
    assert worker.rest(IP, SITE, now()) is not None
    assert len(await alarms(database)) == 2

    async with database.transaction() as connection:
        await ips.remove_ip(connection, IP)
    assert await alarms(database) == []
    await until(lambda: not worker.conditions())
    async with database.connection() as connection:
        last, *_ = await repository.changes(connection, "ip", IP, SITE, 1)
    assert (last.became, last.reason) == ("healthy", "the IP was removed")
    await worker.stop()


async def test_a_reply_that_comes_after_the_removal_is_forgotten_too(database: Database) -> None:
    await throttled(database)
    assert len(await alarms(database)) == 2

    await upkeep.forget_gone(database)
    assert await alarms(database) == []
    async with database.connection() as connection:
        assert await repository.current(connection) == []


async def test_a_deleted_domain_is_forgotten_and_a_rest_by_hand_is_not(database: Database) -> None:
    await throttled(database, "domain", "gone.example")
    async with database.transaction() as connection:
        await repository.rest_now(
            connection, "domain", "to-come.example", SITE, until=now().replace(year=now().year + 1), reason="x", by="y"
        )
    await upkeep.forget_gone(database)

    async with database.connection() as connection:
        assert [row.key.subject for row in await repository.current(connection)] == ["to-come.example"]
    assert await alarms(database) == []


async def test_an_ip_that_is_used_another_way_rests_no_longer_for_the_old_one(database: Database) -> None:
    async with database.transaction() as connection:
        await ips.add_ip(connection, EGRESS, SECRET)
    await throttled(database)
    async with database.transaction() as connection:
        await ips.change_ip(connection, replace(EGRESS, bind_address="127.0.0.9"), SECRET)
        states = {row.key.site: row.condition.state for row in await repository.current(connection)}

    assert states == {EVERYWHERE: State.PROBING, SITE: State.THROTTLED}


async def test_override_of_a_slow_return_gives_the_full_rate(database: Database) -> None:
    one = book(database)
    await one.start()
    one.throttled("ip", IP, SITE, evidence(wait=0.0), now(), now())
    await until(lambda: one.rest(IP, SITE, now()) is None)
    for _ in range(5):
        one.delivered(IP, "acme.example", SITE, now())
    await until(lambda: [row.condition.state for row in one.conditions()] == [State.RECOVERING])

    async with database.transaction() as connection:
        after = await repository.override(connection, "ip", IP, SITE, "they lifted it by phone", "olga")
    assert after is not None
    assert (after.state, after.rate) == (State.RECOVERING, FULL_RATE)
    await until(lambda: (rate := one.rate(IP, SITE, now())) is not None and rate.per_second == FULL_RATE)
    one.delivered(IP, "acme.example", SITE, now())
    await until(lambda: not one.conditions())
    await one.stop()


@pytest.mark.parametrize("by_clock", [True, False])
async def test_a_pool_is_not_held_by_a_domain_that_was_deleted(database: Database, by_clock: bool) -> None:
    async with database.transaction() as connection:
        await administration.create_pool(connection, administration.NewPool("first", Lane.MARKETING))
        own = await administration.create_pool(connection, administration.NewPool("own", Lane.MARKETING))
        await connection.execute(
            "INSERT INTO pool_assignments VALUES ('domain', %s, 'marketing', %s)", [uuid4(), own.id]
        )
    if by_clock:
        await upkeep.forget_gone(database)
    async with database.transaction() as connection:
        assert len(await assignments.assignments(connection)) == (0 if by_clock else 1)
        assert (await administration.delete_pool(connection, "own")).name == "own"


async def test_the_alarm_of_a_rules_file_ends_although_the_scheduler_was_started_anew(
    database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "rules.toml"
    file.write_text("")
    ticks = iter(range(0, 10_000, 60))

    def scheduler() -> RuleBook:
        return RuleBook(file, load_providers().names, now=lambda: float(next(ticks)))

    before = scheduler()
    file.write_text("[[rule]]\nid = 7")
    await upkeep.watch_rules(database, before)
    assert await alarms(database) == [(AlarmKind.RULES_FILE, "POSTLANE_RULES_FILE")]
    await upkeep.watch_rules(database, before)
    assert len(await alarms(database)) == 1, "it stays while the file is wrong"

    file.write_text("")
    await upkeep.watch_rules(database, scheduler())
    assert await alarms(database) == []
