"""One open alarm per kind and subject; its count moves on until it is cleared."""

import asyncio

from alarms import repository as alarms
from alarms.model import AlarmKind
from store.database import Database


async def test_same_trouble_again_moves_the_count_on(database: Database) -> None:
    async with database.connection() as connection:
        assert await alarms.raise_alarm(connection, AlarmKind.BLOCKLISTED, "ip at gmail", "first")
        assert not await alarms.raise_alarm(connection, AlarmKind.BLOCKLISTED, "ip at gmail", "second")
        assert await alarms.raise_alarm(connection, AlarmKind.BLOCKLISTED, "ip at yahoo", "other")
        first, other = await alarms.open_alarms(connection)

    assert (first.kind, first.subject, first.detail, first.count) == ("blocklisted", "ip at gmail", "second", 2)
    assert first.last_at > first.raised_at
    assert (other.subject, other.count) == ("ip at yahoo", 1)


async def test_cleared_alarm_is_gone_and_opens_anew(database: Database) -> None:
    async with database.connection() as connection:
        await alarms.raise_alarm(connection, AlarmKind.RULES_FILE, "rules.toml", "line 3")
        await alarms.raise_alarm(connection, AlarmKind.WARMUP_STALLED, "rules.toml", "same subject, another kind")

        assert await alarms.clear_alarms(connection, [AlarmKind.RULES_FILE], "rules.toml") == 1
        assert await alarms.clear_alarms(connection, [AlarmKind.RULES_FILE], "rules.toml") == 0
        assert [alarm.kind for alarm in await alarms.open_alarms(connection)] == ["warmup_stalled"]
        assert await alarms.raise_alarm(connection, AlarmKind.RULES_FILE, "rules.toml", "line 9")


async def test_many_that_see_it_at_once_open_one(database: Database) -> None:
    async def see() -> bool:
        async with database.transaction() as connection:
            return await alarms.raise_alarm(connection, AlarmKind.LOCAL_ADDRESS, "127.0.1.2", "cannot assign")

    opened = await asyncio.gather(*(see() for _ in range(12)))

    async with database.connection() as connection:
        (alarm,) = await alarms.open_alarms(connection)
    assert sum(opened) == 1
    assert alarm.count == 12


async def test_detail_that_cannot_be_stored_is_made_fit(database: Database) -> None:
    async with database.connection() as connection:
        await alarms.raise_alarm(connection, AlarmKind.BLOCKLISTED, "ip", "a\x00b" + "c" * 5000)
        (alarm,) = await alarms.open_alarms(connection)

    assert alarm.detail.startswith("abc")
    assert len(alarm.detail) == alarms.DETAIL_LENGTH
