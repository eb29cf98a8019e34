"""A broker that answers and refuses to write (MISCONF, OOM, READONLY) counts as away: mail leaves, slowly."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
import redis

from cli.running.embedded_valkey import EmbeddedValkey
from pools.connections import SharedConnections
from pools.rates import RateRequest, Rates
from tests.integration.core.refusals import REFUSALS
from tests.integration.pools.processes import own_valkey

KEY = ("203.0.113.5", "192.0.2.1")


@pytest.fixture(scope="module")
def valkey() -> Iterator[EmbeddedValkey]:
    with own_valkey() as server:
        yield server


@pytest.mark.parametrize("refuse", REFUSALS)
async def test_rates_and_connections_go_on_as_without_it_and_come_back(
    refuse: Callable[..., Callable[[], object]], valkey: EmbeddedValkey
) -> None:
    limited = RateRequest("203.0.113.5|gmail", 100, 50.0, 0, 50)
    rates, connections = Rates(valkey.url, timeout=2.0), SharedConnections(valkey.url, timeout=2.0)
    with redis.Redis.from_url(valkey.url, decode_responses=True) as client:
        client.flushall()
        end = refuse(client, valkey.process.service.cwd)
        try:
            await connections.start()
            (slow,) = await rates.take([limited])
            assert slow.granted == 0, "buckets of this process begin empty"
            assert 0 < slow.wait_seconds <= 0.2, "at a tenth of the rate"
            await rates.give_back([(limited.key, 1)])
            assert await rates.observed([limited.key]) == [0.0]
            assert [await connections.acquire(KEY, 4) for _ in range(3)] == [True, False, False]
        finally:
            end()

        async with asyncio.timeout(20):
            while (await rates.take([limited]))[0].granted < 40:
                await asyncio.sleep(0.1)
        await connections.wait(KEY, 4)
        assert connections.held == 2
        for _ in range(2):
            connections.release(KEY)
    await connections.stop()
    await rates.stop()
