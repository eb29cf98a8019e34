"""Pools and their IPs as the store has them, kept for a few seconds by every worker. Reads; what changes them is
`pools/administration`."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from core.errors import ConfigurationError
from core.ids import uuid7
from core.logs import get_logger
from core.queues import Lane
from mta.model import EgressIp
from pools.model import Pool, PoolMember
from store.database import Connection, Database

_log = get_logger(__name__)

_KEEP_SECONDS = 5.0
"""An operator's change is seen by all workers within this time."""

_REACH_SECONDS = 30.0
"""How often a worker looks whether it can use an IP. One that it loses in between is seen at its next mail."""

_POOLS = """
SELECT p.id, p.name, p.lane, p.is_default, p.overflow_pool_id, p.reserved,
       i.address, i.bind_address, i.ehlo_name, i.via, pi.weight, i.active, i.paused_reason
  FROM pools p LEFT JOIN pool_ips pi ON pi.pool_id = p.id LEFT JOIN egress_ips i ON i.id = pi.egress_ip_id
 ORDER BY p.name, i.address
"""

Reachable = Callable[[EgressIp], Awaitable[str]]
"""Says why this process cannot use an IP, "" when it can."""


async def everywhere(ip: EgressIp) -> str:
    """The `Reachable` of a process that sends nothing itself."""
    return ""


@dataclass(frozen=True, slots=True)
class Pools:
    """All pools at one moment."""

    by_id: dict[UUID, Pool] = field(default_factory=dict)
    defaults: dict[Lane, Pool] = field(default_factory=dict)
    assigned: dict[tuple[UUID, Lane], UUID] = field(default_factory=dict)
    """Of a sender domain or an application, whose ids are never equal."""

    def choose(self, lane: Lane, wanted: UUID | None, domain: UUID | None, application: UUID | None) -> Pool | None:
        """The pool an email names, else its domain's, its application's, its lane's. A pool that is gone counts as not
        named."""
        for pool_id in (
            wanted,
            domain and self.assigned.get((domain, lane)),
            application and self.assigned.get((application, lane)),
        ):
            pool = self.by_id.get(pool_id) if pool_id else None
            if pool is not None and pool.lane is lane:
                return pool
        return self.defaults.get(lane)


class PoolBook:
    """All pools, as one process sees them: an IP out of its reach is not active."""

    def __init__(self, database: Database, reachable: Reachable = everywhere) -> None:
        self._database = database
        self._reachable = reachable
        self._pools = Pools()
        self._loaded = float("-inf")
        self._reach: dict[EgressIp, tuple[float, str]] = {}

    async def pool_for(
        self, lane: Lane, wanted: UUID | None, domain: UUID | None = None, application: UUID | None = None
    ) -> Pool:
        """The pool an email leaves through: the one it names, else its sender domain's, its application's, its lane's.

        Raises ConfigurationError when the lane has no default pool.
        """
        await self._load_if_old()
        pool = self._pools.choose(lane, wanted, domain, application)
        if pool is None:
            raise ConfigurationError(
                f"no default pool for the {lane.value} lane: make one with `postlane pools create --default`"
            )
        return pool

    def overflow_of(self, pool: Pool) -> Pool | None:
        """The pool that takes what this one cannot, of the same lane and not reserved for other mail."""
        more = self._pools.by_id.get(pool.overflow_id) if pool.overflow_id else None
        return more if more is not None and more.lane is pool.lane and not more.reserved else None

    async def families(self) -> frozenset[int]:
        """IP versions of all egress IPs: for others no mail server need be looked up."""
        await self._load_if_old()
        return frozenset(member.ip.family for pool in self._pools.by_id.values() for member in pool.members)

    async def _load_if_old(self) -> None:
        if time.monotonic() - self._loaded > _KEEP_SECONDS:
            await self._load()

    async def _load(self) -> None:
        async with self._database.connection() as connection:
            self._pools = await read_pools(connection, await self._reach_of(connection))
        self._loaded = time.monotonic()

    async def _reach_of(self, connection: Connection) -> dict[str, str]:
        """Why this process cannot use some addresses. Looked at now and then, and when an IP is new or changed."""
        cursor = await connection.execute("SELECT address, bind_address, ehlo_name, via FROM egress_ips")
        known, now = self._reach, time.monotonic()
        self._reach = {}
        for row in await cursor.fetchall():
            ip = EgressIp(*row)
            at, why = known.get(ip, (float("-inf"), ""))
            if now - at > _REACH_SECONDS:
                before, why = why, await self._reachable(ip)
                at = now
                if why != before:
                    _log.warning("ip_out_of_reach" if why else "ip_within_reach", ip=ip.address, why=why)
            self._reach[ip] = at, why
        return {ip.address: why for ip, (_, why) in self._reach.items() if why}


async def read_pools(connection: Connection, unreachable: dict[str, str] | None = None) -> Pools:
    """All pools; IPs named in `unreachable` are not active, for the reason given."""
    members: dict[UUID, list[PoolMember]] = {}
    heads: dict[UUID, tuple[str, Lane, bool, UUID | None, bool]] = {}
    cursor = await connection.execute(_POOLS)
    for pool_id, name, lane, default, overflow, reserved, *rest in await cursor.fetchall():
        heads[pool_id] = (name, Lane(lane), default, overflow, reserved)
        found = members.setdefault(pool_id, [])
        if rest[0]:
            found.append(_member(rest, unreachable or {}))
    pools = {
        key: Pool(key, name, lane, tuple(members[key]), overflow, reserved)
        for key, (name, lane, _, overflow, reserved) in heads.items()
    }
    defaults = {lane: pools[key] for key, (_, lane, default, _, _) in heads.items() if default}
    cursor = await connection.execute("SELECT subject_id, lane, pool_id FROM pool_assignments")
    assigned = {(subject, Lane(lane)): pool for subject, lane, pool in await cursor.fetchall()}
    return Pools(pools, defaults, assigned)


def _member(row: Sequence[object], unreachable: dict[str, str]) -> PoolMember:
    address, bind, ehlo, via, weight, active, reason = row
    assert isinstance(address, str) and isinstance(bind, str) and isinstance(ehlo, str) and isinstance(via, str)
    assert isinstance(weight, int)
    why = "" if active else f"paused: {reason}" if reason else "paused"
    why = why or unreachable.get(address, "")
    return PoolMember(EgressIp(address, bind, ehlo, via), weight, not why, why)


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
