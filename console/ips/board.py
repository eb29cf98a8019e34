"""The heat map IP by provider, and what mail does around an IP that cannot send. Pure.

A cell is the worst of what holds for an IP at a provider: paused, unusable, resting, coming back, warming up, or free.
Small providers share the column `other`. Caps are those of a warm-up; a provider without a part of its own in the plan
shares that of all others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mta.providers import OTHER
from pools.administration import PoolRow
from pools.health import State
from pools.ip_status import IpStatus, Track
from pools.model import EVERYWHERE
from pools.throttle_repository import ThrottleRow

_GRAVEST: Final = (State.THROTTLED, State.PROBING, State.RECOVERING)
WORTH_A_WORD: Final = 0.05
"""Part of the attempts that were deferred, from which on a cell says so."""
_FEW: Final = 20
"""Attempts below which a share says nothing."""


@dataclass(frozen=True, slots=True)
class Cell:
    """An IP at a provider, today."""

    site: str
    state: str
    """One of `pools.ip_status.WHOLE`, `probing` too."""
    sent: int
    deferred: int
    cap: int | None = None
    used: int = 0
    shared: bool = False
    """The cap is that of all providers without a part of their own."""
    rate: float | None = None
    """Messages/s in force, where something holds it down."""
    until: datetime | None = None
    """End of the rest."""

    @property
    def deferral(self) -> float | None:
        """Part of today's attempts that was deferred, where that is worth a word."""
        attempts = self.sent + self.deferred
        share = self.deferred / attempts if attempts >= _FEW else 0.0
        return share if share >= WORTH_A_WORD else None


@dataclass(frozen=True, slots=True)
class Line:
    """One IP."""

    status: IpStatus
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class Way:
    """Where the mail of an IP goes that cannot send to a site: through so many others of a pool."""

    ip: str
    site: str
    pool: str
    others: int
    overflow: str = ""
    """The pool that takes what this one cannot."""


@dataclass(frozen=True, slots=True)
class Board:
    """The whole map."""

    providers: Sequence[str]
    lines: Sequence[Line]
    pools: Sequence[PoolRow]
    ways: Sequence[Way]
    domains: Sequence[ThrottleRow]
    """Sending domains that rest."""

    @property
    def stuck(self) -> Sequence[Way]:
        """Where nothing of a pool sends: its mail waits."""
        return [way for way in self.ways if not way.others and not way.overflow]


def board(statuses: Sequence[IpStatus], pools: Sequence[PoolRow], domains: Sequence[ThrottleRow]) -> Board:
    """The map of these IPs."""
    providers = columns(statuses)
    lines = [Line(one, [cell(one, provider, providers) for provider in providers]) for one in statuses]
    ways = [way for one in statuses for row in one.rests for way in ways_around(one, row.key.site, statuses, pools)]
    return Board(providers, lines, pools, ways, domains)


def columns(statuses: Sequence[IpStatus]) -> list[str]:
    """Providers with mail, a part of a plan, or something against us: most mail first, `other` last.

    Where an IP rests goes before all: a phone shows two columns.
    """
    resting = {_column(row.key.site) for one in statuses for row in one.rests}
    sent: dict[str, int] = {}
    for one in statuses:
        for today in one.today:
            sent[today.provider] = sent.get(today.provider, 0) + today.sent
        tracks = one.warming.tracks if one.warming else ()
        for name in [*(track.track for track in tracks), *(row.key.site for row in one.throttles)]:
            if name != EVERYWHERE:
                sent.setdefault(_column(name), 0)
    return sorted(sent, key=lambda name: (name not in resting, name == OTHER, -sent[name], name))


def _column(site: str) -> str:
    return OTHER if site.startswith("mx:") else site


def cell(one: IpStatus, site: str, known: Sequence[str]) -> Cell:
    """One field of the map."""
    row = worst(conditions(one, site, known))
    track, shared = _track(one, site)
    sent = sum(today.sent for today in one.today if today.provider == site)
    deferred = sum(today.deferred for today in one.today if today.provider == site)
    free = track is None or track.complete
    held = row is not None and row.condition.state is not State.THROTTLED
    return Cell(
        site,
        _state(one, row, warming=not free),
        sent,
        deferred,
        cap=None if track is None or free else track.cap,
        used=0 if track is None or free else track.granted,
        shared=shared,
        rate=row.condition.rate if row and held else None,
        until=row.condition.rest_until if row and not held else None,
    )


def conditions(one: IpStatus, site: str, known: Sequence[str] = ()) -> list[ThrottleRow]:
    """What holds an IP at a provider; at `other`, at any of the small ones; at `*`, at any."""
    return [row for row in one.throttles if _is_of(row.key.site, site, known)]


def worst(rows: Sequence[ThrottleRow]) -> ThrottleRow | None:
    """The gravest of them; of two rests the longer one."""
    return max(rows, key=_gravity, default=None)


def ways_around(one: IpStatus, site: str, statuses: Sequence[IpStatus], pools: Sequence[PoolRow]) -> list[Way]:
    """Where mail to a site goes that this IP cannot take, pool by pool."""
    standing = {status.ip.address: status for status in statuses}
    mine = [pool for pool in pools if one.ip.address in pool.sending]
    return [
        Way(one.ip.address, site, pool.name, _others(one, site, pool, standing), pool.overflow or "") for pool in mine
    ]


def _others(one: IpStatus, site: str, pool: PoolRow, standing: Mapping[str, IpStatus]) -> int:
    others = [standing[name] for name in pool.sending if name != one.ip.address and name in standing]
    return sum(not any(_is_of(row.key.site, site, ()) for row in other.rests) for other in others)


def _is_of(held: str, site: str, known: Sequence[str]) -> bool:
    if site == EVERYWHERE or held in (site, EVERYWHERE):
        return True
    return site == OTHER and (held.startswith("mx:") or (bool(known) and held not in known))


def _gravity(row: ThrottleRow) -> tuple[int, float]:
    until = row.condition.rest_until
    return -_GRAVEST.index(row.condition.state), until.timestamp() if until else 0.0


def _track(one: IpStatus, site: str) -> tuple[Track | None, bool]:
    """Its part of the plan, and whether others share it."""
    tracks = {track.track: track for track in one.warming.tracks} if one.warming else {}
    return tracks.get(site) or tracks.get(EVERYWHERE), site not in tracks


def _state(one: IpStatus, row: ThrottleRow | None, *, warming: bool) -> str:
    if not one.ip.active:
        return "paused"
    if row is not None:
        return "unusable" if row.key.site == EVERYWHERE else row.condition.state.value
    return "warming" if warming else "active"
