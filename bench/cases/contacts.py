"""How many lines of a foreign list of people one process brings in a second, nobody asked for a confirmation.

From the first line read to the last slice committed: read, its columns understood, checked (syntax, roles, disposable
domains, typing errors, mail servers of each domain by DNS, the suppression list), merged with what is there, put on a
list, with a row of history for each person.
"""

import io
import time
from collections.abc import Iterator

from audience import segments
from audience.importing import asking, imports, slices
from audience.importing.columns import ColumnMap
from audience.importing.merging import Terms, stored
from audience.importing.slices import Domains, Progress, Work
from bench import mail
from bench.databases import BenchDatabase
from bench.session import Session, expect
from mta.providers import load_providers
from mta.resolve import Resolver, TargetPolicy
from store.database import Database

KEYS = ("import_rows_per_s",)


async def measure(session: Session) -> None:
    """The figure of this module: each run on a database of its own."""
    rates: list[float] = []
    for run in range(1, session.options.runs + 1):
        session.say(f"import of contacts: run {run} of {session.options.runs}")
        database = session.world.databases.copy("bench_contacts")
        rates.append(await _import(session, database))
        session.world.databases.drop(database.name)
    session.add(
        "import_rows_per_s", rates, lines=session.options.import_lines, recipient_domains=session.options.domains,
        suppressions=session.options.suppressions,
        note="CSV of address, two names and a town; one process, no confirmation mail; a line in a thousand is broken",
    )  # fmt: skip


async def _import(session: Session, database: BenchDatabase) -> float:
    application, lines = session.world.databases.tenant.application, session.options.import_lines
    pool = Database(database.url, size=2, name="postlane-bench")
    await pool.open()
    try:
        async with pool.transaction() as connection:
            segment = await segments.create(connection, application, "imported")
            terms = Terms(application, "bench", segments=(segment.id,), asks=False)
            known = await asking.check(connection, terms)
            made = await imports.begin(connection, application, "people.csv", "bench", stored(terms))
        text = io.StringIO("".join(_lines(session)))
        reader = asking.reader(text, known, ColumnMap())
        begun = time.monotonic()
        done = await slices.run(pool, Work(made.id, terms, reader, _domains(session)), lambda _: None)
        taken = time.monotonic() - begun
    finally:
        await pool.close()
    _check(done, lines)
    return lines / taken


def _lines(session: Session) -> Iterator[str]:
    yield "Email Address,First Name,Last Name,Town\n"
    domains = session.options.domains
    for number in range(session.options.import_lines):
        address = "no address" if number % 1000 == 0 else mail.recipient(number, mail.BULK_ZONE, domains, "import")
        yield f"{address},Reader{number},Bench,Berlin\n"


def _domains(session: Session) -> Domains:
    """As the product asks, in the practice internet."""
    practice = session.world.practice
    servers = (f"{practice.dns_address}:{practice.dns_port}",)
    return Domains(Resolver(load_providers(), servers, TargetPolicy(allow_private=True)))


def _check(done: Progress, lines: int) -> None:
    broken = -(-lines // 1000)
    expect(
        (done.created, done.failed) == (lines - broken, broken),
        f"of {lines:,} lines {done.created:,} became people and {done.failed:,} failed",
        dict(done.reasons),
    )
