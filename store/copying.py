"""Rows for COPY in PostgreSQL's binary form: what a mail's tables are written with.

    async with connection.cursor() as cursor, cursor.copy("COPY t (id, name) FROM STDIN (FORMAT BINARY)") as copy:
        await send(copy, [begin(2) + uuid(one.id) + text(one.name) for one in ...])

The driver makes a row value by value, and asks its adapters about each; most values of a mail's rows come again and
again, and are joined here as they are kept. The server copies a body as it is, where it reads text letter by letter,
twice. Nothing is converted on the way: each value has to be of its column's type exactly.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from struct import Struct, error
from typing import Final
from uuid import UUID

from psycopg import AsyncCopy

NULL: Final = b"\xff\xff\xff\xff"

_BEGIN: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = b"\xff\xff"
_CHUNK: Final = 256 * 1024
"""Bytes that are sent in one go; what is joined of them stands in memory twice."""

_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SECONDS_A_DAY: Final = 86_400

_length = Struct("!i").pack
_smallint = Struct("!ih").pack
_integer = Struct("!ii").pack
_bigint = Struct("!iq").pack
_columns = Struct("!h").pack
_list = Struct("!iiiii").pack
_TEXT_OID: Final = 25
_NO_TEXTS: Final = _length(12) + Struct("!iii").pack(0, 0, _TEXT_OID)
_TRUE, _FALSE = _length(1) + b"\1", _length(1) + b"\0"
_UUID: Final = _length(16)


def begin(columns: int) -> bytes:
    """What a row of so many columns begins with. Its values follow, in their order."""
    return _columns(columns)


def text(value: str | None) -> bytes:
    """Of `text`. Raises ValueError for half surrogates; PostgreSQL refuses a NUL."""
    if value is None:
        return NULL
    data = value.encode()
    return _length(len(data)) + data


kept_text = lru_cache(5_000)(text)
"""The same of what comes again and again."""


def octets(value: bytes | None) -> bytes:
    """Of `bytea`."""
    return NULL if value is None else _length(len(value)) + value


def uuid(value: UUID | None) -> bytes:
    """Of `uuid`."""
    return NULL if value is None else _UUID + value.int.to_bytes(16)


def smallint(value: int | None) -> bytes:
    """Of `smallint`. Raises ValueError for what is none."""
    return NULL if value is None else _whole(_smallint, 2, value)


def integer(value: int | None) -> bytes:
    """Of `integer`. Raises ValueError for what is none."""
    return NULL if value is None else _whole(_integer, 4, value)


def _whole(pack: Callable[[int, int], bytes], size: int, value: int) -> bytes:
    try:
        return pack(size, value)
    except error as wrong:
        raise ValueError(f"{value!r} does not fit into {size} bytes: {wrong}") from wrong


def boolean(value: bool | None) -> bytes:
    """Of `boolean`."""
    return NULL if value is None else _TRUE if value else _FALSE


def moment(value: datetime | None) -> bytes:
    """Of `timestamptz`. Raises TypeError for a time without a zone."""
    if value is None:
        return NULL
    since = value - _EPOCH
    return _bigint(8, (since.days * _SECONDS_A_DAY + since.seconds) * 1_000_000 + since.microseconds)


def texts(values: Sequence[str]) -> bytes:
    """Of `text[]`."""
    if not values:
        return _NO_TEXTS
    parts = b"".join(map(text, values))
    return _length(20 + len(parts)) + _list(1, 0, _TEXT_OID, len(values), 1) + parts


def json(data: bytes) -> bytes:
    """Of `jsonb`, from JSON."""
    return _length(len(data) + 1) + b"\1" + data


async def send(copy: AsyncCopy, rows: Iterable[bytes]) -> None:
    """All rows of a COPY whose statement says `(FORMAT BINARY)`."""
    waiting, size = [_BEGIN], 0
    for one in rows:
        waiting.append(one)
        size += len(one)
        if size >= _CHUNK:
            await copy.write(b"".join(waiting))
            waiting, size = [], 0
    waiting.append(_END)
    await copy.write(b"".join(waiting))
