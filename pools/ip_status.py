"""How our IPs stand: paused or not, resting where, warming how far, today's cap and use by provider.

One picture of many tables for whoever looks: `api/routes/ips`, `cli/ips` and the members of a pool. Reads only, a
handful of statements for all IPs together. "Today" is the day of the warm-up plan's time zone for caps, and the day in
UTC for what was sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from pools import throttle_repository
from pools.health import State
from pools.ip_values import in_order, no_ip, normal_address
from pools.ips import IpRow, ip_rows
from pools.model import EVERYWHERE
from pools.throttle_repository import ThrottleRow
from store.database import Connection

WHOLE: Final = ("paused", "unusable", "throttled", "recovering", "warming", "active")
"""States of an IP as a whole, the gravest first. `unusable`: nobody can send from it. `throttled`: rests at a provider
at least; it sends to the others. `recovering`: comes back at one."""

_TRACKS: Final = """
SELECT t.ip, w.state, w.plan->>'name', jsonb_array_length(w.plan->'stages'), t.track, t.stage, t.state,
       CASE WHEN t.state <> 'complete'
            THEN coalesce(d.cap, (w.plan->'caps'->t.track->>(t.stage - 1))::bigint) END, d.granted
  FROM warmups w JOIN warmup_tracks t ON t.ip = w.ip
  LEFT JOIN warmup_days d ON d.ip = t.ip AND d.track = t.track
   AND d.day = (now() AT TIME ZONE coalesce(w.plan->>'zone', 'UTC'))::date
 WHERE w.state <> 'complete' ORDER BY t.ip, t.track
"""

_TODAY: Final = """
SELECT ip, provider, coalesce(sum(n) FILTER (WHERE outcome IN ('delivered', 'bounced', 'blocked')), 0)::bigint,
       coalesce(sum(n) FILTER (WHERE outcome IN ('deferred', 'rerouted')), 0)::bigint
  FROM outcome_counts WHERE hour >= date_trunc('day', now()) AND ip <> '' AND provider <> '' GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Track:
    """One provider's part of a warm-up; `*` stands for all that have no part of their own."""

    track: str
    stage: int
    complete: bool
    cap: int | None
    """Mails today; None when it is complete."""
    granted: int
    """Of the cap, what was taken."""


@dataclass(frozen=True, slots=True)
class WarmingUp:
    """A warm-up that is not over."""

    state: str
    """`active` or `paused`."""
    plan: str
    stages: int
    tracks: tuple[Track, ...]

    @property
    def stage(self) -> str:
        """The stages the tracks are at: "4 of 29", "3-5 of 29"."""
        found = sorted(track.stage for track in self.tracks if not track.complete)
        if not found:
            return f"{self.stages} of {self.stages}"
        span = f"{found[0]}" if found[0] == found[-1] else f"{found[0]}-{found[-1]}"
        return f"{span} of {self.stages}"


@dataclass(frozen=True, slots=True)
class Today:
    """What an IP did at one provider today (UTC)."""

    provider: str
    sent: int
    deferred: int


@dataclass(frozen=True, slots=True)
class Use:
    """Today's cap and use of an IP at one provider. While it warms up, providers without a part of their own stand
    together as `*`."""

    provider: str
    sent: int
    deferred: int
    cap: int | None
    """None: it is not warming there."""
    granted: int | None


@dataclass(frozen=True, slots=True)
class InPool:
    """One pool the IP is in."""

    name: str
    lane: str
    weight: int


@dataclass(frozen=True, slots=True)
class IpStatus:
    """One IP."""

    ip: IpRow
    pools: tuple[InPool, ...] = ()
    throttles: tuple[ThrottleRow, ...] = ()
    warming: WarmingUp | None = None
    today: tuple[Today, ...] = field(default=())

    @property
    def state(self) -> str:
        """One of `WHOLE`."""
        states = {row.condition.state for row in self.throttles}
        checks = (
            ("paused", not self.ip.active),
            ("unusable", any(row.key.site == EVERYWHERE and _rests(row) for row in self.throttles)),
            ("throttled", State.THROTTLED in states),
            ("recovering", bool(states)),
            ("warming", self.warming is not None),
        )
        return next((name for name, holds in checks if holds), "active")

    @property
    def uses(self) -> tuple[Use, ...]:
        """Today by provider, or by track while it warms up."""
        tracks = {track.track: track for track in self.warming.tracks} if self.warming else {}
        sums: dict[str, tuple[int, int]] = dict.fromkeys(tracks, (0, 0))
        for one in self.today:
            name = one.provider if one.provider in tracks or not tracks else EVERYWHERE
            sent, deferred = sums.get(name, (0, 0))
            sums[name] = (sent + one.sent, deferred + one.deferred)
        return tuple(
            Use(name, *sums[name], track.cap if track else None, track.granted if track else None)
            for name in sorted(sums, key=lambda name: (name == EVERYWHERE, name))
            for track in (tracks.get(name),)
        )

    @property
    def rests(self) -> tuple[ThrottleRow, ...]:
        """Where nothing is sent now."""
        return tuple(row for row in self.throttles if _rests(row))


async def ip_statuses(connection: Connection) -> list[IpStatus]:
    """Every IP, in the order of the numbers."""
    rows = await ip_rows(connection)
    pools = await _pools(connection)
    throttles = await _throttles(connection)
    warming = await _warming(connection)
    today = await _today(connection)
    return [
        IpStatus(
            row, tuple(pools.get(row.id, ())), tuple(throttles.get(row.address, ())), warming.get(row.address),
            tuple(today.get(row.address, ())),
        )
        for row in sorted(rows, key=lambda row: in_order(row.address))
    ]  # fmt: skip


async def ip_status(connection: Connection, address: str) -> IpStatus:
    """One IP. Raises Refused when it is none of ours."""
    found = (await ip_statuses_by_address(connection)).get(normal_address(address))
    if found is None:
        raise no_ip(address)
    return found


async def ip_statuses_by_address(connection: Connection) -> dict[str, IpStatus]:
    """Every IP by its address."""
    return {one.ip.address: one for one in await ip_statuses(connection)}


def _rests(row: ThrottleRow) -> bool:
    return row.condition.state is State.THROTTLED


async def _pools(connection: Connection) -> Mapping[Any, list[InPool]]:
    cursor = await connection.execute(
        "SELECT pi.egress_ip_id, p.name, p.lane, pi.weight FROM pool_ips pi JOIN pools p ON p.id = pi.pool_id"
        " ORDER BY p.name"
    )
    found: dict[Any, list[InPool]] = {}
    for ip, *pool in await cursor.fetchall():
        found.setdefault(ip, []).append(InPool(*pool))
    return found


async def _throttles(connection: Connection) -> Mapping[str, list[ThrottleRow]]:
    found: dict[str, list[ThrottleRow]] = {}
    for row in await throttle_repository.current(connection):
        if row.key.kind == "ip":
            found.setdefault(row.key.subject, []).append(row)
    return found


async def _warming(connection: Connection) -> Mapping[str, WarmingUp]:
    cursor = await connection.execute(_TRACKS)
    heads: dict[str, tuple[str, str, int]] = {}
    tracks: dict[str, list[Track]] = {}
    for ip, state, plan, stages, track, stage, of_track, cap, granted in await cursor.fetchall():
        heads[ip] = (state, plan, stages)
        tracks.setdefault(ip, []).append(Track(track, stage, of_track == "complete", cap, granted or 0))
    return {ip: WarmingUp(*head, tuple(tracks[ip])) for ip, head in heads.items()}


async def _today(connection: Connection) -> Mapping[str, list[Today]]:
    found: dict[str, list[Today]] = {}
    cursor = await connection.execute(_TODAY)
    for ip, *counts in await cursor.fetchall():
        found.setdefault(ip, []).append(Today(*counts))
    return found


def ago(then: datetime, now: datetime) -> str:
    """How far apart two moments are, in the largest unit that fits: "40 s", "12 min", "5 h", "3 days"."""
    seconds = abs((now - then).total_seconds())
    for size, unit in ((172_800, 86_400), (7_200, 3_600), (120, 60)):
        if seconds >= size:
            return f"{seconds / unit:.0f} {'days' if unit == 86_400 else 'h' if unit == 3_600 else 'min'}"
    return f"{seconds:.0f} s"
