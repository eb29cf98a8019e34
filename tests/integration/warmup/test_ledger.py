"""The ledger against PostgreSQL: caps, hours, lanes, returns, and the same arithmetic as `warmup/shares`."""

import asyncio
import random
from datetime import UTC, datetime, timedelta

import pytest

from store.database import Database, DatabaseUnavailableError
from tests.integration.warmup.conftest import START
from tests.integration.warmup.world import (
    IP,
    OTHER_IP,
    TRANSACTIONAL,
    granted,
    mails,
    plan_of,
    run,
    set_clock,
    unforgetting,
    warm_up,
)
from warmup import repository
from warmup.ledger import Ledger, Returned
from warmup.plan import Transactional
from warmup.shares import Used, available, local_day, next_opening

HOUR = timedelta(hours=1)


async def test_a_day_is_spread_over_hours_and_slices(clocked: Database) -> None:
    await warm_up(clocked, plan_of(), IP)
    ledger = unforgetting(clocked)
    # 120 for gmail: 5 an hour, of which the first five minutes open one.
    (first,) = await ledger.reserve([mails("gmail", 100)])
    assert (first.granted, first.track, str(first.day)) == (1, "gmail", "2026-03-02")
    assert first.until == START + timedelta(minutes=10)
    assert first.reason == f"this hour's share of gmail on {IP} is used: 1 of 120, stage 1 of 3, more at 00:10 UTC"
    await set_clock(clocked, START + timedelta(minutes=55))
    assert (await ledger.reserve([mails("gmail", 100)]))[0].granted == 4
    # What three hours left unused is spread over the 20 that are left.
    await set_clock(clocked, START + 4 * HOUR + timedelta(minutes=55))
    assert (await ledger.reserve([mails("gmail", 100)]))[0].granted == 6
    assert (await granted(clocked))[IP, "gmail", "2026-03-02"] == (11, 120)


async def test_the_whole_cap_and_no_more_is_granted_in_a_day(clocked: Database) -> None:
    await warm_up(clocked, plan_of(), IP)
    ledger = unforgetting(clocked)
    total = 0
    for minute in range(0, 24 * 60, 5):
        await set_clock(clocked, START + timedelta(minutes=minute))
        total += (await ledger.reserve([mails("gmail", 50)]))[0].granted
    assert total == 120
    (last,) = await ledger.reserve([mails("gmail", 1)])
    assert (last.granted, last.day, last.until) == (0, None, START + timedelta(days=1))
    assert last.reason == f"today's share of gmail on {IP} is used: 120 of 120, stage 1 of 3"
    await set_clock(clocked, START + timedelta(days=1))
    assert (await ledger.reserve([mails("gmail", 1)]))[0].granted == 1


async def test_all_ips_and_tracks_of_a_batch_in_one_call(clocked: Database) -> None:
    await warm_up(clocked, plan_of((2400, 4800)), IP, OTHER_IP)
    ledger = unforgetting(clocked)
    await set_clock(clocked, START + timedelta(minutes=55))
    answers = await ledger.reserve(
        [
            mails("gmail", 20),
            mails("gmail", 20, ip=OTHER_IP),
            mails("orange", 30),
            mails("gmx", 30),
            mails("gmail", 40, TRANSACTIONAL),
            mails("gmail", 7, ip="198.51.100.1"),
        ]
    )
    # 50 an hour and track. Orange and GMX share one; transactional mail comes before marketing mail.
    assert [answer.granted for answer in answers] == [10, 20, 30, 20, 40, 7]
    assert [answer.track for answer in answers] == ["gmail", "gmail", "*", "*", "gmail", "*"]
    assert (answers[5].day, answers[5].reason) == (None, "")
    assert (await granted(clocked))[IP, "*", "2026-03-02"] == (50, 1200)


@pytest.mark.parametrize(("setting", "expected"), [("share", (1, 0)), ("first", (5, 0)), ("avoid", (0, 1))])
async def test_transactional_mail_by_setting(clocked: Database, setting: str, expected: tuple[int, int]) -> None:
    await warm_up(clocked, plan_of(), IP, transactional=Transactional(setting))
    ledger = unforgetting(clocked)
    first, second = await ledger.reserve([mails("gmail", 9, TRANSACTIONAL), mails("gmail", 9)])
    assert (first.granted, second.granted) == expected
    if setting == "avoid":
        assert (first.until, first.reason) == (None, f"transactional mail is kept off {IP} while it warms up")
    if setting == "first":
        assert first.until == START + HOUR


async def test_what_is_returned_can_be_granted_again(clocked: Database) -> None:
    await warm_up(clocked, plan_of((2400, 4800)), IP)
    ledger = Ledger(clocked, remember_seconds=60.0)
    await set_clock(clocked, START + timedelta(minutes=55))
    (first,) = await ledger.reserve([mails("gmail", 60)])
    assert (first.granted, (await ledger.reserve([mails("gmail", 10)]))[0].granted) == (50, 0)
    await ledger.give_back([Returned(IP, "gmail", first.day, 20), Returned(IP, "gmail", None, 5)])
    assert (await ledger.reserve([mails("gmail", 60)]))[0].granted == 20
    await ledger.give_back([Returned(IP, "gmail", first.day, 9999), Returned("198.51.100.1", "gmail", first.day, 1)])
    assert (await granted(clocked))[IP, "gmail", "2026-03-02"] == (0, 1200)


async def test_yesterdays_return_does_not_widen_today(clocked: Database) -> None:
    await warm_up(clocked, plan_of(), IP)
    ledger = unforgetting(clocked)
    (first,) = await ledger.reserve([mails("gmail", 1)])
    await set_clock(clocked, START + timedelta(days=1))
    await ledger.reserve([mails("gmail", 1)])
    await ledger.give_back([Returned(IP, "gmail", first.day, 1)])
    rows = await granted(clocked)
    assert (rows[IP, "gmail", "2026-03-02"][0], rows[IP, "gmail", "2026-03-03"][0]) == (0, 1)


async def test_outside_the_sending_hours_nothing_is_granted(clocked: Database) -> None:
    await warm_up(clocked, plan_of(hours=[8, 20], zone="Asia/Kolkata"), IP)
    ledger = unforgetting(clocked)
    (answer,) = await ledger.reserve([mails("gmail", 1)])  # 5:30 in India
    assert (answer.granted, answer.until) == (0, datetime(2026, 3, 2, 2, 30, tzinfo=UTC))
    assert "sends from 8:00 to 20:00 Asia/Kolkata only" in answer.reason
    await set_clock(clocked, datetime(2026, 3, 2, 2, 30, tzinfo=UTC))
    assert (await ledger.reserve([mails("gmail", 1)]))[0].granted == 1
    await set_clock(clocked, datetime(2026, 3, 2, 14, 30, tzinfo=UTC))
    assert (await ledger.reserve([mails("gmail", 1)]))[0].until == datetime(2026, 3, 3, 2, 30, tzinfo=UTC)


async def test_a_complete_track_is_free_and_the_others_are_not(clocked: Database) -> None:
    await warm_up(clocked, plan_of(), IP)
    async with clocked.transaction() as connection:
        await repository.complete(connection, IP, "gmail")
    ledger = unforgetting(clocked)
    await ledger.refresh()
    assert ledger.warming(IP, "gmail") is None
    warming = ledger.warming(IP, "yahoo")
    assert warming is not None
    assert (warming.track, warming.stage, warming.stages, warming.known) == ("*", 1, 3, True)
    free, capped = await ledger.reserve([mails("gmail", 5000), mails("yahoo", 5000)])
    assert (free.granted, free.day, capped.granted) == (5000, None, 1)


async def test_a_new_stage_holds_for_the_day_that_has_begun(clocked: Database) -> None:
    await warm_up(clocked, plan_of(), IP)
    ledger = unforgetting(clocked)
    await ledger.reserve([mails("gmail", 1)])
    async with clocked.transaction() as connection:
        await repository.skip(connection, IP)
    assert (await granted(clocked))[IP, "gmail", "2026-03-02"] == (1, 240)
    await set_clock(clocked, START + 23 * HOUR + timedelta(minutes=55))
    assert (await ledger.reserve([mails("gmail", 240)]))[0].granted == 120  # half a day's cap in one hour at most
    async with clocked.transaction() as connection:
        await repository.step_back(connection, IP)
    assert (await granted(clocked))[IP, "gmail", "2026-03-02"] == (121, 121)
    assert (await ledger.reserve([mails("gmail", 1)]))[0].granted == 0


async def test_without_a_snapshot_every_ip_may_be_warming(clocked: Database) -> None:
    ledger = unforgetting(clocked)
    before = ledger.warming(IP, "gmail")
    assert before is not None
    assert not before.known
    assert (await ledger.reserve([mails("gmail", 3)]))[0].granted == 3  # the database knows: no warm-up
    await ledger.refresh()
    assert ledger.warming(IP, "gmail") is None
    await warm_up(clocked, plan_of(), IP)
    await ledger.start()
    assert ledger.warming(IP, "gmail") is not None
    await ledger.stop()


async def test_a_database_that_is_away_grants_nothing() -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/nothing", size=1)
    await away.open()
    ledger = Ledger(away)
    answer = ledger.warming(IP, "gmail")
    assert answer is not None
    with pytest.raises(DatabaseUnavailableError):
        await ledger.reserve([mails("gmail", 1)])
    await away.close()


async def test_used_up_is_answered_from_memory_for_a_moment(clocked: Database) -> None:
    await warm_up(clocked, plan_of(), IP)
    ledger = Ledger(clocked, remember_seconds=60.0)
    await ledger.reserve([mails("gmail", 9)])
    await run(clocked, "DELETE FROM warmup_days")
    assert (await ledger.reserve([mails("gmail", 9)]))[0].granted == 0
    assert (await unforgetting(clocked).reserve([mails("gmail", 9)]))[0].granted == 1


async def test_two_that_make_the_days_row_at_once(clocked: Database) -> None:
    await warm_up(clocked, plan_of((240_000, 480_000)), IP)
    await set_clock(clocked, START + timedelta(minutes=55))
    wishes = [mails("gmail", 300), mails("yahoo", 300)]
    answers = await asyncio.gather(*(unforgetting(clocked).reserve(wishes) for _ in range(4)))
    assert [one.granted for answer in answers for one in answer] == [300] * 8
    assert (await granted(clocked))[IP, "gmail", "2026-03-02"] == (1200, 120_000)


ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "America/Havana"]
CHANGES = [
    datetime(2026, month, day, tzinfo=UTC) for month, day in ((3, 29), (10, 25), (3, 8), (11, 1), (4, 4), (7, 15))
]
"""Days on which clocks change in one of these zones, and one on which they do not."""


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("hours", [[0, 24], [2, 9]])
async def test_sql_and_python_agree(clocked: Database, zone: str, hours: list[int]) -> None:
    """On ordinary days and on days when clocks change, at any minute, for any state of the day's row."""
    plan = plan_of((2400, 4801), zone=zone, hours=hours, hour_limit=0.3)
    await warm_up(clocked, plan, IP)
    ledger, chance, compared = unforgetting(clocked), random.Random(zone), 0
    for number in range(60):
        at = CHANGES[number % len(CHANGES)] + timedelta(minutes=chance.randrange(-600, 2400))
        used = Used(1200, chance.randrange(1201), chance.choice([-1, *range(25)]))
        used = Used(1200, used.granted, used.hour, chance.randrange(used.granted + 1))
        await set_clock(clocked, at)
        await run(clocked, "DELETE FROM warmup_days")
        await run(
            clocked, "INSERT INTO warmup_days VALUES (%s, 'gmail', %s, 1, %s, %s, %s, %s)",
            IP, local_day(plan, at), used.cap, used.granted, used.hour, used.hour_base,
        )  # fmt: skip
        (answer,) = await ledger.reserve([mails("gmail", 2000)])
        expected = available(plan, used, at)
        assert answer.granted == expected, (at, used)
        after = Used(*(await run(clocked, "SELECT cap, granted, hour, hour_base FROM warmup_days"))[0])
        assert answer.until == next_opening(plan, after, at)
        assert answer.until > at
        compared += expected > 0
    assert compared > 5
