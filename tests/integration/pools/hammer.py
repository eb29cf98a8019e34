"""A worker process of the tests: takes from one bucket, or holds real SMTP sessions, as fast as it may.

    python -m tests.integration.pools.hammer rates <redis url> <seconds> <per second> <burst>
    python -m tests.integration.pools.hammer connections <redis url> <seconds> <port> <limit> <tasks> <ms> [provider]

Prints "ready" and begins when it reads a line, so that all processes begin together; prints one line of JSON last.
"""

import asyncio
import json
import sys
import time

from mta.connect import Connector, Session
from mta.model import Host
from mta.session import SessionPool
from mta.session_slots import Ceiling
from mta.smtp_timeouts import Timeouts
from mta.tls import TlsPolicy
from pools.connections import SharedConnections
from pools.rates import RateRequest, Rates
from tests.integration.mta.couriers import FIRST

HOSTS = [Host(f"mx{number}.test", f"127.0.0.{number}", 10) for number in range(1, 4)]


async def _begin() -> float:
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    return time.monotonic()


async def rates(url: str, seconds: float, per_second: float, burst: int) -> dict[str, float]:
    buckets = Rates(url, timeout=5.0)
    await buckets.start()
    begun, granted, calls = await _begin(), 0, 0
    while time.monotonic() < begun + seconds:
        taken = (await buckets.take([RateRequest("hammered", 3, per_second, 0, burst)]))[0]
        granted += taken.granted
        calls += 1
        await asyncio.sleep(0.001)
    await buckets.stop()
    return {"granted": granted, "calls": calls, "begun": begun, "ended": time.monotonic()}


async def connections(
    url: str, seconds: float, port: int, limit: int, tasks: int, hold: float, provider: str = ""
) -> dict[str, float]:
    leases = SharedConnections(url, timeout=5.0)  # a busy machine is no broker that is away
    # With quick time-outs a busy machine gives connections up that the sink still counts as open.
    pool = SessionPool(Connector(port, Timeouts(), TlsPolicy()).open, leases=leases)
    ceiling = Ceiling(limit, 20, provider, limit if provider else 0)
    await leases.start()
    begun, served, longest = await _begin(), 0, 0.0

    async def use(number: int) -> None:
        nonlocal served, longest
        host = HOSTS[number % len(HOSTS)] if provider else HOSTS[0]
        while (asked := time.monotonic()) < begun + seconds:
            session = await pool.take(FIRST, host, ceiling)
            if isinstance(session, Session):
                longest = max(longest, time.monotonic() - asked)
                session.carried += 1
                await asyncio.sleep(hold / 1000)
                pool.give_back(session)
                served += 1

    await asyncio.gather(*(use(number) for number in range(tasks)))
    await pool.close()
    left = leases.held
    await leases.stop()
    return {"served": served, "longest": longest, "left": left}


if __name__ == "__main__":
    kind, redis, *numbers = sys.argv[1:]
    if kind == "rates":
        result = asyncio.run(rates(redis, float(numbers[0]), float(numbers[1]), int(numbers[2])))
    else:
        port, limit, tasks = map(int, numbers[1:4])
        result = asyncio.run(connections(redis, float(numbers[0]), port, limit, tasks, float(numbers[4]), *numbers[5:]))
    print(json.dumps(result), flush=True)
