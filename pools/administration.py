"""Pools as an operator changes them: make, rename, default, reserve, overflow, delete, and which IPs are in.

Works inside the caller's transaction; every function raises `Refused` before anything is half done. It decides about no
mail: workers re-read the pools every five seconds (`pools/repository`), so an IP may leave a pool while mail is under
way. What holds here:

- Each lane has at most one default pool. Making another one the default ends the first; nothing else does.
- Mail overflows only to a pool of the same lane, and however far the chain goes, never back.
- A reserved pool takes nothing but mail that names it: it is no default, no overflow of another, and not assigned.

All writes that could break one of these rules take turns (a table lock on `pools`, which stops no reader).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from uuid import UUID

from core.ids import uuid7
from core.queues import Lane
from core.refusal import Refused, conflict, invalid
from pools import reputation_repository
from pools.advice import Advice, advise_all
from pools.ip_values import no_ip
from pools.model import MAX_WEIGHT
from store.database import Connection

LONGEST_NAME: Final = 100
"""Characters of a pool's name."""

_LOCK: Final = "LOCK TABLE pools IN SHARE ROW EXCLUSIVE MODE"

_ROWS: Final = """
SELECT p.id, p.name, p.lane, p.is_default, p.reserved, p.overflow_pool_id,
       (SELECT array_agg(a.kind || ' ' || coalesce(ap.name, d.name) ORDER BY 1)
          FROM pool_assignments a LEFT JOIN applications ap ON ap.id = a.subject_id
          LEFT JOIN domains d ON d.id = a.subject_id WHERE a.pool_id = p.id AND coalesce(ap.id, d.id) IS NOT NULL)
  FROM pools p ORDER BY p.name
"""


@dataclass(frozen=True, slots=True)
class NewPool:
    """A pool to make. `overflow` is the name or id of another pool, "" for none."""

    name: str
    lane: Lane
    default: bool = False
    reserved: bool = False
    overflow: str = ""


@dataclass(frozen=True, slots=True)
class PoolChange:
    """What to change of a pool; None leaves a field as it is. `overflow` "" ends the overflow."""

    name: str | None = None
    default: bool | None = None
    reserved: bool | None = None
    overflow: str | None = None


@dataclass(frozen=True, slots=True)
class PoolMemberRow:
    """One IP of a pool with its share."""

    address: str
    weight: int
    active: bool


@dataclass(frozen=True, slots=True)
class PoolRow:
    """A pool as it is stored."""

    id: UUID
    name: str
    lane: Lane
    default: bool
    reserved: bool
    overflow: str | None
    """Name of the pool that takes what this one cannot."""
    assigned: tuple[str, ...]
    """Who has it as their pool: "application shop", "domain shop.example"."""
    members: tuple[PoolMemberRow, ...]

    @property
    def sending(self) -> tuple[str, ...]:
        """Addresses of the IPs that are switched on and have a share."""
        return tuple(member.address for member in self.members if member.active and member.weight)


@dataclass(frozen=True, slots=True)
class _Head:
    """A pool without its members, for the rules."""

    id: UUID
    name: str
    lane: Lane
    default: bool
    reserved: bool
    overflow: UUID | None
    assigned: tuple[str, ...]


_Heads = Mapping[UUID, _Head]


# Reading


async def all_pools(connection: Connection) -> list[PoolRow]:
    """Every pool with its members, by name."""
    heads = await _heads(connection)
    members = await _members(connection)
    return [_row(head, heads, members) for head in heads.values()]


async def one_pool(connection: Connection, which: str) -> PoolRow:
    """A pool by its name or id. Raises Refused."""
    heads = await _heads(connection)
    head = _found(heads, which)
    return _row(head, heads, await _members(connection))


async def advice(connection: Connection, days: int, today: date) -> list[Advice]:
    """Has each pool the right number of IPs for its mail of the last days?"""
    volumes = await reputation_repository.volumes(connection, days)
    return advise_all(await all_pools(connection), volumes, today)


async def pool_head(connection: Connection, which: str, field: str = "") -> tuple[UUID, str, Lane, bool]:
    """Id, name, lane and "is reserved" of a pool named by its name or id, locked against change. Raises Refused; a pool
    that is not there is `invalid` when `field` says where it was named."""
    await connection.execute(_LOCK)
    head = _found(await _heads(connection), which, field)
    return head.id, head.name, head.lane, head.reserved


# Pools


async def create_pool(connection: Connection, wanted: NewPool) -> PoolRow:
    """Make a pool. The first one of a lane is its default unless it is reserved. Raises Refused."""
    await connection.execute(_LOCK)
    heads = await _heads(connection)
    name = _free_name(heads, wanted.name, None)
    first = not any(head.default and head.lane is wanted.lane for head in heads.values())
    made = _Head(
        uuid7(), name, wanted.lane, wanted.default or (first and not wanted.reserved), wanted.reserved, None, ()
    )
    overflow = _overflow(heads, made, wanted.overflow)
    _may_reserve(heads, made)
    if made.default:
        await _take_default(connection, wanted.lane)
    await connection.execute(
        "INSERT INTO pools (id, name, lane, is_default, reserved, overflow_pool_id) VALUES (%s, %s, %s, %s, %s, %s)",
        [made.id, made.name, made.lane.value, made.default, made.reserved, overflow],
    )
    return await one_pool(connection, str(made.id))


async def change_pool(connection: Connection, which: str, change: PoolChange) -> PoolRow:
    """Change a pool; all of the change or nothing. Raises Refused."""
    await connection.execute(_LOCK)
    heads = await _heads(connection)
    head = _found(heads, which)
    name = head.name if change.name is None else _free_name(heads, change.name, head.id)
    if head.default and change.default is False:
        raise invalid("default", f"the {head.lane} lane needs a default pool: make another one the default instead")
    default = head.default if change.default is None else change.default
    reserved = head.reserved if change.reserved is None else change.reserved
    changed = _Head(head.id, name, head.lane, default, reserved, head.overflow, head.assigned)
    overflow = head.overflow if change.overflow is None else _overflow(heads, changed, change.overflow)
    _may_reserve(heads, changed)
    if default and not head.default:
        await _take_default(connection, head.lane)
    await connection.execute(
        "UPDATE pools SET name = %s, is_default = %s, reserved = %s, overflow_pool_id = %s WHERE id = %s",
        [name, default, reserved, overflow, head.id],
    )
    return await one_pool(connection, str(head.id))


async def delete_pool(connection: Connection, which: str) -> PoolRow:
    """Delete a pool that nothing depends on; its IPs stay. Returns what it was. Raises Refused naming what holds it."""
    await connection.execute(_LOCK)
    heads = await _heads(connection)
    head = _found(heads, which)
    holds = [f"it is the default of the {head.lane} lane"] if head.default else []
    holds += [f"it is the overflow of pool {other.name}" for other in _overflowing_into(heads, head)]
    holds += [f"it is the pool of {subject}" for subject in head.assigned]
    if holds:
        raise conflict(f"pool {head.name} cannot be deleted: {'; '.join(holds)}")
    was = _row(head, heads, await _members(connection))
    await connection.execute("DELETE FROM pools WHERE id = %s", [head.id])
    return was


# Members


async def attach(connection: Connection, which: str, address: str, weight: int = 1) -> PoolRow:
    """Put an IP into a pool. Raises Refused."""
    await connection.execute(_LOCK)  # neither pool nor IP may be deleted meanwhile
    head = _found(await _heads(connection), which)
    cursor = await connection.execute(
        "INSERT INTO pool_ips (pool_id, egress_ip_id, weight)"
        " SELECT %s, id, %s FROM egress_ips WHERE address = %s FOR KEY SHARE ON CONFLICT DO NOTHING RETURNING 1",
        [head.id, _weight(weight), address],
    )
    if await cursor.fetchone() is None:
        await _must_exist(connection, address)
        raise conflict(
            f"{address} is in pool {head.name} already", "`postlane pools weight POOL IP N` changes its share."
        )
    return await one_pool(connection, str(head.id))


async def set_weight(connection: Connection, which: str, address: str, weight: int) -> PoolRow:
    """Change the share of an IP in a pool; 0 takes it out of use without taking it out. Raises Refused."""
    head = _found(await _heads(connection), which)
    cursor = await connection.execute(
        "UPDATE pool_ips SET weight = %s FROM egress_ips i"
        " WHERE pool_id = %s AND i.id = egress_ip_id AND i.address = %s",
        [_weight(weight), head.id, address],
    )
    if not cursor.rowcount:
        raise no_ip(f"{address} in pool {head.name}")
    return await one_pool(connection, str(head.id))


async def detach(connection: Connection, which: str, address: str) -> PoolRow:
    """Take an IP out of a pool, also while mail is under way: what it has begun it ends, workers see the change within
    five seconds, and mail that was meant for it is chosen for anew. Raises Refused."""
    head = _found(await _heads(connection), which)
    cursor = await connection.execute(
        "DELETE FROM pool_ips USING egress_ips i WHERE pool_id = %s AND i.id = egress_ip_id AND i.address = %s",
        [head.id, address],
    )
    if not cursor.rowcount:
        raise no_ip(f"{address} in pool {head.name}")
    return await one_pool(connection, str(head.id))


# Rules


def _overflow(heads: _Heads, pool: _Head, which: str) -> UUID | None:
    """The pool that `which` names, if mail may overflow from `pool` into it."""
    if not which:
        return None
    if which in (pool.name, str(pool.id)):
        raise invalid("overflow", f"pool {pool.name} cannot overflow into itself")
    target = _found(heads, which, "overflow")
    if target.lane is not pool.lane:
        raise invalid("overflow", f"pool {target.name} serves the {target.lane} lane, not the {pool.lane} lane")
    if target.reserved:
        raise invalid("overflow", f"pool {target.name} is reserved: it takes only mail that names it")
    way = [pool.name, target.name]
    step = target.overflow
    while step is not None:
        way.append(pool.name if step == pool.id else heads[step].name)
        if step == pool.id:
            raise invalid("overflow", f"mail would run in a circle: {' → '.join(way)}")
        step = heads[step].overflow
    return target.id


def _may_reserve(heads: _Heads, pool: _Head) -> None:
    """A reserved pool takes nothing but mail that names it."""
    if not pool.reserved:
        return
    if pool.default:
        raise invalid(
            "reserved", "a reserved pool cannot be the default of its lane: mail that names no pool would go there"
        )
    into = [other.name for other in _overflowing_into(heads, pool)]
    if into:
        raise invalid("reserved", f"pool {pool.name} is the overflow of pool {', '.join(into)}")
    if pool.assigned:
        raise invalid("reserved", f"pool {pool.name} is the pool of {', '.join(pool.assigned)}")


def _overflowing_into(heads: _Heads, pool: _Head) -> list[_Head]:
    return [other for other in heads.values() if other.overflow == pool.id]


def _free_name(heads: _Heads, name: str, own: UUID | None) -> str:
    """The name without blanks around it, if it can be used."""
    name = name.strip()
    if not name or not name.isprintable() or len(name) > LONGEST_NAME or "/" in name:
        raise invalid("name", f"it must hold 1 to {LONGEST_NAME} printable characters, and no slash")
    if _as_uuid(name) is not None:
        raise invalid("name", "it looks like an id: a pool is named by either")
    if any(head.name == name and head.id != own for head in heads.values()):
        raise conflict(f"there is a pool {name} already")
    return name


def _weight(weight: int) -> int:
    if not 0 <= weight <= MAX_WEIGHT:
        raise invalid("weight", f"it must be a whole number from 0 to {MAX_WEIGHT}, not {weight}")
    return weight


def _found(heads: _Heads, which: str, field: str = "") -> _Head:
    identifier = _as_uuid(which)
    for head in heads.values():
        if head.id == identifier or head.name == which:
            return head
    if field:
        raise invalid(field, f"there is no pool {which!r}")
    raise Refused("not_found", f"there is no pool {which!r}", hint="`postlane pools list` shows the pools.")


def _as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


# Rows


async def _heads(connection: Connection) -> dict[UUID, _Head]:
    cursor = await connection.execute(_ROWS)
    return {
        row[0]: _Head(row[0], row[1], Lane(row[2]), row[3], row[4], row[5], tuple(row[6] or ()))
        for row in await cursor.fetchall()
    }


async def _members(connection: Connection) -> dict[UUID, list[PoolMemberRow]]:
    cursor = await connection.execute(
        "SELECT pi.pool_id, i.address, pi.weight, i.active FROM pool_ips pi JOIN egress_ips i ON i.id = pi.egress_ip_id"
        " ORDER BY i.address"
    )
    found: dict[UUID, list[PoolMemberRow]] = {}
    for pool_id, *member in await cursor.fetchall():
        found.setdefault(pool_id, []).append(PoolMemberRow(*member))
    return found


def _row(head: _Head, heads: _Heads, members: Mapping[UUID, Sequence[PoolMemberRow]]) -> PoolRow:
    overflow = heads[head.overflow].name if head.overflow else None
    inside = tuple(members.get(head.id, ()))
    return PoolRow(head.id, head.name, head.lane, head.default, head.reserved, overflow, head.assigned, inside)


async def _take_default(connection: Connection, lane: Lane) -> None:
    await connection.execute("UPDATE pools SET is_default = false WHERE lane = %s AND is_default", [lane.value])


async def _must_exist(connection: Connection, address: str) -> None:
    cursor = await connection.execute("SELECT FROM egress_ips WHERE address = %s", [address])
    if cursor.rowcount == 0:
        raise no_ip(address)
