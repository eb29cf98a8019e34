"""How many domains and keys applications have, and how they stand: what a page of some of them cannot say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from store.database import Connection

NAMED: Final = 3
"""Domains that lack records and are told by their name."""

_DOMAINS: Final = """
SELECT count(*), count(*) FILTER (WHERE status = 'verified'),
       coalesce((array_agg(name ORDER BY id DESC) FILTER (WHERE status <> 'verified'))[:%(named)s::integer], '{}')
  FROM domains WHERE application_id = ANY(%(applications)s)
"""
_KEYS: Final = """
SELECT count(*), count(*) FILTER (WHERE test), count(*) FILTER (WHERE last_used_at IS NULL)
  FROM api_keys WHERE application_id = ANY(%(applications)s) AND permission <> 'operator'
"""


@dataclass(frozen=True, slots=True)
class DomainTally:
    """Domains, counted."""

    all: int
    good: int
    """That may send."""
    waiting: Sequence[str] = ()
    """Names of the newest of the others."""


@dataclass(frozen=True, slots=True)
class KeyTally:
    """Keys, counted."""

    all: int
    tests: int
    unused: int


async def domains(connection: Connection, applications: Sequence[UUID]) -> DomainTally:
    """The domains of these."""
    names = {"applications": list(applications), "named": NAMED}
    row = await (await connection.execute(_DOMAINS, names)).fetchone()
    assert row is not None
    return DomainTally(*row)


async def keys(connection: Connection, applications: Sequence[UUID]) -> KeyTally:
    """The keys of these, without those of operators."""
    row = await (await connection.execute(_KEYS, {"applications": list(applications)})).fetchone()
    assert row is not None
    return KeyTally(*row)
