"""Starting, pausing, moving and completing warm-ups; stored plans; what operators see of them."""

from datetime import UTC, date, datetime, timedelta

import pytest

from core.refusal import Refused
from store.database import Database
from tests.integration.warmup.conftest import START
from tests.integration.warmup.world import IP, OTHER_IP, add_ips, mails, plan_of, run, set_clock, unforgetting, warm_up
from warmup import library, repository
from warmup.model import WarmupState
from warmup.plan import Transactional, parse
from warmup.progress import TrackStatus
from warmup.status import status


async def refused(database: Database, code: str, *call: object) -> str:
    """Run `function(connection, *arguments)`, expect this error, and that nothing was written; its words."""
    function, *arguments = call
    before = await run(database, "SELECT count(*) FROM warmup_changes")
    with pytest.raises(Refused) as caught:
        async with database.transaction() as connection:
            await function(connection, *arguments)  # type: ignore[operator]
    assert caught.value.code == code
    assert await run(database, "SELECT count(*) FROM warmup_changes") == before
    return str(caught.value)


async def test_start_and_two_plans_on_one_ip(clocked: Database) -> None:
    await warm_up(clocked, plan_of(), IP)
    words = await refused(clocked, "already_warming", repository.start, IP, plan_of((5, 6)))
    assert words == f"{IP} warms up by the plan test already (active): complete it first"
    assert "there is no IP 192.0.2.1" in await refused(clocked, "unknown_ip", repository.start, "192.0.2.1", plan_of())
    async with clocked.transaction() as connection:
        await repository.complete(connection, IP)
        await repository.start(connection, IP, plan_of((500, 600)), transactional=Transactional.AVOID)
        again = await repository.get(connection, IP)
        tracks = await repository.tracks(connection, IP)
    assert (again.plan.stages, again.state, again.transactional) == (
        (500, 600), WarmupState.ACTIVE, Transactional.AVOID,
    )  # fmt: skip
    assert [(one.track, one.stage, one.status) for one in tracks] == [
        ("gmail", 1, TrackStatus.ACTIVE), ("*", 1, TrackStatus.ACTIVE),
    ]  # fmt: skip


async def test_an_ip_that_starts_again_keeps_what_it_sent_today(clocked: Database) -> None:
    await warm_up(clocked, plan_of((2400, 4800)), IP)
    await set_clock(clocked, START + timedelta(minutes=55))
    await unforgetting(clocked).reserve([mails("gmail", 40)])
    async with clocked.transaction() as connection:
        await repository.complete(connection, IP)
        await repository.start(connection, IP, plan_of((60, 70)))
    assert await run(clocked, "SELECT granted, cap FROM warmup_days WHERE track = 'gmail'") == [(40, 40)]


async def test_pause_and_resume(clocked: Database) -> None:
    await warm_up(clocked, plan_of(), IP)
    async with clocked.transaction() as connection:
        await repository.pause(connection, IP, reason="holidays", by="ann")
    (answer,) = await unforgetting(clocked).reserve([mails("gmail", 9)])
    assert answer.granted == 1  # the cap of the stage stays in force
    await refused(clocked, "not_active", repository.pause, IP)
    await set_clock(clocked, START + timedelta(days=40))
    async with clocked.transaction() as connection:
        await repository.resume(connection, IP)
        warmup = await repository.get(connection, IP)
        (first, *_) = await repository.tracks(connection, IP)
        changes = await repository.changes(connection, IP)
    assert (warmup.state, warmup.evaluated_to, first.progress_at) == (
        WarmupState.ACTIVE, date(2026, 4, 10), date(2026, 4, 11),
    )  # fmt: skip
    assert [(one.change, one.reason, one.by) for one in changes[:2]] == [
        ("resume", "resumed by the operator", ""), ("pause", "holidays", "ann"),
    ]  # fmt: skip
    await refused(clocked, "not_paused", repository.resume, IP)
    await refused(clocked, "not_warming", repository.pause, OTHER_IP)


async def test_skip_and_step_back_one_track_or_all(clocked: Database) -> None:
    await warm_up(clocked, plan_of(), IP)
    async with clocked.transaction() as connection:
        (one,) = await repository.skip(connection, IP, "gmail", by="ann")
        assert (one.track, one.from_stage, one.to_stage, one.by) == ("gmail", 1, 2, "ann")
        assert [c.to_stage for c in await repository.skip(connection, IP)] == [3, 2]
        assert [c.track for c in await repository.skip(connection, IP)] == ["*"]
    await refused(clocked, "no_such_stage", repository.skip, IP)
    assert "it has gmail, *" in await refused(clocked, "no_such_track", repository.skip, IP, "yahoo")
    async with clocked.transaction() as connection:
        assert [c.to_stage for c in await repository.step_back(connection, IP, "gmail")] == [2]


async def test_a_complete_ip_can_be_stepped_back(clocked: Database) -> None:
    await warm_up(clocked, plan_of(), IP)
    async with clocked.transaction() as connection:
        await repository.complete(connection, IP, reason="known here")
        assert (await repository.get(connection, IP)).state is WarmupState.COMPLETE
    await refused(clocked, "already_complete", repository.complete, IP)
    async with clocked.transaction() as connection:
        await repository.step_back(connection, IP, "gmail")
        warmup, (gmail, rest) = await repository.get(connection, IP), await repository.tracks(connection, IP)
    assert (warmup.state, warmup.ended_at) == (WarmupState.ACTIVE, None)
    assert (gmail.stage, gmail.status, rest.status) == (3, TrackStatus.ACTIVE, TrackStatus.COMPLETE)


async def test_traffic_that_moves_from_one_ip_to_another(clocked: Database) -> None:
    async with clocked.transaction() as connection:
        await add_ips(connection, IP, OTHER_IP)
        moved = await repository.start(connection, OTHER_IP, plan_of(), moved_from=IP)
    assert moved.moved_from == IP
    await refused(clocked, "already_warming", repository.start, OTHER_IP, plan_of())
    with pytest.raises(Refused, match="its own traffic"):
        async with clocked.transaction() as connection:
            await repository.start(connection, IP, plan_of(), moved_from=IP)
    async with clocked.transaction() as connection:
        changes = await repository.complete(connection, OTHER_IP)
    assert changes[-1].track == ""
    assert f"{IP}, whose traffic it took over, can be taken out of its pools" in changes[-1].reason


async def test_a_zone_that_only_python_knows_is_an_error_of_the_plan(clocked: Database) -> None:
    await warm_up(clocked, plan_of(), IP)
    stored = parse({"name": "a", "stages": [500]})
    object.__setattr__(stored, "zone", "Mars/Olympus")  # as after an update of one zone database and not the other
    async with clocked.transaction() as connection:
        await add_ips(connection, OTHER_IP)
    with pytest.raises(Refused, match="zone: 'Mars/Olympus' is no time zone PostgreSQL knows"):
        async with clocked.transaction() as connection:
            await repository.start(connection, OTHER_IP, stored)


async def test_plans_of_ones_own(clocked: Database) -> None:
    definition = {"name": "mine", "stages": [100, 1000, 5000], "weights": {"gmail": 0.4}}
    async with clocked.transaction() as connection:
        await library.create(connection, definition, {"gmail"})
        assert (await library.find(connection, "mine")).stages == (100, 1000, 5000)
        assert (await library.find(connection, "mine", start=500, target=3000)).stages == (1000, 3000)
        assert (await library.find(connection, "stages-29", target=700)).stages == (200, 500, 700)
        assert [one.name for one in await library.stored(connection)] == ["mine"]
    for code, call in (
        ("plan_exists", (library.create, definition)),
        ("plan_exists", (library.create, definition | {"name": "plus-30"})),
        ("plan_not_found", (library.find, "his")),
        ("plan_not_found", (library.delete, "his")),
        ("plan_is_preset", (library.delete, "plus-30")),
    ):
        await refused(clocked, code, *call)
    with pytest.raises(Refused, match=r"weights\.gmail: unknown provider"):
        async with clocked.transaction() as connection:
            await library.create(connection, definition | {"name": "other"}, {"yahoo"})
    async with clocked.transaction() as connection:
        await library.delete(connection, "mine")
        assert await library.stored(connection) == []


async def test_the_mix_of_the_last_thirty_days(clocked: Database) -> None:
    async def count(provider: str, outcome: str, n: int, at: datetime) -> None:
        await run(
            clocked, "INSERT INTO outcome_counts VALUES (%s, 'marketing', %s, %s, %s, 0, %s)",
            at, provider, IP, outcome, n,
        )  # fmt: skip

    await count("gmail", "delivered", 700, START - timedelta(days=1))
    async with clocked.connection() as connection:
        assert await library.measured_mix(connection) == {}
    await count("yahoo", "delivered", 300, START - timedelta(days=29))
    await count("apple", "delivered", 300, START - timedelta(days=31))
    await count("apple", "bounced", 300, START - timedelta(days=1))
    async with clocked.connection() as connection:
        assert await library.measured_mix(connection) == {"gmail": 700, "yahoo": 300}


async def test_what_an_operator_sees(clocked: Database) -> None:
    await warm_up(clocked, plan_of((2400, 4800, 9600)), OTHER_IP, IP)
    await set_clock(clocked, START + timedelta(minutes=55))
    await unforgetting(clocked).reserve([mails("gmail", 30)])
    async with clocked.transaction() as connection:
        await repository.complete(connection, IP, "*")
        await repository.skip(connection, OTHER_IP)
    async with clocked.connection() as connection:
        first, second = await status(connection, START + timedelta(hours=1))
    assert (first.ip, first.stage, first.stages, first.cap, first.used) == (IP, 1, 3, 1200, 30)
    assert [(one.track, one.cap, one.used) for one in first.tracks] == [("gmail", 1200, 30), ("*", None, 0)]
    assert (first.day, first.earliest_end, first.likely_end) == (date(2026, 3, 2), date(2026, 3, 4), None)
    assert (second.stage, second.cap, second.used, second.earliest_end) == (2, 4800, 0, date(2026, 3, 3))


async def test_the_likely_end_goes_by_the_pace(clocked: Database) -> None:
    plan = plan_of((200, 300, 400, 500, 600, 700))
    await warm_up(clocked, plan, IP)
    now = datetime(2026, 3, 6, 12, tzinfo=UTC)
    async with clocked.transaction() as connection:
        await connection.execute("UPDATE warmups SET started_at = %s", [START])
        await connection.execute("UPDATE warmup_tracks SET stage = 3, last_used = '2026-03-05'")
        for track in ("gmail", "*"):
            for stage, day in ((1, 3), (2, 5)):
                await repository.note(
                    connection, IP, track, "advance", "x", day=date(2026, 3, day), stages=(stage, stage + 1)
                )
    async with clocked.connection() as connection:
        (one,) = await status(connection, now)
    assert (one.earliest_end, one.likely_end) == (date(2026, 3, 9), date(2026, 3, 12))  # two stages in four days
