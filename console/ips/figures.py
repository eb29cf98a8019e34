"""What the pages of IPs read: a handful of small tables and today's counters, whatever the number of messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from console.ips.board import Board, Cell, Way, board, cell, columns, conditions, ways_around, worst
from console.visit import Visit
from pools import administration, reputation_repository, throttle_administration
from pools.administration import PoolRow
from pools.ip_history import Line, history
from pools.ip_status import IpStatus, ip_status, ip_statuses
from pools.model import EVERYWHERE
from pools.reputation import Evidence
from pools.reputation_repository import Imported
from pools.throttle_repository import ThrottleRow
from store import figures
from store.database import Connection
from store.figures import Question
from store.tally import Tally

STORY: int = 20
"""Changes shown in a panel."""
_DAYS = 7
_HOURS = 48


@dataclass(frozen=True, slots=True)
class Why:
    """An IP at a provider: how it stands, what decided, and how it came to that."""

    status: IpStatus
    site: str
    cell: Cell
    conditions: Sequence[ThrottleRow]
    ways: Sequence[Way]
    changes: Sequence[Line]

    @property
    def decided(self) -> ThrottleRow | None:
        """What holds it, the gravest first."""
        return worst(self.conditions)

    @property
    def key(self) -> str:
        """Its panel's name in addresses."""
        return f"{self.status.ip.address} {self.site}"


@dataclass(frozen=True, slots=True)
class OneIp:
    """The page of one IP."""

    why: Why
    cells: Sequence[Cell]
    pools: Sequence[PoolRow]
    evidence: Mapping[str, Evidence]
    imported: Sequence[Imported]
    hours: Sequence[tuple[datetime, Tally]]


async def whole_board(connection: Connection) -> Board:
    """The heat map."""
    statuses = await ip_statuses(connection)
    pools = await administration.all_pools(connection)
    domains = await throttle_administration.found(connection, "domain", "", "")
    return board(statuses, pools, domains)


async def why(connection: Connection, address: str, site: str) -> Why:
    """An IP at a site, or (`*`) at all of them. Raises Refused when it is none of ours."""
    one = await ip_status(connection, address)
    statuses, pools = await ip_statuses(connection), await administration.all_pools(connection)
    known = columns(statuses)
    changes = await history(connection, one.ip.address, "" if site == EVERYWHERE else site, STORY)
    return Why(
        one,
        site,
        cell(one, site, known),
        conditions(one, site, known),
        ways_around(one, site, statuses, pools),
        changes,
    )


async def one_ip(connection: Connection, address: str, visit: Visit) -> OneIp:
    """Everything about an IP. Raises Refused when it is none of ours."""
    found = await why(connection, address, EVERYWHERE)
    one = found.status
    known = columns([one])
    return OneIp(
        found,
        [cell(one, site, known) for site in known],
        await administration.all_pools(connection),
        await reputation_repository.evidence(connection, one.ip.address, _DAYS),
        await reputation_repository.latest_imports(connection, one.ip.address),
        await _hours(connection, one.ip.address, visit),
    )


async def _hours(connection: Connection, address: str, visit: Visit) -> list[tuple[datetime, Tally]]:
    """Every hour of the last two days, those without mail too."""
    since = (visit.now - timedelta(hours=_HOURS - 1)).replace(minute=0, second=0, microsecond=0)
    asked = Question(
        since, visit.now, visit.zone, "hour", by="ip", keys=(address,), hours_kept=visit.kept, now=visit.now
    )
    known = {row.period: row.tally for row in (await figures.ask(connection, asked)).rows}
    hours = [(since + timedelta(hours=n)).astimezone(visit.zone) for n in range(_HOURS)]
    return [(hour, known.get(hour, Tally())) for hour in hours]
