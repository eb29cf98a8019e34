"""One book: what a throttle does at once, what it writes, and how a subject comes back."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from alarms import repository as alarms
from pools.health import Policy, Rate, State
from pools.model import EVERYWHERE
from pools.throttle import FLUSH_SECONDS, ThrottleBook
from pools.throttle_repository import Key
from store.database import Database
from tests.integration.pools.throttling import (
    CEILING,
    DOMAIN,
    IP,
    OTHER,
    SITE,
    book,
    evidence,
    history,
    moves,
    now,
    stored,
    until,
    written,
)  # fmt: skip

SECOND = timedelta(seconds=1)


@pytest.fixture
async def one(database: Database) -> AsyncIterator[ThrottleBook]:
    made = book(database)
    await made.start()
    yield made
    await made.stop()


async def open_alarms(database: Database) -> list[tuple[str, str, int]]:
    async with database.connection() as connection:
        return [(alarm.kind, alarm.subject, alarm.count) for alarm in await alarms.open_alarms(connection)]


async def deliver(one: ThrottleBook, n: int, at: timedelta = timedelta(0)) -> None:
    """`n` mails of the IP, counted and written."""
    for _ in range(n):
        one.delivered(IP, DOMAIN, SITE, now() + at)
    await written(one)


async def test_healthy_system_has_nothing_to_say(one: ThrottleBook) -> None:
    assert one.rest(IP, SITE, now()) is None
    assert one.rate(IP, SITE, now()) is None
    assert one.domain_rest(DOMAIN, SITE, now()) is None
    assert one.domain_rate(DOMAIN, SITE, now()) is None
    one.delivered(IP, DOMAIN, SITE, now())
    assert one.depth() == 0
    assert one.trouble() == ""


async def test_throttle_rests_the_ip_at_that_site_at_once(one: ThrottleBook) -> None:
    at = now()

    rest = one.throttled("ip", IP, SITE, evidence(), at, at)

    assert rest.until == at + timedelta(seconds=60)
    assert rest.reason == "too-fast: 421 slow down"
    assert one.rest(IP, SITE, at) == rest
    assert one.rest(IP, "yahoo", at) is None
    assert one.rest(OTHER, SITE, at) is None
    assert one.domain_rest(IP, SITE, at) is None


async def test_throttle_is_written_with_rule_reply_and_worker(one: ThrottleBook, database: Database) -> None:
    at = now()

    one.throttled("ip", IP, SITE, evidence(), at, at)
    await written(one)

    condition = await stored(database)
    assert condition is not None
    assert (condition.state, condition.rate, condition.strikes, condition.since) == (State.THROTTLED, 4.0, 1, at)
    (change,) = await history(database)
    assert (change.was, change.became, change.rule, change.reply, change.by, change.at) == (
        "healthy", "throttled", "too-fast", "421 slow down", "worker-1", at,
    )  # fmt: skip
    assert change.rest_until == at + timedelta(seconds=60)


async def test_mails_in_flight_are_one_strike_and_one_line(one: ThrottleBook, database: Database) -> None:
    began = now()
    for n in range(500):
        one.throttled("ip", IP, SITE, evidence(), began - SECOND, began + timedelta(milliseconds=n))
    await written(one)

    condition = await stored(database)
    assert condition is not None
    assert condition.strikes == 1
    assert await moves(database) == [("healthy", "throttled")]


async def test_domain_rests_on_every_ip(one: ThrottleBook) -> None:
    at = now()

    one.throttled("domain", DOMAIN, SITE, evidence(), at, at)

    assert one.domain_rest(DOMAIN, SITE, at) is not None
    assert one.domain_rest("other.example", SITE, at) is None
    assert one.rest(IP, SITE, at) is None


async def test_broken_address_rests_at_every_site(one: ThrottleBook, database: Database) -> None:
    at = now()

    one.throttled("ip", IP, EVERYWHERE, evidence("local_address", reply="cannot assign"), at, at)
    await written(one)

    assert one.rest(IP, SITE, at) is not None
    assert one.rest(IP, "mx:mail.example.org", at) is not None
    assert await open_alarms(database) == [("local_address", IP, 1)]


async def test_longer_one_of_two_rests_counts(one: ThrottleBook) -> None:
    at = now()
    one.throttled("ip", IP, EVERYWHERE, evidence(wait=30), at, at)
    one.throttled("ip", IP, SITE, evidence(wait=90), at, at)

    at_site, elsewhere = one.rest(IP, SITE, at), one.rest(IP, "yahoo", at)

    assert at_site is not None and elsewhere is not None
    assert (at_site.until, elsewhere.until) == (at + timedelta(seconds=90), at + timedelta(seconds=30))


async def test_rest_probes_steps_healthy(one: ThrottleBook, database: Database) -> None:
    """The whole way, with its lines in order, and nothing left of it afterwards."""
    at = now()
    one.throttled("ip", IP, SITE, evidence(wait=0.3), at, at)
    await until(lambda: one.rest(IP, SITE, now()) is None)
    assert one.rate(IP, SITE, now()) == Rate(4.0, 5)

    await deliver(one, 4)
    assert [change.became for change in await history(database)] == ["throttled", "probing"]
    await deliver(one, 1)
    assert one.rate(IP, SITE, now()) == Rate(4.0, 4)
    rates = []
    while (rate := one.rate(IP, SITE, now())) is not None:
        rates.append(rate.per_second)
        await deliver(one, 1)

    assert rates == [4.0, 6.0, 9.0, 13.5]
    assert await stored(database) is None
    assert one.conditions() == []
    assert await moves(database) == [
        ("healthy", "throttled"), ("throttled", "probing"), ("probing", "recovering"),
        ("recovering", "recovering"), ("recovering", "recovering"), ("recovering", "recovering"),
        ("recovering", "healthy"),
    ]  # fmt: skip


async def test_throttle_while_probing_is_another_strike(one: ThrottleBook, database: Database) -> None:
    at = now()
    one.throttled("ip", IP, SITE, evidence(wait=0.05), at, at)
    await until(lambda: one.rest(IP, SITE, now()) is None)
    again = now()

    rest = one.throttled("ip", IP, SITE, evidence(wait=20), again, again)
    await written(one)

    assert rest.until == again + timedelta(seconds=40)
    condition = await stored(database)
    assert condition is not None
    assert (condition.strikes, condition.rate) == (2, 2.0)
    assert await moves(database) == [("healthy", "throttled"), ("throttled", "probing"), ("probing", "throttled")]


async def test_late_reply_to_a_mail_from_before_the_rest_says_nothing_new(one: ThrottleBook) -> None:
    at = now()
    one.throttled("ip", IP, SITE, evidence(wait=0.05), at, at)
    await until(lambda: one.rest(IP, SITE, now()) is None)
    late = now()

    rest = one.throttled("ip", IP, SITE, evidence(wait=None), at - SECOND, late)

    assert rest.until == late
    assert one.rest(IP, SITE, now()) is None


async def test_repaired_address_is_back_after_its_probes(one: ThrottleBook, database: Database) -> None:
    at = now()
    one.throttled("ip", IP, EVERYWHERE, evidence("local_address", wait=0.05), at, at)
    await until(lambda: one.rest(IP, SITE, now()) is None)

    await deliver(one, 5)

    assert one.rate(IP, SITE, now()) is None
    assert await stored(database, Key("ip", IP, EVERYWHERE)) is None
    assert await open_alarms(database) == []


async def test_domain_climbs_to_the_rate_of_a_whole_pool(one: ThrottleBook, database: Database) -> None:
    at = now()
    one.throttled("domain", DOMAIN, SITE, evidence(wait=0.05, observed=60.0), at, at)
    await until(lambda: one.domain_rest(DOMAIN, SITE, now()) is None)
    assert one.domain_rate(DOMAIN, SITE, now()) == Rate(5.0, 5)

    await deliver(one, 5)

    rate = one.domain_rate(DOMAIN, SITE, now())
    assert rate is not None
    assert rate.per_second == 30.0 > CEILING


async def test_between_two_steps_nothing_is_written(database: Database) -> None:
    """A recovering IP may carry thousands of mails a minute; their counts wait for the next step."""
    slow = book(database, policy=Policy(shortest_rest=timedelta(0), step_seconds=3600.0))
    await slow.start()
    at = now()
    slow.throttled("ip", IP, SITE, evidence(wait=0.05), at, at)
    await until(lambda: slow.rest(IP, SITE, now()) is None)
    await deliver(slow, 5)
    before = await stored(database)

    for _ in range(100):
        slow.delivered(IP, DOMAIN, SITE, now())
    await asyncio.sleep(2.2 * FLUSH_SECONDS)  # two counts have passed by

    assert before is not None and before.state is State.RECOVERING
    assert await stored(database) == before
    await slow.stop()
    after = await stored(database)
    assert after is not None
    assert after.good == 100


async def test_blocklist_reply_raises_an_alarm_until_healthy(one: ThrottleBook, database: Database) -> None:
    at = now()
    one.throttled("ip", IP, SITE, evidence("rate_limited", wait=1.0), at, at)
    await written(one)
    assert await open_alarms(database) == []

    one.throttled("ip", IP, SITE, evidence("blocklisted", wait=0.1, reply="554 see spamhaus"), at, now())
    await written(one)
    assert await open_alarms(database) == [("blocklisted", f"{IP} at {SITE}", 1)]
    condition = await stored(database)
    assert condition is not None
    assert (condition.strikes, condition.reply) == (1, "554 see spamhaus")

    await until(lambda: one.rest(IP, SITE, now()) is None)
    while one.rate(IP, SITE, now()) is not None:
        await deliver(one, 5)
    assert await open_alarms(database) == []


async def test_reply_that_cannot_be_stored_as_it_is_rests_all_the_same(one: ThrottleBook, database: Database) -> None:
    at = now()

    one.throttled("ip", IP, SITE, evidence(reply="421 \x00 \ud800" + "y" * 900), at, at)
    await written(one)

    condition = await stored(database)
    assert condition is not None
    assert condition.reply.startswith("421 ")
    assert "\x00" not in condition.reply
    (change,) = await history(database)
    assert len(change.reply) <= 520


async def test_subject_that_cannot_be_written_holds_up_no_other(one: ThrottleBook, database: Database) -> None:
    at = now()
    one.throttled("ip", "bad\x00subject", SITE, evidence(), at, at)
    one.throttled("ip", IP, SITE, evidence(), at, at)
    await until(lambda: one.depth() == 1)

    assert await stored(database) is not None
    assert one.rest("bad\x00subject", SITE, at) is not None
    assert one.trouble() == ""
