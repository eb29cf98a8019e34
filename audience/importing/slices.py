"""Brings a list of contacts in, a slice a transaction, and remembers in the same transaction how far it got.

A foreign list is never trusted: what cannot be a person's mailbox is sorted out before anything is sent, and who is
left is `unconfirmed` and asked once (`audience/confirmations`), unless an operator vouches for their consent. What
was killed goes on where it stopped; only one process works on it at a time. While PostgreSQL works on one slice the
next is read and its domains are asked about. Needs the one connection it takes for all of it.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import islice
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb

from audience import checks, properties
from audience.checks import MEANINGS, MailRecords, Problem
from audience.importing import imports
from audience.importing.merging import Merged, Terms, copy_text, merge
from audience.importing.rows import ContactReader, Fault, Item, Row, Why
from core.refusal import conflict
from mta.resolve import DnsUnavailableError
from store.database import Connection, Database

SLICE: Final = 20_000
"""Lines of a transaction: about a second, and as much is read again after a kill."""
SHOWN_FAULTS: Final = 100
"""Lines that are named; the rest is counted."""
_DOMAINS: Final = 500_000
"""Domains of one import whose answer is remembered."""


@dataclass(slots=True)
class Progress:
    """How far an import is; the counts are of the whole list, with what was done before a kill."""

    line: int = 0
    total: int = 0
    created: int = 0
    updated: int = 0
    skipped: int = 0
    """Right, and nothing was to be done: known, named twice, suppressed."""
    failed: int = 0
    confirmations: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    faults: list[dict[str, Any]] = field(default_factory=list)
    resumed_at: int = 0
    """The line it went on behind; 0: it began at the beginning."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is imported, and how."""

    import_id: UUID
    terms: Terms
    reader: ContactReader
    domains: "Domains"
    dry: bool = False
    """Everything is done and nothing kept."""


class Domains:
    """Which domains take no mail: each asked once, at most `checks.AT_ONCE` at a time."""

    def __init__(self, records: MailRecords) -> None:
        self._records = records
        self._known: dict[str, Problem | None] = {}

    async def troubles(self, domains: Sequence[str]) -> dict[str, Problem]:
        """What DNS says against them. When it does not answer nothing is said against anybody."""
        fresh = [one for one in set(domains) if one not in self._known]
        if len(self._known) + len(fresh) > _DOMAINS:
            self._known.clear()
            fresh = list(set(domains))
        room = asyncio.Semaphore(checks.AT_ONCE)
        said = await asyncio.gather(*(self._ask(one, room) for one in fresh))
        self._known |= dict(zip(fresh, said, strict=True))
        return {one: trouble for one in set(domains) if (trouble := self._known[one]) is not None}

    async def _ask(self, domain: str, room: asyncio.Semaphore) -> Problem | None:
        async with room:
            try:
                return await checks.trouble_of(self._records, domain)
            except DnsUnavailableError:
                return None


async def run(database: Database, work: Work, tell: Callable[[Progress], None]) -> Progress:
    """Import the whole list. Raises Refused: it is under way elsewhere, or its columns say nothing."""
    async with database.connection() as connection:
        if not await imports.alone(connection, work.import_id):
            raise conflict("this import is under way in another process", "`postlane contacts imports` shows how far.")
        try:
            progress = await _stands(connection, work)
            await _go(connection, work, progress, tell)
            if not work.dry:
                await imports.ended(connection, work.import_id)
        finally:
            await imports.let_go(connection, work.import_id)
    return progress


async def _stands(connection: Connection, work: Work) -> Progress:
    if work.dry:
        return Progress()
    known = await imports.get(connection, work.terms.application_id, work.import_id)
    return Progress(
        known.line, known.total, known.created, known.updated, known.skipped, known.failed, known.confirmations,
        Counter(known.reasons), [dict(one) for one in known.faults], resumed_at=known.line,
    )  # fmt: skip


async def _go(connection: Connection, work: Work, progress: Progress, tell: Callable[[Progress], None]) -> None:
    work.reader.behind = progress.line
    items = iter(work.reader)
    part = await _next(items, work)
    while part.read:
        store = asyncio.create_task(_store(connection, work, part, progress))
        try:
            following = await _next(items, work)
        finally:
            await store
        tell(progress)
        part = following


@dataclass(frozen=True, slots=True)
class _Slice:
    """What was read for one transaction."""

    read: int
    rows: Sequence[Row]
    text: bytes
    faults: Sequence[Fault]
    line: int


async def _next(items: Iterator[Item], work: Work) -> _Slice:
    count, rows, faults = await asyncio.to_thread(read, items, work.terms.consent is not None)
    line = work.reader.line
    troubles = await work.domains.troubles([row.domain for row in rows])
    if troubles:
        faults += [_dead(row, troubles[row.domain]) for row in rows if row.domain in troubles]
        rows = [row for row in rows if row.domain not in troubles]
    asks = work.terms.asks and work.terms.consent is None
    return _Slice(count, rows, await asyncio.to_thread(copy_text, rows, asks), faults, line)


def read(items: Iterator[Item], vouched: bool) -> tuple[int, list[Row], list[Fault]]:
    """The next lines of a slice, without those that the text alone speaks against: how many, people, faults."""
    count, faults = 0, []
    rows: dict[str, Row] = {}
    for item in islice(items, SLICE):
        count += 1
        found = _sorted_out(item, vouched) if isinstance(item, Row) else item
        if found is None and isinstance(item, Row):
            if item.address not in rows:
                rows[item.address] = item
                continue
            found = Fault(item.line, item.email, Why.DUPLICATE, "named before in this list")
        if found is not None:
            faults.append(found)
    return count, list(rows.values()), faults


def _sorted_out(row: Row, vouched: bool) -> Fault | None:
    """Whoever's consent is proved may read an office's mail; nobody reads that of a mistyped domain."""
    meant, disposable = _about(row.domain)
    if meant:  # first: many a mistyped domain is owned by those who give mailboxes away
        return Fault(row.line, row.email, Why.TYPO, f"{MEANINGS[Problem.TYPO]} Is it {meant}?")
    if disposable:
        return Fault(row.line, row.email, Why.DISPOSABLE, MEANINGS[Problem.DISPOSABLE])
    if not vouched and checks.is_role(row.address):
        return Fault(row.line, row.email, Why.ROLE, MEANINGS[Problem.ROLE])
    return None


@lru_cache(100_000)
def _about(domain: str) -> tuple[str, bool]:
    return checks.likely_meant(domain), checks.is_disposable(domain)


def _dead(row: Row, problem: Problem) -> Fault:
    return Fault(row.line, row.email, Why.NO_MAIL, MEANINGS[problem])


SKIPS: Final = frozenset({Why.DUPLICATE, Why.SUPPRESSED, Why.KNOWN, Why.LEFT_THERE})
"""Lines that are right, and that nothing is done for; the others fail."""


async def _store(connection: Connection, work: Work, part: _Slice, progress: Progress) -> None:
    async with connection.transaction(force_rollback=work.dry):
        # A slice that is lost with the machine is lost together with the line it reached.
        await connection.execute("SET LOCAL synchronous_commit = off")
        known = await properties.for_writing(connection, work.terms.application_id)
        gone = tuple(work.reader.known.keys() - known.keys())  # defined no more: no value may outlive that
        merged = await merge(connection, work.terms, work.import_id, part.rows, part.text, gone)
        _add_up(progress, part, merged)
        if not work.dry:
            await imports.reached(connection, work.import_id, _figures(progress))


def _add_up(progress: Progress, part: _Slice, merged: Merged) -> None:
    reasons = Counter(fault.why.value for fault in part.faults)
    reasons += Counter({Why.SUPPRESSED.value: merged.suppressed, Why.KNOWN.value: merged.known})
    progress.reasons += reasons
    skipped = sum(reasons[why.value] for why in SKIPS)
    progress.line = part.line
    progress.total += part.read
    progress.created += merged.created
    progress.updated += merged.updated
    progress.skipped += skipped
    progress.failed += sum(reasons.values()) - skipped
    progress.confirmations += merged.asked
    room = SHOWN_FAULTS - len(progress.faults)
    progress.faults += [asdict(fault) for fault in part.faults if fault.why is not Why.DUPLICATE][:room]


def _figures(progress: Progress) -> dict[str, object]:
    names = ("line", "total", "created", "updated", "skipped", "failed", "confirmations")
    reasons, faults = Jsonb(dict(progress.reasons)), Jsonb(progress.faults)
    return {name: getattr(progress, name) for name in names} | {"reasons": reasons, "faults": faults}
