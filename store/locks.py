"""Advisory locks of PostgreSQL: one number for each piece of work that only one process at a time may do.

They stand together because two of the same number exclude each other although nothing connects them. Locks about a
thing (an idempotency key, a throttled subject) are hashes of its name instead.
"""

from enum import IntEnum, unique

_OURS = 0x706F73746C6E00  # "postln", so that other programs in the same database have others


@unique
class Lock(IntEnum):
    """Keys of `pg_advisory_lock` and its like."""

    MIGRATING = 0x706F73746C616E65  # a number of its own: versions before take turns by it
    SCHEDULING = _OURS + 1
    """The scheduler that works; the others wait for it to go."""
    MAKING_PARTITIONS = _OURS + 2
    FOLDING_COUNTS = _OURS + 3
    WRITING_HITS = _OURS + 4
    """Who sees the first open of a mail."""
    JUDGING_ALARMS = _OURS + 5
    LATE_NEWS = _OURS + 7
    SETTLING_CAMPAIGNS = _OURS + 8
