"""What PostgreSQL, Valkey and the loopback network have done so far, and what of it one message has cost.

Counts, not times: they are the same on a busy machine. What an idle Postlane does in the same time (heartbeats, scans,
polling for tasks) is taken off. PostgreSQL is spoken to through a Unix socket, so the loopback bytes are those of HTTP,
SMTP, DNS and Valkey.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis

from bench.rows import Connection

_WAL: Final = "SELECT wal_records, wal_fpi, wal_bytes::bigint FROM pg_stat_wal"
_COMMITS: Final = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
# A partition is counted as its table. What was truncated or dropped meanwhile is not there to be counted.
_TABLES: Final = """
SELECT regexp_replace(s.relname, '_p?\\d{4}_?\\d{2}_?\\d{2}$', ''),
       sum(n_tup_ins)::bigint, sum(n_tup_upd)::bigint, sum(n_tup_del)::bigint,
       sum(pg_table_size(s.relid))::bigint, sum(pg_indexes_size(s.relid))::bigint
  FROM pg_stat_user_tables s GROUP BY 1
"""
_COUNTS: Final = ("inserted", "updated", "deleted", "table_bytes", "index_bytes")


@dataclass(frozen=True, slots=True)
class Spent:
    """By name; only differences mean something."""

    counts: Mapping[str, float]

    def since(self, earlier: "Spent") -> "Spent":
        """What came between two looks."""
        return Spent({name: value - earlier.counts.get(name, 0.0) for name, value in self.counts.items()})

    def each(self, messages: int, idle: "Spent", times: float) -> dict[str, float]:
        """Of one message; `idle` is what happens anyway, and happened so many `times`. Bytes that lie in tables are no
        matter of time."""
        found = {}
        for name, value in self.counts.items():
            anyway = 0.0 if name.endswith("_bytes") and "." in name else idle.counts.get(name, 0.0) * times
            found[name] = round(max(0.0, value - anyway) / messages, 3)
        return {name: value for name, value in found.items() if value}


def look(connection: Connection, redis_url: str) -> Spent:
    """Everything at this moment. Statistics of a table are written by each process at least once a second: wait for
    them before."""
    counts: dict[str, float] = {}
    wal = _row(connection, _WAL)
    counts |= dict(zip(("wal_records", "wal_page_images", "wal_bytes"), wal, strict=True))
    counts["commits"] = _row(connection, _COMMITS)[0]
    for table, *values in connection.execute(_TABLES).fetchall():
        counts |= {f"{table}.{name}": float(str(value)) for name, value in zip(_COUNTS, values, strict=True)}
    return Spent(counts | valkey(redis_url) | {"loopback_bytes": loopback(Path("/proc/net/dev").read_text("ascii"))})


def _row(connection: Connection, question: str) -> list[float]:
    row = connection.execute(question).fetchone()
    assert row is not None
    return [float(str(value)) for value in row]


def valkey(url: str) -> dict[str, float]:
    """Commands by name, and bytes in both directions."""
    with redis.Redis.from_url(url) as client:
        commands: Any = client.info("commandstats")
        stats: Any = client.info("stats")
    told = {f"valkey {name.removeprefix('cmdstat_')}": float(one["calls"]) for name, one in commands.items()}
    total = stats["total_net_input_bytes"] + stats["total_net_output_bytes"]
    return told | {"valkey_commands": sum(told.values()), "valkey_bytes": float(total)}


def loopback(table: str) -> float:
    """Bytes that were sent to this machine itself, from Linux's /proc/net/dev."""
    for line in table.splitlines():
        name, found, figures = line.partition(":")
        if found and name.strip() == "lo":
            return float(figures.split()[0])
    return 0.0


def rows_of(each: Mapping[str, float]) -> float:
    """Rows written: inserted, updated and deleted, in all tables."""
    return sum(value for name, value in each.items() if name.partition(".")[2] in _COUNTS[:3])


def bytes_of(each: Mapping[str, float]) -> float:
    """Bytes that tables and indexes have grown by."""
    return sum(value for name, value in each.items() if name.partition(".")[2] in _COUNTS[3:])
