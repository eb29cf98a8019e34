"""The story of an alarm, what silences it, and what is told of it."""

from datetime import UTC, datetime, timedelta

import pytest

from alarms import repository as alarms
from alarms import telling
from alarms.model import AlarmKind, Finding, Severity
from alarms.telling import GATHER
from core.refusal import Refused
from store.database import Connection, Database
from tests.integration.messages.emails import execute

KIND = AlarmKind.COMPLAINTS


def found(severity: Severity = Severity.WARNING, subject: str = "shop") -> Finding:
    return Finding(subject, severity, f"{subject} is {severity}")


async def changes(connection: Connection) -> list[str]:
    cursor = await connection.execute("SELECT change FROM alarm_changes ORDER BY id")
    return [change for (change,) in await cursor.fetchall()]


async def told(database: Database) -> list[tuple[str, str]]:
    """What the next mail would tell, and it is told."""
    async with database.transaction() as connection:
        news = await telling.take(connection, datetime.now(UTC) + GATHER * 2, None)
        await telling.told(connection, news)
    return [(one.subject, one.change) for one in news]


async def test_what_a_judge_finds_is_open_and_nothing_else(database: Database) -> None:
    async with database.transaction() as connection:
        await alarms.settle(connection, KIND, [found(), found(subject="other")])
        await alarms.settle(connection, KIND, [found()])
        (alarm,) = await alarms.open_alarms(connection)
        assert (alarm.subject, alarm.count, alarm.severity) == ("shop", 1, "warning")
        await alarms.settle(connection, KIND, [found(Severity.CRITICAL)])
        await alarms.settle(connection, KIND, [found(Severity.WARNING)])
        await alarms.settle(connection, KIND, [])
        assert await alarms.open_alarms(connection) == []
        story = await alarms.story(connection, alarm.id)

    assert [one.change for one in story] == ["raised", "worse", "better", "cleared"]


async def test_another_kind_is_not_settled(database: Database) -> None:
    async with database.transaction() as connection:
        await alarms.raise_alarm(connection, AlarmKind.BLOCKLISTED, "ip at gmail", "listed")
        await alarms.settle(connection, KIND, [])
        assert len(await alarms.open_alarms(connection)) == 1


async def test_acknowledged_is_silent_until_it_gets_worse(database: Database) -> None:
    async with database.transaction() as connection:
        await alarms.settle(connection, KIND, [found()])
        (alarm,) = await alarms.open_alarms(connection)
    assert await told(database) == [("shop", "raised")]
    async with database.transaction() as connection:
        seen = await alarms.acknowledge(connection, alarm.id, "anna")
        assert (seen.acknowledged_by, seen.cleared_at) == ("anna", None)
    assert await told(database) == []
    async with database.transaction() as connection:
        await alarms.settle(connection, KIND, [found(Severity.CRITICAL)])
        (worse,) = await alarms.open_alarms(connection)
    assert (worse.acknowledged_at, worse.severity) == (None, "critical")
    assert await told(database) == [("shop", "worse")]


async def test_snoozed_is_told_anew_when_the_time_is_over_and_it_is_still_open(database: Database) -> None:
    async with database.transaction() as connection:
        await alarms.settle(connection, KIND, [found()])
        (alarm,) = await alarms.open_alarms(connection)
        await alarms.snooze(connection, alarm.id, timedelta(hours=1), "anna")
    assert await told(database) == []
    async with database.transaction() as connection:
        await alarms.wake_snoozed(connection)
    assert await told(database) == []
    await execute(database, "UPDATE alarms SET snoozed_until = now() - interval '1 second'")
    async with database.transaction() as connection:
        await alarms.wake_snoozed(connection)
        await alarms.wake_snoozed(connection)
    assert await told(database) == [("shop", "raised")]


async def test_trouble_with_the_mail_is_never_told_by_mail(database: Database) -> None:
    async with database.transaction() as connection:
        await alarms.raise_alarm(connection, AlarmKind.ALARM_MAIL, "alarm mail", "refused")
    assert await told(database) == []
    async with database.transaction() as connection:
        assert [one.kind for one in await telling.to_announce(connection)] == ["alarm_mail"]
        assert await telling.to_announce(connection) == []


async def test_news_that_was_taken_is_nobody_elses_until_it_is_given_back(database: Database) -> None:
    later = datetime.now(UTC) + GATHER * 2
    async with database.transaction() as connection:
        await alarms.settle(connection, KIND, [found()])
    async with database.transaction() as connection:
        news = await telling.take(connection, later, None)
    async with database.transaction() as connection:
        assert await telling.take(connection, later, None) == []
        await telling.given_back(connection, news)
    assert await told(database) == [("shop", "raised")]


async def test_what_is_over_cannot_be_looked_after(database: Database) -> None:
    async with database.transaction() as connection:
        await alarms.settle(connection, KIND, [found()])
        (alarm,) = await alarms.open_alarms(connection)
        closed = await alarms.close_alarm(connection, alarm.id, "anna")
        assert closed.cleared_at is not None
        with pytest.raises(Refused):
            await alarms.acknowledge(connection, alarm.id, "bert")
        assert [one.id for one in await alarms.past_alarms(connection, 1)] == [alarm.id]
        assert await changes(connection) == ["raised", "cleared"]
