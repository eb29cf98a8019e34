"""Array parameters in PostgreSQL's own text form, for values whose text needs no quoting.

The driver makes them value by value, at 3.5 µs per UUID and 9.6 µs per time (measured here); joined they cost 0.3 and
2.6, and a batch has hundreds.

Called by the repositories of the hot path. The statement must cast: `%(ids)s::uuid[]`.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID


def uuids(values: Iterable[UUID]) -> str:
    """For a `uuid[]` parameter."""
    return "{" + ",".join([value.hex for value in values]) + "}"


def integers(values: Iterable[int]) -> str:
    """For a `smallint[]`, `integer[]` or `bigint[]` parameter."""
    return "{" + ",".join([str(int(value)) for value in values]) + "}"


def moments(values: Sequence[datetime]) -> str:
    """For a `timestamptz[]` parameter. The times must be aware: without a zone PostgreSQL would take its own."""
    return '{"' + '","'.join([_aware(value).isoformat() for value in values]) + '"}' if values else "{}"


def _aware(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise ValueError(f"{value} has no time zone")
    return value
