"""How many events of webhooks one background process sends a second to one receiver that answers at once.

The events stand in the outbox when the process starts; the time is that from the first request to the last answer, as
the product itself wrote them down, and every event must have been taken once.
"""

import asyncio
import time
from typing import Final

from bench import processor
from bench.databases import BenchDatabase
from bench.receiver import receiver
from bench.session import Session, expect
from bench.world import Own
from cli.running.stack import Shape
from core.secrets import InstanceSecret
from store.database import Database
from webhooks import endpoints

KEYS = ("webhook_events_per_s",)

_AWAIT_SECONDS: Final = 300.0
_PAYLOAD_BYTES: Final = 900

_FILL = """
INSERT INTO webhook_events (endpoint_id, id, type, created_at, key, payload)
SELECT %(endpoint)s, webhook_event_id(), 'email.delivered', now(), md5((n / 2)::text),
       '{"type":"email.delivered","data":"' || repeat('x', %(size)s) || '"}' FROM generate_series(1, %(count)s) AS n
"""
_TOOK = """
SELECT count(*), count(DISTINCT id), extract(epoch FROM max(at + ms * interval '1 millisecond') - min(at))
  FROM (SELECT id, taken_at, taken_ms FROM webhook_events WHERE taken_status = 200 UNION ALL
        SELECT event_id, sent_at, duration_ms FROM webhook_attempts WHERE status = 200) AS tried(id, at, ms)
"""


async def measure(session: Session) -> None:
    """The figure of this module: each run on a database of its own."""
    rates: list[float] = []
    cpu: dict[str, float] = {}
    count = session.options.webhook_events
    for run in range(1, session.options.runs + 1):
        session.say(f"webhooks: run {run} of {session.options.runs}")
        database = session.world.databases.copy("bench_webhooks")
        seconds, cpu = await _send(session, database, count)
        rates.append(count / seconds)
        session.world.databases.drop(database.name)
    session.add(
        "webhook_events_per_s", rates, events=count, bytes=_PAYLOAD_BYTES, cpu_microseconds_per_event=cpu,
        note="one background process, one endpoint, 20 requests at a time, http",
    )  # fmt: skip


async def _send(session: Session, database: BenchDatabase, count: int) -> tuple[float, dict[str, float]]:
    world = session.world
    with receiver(world) as (url, pid):
        await _fill(database, world.secret, url, count)
        own = Own(settings={"POSTLANE_WEBHOOK_NETWORKS": '["127.0.0.0/8"]'})
        with world.stack(database, _background_only, own) as running:
            pids = {**running.pids(), **world.server_pids(), "receiver": pid}
            before = processor.sample(pids)
            await all_taken(database, count)
            cpu = processor.microseconds_per_message(processor.sample(pids).since(before), count)
            running.check()
    with database.connect() as connection:
        row = connection.execute(_TOOK).fetchone()
    assert row is not None
    tries, events, seconds = int(str(row[0])), int(str(row[1])), float(str(row[2]))
    expect(tries == events == count, f"of {count:,} events {events:,} were taken, in {tries:,} requests")
    return seconds, cpu


async def _fill(database: BenchDatabase, secret: str, url: str, count: int) -> None:
    pool = Database(database.url, size=2, name="postlane-bench")
    await pool.open()
    try:
        async with pool.transaction() as connection:
            made, _ = await endpoints.create(connection, InstanceSecret.from_text(secret), None, url, None)
            await connection.execute(_FILL, {"endpoint": made.id, "size": _PAYLOAD_BYTES, "count": count})
    finally:
        await pool.close()


async def all_taken(database: BenchDatabase, count: int) -> None:
    ends = time.monotonic() + _AWAIT_SECONDS
    while time.monotonic() < ends:
        with database.connect() as connection:
            taken = "SELECT count(*) + count(ahead) FROM webhook_events WHERE state = 'success'"
            row = connection.execute(taken).fetchone()
        if row is not None and int(str(row[0])) >= count:
            return
        await asyncio.sleep(0.5)
    expect(False, f"{count:,} events were not taken within {_AWAIT_SECONDS:.0f} s")


def _background_only(port: int) -> Shape:
    return Shape(transactional=0, marketing=0, background=1, inbound=False, api_port=port)
