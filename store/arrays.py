"""Array parameters as PostgreSQL reads them: ids and times in its binary form, other values in its text form.

The driver makes them value by value, at 3.5 µs per UUID and 9.6 µs per time (measured here); joined they cost 0.15 and
0.3, and a batch has hundreds. The server takes 0.2 µs for a UUID in binary form, and 0.9 for one that it has to read.

For the hot path. The statement must cast: `%(ids)s::uuid[]`; texts it takes apart itself:
`string_to_array(%(names)s, E'\\x1e')`.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from struct import Struct
from typing import Final
from uuid import UUID

import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

from store import copying

_UUID, _TIMESTAMPTZ = psycopg.adapters.types["uuid"], psycopg.adapters.types["timestamptz"]
_of_one: Final = Struct("!iiiii").pack
_of_none: Final = Struct("!iii").pack
SEPARATOR: Final = "\x1e"
_SEPARATOR: Final = SEPARATOR.encode()
_number: Final = attrgetter("int")
"""UUIDs are compared in Python."""


class UuidArray(bytes):
    """Ids in binary form."""


class MomentArray(bytes):
    """Times in binary form."""


class Array(bytes):
    """Of any type, in binary form: of which the statement says."""


def uuids(values: Iterable[UUID | None]) -> UuidArray:
    """For a `uuid[]` parameter."""
    return UuidArray(_binary(_UUID.oid, [copying.uuid(value) for value in values]))


def first_and_last(values: Collection[UUID]) -> dict[str, UUID]:
    """`first` and `last` of these ids, of which there is one, for a condition that keeps a statement to the partitions
    that they are in:

        JOIN messages m ON m.email_id = u.email_id AND m.email_id >= %(first)s AND m.email_id <= ANY(ARRAY[%(last)s])

    `= ANY` would too. But it is a condition of each look-up in the index besides, and PostgreSQL goes through all ids
    anew for each of them. Not for statements that may wait for a row (docs/decisions/0029)."""
    return {"first": min(values, key=_number), "last": max(values, key=_number)}


def integers(values: Iterable[int]) -> str:
    """For a `smallint[]`, `integer[]` or `bigint[]` parameter."""
    return "{" + ",".join([str(int(value)) for value in values]) + "}"


def words(values: Iterable[str]) -> str:
    """For a `text[]` parameter, of words that need no quotes."""
    return "{" + ",".join(values) + "}"


def quoted(values: Sequence[str]) -> str:
    """For a `text[]` parameter, of any texts."""
    joined = '","'.join(values)
    if "\\" in joined or joined.count('"') != 2 * (len(values) - 1):
        joined = '","'.join([value.replace("\\", "\\\\").replace('"', '\\"') for value in values])
    return f'{{"{joined}"}}' if values else "{}"


def some_texts(values: Iterable[str | None]) -> str:
    """For a `text[]` parameter, of any texts and NULL. Each text is looked at: for those that come again and again."""
    return "{" + ",".join(["NULL" if value is None else _in_quotes(value) for value in values]) + "}"


@lru_cache(1_000)
def _in_quotes(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def texts(values: Sequence[str]) -> str:
    """For `string_to_array`. Text of JSON and of ids never holds the separator; any other has to be asked. A single
    empty text comes out as no element at all."""
    joined = SEPARATOR.join(values)
    if joined.count(SEPARATOR) != max(len(values) - 1, 0):
        raise ValueError("a text holds the separator of texts")
    return joined


def json_texts(values: Sequence[bytes]) -> str:
    """For `string_to_array`, of JSON, which never holds the separator."""
    return _SEPARATOR.join(values).decode()


def moments(values: Iterable[datetime | None]) -> MomentArray:
    """For a `timestamptz[]` parameter. Raises TypeError for a time without a zone."""
    return MomentArray(_binary(_TIMESTAMPTZ.oid, [copying.moment(value) for value in values]))


def sent_uuids(values: Sequence[bytes]) -> UuidArray:
    """The same of ids that `uuid_send` has told, 16 bytes each: they go back as they came."""
    return UuidArray(_sent(_UUID.oid, 16, values))


def sent_moments(values: Sequence[bytes]) -> MomentArray:
    """The same of times that `timestamptz_send` has told, 8 bytes each."""
    return MomentArray(_sent(_TIMESTAMPTZ.oid, 8, values))


def _sent(oid: int, size: int, values: Sequence[bytes]) -> bytes:
    length = size.to_bytes(4)
    return _of_one(1, 0, oid, len(values), 1) + length + length.join(values) if values else _of_none(0, 0, oid)


def of(oid: int, values: Sequence[bytes]) -> Array:
    """For a parameter that is an array of this type, from values as `store/copying` writes them."""
    return Array(_binary(oid, values))


def _binary(oid: int, values: Sequence[bytes]) -> bytes:
    """Of one dimension, from values that have their length in front."""
    return b"".join((_of_one(1, 0, oid, len(values), 1), *values)) if values else _of_none(0, 0, oid)


class _Written(Dumper):
    """Hands on what is written already."""

    format = Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return obj


class _Uuids(_Written):
    oid = _UUID.array_oid


class _Moments(_Written):
    oid = _TIMESTAMPTZ.array_oid


psycopg.adapters.register_dumper(Array, _Written)
psycopg.adapters.register_dumper(UuidArray, _Uuids)
psycopg.adapters.register_dumper(MomentArray, _Moments)
