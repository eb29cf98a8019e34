"""Traces of single mails through all processes that have a hand in them. Off unless `POSTLANE_TRACES_URL` is set.

The trace of a mail has the mail's id for its own, and whether a mail is traced stands in that id (`mail_id`): so every
process knows both without asking or storing anything. docs/decisions/0025 has the reasons, docs/traces.md the spans.

Nothing of OpenTelemetry is imported here: `core/otlp` is its edge, and is imported by `start` alone. While traces are
off every question is answered by one look at `_export`. What is noted is put into a bounded queue; nothing here waits.
"""

import os
import re
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple
from uuid import UUID

from core.errors import ConfigurationError
from core.ids import uuid7
from core.settings import Settings

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Value = str | int | float | bool

_MARK: Final = (1 << 24) - 1
"""Bits at the end of an id that say whether its mail is traced. By accident one of 17 million ids says so."""
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?", re.A)
"""W3C Trace Context, section 3.2; what later versions put behind it is not ours."""


class Place(NamedTuple):
    """A span, as others name it."""

    trace: int
    span: int


class Caller(NamedTuple):
    """What a caller said of its own trace."""

    place: Place
    sampled: bool


class Span(NamedTuple):
    """One thing that was done. Times are nanoseconds since 1970."""

    name: str
    place: Place
    parent: int
    """Span of the same trace, or of the caller's; 0: none."""
    begun: int
    ended: int
    about: Mapping[str, Value]
    """Never a secret, and of an address only its domain."""
    kind: Kind = "internal"
    trouble: str = ""
    """What went wrong, "" when nothing did."""
    links: Sequence[Place] = ()


class _State:
    """Of this process."""

    export: Callable[[Span], None] | None = None
    share = 0.0


_STATE: Final = _State()


def start(settings: Settings, service: str) -> None:
    """Trace from now on, when the settings say so. `service`: the kind of this process. Raises ConfigurationError."""
    if not settings.traces_url or _STATE.export is not None:
        return
    try:
        from core.otlp import Exporter
    except ImportError as error:
        raise ConfigurationError(
            f"POSTLANE_TRACES_URL wants the packages of the extra `traces`, and one is missing: {error}. Install "
            "`postlane[traces]`, or what requirements/traces.lock lists."
        ) from error
    exporter = Exporter(settings.traces_url, service)
    exporter.start()
    begin(exporter.put, settings.traces_share)


def begin(export: Callable[[Span], None], share: float) -> None:
    """Give spans to this, which may neither wait nor fail; of new mail this share is traced."""
    _STATE.export, _STATE.share = export, share


def leave_off() -> None:
    """Trace no more."""
    _STATE.export = None


def on() -> bool:
    """Whether anything is traced."""
    return _STATE.export is not None


def note(span: Span) -> None:
    """Let it be shown, if there is room."""
    if _STATE.export is not None:
        _STATE.export(span)


def mail_id(caller: Caller | None = None) -> UUID:
    """The id of a new mail, which says whether it is traced: as its caller's trace is, or by chance."""
    identifier = uuid7()
    if _STATE.export is None:
        return identifier
    chosen = caller.sampled if caller else int.from_bytes(os.urandom(4), "big") < _STATE.share * 2**32
    return UUID(int=identifier.int & ~_MARK | _mark(identifier.int)) if chosen else identifier


def is_traced(email_id: UUID) -> bool:
    """Whether this process traces, and this mail is traced."""
    return _STATE.export is not None and email_id.int & _MARK == _mark(email_id.int)


def traced(email_ids: Iterable[UUID]) -> list[UUID]:
    """Those of them that are traced."""
    return [one for one in email_ids if is_traced(one)] if _STATE.export is not None else []


def _mark(identifier: int) -> int:
    return zlib.crc32((identifier >> 24).to_bytes(13, "big")) & _MARK


def root(email_id: UUID) -> Place:
    """The span with which a mail came in: whatever is done with it later hangs on it."""
    return Place(email_id.int, email_id.int & (1 << 64) - 1)  # never 0: it holds the id's variant


def of_moment(email_id: UUID, at: str) -> Place:
    """The span of what happened to a mail at this moment (ISO 8601), which others can name, too."""
    digest = blake2b(f"{email_id} {at}".encode(), digest_size=8).digest()
    return Place(email_id.int, int.from_bytes(digest, "big") or 1)


def within(place: Place) -> Place:
    """A new span of the same trace."""
    return Place(place.trace, int.from_bytes(os.urandom(8), "big") or 1)


def apart() -> Place:
    """A new span of a trace of its own."""
    return within(Place(int.from_bytes(os.urandom(16), "big") or 1, 0))


def caller_of(headers: Mapping[str, str]) -> Caller | None:
    """The caller's trace by its `traceparent`; None when there is none, when it is none, or while traces are off."""
    if _STATE.export is None:
        return None
    found = _TRACEPARENT.fullmatch(headers.get("traceparent", "").strip())
    if found is None:
        return None
    trace, span, flags = (int(part, 16) for part in found.groups())
    return Caller(Place(trace, span), bool(flags & 1)) if trace and span else None


def when(moment: float) -> int:
    """A moment of `time.monotonic` (which `time.perf_counter` is, where Postlane runs) as time of a span."""
    return time.time_ns() - int((time.monotonic() - moment) * 1e9)


def domain_of(address: str) -> str:
    """What may be said of an address."""
    return address.rpartition("@")[2]


def known(about: Mapping[str, Any]) -> dict[str, Value]:
    """Without what is empty."""
    return {name: value for name, value in about.items() if value not in ("", None)}
