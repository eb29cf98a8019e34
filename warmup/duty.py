"""The daily judgement: every warm-up whose local day has ended moves, holds or steps back, and says why.

Run by the scheduler every minute or so, with a connection in autocommit mode: each warm-up and day is one transaction,
and `warmups.evaluated_to` moves with it, so that a day is judged once however often this runs, and days that nobody was
there to judge are made up for in their order. The figures come from `outcome_counts`, which are kept as long as events.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Final

from alarms.model import AlarmKind
from alarms.repository import clear_alarms, raise_alarm
from core.logs import get_logger
from core.refusal import Refused
from store.database import Connection
from warmup import repository
from warmup.model import Change, Warmup, WarmupState
from warmup.plan import Plan
from warmup.progress import DayFigures, Decision, Move, TrackState, TrackStatus, evaluate, summary
from warmup.shares import local_day, moment

_log = get_logger(__name__)

GRACE: Final = timedelta(minutes=5)
"""After midnight: outcomes of the last mails of the day are being committed."""

BY: Final = "schedule"
_STALLED: Final = (AlarmKind.WARMUP_STALLED,)

_DAY: Final = timedelta(days=1)

Figures = Callable[[Connection, str, datetime, datetime], Awaitable[Mapping[str, DayFigures]]]
"""(connection, ip, since, until) → figures by provider; both are moments, `until` excluded."""


# Counters are by the hour: in a zone off by half an hour, an hour belongs to the day it begins in.
_FIGURES = """
SELECT provider, outcome, sum(n)::bigint FROM outcome_counts
 WHERE hour >= %s AND hour < %s AND ip = %s
   AND outcome IN ('delivered', 'deferred', 'rerouted', 'blocked', 'bounced', 'late_bounced', 'complained')
 GROUP BY provider, outcome
"""

_FIELD: Final = {
    "delivered": "delivered",
    "deferred": "deferred",
    "rerouted": "deferred",
    "blocked": "deferred",
    "bounced": "bounced",
    "late_bounced": "bounced",
    "complained": "complained",
}


async def outcome_figures(connection: Connection, ip: str, since: datetime, until: datetime) -> dict[str, DayFigures]:
    """Figures by provider from the counters. A re-routed mail was deferred for this IP; one that was refused for its
    content or its IP tells of the same distrust."""
    found: dict[str, DayFigures] = {}
    for provider, outcome, n in await (await connection.execute(_FIGURES, [since, until, ip])).fetchall():
        found[provider] = found.get(provider, DayFigures()) + DayFigures(**{_FIELD[outcome]: int(n)})
    return found


async def evaluate_due(connection: Connection, figures: Figures = outcome_figures) -> list[Change]:
    """Judge every ended day of every warm-up; what changed, in order. The connection is in autocommit mode."""
    now = await _now(connection)
    made: list[Change] = []
    for ip in await _addresses(connection):
        try:
            while (changes := await _next_day(connection, ip, now, figures)) is not None:
                made.extend(changes)
        except Refused as error:
            _log.error("warmup_plan_unreadable", ip=ip, error=str(error))
    await repository.sync(connection)
    return made


async def _next_day(connection: Connection, ip: str, now: datetime, figures: Figures) -> list[Change] | None:
    """Judge the oldest day of an IP that is not judged yet; None when there is none."""
    async with connection.transaction():
        warmup = await repository.locked(connection, ip)
        day = warmup.evaluated_to + _DAY
        if now < moment(warmup.plan, day, 24) + GRACE:
            return None
        states = await repository.tracks(connection, ip)
        seen = await _by_track(connection, warmup, states, day, figures)
        decisions = [evaluate(warmup.plan, state, day, seen[state.track]) for state in states]
        if warmup.state is WarmupState.PAUSED:
            decisions = [_stood_still(state, decision) for state, decision in zip(states, decisions, strict=True)]
        await repository.write_tracks(connection, ip, [decision.state for decision in decisions])
        changes = [
            await repository.note(
                connection, ip, decision.state.track, decision.move.value, decision.reason, by=BY, day=day,
                stages=(decision.from_stage, decision.to_stage),
            )
            for decision in decisions
            if decision.move is not Move.IDLE
        ]  # fmt: skip
        changes += await _whole_ip(connection, warmup, decisions, day)
        await connection.execute("UPDATE warmups SET evaluated_to = %s WHERE ip = %s", [day, ip])
        if warmup.state is not WarmupState.PAUSED and day + _DAY >= local_day(warmup.plan, now):
            await _tell(connection, warmup, decisions, day)
        return changes


async def _by_track(
    connection: Connection, warmup: Warmup, states: list[TrackState], day: date, figures: Figures
) -> dict[str, DayFigures]:
    """Figures of the day by track. Complaints come a day or two after their mail, often on days without any: those
    heard since the last day with mail count with this one."""
    plan = warmup.plan
    begins, ends = moment(plan, day, 0), moment(plan, day, 24)
    seen = _sum(plan, await figures(connection, warmup.ip, begins, ends))
    for state in states:
        since = state.last_used + _DAY if state.last_used is not None else day
        if since < day and seen[state.track].attempts:
            gap = _sum(plan, await figures(connection, warmup.ip, moment(plan, since, 0), begins))
            late = gap[state.track].complained
            seen[state.track] = seen[state.track] + DayFigures(complained=late)
    return seen


def _sum(plan: Plan, by_provider: Mapping[str, DayFigures]) -> dict[str, DayFigures]:
    found = {track: DayFigures() for track in plan.weights}
    for provider, figures in by_provider.items():
        track = plan.track_of(provider)
        found[track] = found[track] + figures
    return found


def _stood_still(state: TrackState, decision: Decision) -> Decision:
    """What a paused warm-up keeps of a day: that there was mail."""
    kept = replace(state, last_used=decision.state.last_used)
    return Decision(Move.IDLE, state.stage, state.stage, "", kept)


async def _whole_ip(connection: Connection, warmup: Warmup, decisions: list[Decision], day: date) -> list[Change]:
    """Complete when every track in use is; active again when one is in use or warms again."""
    if warmup.state is WarmupState.PAUSED:
        return []
    states = [decision.state for decision in decisions]
    rewarmed = any(decision.move is Move.REWARM for decision in decisions)
    if warmup.state is WarmupState.ACTIVE:
        if summary(states, day) is TrackStatus.COMPLETE and not rewarmed:
            why = "every provider with mail in the last 14 days is complete"
            return [await repository.finish(connection, warmup, why, by=BY, day=day)]
        return []
    used = [one.track for one in states if one.last_used == day and one.status is TrackStatus.ACTIVE]
    if not rewarmed and not used:
        return []
    await connection.execute("UPDATE warmups SET state = 'active', ended_at = NULL WHERE ip = %s", [warmup.ip])
    why = "after a long pause" if rewarmed else f"first mail on {', '.join(used)}"
    return [await repository.note(connection, warmup.ip, "", "active", f"it warms up again: {why}", by=BY, day=day)]


async def _tell(connection: Connection, warmup: Warmup, decisions: list[Decision], day: date) -> None:
    """Begin and end alarms by the newest day: one for each track that is stalled, one for an IP that gets no mail."""
    for decision in decisions:
        subject = f"{warmup.ip} {decision.state.track}"
        if decision.stalled:
            await _stalled(connection, subject, decision.stalled)
        elif decision.move is not Move.IDLE:
            await clear_alarms(connection, _STALLED, subject)
    active = [one.state for one in decisions if one.state.status is TrackStatus.ACTIVE]
    last = max((one.state.last_used or one.state.progress_at for one in decisions), default=day)
    idle = (day - last).days
    if warmup.state is WarmupState.ACTIVE and active and idle >= warmup.plan.stall_days:
        detail = f"{warmup.ip} warms up but has had no mail for {idle} days: no progress without mail"
        await _stalled(connection, warmup.ip, detail)
    elif idle == 0:
        await clear_alarms(connection, _STALLED, warmup.ip)


async def _stalled(connection: Connection, subject: str, detail: str) -> None:
    if await raise_alarm(connection, AlarmKind.WARMUP_STALLED, subject, detail):
        _log.warning("warmup_stalled", subject=subject, detail=detail)


async def _now(connection: Connection) -> datetime:
    row = await (await connection.execute("SELECT now()")).fetchone()
    assert row is not None
    found: datetime = row[0]
    return found


async def _addresses(connection: Connection) -> list[str]:
    """IPs that may have a day to judge: cheap, because it runs every minute. Days end at most 14 hours before UTC's."""
    cursor = await connection.execute(
        "SELECT ip FROM warmups WHERE evaluated_to < (now() + interval '14 hours')::date - 1 ORDER BY ip"
    )
    return [str(ip) for (ip,) in await cursor.fetchall()]
