"""Our sending IPs and relays as an operator changes them: add, change, pause, resume, remove.

Works inside the caller's transaction; every function raises `Refused` before anything is half done. What an operator
says is checked by `pools/ip_values` before, and whether a host can really send so: that opens sockets. It never decides
where mail goes; workers re-read the IPs every five seconds.

A pause and its end are written into `throttle_changes` with the site `*`, beside what providers did to the IP, so that
`ips why` tells one story.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from core.ids import uuid7
from core.refusal import conflict, invalid
from core.secrets import InstanceSecret
from mta.model import EgressIp, RelayLimits
from pools import throttle_repository, vias
from pools.ip_values import in_order, no_ip, normal_address
from pools.model import EVERYWHERE
from store.database import Connection
from warmup import repository as warmup

LONGEST_REASON: Final = 500

_COLUMNS: Final = "id, address, bind_address, ehlo_name, active, paused_reason, created_at, changed_at, " + vias.COLUMNS


@dataclass(frozen=True, slots=True)
class IpRow:
    """An IP as it is stored."""

    id: UUID
    address: str
    bind_address: str
    ehlo_name: str
    via: str
    """As `mta/via` has it, without its password; show it masked."""
    active: bool
    paused_reason: str
    created_at: datetime
    changed_at: datetime | None

    sealed_password: bytes | None = None
    """Of a relay or a proxy."""
    limits: RelayLimits | None = None
    """What a relay takes; None for an IP of our own."""

    def egress(self, secret: InstanceSecret | None) -> EgressIp:
        """What a session needs of it, the password included."""
        via = vias.opened(self.address, self.via, self.sealed_password, secret)
        return EgressIp(self.address, self.bind_address, self.ehlo_name, via, self.limits)


async def ip_row(connection: Connection, address: str, *, lock: bool = False) -> IpRow:
    """An IP by its address. Raises Refused."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM egress_ips WHERE address = %s{' FOR UPDATE' if lock else ''}",
        [normal_address(address)],
    )
    row = await cursor.fetchone()
    if row is None:
        raise no_ip(address)
    return _ip_row(row)


async def ip_rows(connection: Connection) -> list[IpRow]:
    """Every IP, IPv4 first, in the order of the numbers."""
    cursor = await connection.execute(f"SELECT {_COLUMNS} FROM egress_ips")
    return sorted((_ip_row(row) for row in await cursor.fetchall()), key=lambda row: in_order(row.address))


async def add_ip(connection: Connection, ip: EgressIp, secret: InstanceSecret | None) -> IpRow:
    """Store a new IP or relay, switched on and in no pool. Raises Refused."""
    cursor = await connection.execute(
        f"INSERT INTO egress_ips (id, address, bind_address, ehlo_name, {vias.COLUMNS})"
        f" VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (address) DO NOTHING RETURNING {_COLUMNS}",
        [uuid7(), ip.address, ip.bind_address, ip.ehlo_name, *vias.stored(ip, secret)],
    )
    row = await cursor.fetchone()
    if row is None:
        raise conflict(f"{ip.address} is one of our IPs already", f"`postlane ips update {ip.address}` changes it.")
    return _ip_row(row)


async def change_ip(connection: Connection, ip: EgressIp, secret: InstanceSecret | None) -> IpRow:
    """Store a changed IP (`ip_values.changed`). Raises Refused."""
    cursor = await connection.execute(
        f"UPDATE egress_ips SET bind_address = %s, ehlo_name = %s, ({vias.COLUMNS}) = (%s, %s, %s, %s, %s),"
        f" changed_at = now() WHERE address = %s RETURNING {_COLUMNS}",
        [ip.bind_address, ip.ehlo_name, *vias.stored(ip, secret), ip.address],
    )
    row = await cursor.fetchone()
    if row is None:
        raise no_ip(ip.address)
    await throttle_repository.try_anew(connection, ip.address, "operator")
    return _ip_row(row)


async def pause_ip(connection: Connection, address: str, reason: str, by: str) -> IpRow:
    """Switch an IP off until somebody resumes it; its mail leaves through the others. Raises Refused."""
    reason = plain_reason(reason)
    row = await ip_row(connection, address, lock=True)
    if not row.active:
        raise conflict(f"{row.address} is paused already: {row.paused_reason or 'without a reason'}")
    return await _switch(connection, row, False, reason, by)


async def resume_ip(connection: Connection, address: str, by: str, reason: str = "") -> IpRow:
    """Switch an IP on again. What providers have against it, and its warm-up, stand as they did. Raises Refused."""
    row = await ip_row(connection, address, lock=True)
    if row.active:
        raise conflict(f"{row.address} is not paused")
    return await _switch(connection, row, True, plain_reason(reason) if reason else "resumed by an operator", by)


async def remove_ip(connection: Connection, address: str, *, force: bool = False) -> IpRow:
    """Forget an IP. In use (in a pool, or warming) only by `force`; then it leaves its pools and its warm-up ends.

    Raises Refused naming what holds it. The day's ledger stays, so that an IP that is added again the same day cannot
    send more than its cap.
    """
    row = await ip_row(connection, address, lock=True)
    cursor = await connection.execute(
        "SELECT p.name FROM pool_ips pi JOIN pools p ON p.id = pi.pool_id WHERE pi.egress_ip_id = %s ORDER BY 1",
        [row.id],
    )
    holds = [f"it is in pool {name}" for (name,) in await cursor.fetchall()]
    cursor = await connection.execute("SELECT FROM warmups WHERE ip = %s AND state <> 'complete'", [row.address])
    holds += ["it is warming up"] * cursor.rowcount
    if holds and not force:
        raise conflict(f"{row.address} cannot be removed: {'; '.join(holds)}", "Detach it first, or force it.")
    await throttle_repository.forget_ip(connection, row.address, "operator")
    await warmup.forget_ip(connection, row.address)
    await connection.execute("DELETE FROM egress_ips WHERE id = %s", [row.id])
    return row


def plain_reason(reason: str) -> str:
    """The reason, trimmed. Raises Refused when there is none or nobody could read it."""
    reason = reason.strip()
    if not reason or not reason.isprintable() or len(reason) > LONGEST_REASON:
        raise invalid(
            "reason", f"say why, in 1 to {LONGEST_REASON} printable characters: whoever looks later wants to know"
        )
    return reason


async def _switch(connection: Connection, row: IpRow, on: bool, reason: str, by: str) -> IpRow:
    await connection.execute(
        "UPDATE egress_ips SET active = %s, paused_reason = %s, changed_at = now() WHERE id = %s",
        [on, "" if on else reason, row.id],
    )
    was, became = ("paused", "active") if on else ("active", "paused")
    await connection.execute(
        "INSERT INTO throttle_changes (id, at, kind, subject, site, was, became, reason, rule, by)"
        " VALUES (%s, now(), 'ip', %s, %s, %s, %s, %s, 'operator', %s)",
        [uuid7(), row.address, EVERYWHERE, was, became, reason, by],
    )
    return replace(row, active=on, paused_reason="" if on else reason)


def _ip_row(row: Sequence[Any]) -> IpRow:
    identifier, address, bind, ehlo, active, reason, created, changed, via, sealed, *limits = row
    return IpRow(
        identifier, address, bind, ehlo, via, active, reason, created, changed, sealed, vias.limits_of(*limits)
    )
