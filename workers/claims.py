"""Keeps the claims of this process alive while their mail is on its way, and knows when they were last checked.

A claim's lease is its `due_at`, moved ahead. Leases of connections are something else: `pools/connections`.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from uuid import UUID

from core.logs import get_logger
from messages import claim
from messages.model import MessageRef
from store.database import Database, DatabaseUnavailableError

_log = get_logger(__name__)

FRESH_SECONDS = 0.75
"""A suppression check older than this is made again right before `MAIL FROM`. A second is promised; a mail needs some
of it to reach its server."""

YOUNG_SECONDS = 3.0
"""Mail that is not sent so long after its claim waits for a slow server, not for us."""


class ClaimKeeper:
    """Renews the leases of everything in flight, four times a lease."""

    def __init__(self, database: Database, worker: UUID, lease: timedelta) -> None:
        self._database = database
        self._worker = worker
        self._lease = lease
        self._held: dict[MessageRef, float] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="leases")

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()

    def hold(self, refs: Iterable[MessageRef]) -> set[MessageRef]:
        """Hold these; returns those that were not held before.

        A lease can run out under mail that is still ours: this process was stopped, or the database was away. Claiming
        such mail anew renews its lease, and must not send it a second time.
        """
        now = time.monotonic()
        fresh = {ref for ref in refs if ref not in self._held}
        self._held.update((ref, now) for ref in fresh)
        return fresh

    def let_go(self, refs: Iterable[MessageRef]) -> None:
        """Their outcomes are committed, or they were given back."""
        for ref in refs:
            self._held.pop(ref, None)

    def held(self) -> int:
        """Messages claimed by this process whose outcome is not committed."""
        return len(self._held)

    async def _run(self) -> None:
        quarter = self._lease.total_seconds() / 4
        while True:
            await asyncio.sleep(quarter)
            old = [ref for ref, since in self._held.items() if time.monotonic() - since >= quarter]
            if not old:
                continue
            try:
                async with self._database.connection() as connection:
                    await claim.renew(connection, old, self._worker, self._lease)
            except DatabaseUnavailableError as error:
                _log.warning("leases_not_renewed", messages=len(old), error=str(error))
            except Exception as error:
                # Whatever it is, the end of this task would let every lease run out, and its mail be sent twice.
                _log.error("leases_not_renewed", messages=len(old), exc_info=error)


class Permit:
    """May this message of a batch be sent now? The claim's own check serves for a second, then the store is asked
    again for all that is left of the batch. Fails closed: no answer within that second, no send.

    It also knows what is on the wire, which only an outcome can take out of the batch."""

    def __init__(
        self, database: Database, worker: UUID, refs: Sequence[MessageRef], checked: float, until: float
    ) -> None:
        """`checked`: monotonic time just before the claim was asked. `until`: no sending after this."""
        self._database = database
        self._worker = worker
        self._left = set(refs)
        self._on_wire: set[MessageRef] = set()
        self._allowed = set(refs)
        self._claimed = checked
        self._checked = checked
        self._until = until
        self._asking = asyncio.Lock()
        self.aside = 0
        """Messages that wait for a rate, which the worker has no part in."""

    async def allows(self, ref: MessageRef) -> bool:
        """True: go on with it, and ask `departs` within a second."""
        now = time.monotonic()
        while now - self._checked > FRESH_SECONDS and now <= self._until:
            async with self._asking:
                if not self._fresh():  # nobody has asked while this one waited
                    await self._ask()
            now = time.monotonic()
        return now <= self._until and ref in self._allowed and ref in self._left

    async def departs(self, ref: MessageRef) -> bool:
        """The last question, right before `MAIL FROM`. True: it is on the wire from now on, and nobody can withdraw it
        until `came_back` or `done`."""
        allowed = await self.allows(ref)
        if allowed:
            self._on_wire.add(ref)
        return allowed

    def came_back(self, ref: MessageRef) -> None:
        """Its server was not sent it, or did not take it: it may be withdrawn, or depart again."""
        self._on_wire.discard(ref)

    def done(self, ref: MessageRef) -> None:
        """Its outcome is put: need not be asked about again."""
        self._left.discard(ref)
        self._on_wire.discard(ref)

    def withdraw(self, ref: MessageRef) -> bool:
        """Take it out of the batch, to give it back to the queue: it departs no more. False for what is on the wire, or
        is no longer in the batch: its server may be taking it, and whoever gave it back would have it sent twice."""
        if ref in self._on_wire or ref not in self._left:
            return False
        self._left.discard(ref)
        return True

    def on_wire(self, ref: MessageRef) -> bool:
        """Whether a server may have it, or be about to."""
        return ref in self._on_wire

    def young(self) -> int:
        """How many messages of this batch wait for us, while its claim is young: for what is on the wire a server is
        waited for."""
        young = time.monotonic() - self._claimed <= YOUNG_SECONDS
        return max(0, len(self._left) - len(self._on_wire) - self.aside) if young else 0

    def left(self) -> set[MessageRef]:
        """Messages without an outcome that were not withdrawn."""
        return set(self._left)

    def stop(self) -> None:
        """Let no further mail of this batch depart."""
        self._until = float("-inf")

    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._until == float("-inf")

    def _fresh(self) -> bool:
        return time.monotonic() - self._checked <= FRESH_SECONDS

    async def _ask(self) -> None:
        """An answer is as old as its question: one that took longer than it is good for is asked for again. A missing
        one is a no to all who wait."""
        asked = time.monotonic()
        try:
            async with self._database.connection() as connection:
                self._allowed = await claim.still_sendable(connection, list(self._left), self._worker)
                self._checked = asked
        except DatabaseUnavailableError as error:
            _log.warning("suppression_not_answered", error=str(error))
            self._allowed, self._checked = set(), time.monotonic()
        if not self._fresh():
            _log.warning("suppression_answered_late", seconds=round(time.monotonic() - asked, 1))
