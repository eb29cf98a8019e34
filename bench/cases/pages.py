"""How long pages of the console take with millions of messages stored: every list, search and single thing.

A month of mail is made (`bench/month`), the real console starts on it, somebody signs in and asks for each page, from
the question to the last byte, one at a time. Each is asked once to find the plan and the pages of the disk, then so
often; the figure is the median of the slowest page. What a page fetches behind itself because it looks at all people or
all rows of a campaign stands in the table apart, and does not count.

A page has to show what it was asked for: one that was refused, or found nothing where there is something, spoils the
run.
"""

import statistics
from dataclasses import dataclass
from typing import Final

from rich.table import Table

from accounts.roles import Role
from bench import month
from bench.figures import percentile
from bench.looks import OF_LIMITED, Look, of_admin
from bench.month import Sizes
from bench.report import number
from bench.session import Session, expect
from bench.stored_beside import Beside
from bench.visitor import Visitor
from bench.world import Running
from cli.running.stack import Shape
from store.database import Database

KEYS = ("page_ms",)
_SLOW: Final = 50.0
_PARTS: Final = 3
"""How often what a page fetches behind itself is asked for: it may take a second."""


@dataclass(frozen=True, slots=True)
class Took:
    """What came of asking for one."""

    look: Look
    milliseconds: tuple[float, ...]
    first: float
    kilobytes: float

    @property
    def median(self) -> float:
        return statistics.median(self.milliseconds)


async def measure(session: Session) -> None:
    """The figure of this module."""
    world, database = session.world, session.world.databases.copy("bench_pages")
    pool = Database(database.url, size=2, name="postlane-bench")
    await pool.open()
    try:
        sizes = Sizes(session.options.messages_stored, session.options.counted_domains)
        beside = await month.fill(pool, database, sizes, world.secret, lambda done: session.say(f"pages: {done}"))
        world.databases.checkpoint()
        with world.stack(database, lambda port: Shape(0, 0, 0, False, port, console=True)) as running:
            found = await _visit(session, running, pool, beside)
    finally:
        await pool.close()
    _report(session, found)
    world.databases.drop(database.name)


async def _visit(session: Session, running: Running, pool: Database, beside: Beside) -> list[Took]:
    admin, limited = Visitor(running.stack.console_url), Visitor(running.stack.console_url)
    try:
        await admin.sign_in(pool, "ada@bench.example", Role.ADMIN)
        await limited.sign_in(pool, "dev@bench.example", Role.DEVELOPER, only=beside.small)
        with running.database.connect() as connection:
            looks = [*of_admin(connection, beside)]
        found = [await _ask(session, admin, look) for look in looks]
        found += [await _ask(session, admin, look) for look in await _behind(admin, looks)]
        found += [await _ask(session, limited, look) for look in OF_LIMITED]
    finally:
        await admin.leave()
        await limited.leave()
    running.check()
    return found


async def _ask(session: Session, visitor: Visitor, look: Look) -> Took:
    session.say(f"pages: {look.name}")
    first = await visitor.look(look.path)
    expect(look.is_in(first.text), f"{look.path} does not show {look.shows!r}")
    times = min(_PARTS, session.options.page_asks) if look.part else session.options.page_asks
    seen = [await visitor.look(look.path) for _ in range(times)]
    return Took(look, tuple(one.milliseconds for one in seen), first.milliseconds, first.kilobytes)


async def _behind(visitor: Visitor, looks: list[Look]) -> list[Look]:
    """The second page of every list that has one."""
    found = []
    for look in looks:
        if not look.part and (path := (await visitor.look(look.path)).next):
            found.append(Look(f"{look.name}, second page", path))
    return found


def _report(session: Session, found: list[Took]) -> None:
    pages = sorted((one for one in found if not one.look.part), key=lambda one: -one.median)
    parts = sorted((one for one in found if one.look.part), key=lambda one: -one.median)
    session.tables.append(_table("Pages of the console", pages))
    session.tables.append(_table("What pages fetch behind themselves", parts))
    session.add(
        "page_ms", [pages[0].median], messages=session.options.messages_stored, asks=session.options.page_asks,
        slowest=pages[0].look.name, pages=len(pages), median_of_medians=statistics.median(one.median for one in pages),
        slower_than_50_ms=[one.look.name for one in pages if one.median > _SLOW],
        medians={one.look.name: round(one.median, 1) for one in (*pages, *parts)},
        note="the real console, one visitor, from the question to the last byte; the slowest page",
    )  # fmt: skip


def _table(title: str, found: list[Took]) -> Table:
    shown = Table(title=title, caption="milliseconds; the first time the page was asked for is not among the others")
    for heading in ("page", "median", "p95", "slowest", "first", "KB"):
        shown.add_column(heading, justify="left" if heading == "page" else "right")
    for one in found:
        times = (one.median, percentile(one.milliseconds, 0.95), max(one.milliseconds), one.first)
        shown.add_row(one.look.name, *(number(ms, 1) for ms in times), number(one.kilobytes, 1))
    return shown
