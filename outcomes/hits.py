"""Opens and clicks on their way into the database: a file each is written to before it is answered.

The request that follows a link never waits for PostgreSQL, and nothing of it is lost when that is away or this process
is killed. Hits gather in a *segment*; once it is closed, `outcomes/engagement` writes it in one transaction together
with its name, so that each hit counts once however often its file is read. Memory holds names of files, not hits.

A process takes the first free number of the folder (a lock says which are taken) and with it the segments that a
predecessor of any number left behind.
"""

import contextlib
import errno
import fcntl
import os
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final
from uuid import UUID

import orjson

from core.errors import ConfigurationError
from core.ids import uuid7
from messages.link_tokens import Kind
from messages.model import MessageRef

SEGMENT_HITS: Final = 1000
"""A segment is read and judged in one go, in some milliseconds."""

MOST_BYTES: Final = 512 * 1024 * 1024
"""What the segments may take on the disk while PostgreSQL is away: about two million hits. Later ones are not kept."""

MOST_PROCESSES: Final = 256
_SUFFIX: Final = ".hits"


@dataclass(frozen=True, slots=True)
class Hit:
    """Somebody, or something, followed a link of ours."""

    kind: Kind
    ref: MessageRef
    at: datetime
    link: str
    """Where a click leads."""
    ip: str
    agent: str
    """What it calls itself, printable."""
    head: bool
    """It asked for the head of the answer only."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A closed file of hits."""

    id: UUID
    file: Path
    closed_at: float
    """By `time.monotonic`."""


class HitSpool:
    """The segments of one process. Not safe between threads."""

    def __init__(self, folder: Path) -> None:
        """Raises ConfigurationError when the folder cannot be used."""
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock, self._number = self._take_number()
        except OSError as error:
            raise ConfigurationError(
                f"opens and clicks cannot be kept in {folder} ({error.strerror}): see POSTLANE_DATA_DIR"
            ) from error
        self._open: tuple[int, UUID, Path, float] | None = None
        self._hits = 0
        self._closed: deque[Segment] = deque()
        self._bytes = 0
        self.adopt()

    def append(self, hit: Hit) -> bool:
        """Keep a hit. False when there is no room for more. Raises OSError when the disk is full."""
        if self._bytes >= MOST_BYTES:
            return False
        handle = self._handle()
        line = _encode(hit)
        written = os.write(handle, line)
        if written < len(line):
            # Half a line would spoil the next one too.
            os.ftruncate(handle, os.fstat(handle).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._bytes += written
        self._hits += 1
        if self._hits >= SEGMENT_HITS:
            self.turn()
        return True

    def turn(self, older_than: float = 0.0) -> None:
        """Close the open segment if it began so many seconds ago."""
        if self._open is None or time.monotonic() - self._open[3] < older_than:
            return
        handle, identifier, file, _ = self._open
        os.close(handle)
        self._open, self._hits = None, 0
        self._closed.append(Segment(identifier, file, time.monotonic()))

    def closed(self) -> tuple[Segment, ...]:
        """Closed segments, oldest first."""
        return tuple(self._closed)

    def done(self, segment: Segment) -> None:
        """Its hits are in the database."""
        self._closed.remove(segment)
        with contextlib.suppress(OSError):
            self._bytes = max(0, self._bytes - segment.file.stat().st_size)
            segment.file.unlink()

    def adopt(self) -> None:
        """Take over what processes left that do not run any more."""
        for file in sorted(self._folder.glob(f"*{_SUFFIX}")):
            number, _, name = file.name.removesuffix(_SUFFIX).partition("-")
            if file not in self._known():
                with contextlib.suppress(OSError, ValueError), self._alone(number) as ours:
                    if ours:
                        own = self._folder / f"{self._number}-{name}{_SUFFIX}"
                        segment = Segment(UUID(name), file.rename(own), 0.0)
                        self._closed.append(segment)
                        self._bytes += own.stat().st_size

    def close(self) -> None:
        """Let go of the number. What is not written yet stays for the next process."""
        self.turn()
        os.close(self._lock)

    def _known(self) -> set[Path]:
        return {segment.file for segment in self._closed} | ({self._open[2]} if self._open else set())

    def _handle(self) -> int:
        if self._open is None:
            identifier = uuid7()
            file = self._folder / f"{self._number}-{identifier.hex}{_SUFFIX}"
            handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._open = handle, identifier, file, time.monotonic()
        return self._open[0]

    def _take_number(self) -> tuple[int, int]:
        for number in range(MOST_PROCESSES):
            handle = os.open(self._lock_of(str(number)), os.O_RDWR | os.O_CREAT, 0o600)
            if _locked(handle):
                return handle, number
            os.close(handle)
        raise ConfigurationError(f"{MOST_PROCESSES} processes keep opens and clicks in {self._folder} already")

    @contextlib.contextmanager
    def _alone(self, number: str) -> Iterator[bool]:
        """Whether the files of that number are ours to take; nobody can begin under it until the block ends."""
        if number == str(self._number) or not number.isdigit():
            yield True
            return
        handle = os.open(self._lock_of(number), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            yield _locked(handle)
        finally:
            os.close(handle)

    def _lock_of(self, number: str) -> Path:
        return self._folder / f"{number}.lock"


def read(segment: Segment) -> list[Hit]:
    """The hits of a segment, without a line that was being written when its process was killed. Raises
    FileNotFoundError when somebody else has it: they are not to be called written."""
    return list(_decoded(segment.file.read_bytes().splitlines()))


def _decoded(lines: list[bytes]) -> Iterator[Hit]:
    for line in lines:
        try:
            kind, email, position, at, link, ip, agent, head = orjson.loads(line)
            yield Hit(
                Kind(kind), MessageRef(UUID(email), position), datetime.fromisoformat(at), link, ip, agent, bool(head)
            )
        except (ValueError, TypeError):
            continue


def _encode(hit: Hit) -> bytes:
    values = [
        hit.kind.value, hit.ref.email_id, hit.ref.position, hit.at, hit.link, hit.ip, hit.agent, hit.head,
    ]  # fmt: skip
    return orjson.dumps(values, option=orjson.OPT_APPEND_NEWLINE)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
