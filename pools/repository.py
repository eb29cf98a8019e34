"""Pools and their IPs as the store has them, kept for a few seconds by every worker. Reads; what changes them is
`pools/administration`."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from core.errors import ConfigurationError
from core.ids import uuid7
from core.logs import get_logger
from core.queues import Lane
from core.remembered import Remembered
from core.secrets import InstanceSecret
from mta.model import EgressIp
from pools import vias
from pools.model import Pool, PoolMember
from store.database import Connection, Database

_log = get_logger(__name__)

_KEEP_SECONDS = 2.5
_RENEW_SECONDS = 2.5
"""Together the 5 seconds within which all workers see an operator's change: in the second half a worker reads anew, and
batches need not wait for that."""

_PAUSE_SECONDS = 0.5
"""Between two tries while PostgreSQL is away."""

_REACH_SECONDS = 30.0
"""How often a worker looks whether it can use an IP. One that it loses in between is seen at its next mail."""

_POOLS = """
SELECT p.id, p.name, p.lane, p.is_default, p.overflow_pool_id, p.reserved,
       i.address, i.bind_address, i.ehlo_name, pi.weight, i.active, i.paused_reason,
       i.via, i.sealed_password, i.connections, i.messages_per_second, i.messages_per_hour
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

    def without(self, out_of_reach: Mapping[EgressIp, str]) -> "Pools":
        """The same pools; these IPs are not active in them, for the reason given."""
        if not out_of_reach:
            return self
        by_id = {key: replace(pool, members=_reached(pool.members, out_of_reach)) for key, pool in self.by_id.items()}
        return replace(self, by_id=by_id, defaults={lane: by_id[pool.id] for lane, pool in self.defaults.items()})


class PoolBook:
    """Pools of one worker process. With PostgreSQL away it answers for its few seconds, then raises what the database
    raises. IPs are looked at side by side, and no connection is held meanwhile: a dead proxy takes seconds to say so.
    """

    def __init__(self, database: Database, secret: InstanceSecret, reachable: Reachable = everywhere) -> None:
        self._database = database
        self._secret = secret
        self._pools: Remembered[None, Pools] = Remembered(
            self._load, _KEEP_SECONDS, stale=_RENEW_SECONDS, pause=_PAUSE_SECONDS
        )
        self._reach: Remembered[EgressIp, str] = Remembered(reachable, _REACH_SECONDS, stale=_REACH_SECONDS)
        self._out_of_reach: dict[EgressIp, str] = {}
        self._latest = Pools()
        self._missing: dict[UUID, Pools] = {}
        """Pools that mail names and that are gone, with what was known when they were looked for."""

    async def pool_for(
        self, lane: Lane, wanted: UUID | None, domain: UUID | None = None, application: UUID | None = None
    ) -> Pool:
        """The pool an email leaves through: the one it names, else its sender domain's, its application's, its lane's.

        Raises ConfigurationError when the lane has no default pool.
        """
        self._latest = await self._with(wanted)
        pool = self._latest.choose(lane, wanted, domain, application)
        if pool is None:
            raise ConfigurationError(
                f"no default pool for the {lane.value} lane: make one with `postlane pools create --default`"
            )
        return pool

    async def _with(self, wanted: UUID | None) -> Pools:
        """All pools. One that mail names and nobody knows was made a moment ago, or is gone: they are read anew before
        its mail goes another way, once for what is known now."""
        pools = await self._pools.get(None)
        if wanted is None or wanted in pools.by_id or self._missing.get(wanted) is pools:
            return pools
        self._pools.clear()
        self._missing[wanted] = pools = await self._pools.get(None)
        return pools

    def overflow_of(self, pool: Pool) -> Pool | None:
        """The pool that takes what this one cannot, of the same lane and not reserved for other mail."""
        more = self._latest.by_id.get(pool.overflow_id) if pool.overflow_id else None
        return more if more is not None and more.lane is pool.lane and not more.reserved else None

    async def families(self) -> frozenset[int]:
        """IP versions of all egress IPs: for others no mail server need be looked up."""
        pools = await self._pools.get(None)
        return frozenset().union(*(member.ip.families for pool in pools.by_id.values() for member in pool.members))

    async def _load(self, _: None) -> Pools:
        async with self._database.connection() as connection:
            pools = await read_pools(connection, self._secret)
        ips = sorted({member.ip for pool in pools.by_id.values() for member in pool.members}, key=lambda ip: ip.address)
        reasons = await asyncio.gather(*(self._reach.get(ip) for ip in ips))
        out_of_reach = {ip: why for ip, why in zip(ips, reasons, strict=True) if why}
        self._tell(out_of_reach)
        return pools.without(out_of_reach)

    def _tell(self, out_of_reach: dict[EgressIp, str]) -> None:
        before, self._out_of_reach = self._out_of_reach, out_of_reach
        for ip, why in out_of_reach.items():
            if before.get(ip) != why:
                _log.warning("ip_out_of_reach", ip=ip.address, why=why)
        for ip in before.keys() - out_of_reach.keys():
            _log.info("ip_within_reach", ip=ip.address)


async def read_pools(connection: Connection, secret: InstanceSecret) -> Pools:
    """All pools as they are stored."""
    members: dict[UUID, list[PoolMember]] = {}
    heads: dict[UUID, tuple[str, Lane, bool, UUID | None, bool]] = {}
    cursor = await connection.execute(_POOLS)
    for pool_id, name, lane, default, overflow, reserved, *rest in await cursor.fetchall():
        heads[pool_id] = (name, Lane(lane), default, overflow, reserved)
        found = members.setdefault(pool_id, [])
        if rest[0]:
            found.append(_member(rest, secret))
    pools = {
        key: Pool(key, name, lane, tuple(members[key]), overflow, reserved)
        for key, (name, lane, _, overflow, reserved) in heads.items()
    }
    defaults = {lane: pools[key] for key, (_, lane, default, _, _) in heads.items() if default}
    cursor = await connection.execute("SELECT subject_id, lane, pool_id FROM pool_assignments")
    assigned = {(subject, Lane(lane)): pool for subject, lane, pool in await cursor.fetchall()}
    return Pools(pools, defaults, assigned)


def _reached(members: Iterable[PoolMember], out_of_reach: Mapping[EgressIp, str]) -> tuple[PoolMember, ...]:
    return tuple(
        replace(member, active=False, why=out_of_reach[member.ip])
        if member.active and member.ip in out_of_reach
        else member
        for member in members
    )


def _member(row: Sequence[Any], secret: InstanceSecret) -> PoolMember:
    address, bind, ehlo, weight, active, reason, via, sealed, *limits = row
    why = "" if active else f"paused: {reason}" if reason else "paused"
    ip = EgressIp(address, bind, ehlo, vias.opened(address, via, sealed, secret), vias.limits_of(*limits))
    return PoolMember(ip, weight, not why, why)


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
