"""Pools and their IPs as the store has them, kept for a few seconds by every worker."""

import time
from collections.abc import Sequence
from uuid import UUID

from core.errors import ConfigurationError
from core.ids import uuid7
from core.queues import Lane
from mta.model import EgressIp
from pools.model import Pool, PoolMember
from store.database import Connection, Database

_KEEP_SECONDS = 5.0
"""An operator's change is seen by all workers within this time."""

_SELECT = """
SELECT p.id, p.name, p.lane, p.is_default, i.address, i.bind_address, i.ehlo_name, pi.weight, i.active
  FROM pools p LEFT JOIN pool_ips pi ON pi.pool_id = p.id LEFT JOIN egress_ips i ON i.id = pi.egress_ip_id
 ORDER BY p.name, i.address
"""


class PoolBook:
    """All pools, by id and by lane default."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._pools: dict[UUID, Pool] = {}
        self._defaults: dict[Lane, Pool] = {}
        self._loaded = float("-inf")

    async def pool_for(self, lane: Lane, pool_id: UUID | None) -> Pool:
        """The pool an email asked for, else its lane's default. A pool that is gone falls back to the default.

        Raises ConfigurationError when the lane has no default pool.
        """
        if time.monotonic() - self._loaded > _KEEP_SECONDS:
            await self._load()
        pool = self._pools.get(pool_id) if pool_id else None
        pool = pool or self._defaults.get(lane)
        if pool is None:
            raise ConfigurationError(
                f"no default pool for the {lane.value} lane: docs/operations.md says how to make one"
            )
        return pool

    async def _load(self) -> None:
        async with self._database.connection() as connection:
            self._pools, self._defaults = await read_pools(connection)
        self._loaded = time.monotonic()


async def read_pools(connection: Connection) -> tuple[dict[UUID, Pool], dict[Lane, Pool]]:
    """All pools by id, and the default of each lane."""
    members: dict[UUID, list[PoolMember]] = {}
    heads: dict[UUID, tuple[str, Lane, bool]] = {}
    cursor = await connection.execute(_SELECT)
    for pool_id, name, lane, default, address, bind, ehlo, weight, active in await cursor.fetchall():
        heads[pool_id] = (name, Lane(lane), default)
        members.setdefault(pool_id, [])
        if address:
            members[pool_id].append(PoolMember(EgressIp(address, bind, ehlo), weight, active))
    pools = {key: Pool(key, name, lane, tuple(members[key])) for key, (name, lane, _) in heads.items()}
    defaults = {lane: pools[key] for key, (_, lane, default) in heads.items() if default}
    return pools, defaults


async def ensure_pool(connection: Connection, name: str, lane: Lane, ips: Sequence[EgressIp]) -> None:
    """Make a pool with these IPs, and the lane's default if there is none yet. What exists stays as it is, but for the
    address an IP is bound to."""
    await connection.execute(
        "INSERT INTO pools (id, name, lane, is_default)"
        " SELECT %s, %s, %s, NOT EXISTS (SELECT FROM pools WHERE lane = %s AND is_default) ON CONFLICT DO NOTHING",
        [uuid7(), name, lane.value, lane.value],
    )
    for ip in ips:
        await connection.execute(
            "INSERT INTO egress_ips (id, address, bind_address, ehlo_name) VALUES (%s, %s, %s, %s)"
            " ON CONFLICT (address) DO UPDATE SET bind_address = excluded.bind_address",
            [uuid7(), ip.address, ip.bind_address, ip.ehlo_name],
        )
        await connection.execute(
            "INSERT INTO pool_ips (pool_id, egress_ip_id)"
            " SELECT p.id, i.id FROM pools p, egress_ips i WHERE p.name = %s AND i.address = %s ON CONFLICT DO NOTHING",
            [name, ip.address],
        )
