"""What operators see of a warming IP: stage, today's caps and use, and when it will be done. Reads, never writes."""

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final

from store.database import Connection
from warmup import repository
from warmup.model import Day, IpToday, TrackToday, Warmup
from warmup.plan import Plan
from warmup.progress import USED_WITHIN, TrackState, TrackStatus
from warmup.shares import Used, available, local_day, next_opening

PACE_DAYS: Final = 14
"""Days whose steps forward give the pace that the likely end is reckoned with."""

_TODAY = """
SELECT d.ip, d.track, d.day, d.stage, d.cap, d.granted FROM warmups w
  JOIN warmup_days d ON d.ip = w.ip AND d.day = (%(now)s AT TIME ZONE (w.plan->>'zone'))::date
"""

_HOURS = """
SELECT d.ip, d.track, d.cap, d.granted, d.hour, d.hour_base
  FROM warmups w JOIN warmup_tracks t ON t.ip = w.ip AND t.state <> 'complete'
  JOIN warmup_days d ON d.ip = t.ip AND d.track = t.track AND d.day = (%(now)s AT TIME ZONE (w.plan->>'zone'))::date
 WHERE w.state <> 'complete'
"""

_PACE = """
SELECT ip, track, sum(to_stage - from_stage)::int FROM warmup_changes
 WHERE day > (%(now)s::timestamptz)::date - %(days)s::int AND change IN ('advance', 'step_back')
 GROUP BY ip, track
"""


async def of_ip(connection: Connection, now: datetime, ip: str) -> IpToday:
    """One IP. Raises Refused when it has no warm-up."""
    await repository.get(connection, ip)
    return next(one for one in await status(connection, now) if one.ip == ip)


async def openings(connection: Connection, now: datetime) -> dict[tuple[str, str], datetime]:
    """IP and track → when there is more, of those whose open share is used up at this moment."""
    plans = {warmup.ip: warmup.plan for warmup in await repository.every(connection)}
    found = {}
    for ip, track, *used in await (await connection.execute(_HOURS, {"now": now})).fetchall():
        if not available(plans[ip], Used(*used), now):
            found[ip, track] = next_opening(plans[ip], Used(*used), now)
    return found


async def status(connection: Connection, now: datetime) -> list[IpToday]:
    """Every IP that has a warm-up, complete ones too, by address. `now` is aware."""
    given = {"now": now, "days": PACE_DAYS}
    used: dict[str, dict[str, Day]] = defaultdict(dict)
    for row in await (await connection.execute(_TODAY, given)).fetchall():
        day = Day(*row)
        used[day.ip][day.track] = day
    pace: dict[tuple[str, str], int] = {}
    for ip, track, steps in await (await connection.execute(_PACE, given)).fetchall():
        pace[ip, track] = steps
    found = []
    for warmup in await repository.every(connection):
        states = await repository.tracks(connection, warmup.ip)
        steps_of = {state.track: pace.get((warmup.ip, state.track), 0) for state in states}
        found.append(today_of(warmup, states, used[warmup.ip], steps_of, now))
    return found


def today_of(
    warmup: Warmup, states: Sequence[TrackState], used: dict[str, Day], steps: dict[str, int], now: datetime
) -> IpToday:
    """One IP's line: its tracks with today's rows of the ledger, and its ends reckoned. Pure."""
    day = local_day(warmup.plan, now)
    tracks = tuple(_track(warmup.plan, state, used.get(state.track)) for state in states)
    in_use = _in_use(states, day)
    active = [state for state in in_use if state.status is TrackStatus.ACTIVE]
    caps = [track.cap for track in tracks if track.cap is not None]
    return IpToday(
        ip=warmup.ip,
        plan=warmup.plan.name,
        state=warmup.state,
        transactional=warmup.transactional,
        moved_from=warmup.moved_from,
        started_at=warmup.started_at,
        day=day,
        stage=min((state.stage for state in active), default=warmup.plan.last_stage),
        stages=warmup.plan.last_stage,
        cap=sum(caps) if caps else None,
        used=sum(track.used for track in tracks),
        earliest_end=earliest_end(warmup.plan, active, day),
        likely_end=likely_end(warmup, active, steps, day),
        tracks=tracks,
    )


def earliest_end(plan: Plan, active: Sequence[TrackState], day: date) -> date | None:
    """The day after which no track has a cap, if every day from `day` on advances each; None: that is so already."""
    left = max((plan.last_stage - state.stage for state in active), default=None)
    return None if left is None else day + timedelta(days=left)


def likely_end(warmup: Warmup, active: Sequence[TrackState], steps: dict[str, int], day: date) -> date | None:
    """The same at the pace of the last days, track by track; None when done, or when a track has not moved."""
    days = min(PACE_DAYS, (day - local_day(warmup.plan, warmup.started_at)).days)
    if not active or days < 1 or any(steps.get(state.track, 0) < 1 for state in active):
        return None
    waits = [(warmup.plan.last_stage - state.stage) * days / steps[state.track] for state in active]
    return day + timedelta(days=math.ceil(max(waits)))


def _track(plan: Plan, state: TrackState, row: Day | None) -> TrackToday:
    done = state.status is TrackStatus.COMPLETE
    cap = row.cap if row else plan.cap(state.stage, state.track)
    return TrackToday(
        state.track,
        state.stage,
        plan.last_stage,
        state.status,
        None if done else cap,
        row.granted if row else 0,
        state.stage_since,
        state.last_used,
    )


def _in_use(states: Sequence[TrackState], day: date) -> list[TrackState]:
    used = [state for state in states if state.last_used is not None and state.last_used > day - USED_WITHIN]
    return used or list(states)
