"""Submissions that wait for a commit, taken in groups that share one.

Mail of an application with a quota is never in a group with that of others: its counter is locked until the commit, by
other processes too, and whoever is in the group waits for it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar
from uuid import UUID

from messages.model import Submission

T = TypeVar("T")

GROUP_EMAILS: Final = 1000
GROUP_BYTES: Final = 16 * 1024 * 1024


@dataclass(slots=True)
class Waiting(Generic[T]):
    """A submission, and who waits for what became of it."""

    submission: Submission
    done: asyncio.Future[T]
    size: int

    @property
    def counted(self) -> UUID | None:
        """The application whose counter this one waits for; None for none."""
        return self.submission.application_id if self.submission.quota else None


class Queue(Generic[T]):
    """Those that wait, in their order."""

    def __init__(self) -> None:
        self._waiting: list[Waiting[T]] = []
        self._wake = asyncio.Event()
        self._under_way: set[UUID] = set()
        """Applications with a quota whose group is being committed: a second one would only wait for its counter."""

    def put(self, waiting: Waiting[T]) -> None:
        """Behind the others."""
        self._waiting.append(waiting)
        self._wake.set()

    def take_all(self) -> list[Waiting[T]]:
        """Everything, for whoever gives up on it."""
        taken, self._waiting = self._waiting, []
        return taken

    @asynccontextmanager
    async def group(self) -> AsyncIterator[list[Waiting[T]]]:
        """The next ones that are committed together, as soon as there are any."""
        while not (group := self._next()):
            self._wake.clear()
            await self._wake.wait()
        counted = group[0].counted
        if counted is not None:
            self._under_way.add(counted)
        try:
            yield group
        finally:
            if counted is not None:
                self._under_way.discard(counted)
                self._wake.set()

    def _next(self) -> list[Waiting[T]]:
        """Of one application where it has a quota; as many as one commit should take."""
        free = [one for one in self._waiting if one.counted not in self._under_way]
        group: list[Waiting[T]] = []
        emails = size = 0
        for one in free:
            if one.counted != free[0].counted:
                continue
            emails += len(one.submission.emails)
            size += one.size
            if group and (emails > GROUP_EMAILS or size > GROUP_BYTES):
                break
            group.append(one)
        taken = set(map(id, group))
        self._waiting = [one for one in self._waiting if id(one) not in taken]
        return group
