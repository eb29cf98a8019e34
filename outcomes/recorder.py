"""Collects the outcomes of one worker process and commits them together: every 50 ms, sooner when very many wait, and
less often while it is busy, for a commit costs as much as 20 mails in it.

A lost database loses no outcome: they stay in memory and in the journal, and are committed when it is back. Nor does
an outcome that cannot be stored as it is: it is split off from the others, and stored without what was refused.

When the journal cannot be written an outcome is *exposed* until its commit: a kill would repeat its mail. So few may be
exposed at a time, and while the database is away too, no mail may leave at all (`ready`).
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

import psycopg

from core.logs import get_logger
from messages.model import MessageRef
from outcomes.journal import Journal
from outcomes.kinds import Outcome, bare, storable
from outcomes.record import Recorded, record
from store.database import Database, DatabaseUnavailableError
from suppression.rules import BY_DEFAULT, SoftBounceRule

_log = get_logger(__name__)

FLUSH_AT = 200
"""So many outcomes are committed without waiting for the rest of the interval."""

BUSY_AT = 20
"""With so many after the interval there are more to come: a commit gathers outcomes for up to `BUSY_INTERVALS`."""

BUSY_INTERVALS = 3

FULL_AT = 5000
"""With so many uncommitted outcomes, `room` waits: no further mail is claimed while the database cannot keep up."""

EXPOSED_AT = 20
"""With so many exposed outcomes the next mail waits for their commit."""

_RETRY_SECONDS = 0.5
_REFUSED = (psycopg.DataError, psycopg.IntegrityError, ValueError, TypeError)
"""What PostgreSQL or its driver say to a value, not to the statement: text with NUL, a number out of range."""
_SLOW_SECONDS = 30.0
_JOURNAL_SECONDS = 60.0
"""A journal that could not be written is told of for so long; with mail on its way the next write shows how it is."""

OnCommit = Callable[[Sequence[Outcome], Recorded, float], None]
"""Told of all outcomes that are done with, in the end also of one that cannot be stored in any form."""


class Recorder:
    """One per worker process. `put` is called from the event loop and never blocks on the database."""

    def __init__(
        self,
        database: Database,
        journal: Journal | None,
        interval: float,
        on_commit: OnCommit,
        rule: SoftBounceRule = BY_DEFAULT,
    ) -> None:
        self._rule = rule
        self._database = database
        self._journal = journal
        self._interval = interval
        self._on_commit = on_commit
        self._pending: list[Outcome] = []
        self._unwritten: list[Outcome] = []
        self._exposed: dict[MessageRef, Outcome] = {}
        self._journal_failed: tuple[float, str] | None = None
        self._away = False
        self._committing = 0
        self._committing_since = 0.0
        self._some = asyncio.Event()
        self._enough = asyncio.Event()
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="recorder")

    def put(self, outcome: Outcome) -> None:
        """Take an outcome: into the journal before any other mail leaves, and no later than at the end of this turn of
        the loop, in which others come too; into the database with the next commit."""
        self._pending.append(outcome)
        if self._journal is not None:
            if not self._unwritten:
                asyncio.get_running_loop().call_soon(self.write_down)
            self._unwritten.append(outcome)
        self._some.set()
        if len(self._pending) >= FLUSH_AT:
            self._enough.set()

    def note(self, outcome: Outcome) -> None:
        """Take something to be shown in the timeline that neither ends nor defers its message. Not worth a journal."""
        self._pending.append(outcome)
        self._some.set()

    async def room(self) -> None:
        """Return when the recorder can take the outcomes of further claims."""
        while self.depth() >= FULL_AT or len(self._exposed) >= EXPOSED_AT or self._stopped():
            await self._change()

    async def ready(self) -> bool:
        """May a mail be sent now? False: what its server answers could be kept nowhere. What was answered before is in
        the journal then: a kill never repeats more than what is on the wire."""
        self.write_down()
        while len(self._exposed) >= EXPOSED_AT and not self._stopped():
            await self._change()
        return not self._stopped()

    async def replay(self, outcomes: list[Outcome]) -> None:
        """Commit what a killed predecessor left in its journal. Called once, before `start`."""
        if outcomes:
            await self._commit(outcomes)

    def trouble(self) -> str:
        """What is wrong with the recorder, "" when nothing is: its task ended, or outcomes cannot be kept in time."""
        if self._task is not None and self._task.done() and not self._closing:
            return "the recorder has stopped"
        at, journal = self._journal_failed or (0.0, "")
        if self._stopped():
            return f"no mail is sent: outcomes go neither into the journal ({journal}) nor into the database"
        if journal and time.monotonic() - at < _JOURNAL_SECONDS:
            return f"the outcome journal cannot be written: {journal}"
        waiting = time.monotonic() - self._committing_since if self._committing else 0.0
        return f"outcomes wait for the database for {waiting:.0f} s" if waiting > _SLOW_SECONDS else ""

    def depth(self) -> int:
        """Outcomes not committed yet."""
        return len(self._pending) + self._committing

    async def close(self) -> None:
        """Commit what is there and stop. The caller bounds the time."""
        self._closing = True
        self._some.set()
        self._enough.set()
        if self._task:
            await self._task

    def write_down(self) -> None:
        """Put the outcomes of this turn into the journal, all of them by one write. Without it they are exposed."""
        outcomes, self._unwritten = self._unwritten, []
        if outcomes and not self._journaled(outcomes):
            self._exposed.update((outcome.ref, outcome) for outcome in outcomes)
            self._enough.set()

    def _stopped(self) -> bool:
        """Neither the journal nor the database has taken what was offered last."""
        return self._away and bool(self._exposed)

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()

    def _journaled(self, outcomes: Sequence[Outcome]) -> bool:
        if self._journal is None:
            return True
        try:
            self._journal.append(*outcomes)
        except TypeError:
            if len(outcomes) > 1:  # one of them cannot be written, and takes no other with it
                written = [self._journaled([one]) for one in outcomes]
                return all(written)
            _log.exception("outcome_not_written", message_id=str(outcomes[0].ref))
            return False
        except OSError as error:
            self._journal_failed = time.monotonic(), str(error)
            _log.error("journal_write_failed", error=str(error), message_ids=[str(outcome.ref) for outcome in outcomes])
            return False
        self._journal_failed = None
        return True

    def _journal_again(self) -> None:
        """The disk may have room again: once all exposed outcomes are in the journal, mail may leave again."""
        for outcome in list(self._exposed.values()):
            if not self._journaled([outcome]):
                return
            del self._exposed[outcome.ref]
        self._changed.set()

    async def _run(self) -> None:
        while not (self._closing and not self._pending):
            await self._some.wait()
            await self._gather()
            self._some.clear()
            self._enough.clear()
            if self._pending:
                await self._flush()

    async def _gather(self) -> None:
        for _ in range(BUSY_INTERVALS):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval):
                    await self._enough.wait()
            if self._enough.is_set() or len(self._pending) < BUSY_AT:
                return

    async def _flush(self) -> None:
        self.write_down()
        batch, self._pending = self._pending, []
        self._committing = len(batch)
        self._committing_since = time.monotonic()
        file = self._journal.turn() if self._journal else None
        await self._commit(batch)
        if self._journal is not None and file is not None:
            try:
                self._journal.committed(file)
            except OSError as error:
                # They are told again after a kill, which changes nothing.
                _log.error("journal_not_emptied", error=str(error))
        self._committing = 0
        self._changed.set()

    async def _commit(self, batch: Sequence[Outcome]) -> None:
        while True:
            started = time.monotonic()
            try:
                async with self._database.transaction() as connection:
                    recorded = await record(connection, batch, self._rule)
            except DatabaseUnavailableError as error:
                _log.warning("outcomes_wait_for_database", outcomes=len(batch), error=str(error))
            except _REFUSED as error:
                await self._commit_apart(batch, error)
                return
            except Exception as error:
                # About all of them, such as a schema that is being changed: giving up would send their mail again.
                _log.error("outcomes_not_committed", outcomes=len(batch), exc_info=error)
            else:
                self._done(batch, recorded, time.monotonic() - started)
                return
            self._away = True
            self._journal_again()
            await asyncio.sleep(_RETRY_SECONDS)

    def _done(self, batch: Sequence[Outcome], recorded: Recorded, seconds: float) -> None:
        self._away = False
        for outcome in batch:
            if not outcome.is_note:
                self._exposed.pop(outcome.ref, None)
        self._changed.set()
        self._on_commit(batch, recorded, seconds)

    async def _commit_apart(self, batch: Sequence[Outcome], error: Exception) -> None:
        """One of these cannot be stored as it is. Its mail was sent: without a record it would be sent again and again,
        and with its error it would hold up all others. In the end only that the mail has ended is stored."""
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._commit(batch[:middle])
            await self._commit(batch[middle:])
            return
        simpler = next((form for form in (storable(batch[0]), bare(batch[0])) if form != batch[0]), None)
        _log.error("outcome_refused", message_id=str(batch[0].ref), lost=simpler is None, error=str(error))
        if simpler is not None:
            await self._commit([simpler])
        else:
            self._done(batch, Recorded(0, 0, 0), 0.0)
