"""What a list of ten million suppressed addresses costs a message, and how fast such a list takes in another one.

Beside the addresses the list holds hashes, whole domains and entries for one stream and one topic, and people have
chosen topics: each message asks for all of it. The cost is measured where it is paid: the product's own claim and its
re-check before MAIL FROM are timed in turn on two databases that differ only in the list, hundreds of times, on fresh
messages with addresses that fall anywhere in the index. The throughput of whole runs differs by several percent from
run to run, more than the cost that is looked for; a statement of two milliseconds timed three hundred times does not.

The difference is set against all the time a message takes (1 / `delivered_per_s`), as if nothing else could be done
meanwhile; with two cores that overstates the cost. Each message is charged one claim and one re-check.

The list that comes in is a CSV as people have it, of addresses that are not on the list; from its first line read to
its last batch committed.
"""

import io
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from bench import mail, rows
from bench.databases import BenchDatabase
from bench.errors import BenchError
from bench.options import MARKETING_ONLY
from bench.session import Session, expect
from core.ids import uuid7
from core.publish import DESTINATIONS_PER_TASK
from core.queues import Lane
from messages import claim
from store.database import Connection, Database
from suppression import importing
from suppression.reading import ListReader, Terms

KEYS = ("suppression_cost", "suppression_import_per_s")

_WARM_UP = 20
_TOPIC: Final = uuid7()
_LEASE = timedelta(minutes=5)


@dataclass(slots=True)
class _Side:
    """One of the two databases."""

    database: BenchDatabase
    claims: list[float] = field(default_factory=list)
    """Microseconds a message, one value a claim."""
    checks: list[float] = field(default_factory=list)

    def cost(self) -> float:
        return statistics.median(self.claims) + statistics.median(self.checks)


async def measure(session: Session) -> None:
    """The figures of this module."""
    databases = session.world.databases
    many = _Side(databases.copy("bench_listed"))
    _prepare(session, many, session.options.many_suppressions)
    if session.wants("suppression_cost"):
        await _cost(session, many)
    if session.wants("suppression_import_per_s"):
        databases.checkpoint()
        await _import(session, many.database)
    databases.drop(many.database.name)


async def _cost(session: Session, many: _Side) -> None:
    options, databases = session.options, session.world.databases
    delivered = session.found.get("delivered_per_s")
    if delivered is None:
        raise BenchError("suppression_cost is a share of a message's time and needs delivered_per_s in the same run")
    none = _Side(databases.copy("bench_unlisted"))
    _prepare(session, none, 0)
    databases.checkpoint()
    session.say(f"timing {options.claims} claims on each list")
    await _time(session, none, many)
    extra = many.cost() - none.cost()
    message = 1e6 / delivered.value
    session.add(
        "suppression_cost", [extra / message], entries=options.many_suppressions,
        hashes_domains_scopes=options.other_suppressions, choices=options.other_suppressions, claims=options.claims,
        messages_per_claim=MARKETING_ONLY, extra_microseconds_per_message=round(extra, 2),
        message_microseconds=round(message, 1),
        claim_microseconds={"empty list": _middle(none.claims), "long list": _middle(many.claims)},
        recheck_microseconds={"empty list": _middle(none.checks), "long list": _middle(many.checks)},
        note="wall time of the product's claim and re-check, per message; share of the whole time of a message",
    )  # fmt: skip
    databases.drop(none.database.name)


def _prepare(session: Session, side: _Side, entries: int) -> None:
    options = session.options
    total = 2 * (options.claims + _WARM_UP) * MARKETING_ONLY  # with more than it takes a claim comes back full
    with side.database.connect() as connection:
        connection.execute("TRUNCATE suppressions")
        done = 0

        def tell(added: int) -> None:
            nonlocal done
            done += added
            session.say(f"suppressing {entries:,} addresses: {done:,}")

        if entries:
            otherwise = rows.Otherwise(options.other_suppressions, side.database.rows.application, _TOPIC)
            rows.add_suppressions(connection, entries, (mail.BULK_ZONE, options.domains), tell, otherwise)
        for first, last in rows.chunks(total):
            rows.add_mail(connection, side.database.rows, (first, last), "claims", queued=True)
        rows.name_topic(connection, side.database.rows.application, _TOPIC)
        rows.settle(connection)


async def _time(session: Session, none: _Side, many: _Side) -> None:
    first = Database(none.database.url, size=2, name="bench")
    second = Database(many.database.url, size=2, name="bench")
    await first.open()
    await second.open()
    try:
        async with first.connection() as one, second.connection() as two:
            for connection in (one, two):
                # No wait for the disk: it is the same on both sides and a hundred times what is looked for.
                await connection.execute("SET synchronous_commit = off")
            for turn in range(_WARM_UP + session.options.claims):
                destinations = _destinations(session.options.domains, turn)
                pairs = [(none, one), (many, two)]
                for side, connection in pairs if turn % 2 else pairs[::-1]:
                    taken, checked = await _claim(connection, destinations)
                    if turn >= _WARM_UP:
                        side.claims.append(taken)
                        side.checks.append(checked)
    finally:
        await first.close()
        await second.close()


async def _claim(connection: Connection, destinations: Sequence[str]) -> tuple[float, float]:
    """One claim and one re-check; microseconds a message of each."""
    worker = uuid7()
    begun = time.perf_counter()
    claimed, _ = await claim.claim(connection, Lane.MARKETING, destinations, worker, MARKETING_ONLY, _LEASE)
    taken = time.perf_counter() - begun
    expect(len(claimed) == MARKETING_ONLY, f"a claim took {len(claimed)} messages instead of {MARKETING_ONLY}")
    expect(not any(one.suppressed for one in claimed), "an address that nobody suppressed is on the list")
    begun = time.perf_counter()
    left = await claim.still_sendable(connection, [one.ref for one in claimed], worker)
    checked = time.perf_counter() - begun
    expect(len(left) == MARKETING_ONLY, "the re-check lost messages")
    return taken / MARKETING_ONLY * 1e6, checked / MARKETING_ONLY * 1e6


def _destinations(domains: int, turn: int) -> list[str]:
    """The destinations of one hint: as many as the product puts into one, a different set each turn."""
    count = min(DESTINATIONS_PER_TASK, domains)
    start = turn * count % domains
    return [mail.domain(start + n, mail.BULK_ZONE, domains) for n in range(count)]


def _middle(values: Sequence[float]) -> float:
    return round(statistics.median(values), 2)


async def _import(session: Session, database: BenchDatabase) -> None:
    lines = session.options.listed_lines
    session.say(f"importing a list of {lines:,} into it")
    text = "".join(_csv(lines, session.options.domains))
    pool = Database(database.url, size=2, name="bench")
    await pool.open()
    try:
        reader = ListReader(io.StringIO(text), Terms(datetime.now(UTC), actor="bench"))
        begun = time.monotonic()
        done = await importing.run(pool, reader, "list.csv", "", lambda _: None)
        taken = time.monotonic() - begun
    finally:
        await pool.close()
    expect(done.added == lines, f"of {lines:,} lines {done.added:,} were added")
    session.add(
        "suppression_import_per_s", [lines / taken], lines=lines, entries=session.options.many_suppressions,
        note="CSV of address, reason and time, into the long list; one process",
    )  # fmt: skip


def _csv(lines: int, domains: int) -> Iterator[str]:
    yield "email,reason,created_at\n"
    for number in range(lines):
        address = mail.recipient(number, mail.BULK_ZONE, domains, "brought in")
        yield f"{address},hard_bounce,2026-11-{1 + number % 28:02}T12:00:{number % 60:02}Z\n"
