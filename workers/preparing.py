"""Composing and signing: small mail of a batch in chunks ahead of sending, large mail when its session is ready.

Large is what did not come with its claim (`messages/claim.INLINE_CONTENT`). Loaded before, it would lie in memory for
as long as its server is slow to take connections, and keep others from being loaded.
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import TypeVar
from uuid import UUID

from core.logs import get_logger
from messages import claim, prepare
from messages.model import MessageRef
from messages.states import Event
from messages.timeline import EventKind
from mta.deliver import Load
from mta.model import Envelope
from workers import watch
from workers.batch import Batch, Collaborators, Composable, Job
from workers.concluding import end, stumble

_log = get_logger(__name__)

ROOM_SECONDS = 30.0
"""A ready session is not kept waiting for memory any longer: its server would hang up, and get the blame."""

LINGER_SECONDS = 1.0
"""With recipients to come an email stays in memory for so long: the next session is often ready at once."""


Mail = TypeVar("Mail", bound=Composable)


async def prepare_chunk(batch: Batch, jobs: Sequence[Mail], c: Collaborators) -> list[Mail]:
    """Compose and sign in a thread: RSA releases the interpreter lock, so sending goes on meanwhile. Returns those that
    got an envelope; the others are concluded."""
    work = [(job.claimed, job.email, job.content, job.sender) for job in jobs]
    try:
        with watch.step(batch.lane, "prepare"):
            prepared = await asyncio.get_running_loop().run_in_executor(
                c.signing, prepare.prepare_many, work, batch.lane, c.secret, batch.now(), c.public_url
            )
    except Exception as error:
        # A bug that one mail brings to light must not hold up the others.
        if len(jobs) > 1:
            return [ready for job in jobs for ready in await prepare_chunk(batch, [job], c)]
        stumble(batch, jobs[0].claimed, error, c)
        return []
    ready = []
    for job, envelope in zip(jobs, prepared, strict=True):
        if isinstance(envelope, str):
            end(batch, job.claimed, Event.FAIL, EventKind.FAILED, envelope, c)
        else:
            job.envelope, job.content = envelope, None
            ready.append(job)
    return ready


class LargeEmail:
    """One large email of a batch on its way to one site: in memory while a recipient's session uses it, and composed
    once for all whose sessions are ready meanwhile."""

    def __init__(self, batch: Batch, jobs: Sequence[Job], c: Collaborators) -> None:
        self.jobs = jobs
        self._batch = batch
        self._c = c
        self._size = jobs[0].email.size
        self._site = jobs[0].route.site
        self._turn = asyncio.Lock()
        self._users = 0
        self._served: set[MessageRef] = set()
        self._freeing: asyncio.TimerHandle | None = None
        self._envelopes: dict[MessageRef, Envelope] = {}

    @contextlib.asynccontextmanager
    async def for_one(self, job: Job) -> AsyncIterator[Load]:
        """What makes the envelope of one recipient; after the block its memory is free again."""
        using = False

        async def load() -> Envelope | None:
            nonlocal using
            using = using or await self._come()
            self._served.add(job.claimed.ref)
            return self._envelopes.get(job.claimed.ref) if using else None

        try:
            yield load
        finally:
            if using:
                self._go()

    async def _come(self) -> bool:
        async with self._turn:
            if self._freeing is not None:
                self._freeing.cancel()
                self._freeing = None
            elif self._users == 0 and not await self._load():
                return False
            self._users += 1
        return True

    def _go(self) -> None:
        self._users -= 1
        if self._users == 0:
            seconds = LINGER_SECONDS if len(self._served) < len(self.jobs) else 0.0
            self._freeing = asyncio.get_running_loop().call_later(seconds, self._free)

    def _free(self) -> None:
        self._freeing = None
        self._envelopes.clear()
        self._c.large.give_back(self._site, self._size)

    async def _load(self) -> bool:
        if not await self._c.large.take(self._site, self._size, ROOM_SECONDS):
            _log.warning("no_room_for_large_mail", site=self._site, size=self._size)
            return False
        try:
            await self._compose()
        except BaseException:
            self._free()
            raise
        return True

    async def _compose(self) -> None:
        left = self._batch.permit.left()
        jobs = [job for job in self.jobs if job.claimed.ref in left]
        async with self._c.database.connection() as connection:
            content = await claim.load_content(connection, jobs[0].email.content_id)
        for job in jobs:
            job.content = content
        for job in await prepare_chunk(self._batch, jobs, self._c):
            if job.envelope is not None:
                self._envelopes[job.claimed.ref], job.envelope = job.envelope, None


def large_emails(batch: Batch, jobs: Iterable[Job], c: Collaborators) -> list[LargeEmail]:
    """Of these jobs those without content, by email and site."""
    groups: dict[tuple[UUID, str], list[Job]] = defaultdict(list)
    for job in jobs:
        if job.content is None:
            groups[job.email.id, job.route.site].append(job)
    return [LargeEmail(batch, group, c) for group in groups.values()]
