"""Our sending IPs as an operator changes them: add, change, pause, resume, remove.

Called by `api/routes/ips` and `cli/ips`, always inside a transaction of theirs; every function raises `Refused` before
anything is half done. An IP is named by its public address everywhere. Whether a host can really send from it is asked
before (`usable`), outside of any transaction: it opens sockets. It never decides where mail goes; workers re-read the
IPs every five seconds.

A pause and its end are written into `throttle_changes` with the site `*`, beside what providers did to the IP, so that
`ips why` tells one story.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final
from uuid import UUID

from core.addresses import AddressError, fold_domain
from core.ids import uuid7
from core.refusal import Refused, conflict, invalid
from mta.model import EgressIp
from mta.via import LOCAL, parse_via
from pools.model import EVERYWHERE
from pools.repository import Reachable
from store.database import Connection

LONGEST_REASON: Final = 500

_COLUMNS: Final = "id, address, bind_address, ehlo_name, via, active, paused_reason, created_at, changed_at"


@dataclass(frozen=True, slots=True)
class IpRow:
    """An IP as it is stored."""

    id: UUID
    address: str
    bind_address: str
    ehlo_name: str
    via: str
    """`local` or a proxy's URL with its password: mask it (`mta.socks.masked`) before anybody sees it."""
    active: bool
    paused_reason: str
    created_at: datetime
    changed_at: datetime | None

    @property
    def egress(self) -> EgressIp:
        """What a session needs of it."""
        return EgressIp(self.address, self.bind_address, self.ehlo_name, self.via)


@dataclass(frozen=True, slots=True)
class IpChange:
    """What to change of an IP; None leaves a field as it is. An IP's address is its name and never changes."""

    ehlo_name: str | None = None
    bind_address: str | None = None
    via: str | None = None


def no_ip(address: str) -> Refused:
    """We have no such IP."""
    return Refused("not_found", f"there is no IP {address!r}", hint="`postlane ips list` shows the IPs.")


def egress_ip(address: str, ehlo_name: str, bind_address: str = "", via: str = LOCAL) -> EgressIp:
    """The IP that these texts describe, in normal form. Raises Refused naming the field."""
    normal = _address(address, "address")
    bound = _address(bind_address, "bind_address") if bind_address else normal
    if normal.version != bound.version:
        raise invalid("bind_address", f"{bound} is not of the same IP version as {normal}")
    try:
        name = fold_domain(ehlo_name)
    except AddressError as error:
        raise invalid("ehlo_name", f"it must be the host name of the IP's PTR record: {error.reason}") from None
    way = parse_via(via or LOCAL)
    if isinstance(way, str):
        raise invalid("via", way)
    return EgressIp(str(normal), str(bound), name, via or LOCAL)


def changed(row: IpRow, change: IpChange) -> EgressIp:
    """The IP as it would be. Raises Refused naming the field."""
    return egress_ip(
        row.address,
        row.ehlo_name if change.ehlo_name is None else change.ehlo_name,
        row.bind_address if change.bind_address is None else change.bind_address,
        row.via if change.via is None else change.via,
    )


async def usable(ip: EgressIp, reachable: Reachable) -> None:
    """Raise Refused, naming the field, when this host cannot send from the IP."""
    problem = await reachable(ip)
    if problem and ip.via == LOCAL:
        raise invalid(
            "bind_address" if ip.bind_address != ip.address else "address",
            f"this host cannot send from it ({problem}); name a proxy in `via`, or say `elsewhere` when it belongs to"
            " another worker's host",
        )
    if problem:
        raise invalid("via", f"{problem}; say `elsewhere` when only another worker's host reaches the proxy")


async def ip_row(connection: Connection, address: str, *, lock: bool = False) -> IpRow:
    """An IP by its address. Raises Refused."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM egress_ips WHERE address = %s{' FOR UPDATE' if lock else ''}",
        [normal_address(address)],
    )
    row = await cursor.fetchone()
    if row is None:
        raise no_ip(address)
    return IpRow(*row)


async def ip_rows(connection: Connection) -> list[IpRow]:
    """Every IP, IPv4 first, in the order of the numbers."""
    cursor = await connection.execute(f"SELECT {_COLUMNS} FROM egress_ips")
    return sorted((IpRow(*row) for row in await cursor.fetchall()), key=lambda row: in_order(row.address))


def in_order(address: str) -> tuple[int, bytes, str]:
    """A key to sort addresses by as numbers, not as text. What is no address comes last."""
    try:
        found = ip_address(address)
    except ValueError:
        return 9, b"", address
    return found.version, found.packed, ""


def normal_address(text: str) -> str:
    """The address as it is stored. Raises Refused: we have no such IP."""
    try:
        return str(_address(text, "address"))
    except Refused:
        raise no_ip(text) from None


async def add_ip(connection: Connection, ip: EgressIp) -> IpRow:
    """Store a new IP, switched on and in no pool. Raises Refused."""
    cursor = await connection.execute(
        "INSERT INTO egress_ips (id, address, bind_address, ehlo_name, via) VALUES (%s, %s, %s, %s, %s)"
        f" ON CONFLICT (address) DO NOTHING RETURNING {_COLUMNS}",
        [uuid7(), ip.address, ip.bind_address, ip.ehlo_name, ip.via],
    )
    row = await cursor.fetchone()
    if row is None:
        raise conflict(f"{ip.address} is one of our IPs already", f"`postlane ips update {ip.address}` changes it.")
    return IpRow(*row)


async def change_ip(connection: Connection, ip: EgressIp) -> IpRow:
    """Store a changed IP (`changed`). Raises Refused."""
    cursor = await connection.execute(
        "UPDATE egress_ips SET bind_address = %s, ehlo_name = %s, via = %s, changed_at = now() WHERE address = %s"
        f" RETURNING {_COLUMNS}",
        [ip.bind_address, ip.ehlo_name, ip.via, ip.address],
    )
    row = await cursor.fetchone()
    if row is None:
        raise no_ip(ip.address)
    return IpRow(*row)


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
    await connection.execute("DELETE FROM throttles WHERE kind = 'ip' AND subject = %s", [row.address])
    await connection.execute("DELETE FROM warmups WHERE ip = %s", [row.address])
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


def _address(text: str, field: str) -> IPv4Address | IPv6Address:
    """An address that mail can leave from. Raises Refused."""
    try:
        found = ip_address(text.strip())
    except ValueError:
        raise invalid(field, f"{text[:60]!r} is neither an IPv4 nor an IPv6 address") from None
    if isinstance(found, IPv6Address) and (found.scope_id or found.ipv4_mapped):
        raise invalid(field, "an IPv6 address is written without a zone, and an IPv4 address as such")
    if found.is_unspecified or found.is_multicast or str(found) == "255.255.255.255":
        raise invalid(field, f"mail cannot leave from {found}")
    return found
