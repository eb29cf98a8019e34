"""A throttled IP rests, its mail does not: it goes on through the next IP of its pool, at once and at no cost."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from core.queues import Lane
from core.remembered import Remembered
from mta.model import EgressIp
from pools.model import EVERYWHERE
from pools.repository import ensure_pool, everywhere
from store.database import Database
from tests.integration.messages.emails import execute, refs, rows, waiting
from tests.integration.workers.lane import IPS, LANE, LaneTest, due_now, events_of, lane_test, until
from tests.smtp_sink import Rule

FIRST, SECOND, THIRD = IPS
SLOW_DOWN = "421 4.7.0 Too many messages from this IP address, try again in 10 minutes"
BLOCKED = "554 5.7.1 Service unavailable; Client host [192.0.2.1] blocked using zen.spamhaus.org"
DOMAIN = "421 4.7.0 unusual rate of mail from your DKIM domain, it was temporarily rate limited"
SITE = "mx:mx.example"
S775 = (
    "451 4.7.650 The mail server [{ip}] has been temporarily rate limited due to IP reputation. For e-mail delivery"
    " information, see https://aka.ms/postmaster (S775) [Name=Protocol Filter Agent][AGT=PFA]"
)
MICROSOFT = "one-example.mail.protection.outlook.com"


@pytest.fixture
async def throttling(
    request: pytest.FixtureRequest, database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> AsyncIterator[LaneTest]:
    """A worker's inside, and a server with the rules given as parameter."""
    async with lane_test(database, database_url, redis_url, tmp_path, *request.param) as lane:
        yield lane


def throttle(ip: str, reply: str = SLOW_DOWN, phase: str = "dot") -> Rule:
    return Rule(phase, reply, source=ip)


async def states_of(lane: LaneTest) -> Counter[str]:
    found = await rows(lane.database, "SELECT state, count(*) FROM messages GROUP BY state")
    return Counter(dict(found))


async def conditions(lane: LaneTest) -> list[tuple[object, ...]]:
    await until(lambda: lane.collaborators.throttles.depth() == 0)
    return list(await rows(lane.database, "SELECT kind, subject, site, state FROM throttles ORDER BY 1, 2, 3"))


@pytest.mark.parametrize("throttling", [(throttle(FIRST),)], indirect=True)
async def test_all_mail_leaves_at_once_and_the_ip_rests(throttling: LaneTest) -> None:
    lane = throttling
    for number in range(60):
        await lane.put(f"u{number}@one.example")
    await lane.deliver()

    assert await states_of(lane) == {"delivered": 60}
    by_ip = Counter(mail.source for mail in lane.sink.mails)
    assert by_ip.keys() == {SECOND, THIRD}
    assert await conditions(lane) == [("ip", FIRST, SITE, "throttled")]
    attempts = await rows(lane.database, "SELECT DISTINCT attempts FROM messages")
    assert attempts == [(1,)], "a throttled IP costs the message no attempt"
    told = await rows(lane.database, "SELECT DISTINCT ip, code, action FROM events WHERE kind = 'rerouted'")
    assert told == [(FIRST, 421, "throttle_ip")]


async def _sent_into_the_wave(lane: LaneTest, throttled: int, site: str) -> None:
    """Twelve mails while so many of our three good IPs are met by Microsoft's wave of February 2026."""
    for number in range(12):
        await lane.put(f"u{number}@one.example")
    await lane.deliver()

    assert await states_of(lane) == {"delivered": 12}
    assert {mail.source for mail in lane.sink.mails} == set(IPS[throttled:])
    assert await conditions(lane) == [("ip", ip, site, "throttled") for ip in IPS[:throttled]]
    assert await rows(lane.database, "SELECT DISTINCT attempts FROM messages") == [(1,)]
    assert await rows(lane.database, "SELECT count(*) FROM suppressions") == [(0,)]
    told = await rows(lane.database, "SELECT DISTINCT code, enhanced, class FROM events WHERE kind = 'rerouted'")
    assert told == [(451, "4.7.650", "ip_reputation")]


@pytest.mark.parametrize("phase", ["mail", "rcpt", "dot"])
@pytest.mark.parametrize("throttled", [1, 2])
async def test_the_wave_that_hits_good_ips_is_met_by_the_next_ip(
    phase: str, throttled: int, database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    rules = [throttle(ip, S775.format(ip=ip), phase) for ip in IPS[:throttled]]
    records = {("one.example", "MX"): [f"0 {MICROSOFT}."], (MICROSOFT, "A"): ["127.0.0.1"]}
    async with lane_test(database, database_url, redis_url, tmp_path, *rules, records=records) as lane:
        await _sent_into_the_wave(lane, throttled, "microsoft365")


async def test_the_wave_behind_a_name_of_the_customers_own(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    rule = throttle(FIRST, S775.format(ip=FIRST), "mail")
    async with lane_test(database, database_url, redis_url, tmp_path, rule) as lane:
        await _sent_into_the_wave(lane, 1, SITE)


@pytest.mark.parametrize("throttling", [(throttle(FIRST),)], indirect=True)
async def test_the_timeline_tells_of_the_change(throttling: LaneTest) -> None:
    lane = throttling
    stored = [await lane.put(f"u{number}@one.example") for number in range(3)]
    await lane.deliver()

    kinds = sorted([tuple(await events_of(lane, refs(email)[0])) for email in stored], key=len)
    assert kinds == [("delivered",), ("delivered",), ("rerouted", "delivered")]


@pytest.mark.parametrize("throttling", [(throttle(FIRST),)], indirect=True)
async def test_a_resting_ip_is_not_asked_again(throttling: LaneTest) -> None:
    lane = throttling
    for number in range(9):
        await lane.put(f"u{number}@one.example")
    await lane.deliver()
    begun = _mails_begun(lane)
    for number in range(30):
        await lane.put(f"v{number}@one.example")
    await lane.deliver()

    assert begun > 9, "somebody was throttled"
    assert _mails_begun(lane) == begun + 30


@pytest.mark.parametrize("throttling", [tuple(throttle(ip) for ip in IPS)], indirect=True)
async def test_when_all_are_throttled_the_mail_waits_for_the_first_to_return(throttling: LaneTest) -> None:
    lane = throttling
    first = await lane.put("ann@one.example")
    await lane.deliver()

    assert await lane.state(first) == "deferred"
    assert await events_of(lane, refs(first)[0]) == ["rerouted", "rerouted", "deferred"]
    due = (await waiting(lane.database))[refs(first)[0]]
    assert timedelta(minutes=9) < due - datetime.now(UTC) < timedelta(minutes=15)
    assert await rows(lane.database, "SELECT attempts FROM delivery_queue") == [(0,)]

    later = await lane.put("bob@one.example")
    begun = _mails_begun(lane)
    assert await lane.deliver() == []
    assert _mails_begun(lane) == begun, "nothing was asked again"
    assert await lane.state(later) == "queued"
    ((hold,),) = await rows(lane.database, "SELECT hold FROM delivery_queue WHERE hold IS NOT NULL")
    assert "no IP of pool main can take mail for mx:mx.example" in str(hold)
    assert FIRST in str(hold)


@pytest.mark.parametrize("throttling", [tuple(throttle(ip) for ip in IPS)], indirect=True)
async def test_mail_that_no_ip_can_take_for_72_hours_expires(throttling: LaneTest) -> None:
    lane = throttling
    old = await lane.put("ann@one.example", created_at=datetime.now(UTC) - timedelta(hours=71, minutes=58))
    await lane.deliver()
    assert await lane.state(old) == "deferred"
    await execute(lane.database, "UPDATE delivery_queue SET due_at = now()")
    await execute(lane.database, "UPDATE emails SET created_at = created_at - interval '3 minutes'")
    await lane.deliver()
    assert await lane.state(old) == "expired"


@pytest.mark.parametrize("throttling", [(throttle(FIRST, BLOCKED, "rcpt"),)], indirect=True)
async def test_a_blocklisted_ip_ends_no_mail_and_raises_an_alarm(throttling: LaneTest) -> None:
    lane = throttling
    for number in range(12):
        await lane.put(f"u{number}@one.example")
    await lane.deliver()

    assert await states_of(lane) == {"delivered": 12}
    assert await conditions(lane) == [("ip", FIRST, SITE, "throttled")]
    assert await rows(lane.database, "SELECT kind, cleared_at FROM alarms") == [("blocklisted", None)]
    assert await rows(lane.database, "SELECT count(*) FROM suppressions") == [(0,)]


@pytest.mark.parametrize("throttling", [(Rule("dot", DOMAIN, times=1),)], indirect=True)
async def test_a_throttled_sender_domain_waits_and_burns_no_other_ip(throttling: LaneTest) -> None:
    lane = throttling
    first = await lane.put("ann@one.example")
    await lane.deliver()
    second = await lane.put("bob@one.example")
    await lane.deliver()

    assert await lane.state(first) == "deferred"
    assert await lane.state(second) == "queued"
    assert len(lane.sink.mails) == 0
    assert await conditions(lane) == [("domain", "acme.example", SITE, "throttled")]


async def _move_away(lane: LaneTest) -> None:
    """The first IP's address is on this host no more."""
    await execute(lane.database, "UPDATE egress_ips SET bind_address = '203.0.113.9' WHERE address = %s", [FIRST])
    lane.collaborators.pools._pools.clear()


async def test_a_worker_leaves_ips_alone_that_it_cannot_reach(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with lane_test(database, database_url, redis_url, tmp_path) as lane:
        await _move_away(lane)
        for number in range(9):
            await lane.put(f"u{number}@one.example")
        await lane.deliver()
        assert await states_of(lane) == {"delivered": 9}
        assert {mail.source for mail in lane.sink.mails} == {SECOND, THIRD}
        assert await conditions(lane) == [], "another worker may reach it"


async def test_an_ip_that_cannot_be_bound_any_more_rests_for_everybody(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with lane_test(database, database_url, redis_url, tmp_path) as lane:
        lane.collaborators.pools._reach = Remembered(everywhere, 60.0)  # it was there when the worker looked
        await _move_away(lane)
        for number in range(9):
            await lane.put(f"u{number}@one.example")
        await lane.deliver()
        assert await states_of(lane) == {"delivered": 9}
        assert {mail.source for mail in lane.sink.mails} == {SECOND, THIRD}
        assert await conditions(lane) == [("ip", FIRST, EVERYWHERE, "throttled")]
        assert await rows(lane.database, "SELECT kind, subject FROM alarms") == [("local_address", FIRST)]


@pytest.mark.parametrize("throttling", [tuple(throttle(ip) for ip in IPS)], indirect=True)
async def test_the_overflow_pool_takes_what_the_pool_cannot(throttling: LaneTest) -> None:
    lane = throttling
    spare = "127.0.1.9"
    async with lane.database.transaction() as connection:
        await ensure_pool(connection, "spare", LANE, [EgressIp(spare, spare, "mta9.acme.example")])
        await connection.execute(
            "UPDATE pools SET overflow_pool_id = (SELECT id FROM pools WHERE name = 'spare') WHERE name = 'main'"
        )
    email = await lane.put("ann@one.example")
    await lane.deliver()

    assert await lane.state(email) == "delivered"
    assert [mail.source for mail in lane.sink.mails] == [spare]


async def test_an_ip_may_leave_its_pool_while_mail_is_under_way(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with lane_test(database, database_url, redis_url, tmp_path, Rule("dot", "250 ok", delay=0.3)) as lane:
        for number in range(12):
            await lane.put(f"u{number}@one.example")
        await execute(database, "DELETE FROM pool_ips WHERE egress_ip_id IN (SELECT id FROM egress_ips"
                                " WHERE address IN (%s, %s))", [FIRST, SECOND])  # fmt: skip
        lane.collaborators.pools._pools.clear()
        await lane.deliver()
        assert await states_of(lane) == {"delivered": 12}
        assert {mail.source for mail in lane.sink.mails} == {THIRD}


async def test_domain_and_application_pools_come_before_the_default(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with lane_test(database, database_url, redis_url, tmp_path) as lane:
        async with database.transaction() as connection:
            for name, ip in (("of-app", "127.0.1.7"), ("of-domain", "127.0.1.8"), ("named", "127.0.1.9")):
                await ensure_pool(connection, name, LANE, [EgressIp(ip, ip, "x.acme.example")])
        pools = {str(name): key for key, name in await rows(database, "SELECT id, name FROM pools")}

        async def sent_through(address: str, **changes: object) -> str:
            lane.collaborators.pools._pools.clear()
            await lane.put(address, **changes)
            await lane.deliver()
            return lane.mails_to(address)[0].source

        await _assign(database, "application", lane.application_id, pools["of-app"])
        assert await sent_through("a@one.example") == "127.0.1.7"
        await _assign(database, "domain", lane.domain_id, pools["of-domain"])
        assert await sent_through("b@one.example") == "127.0.1.8"
        assert await sent_through("c@one.example", pool_id=pools["named"]) == "127.0.1.9"


async def test_a_limited_rate_is_paced_and_loses_nothing(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    providers = tmp_path / "providers.toml"
    providers.write_text("[default]\nmessages_per_second = 5\n")
    async with lane_test(database, database_url, redis_url, tmp_path, providers_file=providers) as lane:
        for number in range(40):
            await lane.put(f"u{number}@one.example")
        more = await lane.deliver()  # 15 of the first burst, then 15 a second

        assert more == []
        assert await states_of(lane) == {"delivered": 40}
        assert set(Counter(mail.source for mail in lane.sink.mails).values()) <= {12, 13, 14, 15}


async def test_what_a_slow_rate_cannot_take_waits_in_the_queue_and_says_why(
    database: Database, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    providers = tmp_path / "providers.toml"
    providers.write_text("[default]\nmessages_per_second = 0.01\n")  # however slow we are, nobody gets a second one
    async with lane_test(database, database_url, redis_url, tmp_path, providers_file=providers) as lane:
        for number in range(8):
            await lane.put(f"u{number}@one.example")
        await lane.deliver()

        assert await states_of(lane) == {"delivered": 3, "queued": 5}
        holds = await rows(lane.database, "SELECT hold, due_at - now() FROM delivery_queue")
        assert len(holds) == 5
        assert all("its rate at mx:mx.example is used up" in str(hold) for hold, _ in holds)
        assert all(timedelta(0) < left < timedelta(seconds=125) for _, left in holds)
        await due_now(lane)
        assert await rows(lane.database, "SELECT count(*) FROM events WHERE kind <> 'delivered'") == [(0,)]


def _mails_begun(lane: LaneTest) -> int:
    return sum(1 for _, line in lane.sink.journal.commands if line.upper().startswith("MAIL"))


async def _assign(database: Database, kind: str, subject: object, pool: object) -> None:
    await execute(
        database,
        "INSERT INTO pool_assignments (kind, subject_id, lane, pool_id) VALUES (%s, %s, %s, %s)",
        [kind, subject, Lane.TRANSACTIONAL.value, pool],
    )
