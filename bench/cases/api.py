"""What one API process accepts a second, committed: single emails, and batches. No worker takes processor time."""

import itertools
import time
from collections.abc import Iterator

from bench import load, mail, processor
from bench.databases import BenchDatabase
from bench.options import BATCH, SINGLE_CLIENTS
from bench.session import Session, expect
from bench.world import Running
from cli.running.stack import Shape

KEYS = ("api_single_per_s", "api_batch_per_s")

_WARM_UP_SECONDS = 1.0


async def measure(session: Session) -> None:
    """Both figures of this module, on a database each."""
    if session.wants("api_single_per_s"):
        await _single(session)
    if session.wants("api_batch_per_s"):
        await _batch(session)


def api_only(port: int) -> Shape:
    """The API and the scheduler."""
    return Shape(transactional=0, marketing=0, background=0, inbound=False, api_port=port)


async def _single(session: Session) -> None:
    world, options = session.world, session.options
    database = world.databases.copy("bench_api")
    rates: list[float] = []
    p50: list[float] = []
    p99: list[float] = []
    cpu: dict[str, float] = {}
    numbers = itertools.count()
    stored = 0
    with world.stack(database, api_only) as running:
        pids = running.pids() | world.server_pids()
        async with load.clients(running.api_url, world.databases.tenant.token, SINGLE_CLIENTS) as connections:
            session.say(f"single sends by {SINGLE_CLIENTS} clients: warming up")
            stored += len(await load.post_for(connections, "/emails", _singles(session, numbers), _WARM_UP_SECONDS))
            for turn in range(options.runs):
                session.say(f"single sends by {SINGLE_CLIENTS} clients: run {turn + 1} of {options.runs}")
                before, begun = processor.sample(pids), time.monotonic()
                answers = await load.post_for(
                    connections, "/emails", _singles(session, numbers), options.single_seconds
                )
                took = time.monotonic() - begun
                cpu = processor.microseconds_per_message(processor.sample(pids).since(before), len(answers))
                stored += len(answers)
                waits = sorted((answer.answered - answer.asked) * 1000 for answer in answers)
                rates.append(len(answers) / took)
                p50.append(round(waits[len(waits) // 2], 2))
                p99.append(round(waits[len(waits) * 99 // 100], 2))
        _check_stored(running, database, stored)
    session.add(
        "api_single_per_s", rates, clients=SINGLE_CLIENTS, seconds=options.single_seconds, answer_p50_ms=p50,
        answer_p99_ms=p99, cpu_microseconds_per_message=cpu, stream="transactional",
        note="API and scheduler run, no workers; each 200 is committed with fsync and was counted in the database",
    )  # fmt: skip
    world.databases.drop(database.name)


async def _batch(session: Session) -> None:
    world, options = session.world, session.options
    database = world.databases.copy("bench_api")
    rates: list[float] = []
    cpu: dict[str, float] = {}
    sent = 0
    with world.stack(database, api_only) as running:
        pids = running.pids() | world.server_pids()
        async with load.clients(running.api_url, world.databases.tenant.token, options.batch_clients) as connections:
            for turn in range(options.runs + 1):
                session.say("batches: warming up" if turn == 0 else f"batches: run {turn} of {options.runs}")
                count = BATCH * 3 if turn == 0 else options.batch_messages
                bodies = _batches(session, sent, count)
                before, begun = processor.sample(pids), time.monotonic()
                await load.post_all(connections, "/emails/batch", bodies)
                took = time.monotonic() - begun
                sent += count
                if turn:
                    rates.append(count / took)
                    cpu = processor.microseconds_per_message(processor.sample(pids).since(before), count)
        _check_stored(running, database, sent)
    session.add(
        "api_batch_per_s", rates, messages=options.batch_messages, batch=BATCH, http_clients=options.batch_clients,
        cpu_microseconds_per_message=cpu, note="API and scheduler run, no workers; committed with fsync",
    )  # fmt: skip
    world.databases.drop(database.name)


def _singles(session: Session, numbers: Iterator[int]) -> Iterator[bytes]:
    bodies = mail.MailBodies("transactional")
    for number in numbers:
        yield bodies.one(number, mail.recipient(number, mail.BULK_ZONE, session.options.domains)).encode()


def _batches(session: Session, first: int, count: int) -> Iterator[bytes]:
    bodies = mail.MailBodies("marketing")
    domains = session.options.domains
    for start in range(first, first + count, BATCH):
        last = min(start + BATCH, first + count)
        yield bodies.batch((n, mail.recipient(n, mail.BULK_ZONE, domains)) for n in range(start, last))


def _check_stored(running: Running, database: BenchDatabase, answered: int) -> None:
    running.check()
    with database.connect() as connection:
        row = connection.execute("SELECT count(*) FROM messages").fetchone()
    expect(row is not None and row[0] == answered, f"{answered:,} mails were answered with 200, {row} are stored")
