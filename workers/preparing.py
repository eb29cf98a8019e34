"""Composing and signing: small mail of a batch in chunks ahead of sending, large mail when its session is ready.

Small mail is prepared on the event loop, by turns with all else. A thread gives the interpreter lock away for each
signature and hash, and gets it back by a switch that the loop has to make: on busy cores that costs more time than it
wins (decision 9). Large mail, and what may be slow to render, is prepared in threads.

Large is what did not come with its claim (`messages/claim.INLINE_CONTENT`), and a campaign's mail of that size. Loaded
before, it would lie in memory for as long as its server is slow to take connections, and keep others from being loaded.
"""

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import TypeVar
from uuid import UUID

from core.logs import get_logger
from messages import claim, prepare
from messages.model import MessageRef, StoredContent
from messages.personal import Personal
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

GROWN = 4 * claim.INLINE_CONTENT
"""Bytes of a mail as it leaves. Encoded, what was not large has less than half of that."""

TURN_SECONDS = 0.001
"""After so much of it the loop has a turn: four mails, or one that takes longer."""

FEW_LINKS = 300
SHORT = 8 * 1024
"""Bytes that have no more links than that."""

LINGER_SECONDS = 1.0
"""With recipients to come an email stays in memory for so long: the next session is often ready at once."""


Mail = TypeVar("Mail", bound=Composable)


async def prepare_chunk(batch: Batch, jobs: Sequence[Mail], c: Collaborators) -> list[Mail]:
    """Compose and sign. Returns those that got an envelope; the others are concluded."""
    work = [(job.claimed, job.email, job.content, job.sender) for job in jobs]
    spent, asked = prepare.Spent(), time.perf_counter()
    asking = work, batch.lane, c.secret, batch.now(), c.public_url, spent
    try:
        if all(map(_is_quick, jobs)):
            prepared = await _by_turns(prepare.prepare_each(*asking))
        else:
            prepared = await asyncio.get_running_loop().run_in_executor(c.signing, prepare.prepare_many, *asking)
    except Exception as error:
        # A bug that one mail brings to light must not hold up the others.
        if len(jobs) > 1:
            return [ready for job in jobs for ready in await prepare_chunk(batch, [job], c)]
        stumble(batch, jobs[0].claimed, error, c)
        return []
    watch.prepared(batch.lane, spent, asked)
    if batch.trail is not None:
        batch.trail.prepared((job.claimed.ref for job in jobs), spent, asked)
    ready = []
    for job, envelope in zip(jobs, prepared, strict=True):
        if isinstance(envelope, str):
            end(batch, job.claimed, Event.FAIL, EventKind.FAILED, envelope, c)
        else:
            job.envelope, job.content = envelope, None
            ready.append(job)
    return ready


def _is_quick(job: Composable) -> bool:
    """Whether it takes no more than milliseconds, so that everybody else can wait for it."""
    if isinstance(job.content, Personal):
        return job.content.size <= claim.INLINE_CONTENT and job.content.is_quick
    if not 0 < job.email.size <= claim.INLINE_CONTENT:  # 0: of a version that did not say
        return False
    return job.content is None or _has_few_links(job.content)


def _has_few_links(content: StoredContent) -> bool:
    """Links to names of other alphabets take 90 µs each, when they are seen first. In foreign mail they may be behind
    an encoding."""
    if content.raw is not None:
        return len(content.raw) <= SHORT
    html = content.html or ""
    return len(html) <= SHORT or html.count("://") <= FEW_LINKS


async def _by_turns(made: Iterator[Envelope | str]) -> list[Envelope | str]:
    prepared: list[Envelope | str] = []
    begun = time.perf_counter()
    for envelope in made:
        prepared.append(envelope)
        if time.perf_counter() - begun > TURN_SECONDS:
            await asyncio.sleep(0)
            begun = time.perf_counter()
    return prepared


class LargeEmail:
    """One large email of a batch on its way to one site: in memory while a recipient's session uses it, and composed
    once for all whose sessions are ready meanwhile."""

    def __init__(self, batch: Batch, jobs: Sequence[Job], size: int, c: Collaborators) -> None:
        self.jobs = jobs
        self._batch = batch
        self._c = c
        self._size = size
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
        content = await self._content()
        for job in jobs:
            job.content = content
        for job in await prepare_chunk(self._batch, jobs, self._c):
            if job.envelope is not None:
                self._envelopes[job.claimed.ref], job.envelope = job.envelope, None

    async def _content(self) -> StoredContent | Personal | None:
        email, content = self._batch.emails[self.jobs[0].email.id]
        if content is not None:  # a campaign's: it came with its claim, and is still to be rendered
            return content
        async with self._c.database.connection() as connection:
            return await claim.load_content(connection, email.content_id)


def is_large(job: Job) -> bool:
    """Whether it is prepared only when its session is ready."""
    return job.content is None or (isinstance(job.content, Personal) and job.content.size > claim.INLINE_CONTENT)


def large_emails(batch: Batch, jobs: Iterable[Job], c: Collaborators) -> list[LargeEmail]:
    """These large ones, by email and site."""
    groups: dict[tuple[UUID, str], list[Job]] = defaultdict(list)
    for job in jobs:
        groups[job.email.id, job.route.site].append(job)
    return [LargeEmail(batch, group, _size(group[0]), c) for group in groups.values()]


def _size(job: Job) -> int:
    return job.content.size if isinstance(job.content, Personal) else job.email.size


def grown(batch: Batch, prepared: Sequence[Job], c: Collaborators) -> tuple[list[Job], list[LargeEmail]]:
    """Those that stay as they are, and those of a campaign of which rendering made much more than anybody could see:
    they are put away, and prepared again when their session is ready."""
    stay: list[Job] = []
    large: list[LargeEmail] = []
    for job in prepared:
        size = len(job.envelope.data) if job.envelope is not None else 0
        if size <= GROWN or not isinstance(batch.emails[job.email.id][1], Personal):
            stay.append(job)
            continue
        job.envelope = None
        large.append(LargeEmail(batch, [job], size, c))
    return stay, large
