"""The outcome journal: bridges the moment between a reply and its commit.

Right after the reply to the final dot a worker appends the outcome here (a write, no fsync), those of one turn of its
loop together (`outcomes/recorder`). When the worker is killed before its commit, its next start replays the file, so
that mail which was taken is not sent again. Two files take turns: outcomes gather in one while those of the other are
being committed; a committed file is emptied.

What it cannot bridge: mail whose final dot was sent and whose reply had not been read, and a killed machine.
"""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from core.errors import ConfigurationError
from core.queues import Lane
from messages.entries import Words
from messages.model import MessageRef
from messages.states import State
from messages.timeline import EventKind
from outcomes.kinds import AttemptFacts, Outcome, storable
from store.counters import Origin
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope

_FIRST, _SECOND = ".a.journal", ".b.journal"


class Journal:
    """The journal of one worker. Its name must be unique on the machine; a lock enforces that."""

    def __init__(self, folder: Path, name: str, patience: float = 0.0) -> None:
        """Raises ConfigurationError when another living process uses this name (for longer than `patience` seconds), or
        the folder cannot be used."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = os.open(folder / f"{name}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"the outcome journals in {folder} cannot be written ({error.strerror}): see POSTLANE_DATA_DIR"
            ) from error
        self._files = (folder / f"{name}{_FIRST}", folder / f"{name}{_SECOND}")
        self._identity = folder / f"{name}.worker"
        if not _locked(self._lock, patience):
            os.close(self._lock)
            raise ConfigurationError(
                f"a worker named {name!r} is already running here: give this one another POSTLANE_WORKER_NAME"
            )
        self._handles = tuple(os.open(file, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600) for file in self._files)
        self._active = 0

    def left_behind(self) -> tuple[UUID | None, list[Outcome]]:
        """Identity of the worker that wrote last, and its outcomes that may not have been committed."""
        outcomes = [outcome for file in self._files for outcome in _read(file)]
        try:
            previous = UUID(self._identity.read_text().strip())
        except (FileNotFoundError, ValueError):
            previous = None
        return previous, outcomes

    def begin(self, worker: UUID) -> None:
        """Start afresh as `worker`, once what was left behind is committed."""
        for handle in self._handles:
            os.ftruncate(handle, 0)
        replacement = self._identity.with_suffix(".new")
        replacement.write_text(str(worker))
        replacement.replace(self._identity)

    def settled(self) -> None:
        """What an owner left that does not run any more is committed: nothing is left of it to adopt."""
        for handle in self._handles:
            os.ftruncate(handle, 0)
        self._identity.unlink(missing_ok=True)

    def append(self, *outcomes: Outcome) -> None:
        """Add these by one write, or nothing of them. Raises OSError when the disk is full, and
        TypeError for what cannot be written in any form."""
        handle, lines = self._handles[self._active], b"".join(map(_encode, outcomes))
        written = os.write(handle, lines)
        if written < len(lines):
            # Half a line would spoil the next one too.
            os.ftruncate(handle, os.fstat(handle).st_size - written)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def turn(self) -> int:
        """Let new outcomes go to the other file; returns the number of the one that holds those up to now."""
        full = self._active
        self._active = 1 - full
        return full

    def committed(self, file: int) -> None:
        """Empty a file whose outcomes are in the database."""
        os.ftruncate(self._handles[file], 0)

    def close(self) -> None:
        handles, self._handles = self._handles, (-1, -1)  # what is appended now is refused, and no other file gets it
        for handle in (*handles, self._lock):
            with contextlib.suppress(OSError):
                os.close(handle)


def abandoned(folder: Path, own: str) -> Iterator[Journal]:
    """Journals in this folder whose owner does not run, because it was given another name or there are fewer workers
    now. Locked: close each. Without somebody who commits what they hold, mail that was taken would be sent again."""
    for file in sorted(folder.glob(f"*{_FIRST}")):
        name = file.name.removesuffix(_FIRST)
        parts = (file, folder / f"{name}{_SECOND}", folder / f"{name}.worker")
        if name != own and any(part.exists() and part.stat().st_size for part in parts):
            with contextlib.suppress(ConfigurationError):
                yield Journal(folder, name)


def _locked(handle: int, patience: float) -> bool:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)  # at the start of a process: nothing else waits for it
        else:
            return True


def _encode(outcome: Outcome) -> bytes:
    try:
        return orjson.dumps(outcome, default=_plain) + b"\n"
    except TypeError:
        return orjson.dumps(storable(outcome), default=_plain) + b"\n"


def _plain(value: Iterable[object]) -> dict[str, object] | list[object] | None:
    """A tuple with names as a list, or with them where they are many. What is told of a message is left out: the
    database has it."""
    if isinstance(value, (Outcome, AttemptFacts)):
        return value._asdict()
    return None if isinstance(value, Words) else list(value)


def _read(file: Path) -> list[Outcome]:
    """Outcomes of a journal file. A last line that was cut off is left out: its mail counts as not answered."""
    outcomes = []
    for line in file.read_bytes().split(b"\n"):
        with contextlib.suppress(orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            outcomes.append(_decode(orjson.loads(line)))
    return outcomes


def _decode(fields: dict[str, Any]) -> Outcome:
    email_id, position = fields["ref"]
    return Outcome(
        ref=MessageRef(UUID(email_id), position),
        address=fields["address"],
        lane=Lane(fields["lane"]),
        at=datetime.fromisoformat(fields["at"]),
        kind=EventKind(fields["kind"]),
        state=State(fields["state"]),
        attempts=fields["attempts"],
        worker=UUID(fields["worker"]),
        attempt=AttemptFacts(**fields["attempt"]) if fields["attempt"] else None,
        next_attempt_at=datetime.fromisoformat(fields["next_attempt_at"]) if fields["next_attempt_at"] else None,
        detail=fields["detail"],
        suppress=_decode_suppression(fields["suppress"]) if fields["suppress"] else None,
        # The version before wrote none of these.
        origin=_decode_origin(fields["origin"]) if fields.get("origin") else None,
        waited=fields.get("waited"),
        capture=fields.get("capture", False),
    )


def _decode_origin(fields: list[Any]) -> Origin:
    application, domain, topic, tags, captured = fields
    return Origin(UUID(application), UUID(domain), UUID(topic) if topic else None, tuple(tags), captured)


def _decode_suppression(fields: dict[str, Any]) -> SuppressionEntry:
    expires = fields["expires_at"]
    return SuppressionEntry(
        SuppressionScope(fields["scope"]),
        Reason(fields["reason"]),
        Source(fields["source"]),
        fields["detail"],
        datetime.fromisoformat(expires) if expires else None,
    )
