"""A whole installation that has sent mail for a month: messages, and what it holds beside them.

Acts on a benchmark's own databases only.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bench import counted, rows, stored, stored_beside
from bench.counted import Counted
from bench.databases import BenchDatabase
from bench.stored import Stored
from bench.stored_beside import Beside
from store.database import Database


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of it."""

    messages: int
    """A tenth as many contacts, a hundredth as many lines of logs."""
    domains: int
    """That reports tell apart."""
    days: int = 30
    tags: int = 100

    @property
    def people(self) -> int:
        return self.messages // 10


async def fill(
    pool: Database, database: BenchDatabase, sizes: Sizes, secret: str, say: Callable[[str], None]
) -> Beside:
    """Make all of it in a database that has an application, its domain and its pools."""
    beside = await stored_beside.make(pool, database.rows.application, secret)
    await stored.make_days(pool, sizes.days)
    with database.connect() as connection:
        for first, last in rows.chunks(sizes.people):
            say(f"{first - 1:,} of {sizes.people:,} contacts")
            rows.add_contacts(connection, database.rows, (first, last), beside.segment)
        rows.settle(connection, "contacts", "segment_members")
        application = database.rows.application
        counted.fill(connection, Counted(sizes.messages, sizes.domains, application, sizes.days + 1, sizes.tags))
        ips = [str(ip) for (ip,) in connection.execute("SELECT address FROM egress_ips ORDER BY 1").fetchall()]
    stored_beside.fill(database, beside, sizes.messages, sizes.domains)
    wanted = Stored(sizes.messages, sizes.people, beside.small, beside.campaign, ips, sizes.days)
    for done in stored.fill(database, wanted):
        say(f"{done:,} of {sizes.messages:,} messages")
    stored_beside.finish(database, beside.campaign)
    return beside
