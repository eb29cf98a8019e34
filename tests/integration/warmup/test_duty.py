"""The daily judgement on the real tables: once, in order, in the plan's time zone, with its alarms."""

from datetime import UTC, date, datetime, timedelta

import pytest

from alarms.model import Alarm, AlarmKind
from alarms.repository import open_alarms, raise_alarm
from store.database import Database
from tests.integration.warmup.conftest import START
from tests.integration.warmup.world import IP, OTHER_IP, granted, mails, plan_of, run, set_clock, unforgetting, warm_up
from warmup import repository
from warmup.duty import evaluate_due
from warmup.model import Change, WarmupState
from warmup.plan import Plan
from warmup.progress import TrackState, TrackStatus

DAY = timedelta(days=1)
MORNING = timedelta(hours=3)


async def count(database: Database, at: datetime, provider: str, ip: str = IP, **outcomes: int) -> None:
    """Outcomes as the counters have them."""
    for outcome, n in outcomes.items():
        await run(
            database,
            "INSERT INTO outcome_counts AS c"
            " VALUES (date_trunc('hour', %s::timestamptz), 'marketing', %s, %s, %s, 0, %s)"
            " ON CONFLICT (hour, lane, provider, ip, outcome, shard) DO UPDATE SET n = c.n + excluded.n",
            at, provider, ip, outcome, n,
        )  # fmt: skip


async def judge(database: Database, at: datetime) -> list[Change]:
    await set_clock(database, at)
    async with database.connection() as connection:
        return await evaluate_due(connection)


async def alarms(database: Database) -> list[Alarm]:
    async with database.connection() as connection:
        return await open_alarms(connection)


async def tracks(database: Database, ip: str = IP) -> dict[str, TrackState]:
    async with database.connection() as connection:
        return {one.track: one for one in await repository.tracks(connection, ip)}


async def state(database: Database) -> WarmupState:
    async with database.connection() as connection:
        return (await repository.get(connection, IP)).state


async def begin(database: Database, plan: Plan | None = None, *ips: str) -> None:
    await warm_up(database, plan or plan_of(), *(ips or (IP,)))


async def test_each_track_goes_its_own_way(clocked: Database) -> None:
    await begin(clocked)
    await count(clocked, START + MORNING, "gmail", delivered=110, deferred=5)
    await count(clocked, START + 2 * MORNING, "yahoo", delivered=50)
    await count(clocked, START + MORNING, "gmx", delivered=20)
    await count(clocked, START + MORNING, "gmx", ip=OTHER_IP, delivered=999)
    changes = await judge(clocked, START + DAY + MORNING)
    assert [(one.track, one.change, one.from_stage, one.to_stage, one.day, one.by) for one in changes] == [
        ("gmail", "advance", 1, 2, date(2026, 3, 2), "schedule"),
        ("*", "hold", 1, 1, date(2026, 3, 2), "schedule"),
    ]
    assert changes[0].reason == "110 of 120 delivered (91.7 %), rates are healthy"
    assert changes[1].reason.startswith("70 of 120 delivered (58.3 %)")
    found = await tracks(clocked)
    assert (found["gmail"].stage, found["*"].stage, found["*"].last_used) == (2, 1, date(2026, 3, 2))


async def test_a_day_is_judged_once_and_only_when_it_is_over(clocked: Database) -> None:
    await begin(clocked)
    await count(clocked, START + MORNING, "gmail", delivered=120)
    assert await judge(clocked, START + DAY - timedelta(seconds=1)) == []
    assert await judge(clocked, START + DAY + timedelta(minutes=4)) == []
    assert len(await judge(clocked, START + DAY + timedelta(minutes=5))) == 1
    assert await judge(clocked, START + DAY + timedelta(minutes=6)) == []
    assert await judge(clocked, START + timedelta(hours=1)) == []  # a clock that jumped back
    assert (await tracks(clocked))["gmail"].stage == 2


async def test_missed_days_are_made_up_for_in_their_order(clocked: Database) -> None:
    await begin(clocked)
    for number, delivered in enumerate((120, 0, 240, 480)):
        await count(clocked, START + number * DAY + MORNING, "gmail", delivered=delivered)
    changes = await judge(clocked, START + 4 * DAY + MORNING)
    assert [(one.change, one.day and one.day.day, one.to_stage) for one in changes] == [
        ("advance", 2, 2), ("advance", 4, 3), ("complete", 5, 3), ("complete", 5, None),
    ]  # fmt: skip
    assert await state(clocked) is WarmupState.COMPLETE


async def test_the_day_is_the_one_of_the_plans_zone(clocked: Database) -> None:
    await begin(clocked, plan_of(zone="America/New_York"))
    # There it is still the evening of 1 March; the day of 2 March has 24 hours from 5:00 UTC.
    await count(clocked, datetime(2026, 3, 2, 4, tzinfo=UTC), "gmail", delivered=119)
    await count(clocked, datetime(2026, 3, 2, 5, tzinfo=UTC), "gmail", delivered=60)
    await count(clocked, datetime(2026, 3, 3, 4, tzinfo=UTC), "gmail", delivered=60)
    changes = await judge(clocked, datetime(2026, 3, 3, 6, tzinfo=UTC))
    assert [(one.day, one.change) for one in changes] == [(date(2026, 3, 1), "advance"), (date(2026, 3, 2), "hold")]


async def test_refused_and_rerouted_mail_steps_back_today(clocked: Database) -> None:
    await begin(clocked, plan_of((2400, 4800, 9600)))
    async with clocked.transaction() as connection:
        await repository.skip(connection, IP, "gmail")
    await count(clocked, START + MORNING, "gmail", delivered=2400, rerouted=300)
    await set_clock(clocked, START + DAY + timedelta(minutes=1))
    await unforgetting(clocked).reserve([mails("gmail", 5)])  # the new day has begun, on the old stage
    assert (await granted(clocked))[IP, "gmail", "2026-03-03"] == (5, 2400)
    (change,) = await judge(clocked, START + DAY + MORNING)
    assert (change.change, change.to_stage) == ("step_back", 1)
    assert change.reason.startswith("deferrals 11.1 % (300 of 2,700), more than 10 %")
    assert (await granted(clocked))[IP, "gmail", "2026-03-03"] == (5, 1200)


@pytest.mark.parametrize("outcome", ["bounced", "late_bounced"])
async def test_hard_bounces_in_the_session_and_later(clocked: Database, outcome: str) -> None:
    await begin(clocked)
    await count(clocked, START + MORNING, "gmail", IP, delivered=115, **{outcome: 5})
    (change,) = await judge(clocked, START + DAY + MORNING)
    assert change.change == "hold"
    assert "hard bounces 4.17 % (5 of 120)" in change.reason


async def test_complaints_heard_on_days_without_mail_count_with_the_next(clocked: Database) -> None:
    await begin(clocked, plan_of((2400, 4800)))
    await count(clocked, START + MORNING, "gmail", delivered=1200)
    await count(clocked, START + DAY + MORNING, "gmail", complained=3)
    await count(clocked, START + 2 * DAY + MORNING, "gmail", delivered=2400, complained=1)
    changes = await judge(clocked, START + 3 * DAY + MORNING)
    assert [one.change for one in changes] == ["advance", "step_back"]
    assert "complaints 0.167 % (4 of 2,400)" in changes[1].reason


async def test_a_paused_warm_up_stands_still(clocked: Database) -> None:
    await begin(clocked)
    async with clocked.transaction() as connection:
        await repository.pause(connection, IP)
    await count(clocked, START + MORNING, "gmail", delivered=120)
    assert await judge(clocked, START + DAY + MORNING) == []
    gmail = (await tracks(clocked))["gmail"]
    assert (gmail.stage, gmail.last_used) == (1, date(2026, 3, 2))


async def completed(database: Database) -> None:
    """gmail arrives in three days; the others never had mail."""
    await begin(database)
    for number, delivered in enumerate((120, 240, 480)):
        await count(database, START + number * DAY + MORNING, "gmail", delivered=delivered)
    await judge(database, START + 3 * DAY + MORNING)
    assert await state(database) is WarmupState.COMPLETE


async def test_first_mail_on_an_unused_track_is_capped_and_makes_the_ip_active(clocked: Database) -> None:
    await completed(clocked)
    ledger = unforgetting(clocked)
    await ledger.refresh()
    assert ledger.warming(IP, "gmail") is None
    assert ledger.warming(IP, "yahoo") is not None
    await count(clocked, START + 3 * DAY + MORNING, "yahoo", delivered=30)
    changes = await judge(clocked, START + 4 * DAY + MORNING)
    assert [(one.track, one.change) for one in changes] == [("*", "hold"), ("", "active")]
    assert await state(clocked) is WarmupState.ACTIVE


async def test_thirty_idle_days_warm_a_complete_ip_again(clocked: Database) -> None:
    await completed(clocked)
    assert await judge(clocked, START + 32 * DAY + MORNING) == []
    changes = await judge(clocked, START + 33 * DAY + MORNING)
    assert [(one.track, one.change, one.from_stage, one.to_stage) for one in changes] == [
        ("gmail", "rewarm", 3, 2), ("", "active", None, None),
    ]  # fmt: skip
    found = (await tracks(clocked))["gmail"]
    assert (found.status, await state(clocked)) == (TrackStatus.ACTIVE, WarmupState.ACTIVE)
    (answer,) = await unforgetting(clocked).reserve([mails("gmail", 9999)])
    assert answer.granted < 240


async def stalled(clocked: Database) -> None:
    """Ten days with too little mail."""
    await begin(clocked)
    for number in range(11):
        assert await alarms(clocked) == []
        await count(clocked, START + number * DAY + MORNING, "gmail", delivered=50)
        await judge(clocked, START + (number + 1) * DAY + MORNING)


async def test_no_progress_for_ten_days_is_an_alarm_until_it_moves(clocked: Database) -> None:
    await stalled(clocked)
    (alarm,) = await alarms(clocked)
    assert (alarm.kind, alarm.subject) == (AlarmKind.WARMUP_STALLED, f"{IP} gmail")
    assert "no progress at gmail for 10 days, stage 1 of 3" in alarm.detail
    await count(clocked, START + 11 * DAY + MORNING, "gmail", delivered=120)
    await judge(clocked, START + 12 * DAY + MORNING)
    assert await alarms(clocked) == []


async def test_an_ip_that_gets_no_mail_at_all_is_an_alarm_until_it_has_some(clocked: Database) -> None:
    await begin(clocked)
    await judge(clocked, START + 10 * DAY + MORNING)
    assert await alarms(clocked) == []
    await judge(clocked, START + 11 * DAY + MORNING)
    (alarm,) = await alarms(clocked)
    assert alarm.subject == IP
    assert "no mail for 10 days" in alarm.detail
    await count(clocked, START + 11 * DAY + MORNING, "gmail", delivered=5)
    await judge(clocked, START + 12 * DAY + MORNING)
    assert [one.subject for one in await alarms(clocked)] == [f"{IP} gmail"], "that it moves nothing is another matter"


@pytest.mark.parametrize("act", ["pause", "skip", "complete", "forget_ip"])
async def test_what_an_operator_does_about_it_ends_the_alarm(clocked: Database, act: str) -> None:
    await stalled(clocked)
    async with clocked.transaction() as connection:
        await raise_alarm(connection, AlarmKind.WARMUP_STALLED, f"{IP}0 gmail", "another IP with a longer name")
        await getattr(repository, act)(connection, IP)

    assert [one.subject for one in await alarms(clocked)] == [f"{IP}0 gmail"]


async def test_a_step_of_one_track_leaves_the_alarm_of_another(clocked: Database) -> None:
    await stalled(clocked)
    async with clocked.transaction() as connection:
        await raise_alarm(connection, AlarmKind.WARMUP_STALLED, f"{IP} *", "no progress")
        await repository.skip(connection, IP, "gmail")

    assert [one.subject for one in await alarms(clocked)] == [f"{IP} *"]


async def test_one_broken_plan_does_not_stop_the_others(clocked: Database) -> None:
    await begin(clocked, None, IP, OTHER_IP)
    await run(clocked, "UPDATE warmups SET plan = jsonb_set(plan, '{stages}', '[5, 4]') WHERE ip = %s", IP)
    await count(clocked, START + MORNING, "gmail", ip=OTHER_IP, delivered=120)
    assert [one.ip for one in await judge(clocked, START + DAY + MORNING)] == [OTHER_IP]
