"""What operators and metrics read of throttles, and what is forgotten."""

from datetime import timedelta
from functools import partial

from pools import health
from pools import throttle_repository as repository
from pools.health import Condition, State
from pools.throttle_repository import Key
from store.database import Connection, Database
from tests.integration.pools.throttling import CEILING, DOMAIN, IP, POLICY, SITE, evidence, moves, now, stored


async def throttle(connection: Connection, key: Key, ago: float = 0.0, wait: float = 60.0) -> Condition | None:
    at = now() - timedelta(seconds=ago)
    step = partial(health.throttled, evidence=evidence(wait=wait), ceiling=CEILING, now=at, policy=POLICY)
    return await repository.move(connection, key, step, at, "worker-1")


def test_keys_survive_their_text() -> None:
    for key in (Key("ip", IP, "*"), Key("domain", DOMAIN, "mx:mail.example.org"), Key("ip", "2001:db8::5", SITE)):
        assert repository.parse_key(key.text) == key
    assert repository.parse_key("ip only") is None


async def test_current_shows_a_rest_that_is_over_as_probing(database: Database) -> None:
    async with database.transaction() as connection:
        await throttle(connection, Key("ip", IP, "yahoo"), ago=100)
        await throttle(connection, Key("ip", IP, SITE))
        await throttle(connection, Key("domain", DOMAIN, SITE))
        rows = await repository.current(connection)

    assert [(*row.key, row.condition.state) for row in rows] == [
        ("domain", DOMAIN, SITE, State.THROTTLED),
        ("ip", IP, SITE, State.THROTTLED),
        ("ip", IP, "yahoo", State.PROBING),
    ]


async def test_changes_are_told_newest_first_and_of_one_site_or_all(database: Database) -> None:
    async with database.transaction() as connection:
        for site in (SITE, "yahoo", "gmx"):
            await throttle(connection, Key("ip", IP, site))
        await throttle(connection, Key("ip", "203.0.113.99", SITE))
        everywhere = await repository.changes(connection, "ip", IP, None, 2)
        at_site = await repository.changes(connection, "ip", IP, SITE, 10)

    assert [change.key.site for change in everywhere] == ["gmx", "yahoo"]
    assert [change.key for change in at_site] == [Key("ip", IP, SITE)]


async def test_move_that_changes_nothing_writes_nothing(database: Database) -> None:
    key = Key("ip", IP, SITE)
    async with database.transaction() as connection:
        await throttle(connection, key)
        before = await repository.changes(connection, "ip", IP, None, 10)
        await throttle(connection, key)
        assert await repository.changes(connection, "ip", IP, None, 10) == before
    assert len(before) == 1


async def test_figures_are_one_per_provider_with_the_worst_of_small_domains(database: Database) -> None:
    async with database.transaction() as connection:
        await throttle(connection, Key("ip", IP, "mx:a.example"), ago=100)
        await throttle(connection, Key("ip", IP, "mx:b.example"))
        await throttle(connection, Key("ip", IP, "mx:c.example"), ago=100)
        await throttle(connection, Key("ip", IP, SITE), ago=100)
        found = {figure.site: figure for figure in await repository.figures(connection)}

    assert set(found) == {"other", SITE}
    assert (found["other"].state, found["other"].severity, found["other"].rate) == (State.THROTTLED, 3, 0.0)
    assert (found[SITE].state, found[SITE].severity, found[SITE].rate) == (State.PROBING, 2, 4.0)


async def test_idle_subjects_are_forgotten_and_rests_are_not(database: Database) -> None:
    idle, used, rests = (Key("ip", IP, site) for site in ("idle", "used", "rests"))
    async with database.transaction() as connection:
        await throttle(connection, idle, ago=40 * 86_400)
        await throttle(connection, used, ago=29 * 86_400)
        await throttle(connection, rests, ago=40 * 86_400)
        await repository.rest_now(
            connection, "ip", IP, "rests", until=now() + timedelta(days=9), reason="removal", by="olga"
        )
        forgotten = await repository.forget_idle(connection)

    assert forgotten == 1
    assert await stored(database, idle) is None
    assert await stored(database, used) is not None
    assert await stored(database, rests) is not None
    assert (await moves(database))[-1] == ("throttled", "healthy")
