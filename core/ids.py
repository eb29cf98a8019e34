"""Time-ordered identifiers (UUIDv7, RFC 9562 section 5.7).

The tables of mail are partitioned by ranges of these ids, so an id alone finds its day's partition.
"""

import os
import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_lock = threading.Lock()
_last = 0


def uuid7(at_ms: int | None = None) -> UUID:
    """A new id, strictly increasing within this process. `at_ms` (Unix milliseconds) sets the time part."""
    global _last
    random = int.from_bytes(os.urandom(8), "big")
    if at_ms is not None:
        stamp = at_ms << 12 | random >> 52
    else:
        with _lock:
            stamp = max(time.time_ns() // 1_000_000 << 12, _last + 1)
            _last = stamp
    return UUID(int=_layout(stamp, random))


def uuid7_texts(count: int) -> list[str]:
    """So many new ids as 32 hexadecimal digits, increasing: for rows that are made by the hundred thousand."""
    global _last
    random = os.urandom(8 * count)
    with _lock:
        first = max(time.time_ns() // 1_000_000 << 12, _last + 1)
        _last = first + count - 1
    return [f"{_layout(first + n, int.from_bytes(random[8 * n : 8 * n + 8], 'big')):032x}" for n in range(count)]


def moment_of(identifier: UUID) -> datetime:
    """When an id was made, to the millisecond."""
    return _EPOCH + (identifier.int >> 80) * _MILLISECOND


def _layout(stamp: int, random: int) -> int:
    """60 bits of time and sequence, version 7, variant 10, 62 random bits."""
    high = (stamp >> 12) << 16 | 0x7000 | (stamp & 0xFFF)
    return high << 64 | 0x8 << 60 | random & (1 << 62) - 1


def lowest_at(moment: datetime) -> UUID:
    """A value below every id of that millisecond and above all before: a partition bound, or the start of a range. Of
    a moment before 1970 it is the lowest there is."""
    return UUID(int=max(0, (moment - _EPOCH) // _MILLISECOND) << 80)
