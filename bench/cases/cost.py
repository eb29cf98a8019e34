"""What one message costs besides time: WAL, rows, bytes that stay, commands of Valkey, bytes of the network.

Plain marketing mail by `POST /emails/batch`, and transactional mail one by one by `POST /emails`, on a database of its
own. Before each a checkpoint, so that page images in the WAL are those of a checkpoint interval that begins; a longer
run writes fewer of them for each mail. `docs/scale.md` reckons with these figures.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from bench import load, mail, rows
from bench.cases.throughput import WARM_UP, deliver, full_shape
from bench.options import SINGLE_CLIENTS
from bench.processor import microseconds_per_message, sample
from bench.session import Session, expect
from bench.sink import wait_for_count
from bench.spent import Spent, bytes_of, look, rows_of
from bench.world import Running
from core.queues import Lane

KEYS = (
    "wal_bytes_per_message", "rows_per_message", "stored_bytes_per_message", "valkey_commands_per_message",
    "loopback_bytes_per_message",
)  # fmt: skip

_IDLE_SECONDS: Final = 10.0
_SETTLED_SECONDS: Final = 12.0
"""After the last outcome: counters are folded every few seconds, statistics of tables told once a second."""
_PATIENCE: Final = 300.0

Run = Callable[[], Awaitable[dict[str, float]]]
"""Sends the mail; processor microseconds of a message by process."""


async def measure(session: Session) -> None:
    """All figures of this module."""
    database = session.world.databases.copy("bench_cost")
    with session.world.stack(database, lambda port: full_shape(session, port)) as running:
        await deliver(session, running, WARM_UP, "cost-warm-up")
        count = session.options.cost_messages

        async def batches() -> dict[str, float]:
            return (await deliver(session, running, count, "cost-batch")).cpu

        found = {
            "batch": await _cost(session, running, count, batches),
            "single": await _cost(session, running, count // 4, lambda: _singly(session, running, count // 4)),
        }
    _add(session, found)
    session.world.databases.drop(database.name)


async def _cost(session: Session, running: Running, messages: int, run: Run) -> dict[str, float]:
    url = session.world.servers.redis_url
    with running.database.connect() as connection:
        session.say("cost: what happens when nothing is sent")
        await asyncio.sleep(_SETTLED_SECONDS)
        begun = look(connection, url)
        await asyncio.sleep(_IDLE_SECONDS)
        idle = look(connection, url).since(begun)
        session.world.databases.checkpoint()
        session.say(f"cost: {messages:,} mails")
        before, at = look(connection, url), time.monotonic()
        cpu = await run()
        await asyncio.sleep(_SETTLED_SECONDS)
        seconds = time.monotonic() - at
        spent = look(connection, url).since(before)
    return _each(spent, messages, idle, seconds) | {f"cpu {name}": value for name, value in cpu.items()}


def _each(spent: Spent, messages: int, idle: Spent, seconds: float) -> dict[str, float]:
    return spent.each(messages, idle, seconds / _IDLE_SECONDS)


async def _singly(session: Session, running: Running, messages: int) -> dict[str, float]:
    """One request a mail, from many clients at once."""
    world, options = session.world, session.options
    bodies = mail.MailBodies("transactional")
    people = (mail.recipient(number, mail.BULK_ZONE, options.domains, "cost-single") for number in range(messages))
    texts = (bodies.one(number, to).encode() for number, to in enumerate(people))
    before, pids = world.sink.count(), running.pids() | world.server_pids()
    async with load.clients(running.api_url, world.databases.tenant.token, SINGLE_CLIENTS) as connections:
        cpu = sample(pids)
        await load.post_all(connections, "/emails", texts)
        await wait_for_count(world.sink, before + messages, _PATIENCE, running.check)
        used = sample(pids).since(cpu)
    with running.database.connect() as connection:
        for _ in range(200):
            if rows.queued(connection, Lane.TRANSACTIONAL):
                await asyncio.sleep(0.05)
        expect(rows.queued(connection, Lane.TRANSACTIONAL) == 0, "not everything was recorded")
    expect(world.sink.count() == before + messages, "the sink took another number of mails")
    return microseconds_per_message(used, messages)


def _add(session: Session, found: dict[str, dict[str, float]]) -> None:
    for key, of in (
        ("wal_bytes_per_message", lambda each: each["wal_bytes"]),
        ("rows_per_message", rows_of),
        ("stored_bytes_per_message", bytes_of),
        ("valkey_commands_per_message", lambda each: each["valkey_commands"]),
        ("loopback_bytes_per_message", lambda each: each["loopback_bytes"]),
    ):
        told = {name: round(of(each), 3) for name, each in found.items()}
        details: dict[str, object] = {"by_way": told}
        if key == KEYS[0]:
            details |= {"messages": session.options.cost_messages, "each": found}
        session.add(key, [told["batch"]], **details)
