"""What a day of warm-up means for the stage of one IP on one track. Pure: figures in, decision with its reason out.

Called once for every ended day and track, oldest day first, by `warmup/duty`. The rules, in their order:

- A day without mail changes nothing, except that after `rewarm_after_days` of them the track starts again at two thirds
  of its stage, and after as many more at two thirds of that.
- More deferrals, hard bounces or complaints than the plan allows: one stage back (on the first stage: hold). A rate
  counts only with enough mail behind it.
- At least `advance_share` of the cap delivered, or a plan that goes by the clock: one stage on; after the last stage
  the track is complete and has no cap any more.
- Otherwise hold. A track with mail that has not advanced for `stall_days` is stalled: somebody should look.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

from warmup.plan import REST, Advance, Plan, Thresholds

REWARM_KEEPS: Final = 2 / 3
"""Part of its stage that a track keeps after a long pause. Published advice only says to start again from a lower
volume; two thirds of the stages of a 1.4-a-day plan are a small part of its volume, and days are soon made up for."""

USED_WITHIN: Final = timedelta(days=14)
"""Tracks that had mail in so many days decide whether the IP as a whole is complete."""

_DAY: Final = timedelta(days=1)


class TrackStatus(StrEnum):
    ACTIVE = "active"
    COMPLETE = "complete"
    """No cap any more."""


class Move(StrEnum):
    """What a day did to a track. All but IDLE are written down."""

    ADVANCE = "advance"
    HOLD = "hold"
    STEP_BACK = "step_back"
    COMPLETE = "complete"
    REWARM = "rewarm"
    IDLE = "idle"
    """Nothing to say: no mail, or a track that is complete."""


@dataclass(frozen=True, slots=True)
class TrackState:
    """Where one IP stands with one track."""

    track: str
    stage: int
    """From 1."""
    status: TrackStatus
    stage_since: date
    """First day of this stage."""
    progress_at: date
    """The day of the last step forward, or the start."""
    last_used: date | None = None
    """The last day with mail."""


@dataclass(frozen=True, slots=True)
class DayFigures:
    """What became of the mail of one IP on one track in one day. One message may be deferred and then delivered."""

    delivered: int = 0
    deferred: int = 0
    """Attempts that were put off, those that were re-routed to another IP included."""
    bounced: int = 0
    """Refused for good, in the session or later by a report."""
    complained: int = 0

    def __add__(self, other: "DayFigures") -> "DayFigures":
        return DayFigures(
            self.delivered + other.delivered,
            self.deferred + other.deferred,
            self.bounced + other.bounced,
            self.complained + other.complained,
        )

    @property
    def attempts(self) -> int:
        """Attempts that got an answer."""
        return self.delivered + self.deferred + self.bounced


@dataclass(frozen=True, slots=True)
class Decision:
    """What a day meant for a track."""

    move: Move
    from_stage: int
    to_stage: int
    reason: str
    """With its figures, for people; "" for IDLE."""
    state: TrackState
    """The track from the next day on."""
    stalled: str = ""
    """Why an alarm is due, "" when none is."""


def evaluate(plan: Plan, state: TrackState, day: date, figures: DayFigures) -> Decision:
    """What `day` means for a track. Days are given in order, each once."""
    if figures.attempts == 0:
        return _idle(plan, state, day)
    state = replace(state, last_used=day)
    if state.status is TrackStatus.COMPLETE:
        return Decision(Move.IDLE, state.stage, state.stage, "", state)
    sick = unhealthy(figures, plan.thresholds)
    cap = plan.cap(state.stage, state.track)
    used = f"{figures.delivered:,} of {cap:,} delivered ({_percent(figures.delivered, cap)})"
    if sick and state.stage > 1:
        back = _to(state, day, Move.STEP_BACK, state.stage - 1, f"{sick}; {used}")
        return replace(back, stalled=_stalled(plan, state, day, back.reason))
    enough = figures.delivered >= plan.thresholds.advance_share * cap
    if not sick and (enough or plan.advance is Advance.CLOCK):
        by = "" if enough else "; the plan goes by the clock"
        if state.stage < plan.last_stage:
            return _to(state, day, Move.ADVANCE, state.stage + 1, f"{used}, rates are healthy{by}")
        return _to(state, day, Move.COMPLETE, state.stage, f"{used} on the last stage, rates are healthy{by}")
    needed = f"{plan.thresholds.advance_share:.0%} are needed to advance"
    held = Decision(Move.HOLD, state.stage, state.stage, f"{sick}; {used}" if sick else f"{used}; {needed}", state)
    return replace(held, stalled=_stalled(plan, state, day, held.reason))


def unhealthy(figures: DayFigures, limits: Thresholds) -> str:
    """Which rate is above its threshold, with figures; "" when none is, or too little mail for a verdict."""
    if figures.attempts < limits.min_messages:
        return ""
    final = figures.delivered + figures.bounced
    rates = (
        ("deferrals", figures.deferred, figures.attempts, limits.deferral, limits.min_deferred),
        ("hard bounces", figures.bounced, final, limits.hard_bounce, limits.min_bounced),
        ("complaints", figures.complained, figures.delivered, limits.complaint, limits.min_complained),
    )
    found = [
        f"{name} {_percent(n, of)} ({n:,} of {of:,}), more than {100 * limit:.3g} %"
        for name, n, of, limit, least in rates
        if n >= least and n > limit * of
    ]
    return " and ".join(found)


def summary(states: Iterable[TrackState], day: date) -> TrackStatus:
    """Whether the IP as a whole is complete after `day`: every track with mail in the last 14 days is, and one is."""
    recent = [one for one in states if one.last_used is not None and one.last_used > day - USED_WITHIN]
    done = bool(recent) and all(one.status is TrackStatus.COMPLETE for one in recent)
    return TrackStatus.COMPLETE if done else TrackStatus.ACTIVE


def lower_stage(stage: int) -> int:
    """Where a track starts again after a long pause."""
    return max(1, math.floor(stage * REWARM_KEEPS))


def _idle(plan: Plan, state: TrackState, day: date) -> Decision:
    """A day without mail. The pause counts from the last mail, or from the last time the stage was lowered for it."""
    nothing = Decision(Move.IDLE, state.stage, state.stage, "", state)
    if state.last_used is None:
        return nothing
    since = max(state.last_used, state.stage_since - _DAY)
    if (day - since).days < plan.rewarm_after_days:
        return nothing
    if state.status is TrackStatus.ACTIVE and state.stage == 1:
        return nothing
    reason = f"no mail since {state.last_used} ({(day - state.last_used).days} days): it warms again from a lower stage"
    again = _to(state, day, Move.REWARM, lower_stage(state.stage), reason)
    return replace(again, state=replace(again.state, status=TrackStatus.ACTIVE, progress_at=day))


def _to(state: TrackState, day: date, move: Move, stage: int, reason: str) -> Decision:
    forward = move in (Move.ADVANCE, Move.COMPLETE)
    status = TrackStatus.COMPLETE if move is Move.COMPLETE else state.status
    new = replace(
        state,
        stage=stage,
        status=status,
        stage_since=day + _DAY,
        progress_at=day if forward else state.progress_at,
    )
    return Decision(move, state.stage, stage, reason, new)


def _stalled(plan: Plan, state: TrackState, day: date, reason: str) -> str:
    days = (day - state.progress_at).days
    if days < plan.stall_days:
        return ""
    name = "other providers" if state.track == REST else state.track
    return (
        f"no progress at {name} for {days} days, stage {state.stage} of {plan.last_stage}; last day: {reason}."
        " If this is the normal volume, complete the warm-up or choose a lower target"
    )


def _percent(n: int, of: int) -> str:
    return f"{100 * n / of:.3g} %" if of else "0 %"
