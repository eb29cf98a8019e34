"""What a plan does with a volume of mail, day by day and provider by provider. Pure, and fast: no clock, no store.

The model is the one by which `pools/choose` divides a batch: a warming IP is offered up to twice its equal share of the
mail, and takes it up to its cap; what is above goes to the warm IPs at once, or, when there are none, waits for the
next day. A complete one has its equal share. Nothing is deferred or refused, so the result is the earliest a plan can
end; the practice internet shows how providers answer.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from warmup.plan import REST, Plan, invalid_plan
from warmup.progress import DayFigures, TrackState, TrackStatus, evaluate, summary

_FIRST: Final = date(2001, 1, 1)
"""Any day: only differences of days count."""

MOST_DAYS: Final = 1000


@dataclass(frozen=True, slots=True)
class Volume:
    """What is to be sent, and through how many IPs."""

    per_day: int
    mix: Mapping[str, float]
    """Share of the volume by provider; what is missing to 1 belongs to all others."""
    warming_ips: int = 1
    warm_ips: int = 1
    """IPs at their normal rate; 0: mail above the caps waits."""


@dataclass(frozen=True, slots=True)
class Row:
    """One provider on one day; mails of all IPs together."""

    day: int
    """From 1."""
    provider: str
    stage: int
    """At the beginning of the day."""
    stages: int
    cap: int | None
    """Of one IP; None: complete, no cap."""
    mail: int
    """New mail, and what waited."""
    warming: int
    """Through the warming IPs."""
    warm: int
    """Through warm IPs and overflow."""
    waiting: int
    """Left for the next day."""
    reason: str
    """Why the stage changed or did not."""


@dataclass(frozen=True, slots=True)
class Simulation:
    """All rows, and the ends."""

    rows: tuple[Row, ...]
    ends_on: int | None
    """The day on which the last provider with mail completes; None: not within the days that were asked for."""
    stuck: tuple[str, ...]
    """Providers whose mail can never use a further stage enough to go on, with figures."""


def simulate(plan: Plan, volume: Volume, days: int) -> Simulation:
    """Follow the plan for so many days (1 to 1,000). Raises Refused for a volume that makes no sense."""
    _check(volume, days)
    mails = _per_provider(volume)
    states = {
        provider: TrackState(plan.track_of(provider), 1, TrackStatus.ACTIVE, _FIRST, _FIRST) for provider in mails
    }
    waiting = dict.fromkeys(mails, 0)
    rows: list[Row] = []
    ends_on: int | None = None
    for number in range(1, days + 1):
        day = _FIRST + timedelta(days=number - 1)
        for row, state in _one_day(plan, volume, mails, states, waiting, number, day):
            rows.append(row)
            waiting[row.provider] = row.waiting
            states[row.provider] = state
        if ends_on is None and summary(states.values(), day) is TrackStatus.COMPLETE:
            ends_on = number
    return Simulation(tuple(rows), ends_on, _stuck(plan, volume, mails, states))


def _one_day(
    plan: Plan,
    volume: Volume,
    mails: Mapping[str, int],
    states: Mapping[str, TrackState],
    waiting: Mapping[str, int],
    number: int,
    day: date,
) -> list[tuple[Row, TrackState]]:
    """What happens to each provider's mail on one day; providers on the common track share its cap in their order."""
    left: dict[str, int] = {}
    used: dict[str, int] = {}
    flows: list[tuple[str, int, int, int, int]] = []
    for provider, fresh in mails.items():
        state = states[provider]
        mail = fresh + waiting[provider]
        if state.status is TrackStatus.COMPLETE:
            warming = mail * volume.warming_ips // (volume.warming_ips + volume.warm_ips)
        else:
            room = left.setdefault(state.track, plan.cap(state.stage, state.track) * volume.warming_ips)
            warming = min(_offered(volume, mail), room)
            left[state.track] = room - warming
        used[state.track] = used.get(state.track, 0) + warming
        warm = mail - warming if volume.warm_ips else 0
        flows.append((provider, mail, warming, warm, mail - warming - warm))
    found = []
    for provider, mail, warming, warm, rest in flows:
        state = states[provider]
        decision = evaluate(plan, state, day, DayFigures(delivered=used[state.track] // volume.warming_ips))
        cap = None if state.status is TrackStatus.COMPLETE else plan.cap(state.stage, state.track)
        row = Row(number, provider, state.stage, plan.last_stage, cap, mail, warming, warm, rest, decision.reason)
        found.append((row, decision.state))
    return found


def _offered(volume: Volume, mail: int) -> int:
    """How much of the mail the warming IPs together are offered; the rule is `pools.choose.warming_share`."""
    twice = 2 * mail * volume.warming_ips // (volume.warming_ips + volume.warm_ips)
    return min(mail, twice) if volume.warm_ips else mail


def _per_provider(volume: Volume) -> dict[str, int]:
    """Mails a day by provider, adding up to the volume."""
    named = {provider: math.floor(volume.per_day * share) for provider, share in volume.mix.items() if provider != REST}
    rest = volume.per_day - sum(named.values())
    if math.fsum(share for provider, share in volume.mix.items() if provider != REST) > 1 - 1e-9 and named:
        largest = max(named, key=lambda provider: named[provider])
        return named | {largest: named[largest] + rest}
    return named | {REST: rest} if rest else named


def _stuck(plan: Plan, volume: Volume, mails: Mapping[str, int], states: Mapping[str, TrackState]) -> tuple[str, ...]:
    """Tracks whose normal share of the mail is below what their stage needs."""
    by_track: dict[str, int] = {}
    for provider, mail in mails.items():
        track = states[provider].track
        by_track[track] = by_track.get(track, 0) + mail
    found = []
    for state in {state.track: state for state in states.values()}.values():
        offered = _offered(volume, by_track[state.track]) // volume.warming_ips
        cap = plan.cap(state.stage, state.track)
        if state.status is TrackStatus.ACTIVE and offered < plan.thresholds.advance_share * cap:
            where = f"stage {state.stage} of {plan.last_stage} ({cap:,})"
            found.append(f"{state.track}: an IP is offered {offered:,} a day, too few for {where}")
    return tuple(found)


def _check(volume: Volume, days: int) -> None:
    wrong: Sequence[tuple[str, bool, str]] = (
        ("volume", volume.per_day >= 1, "must be at least 1 mail a day"),
        ("ips", volume.warming_ips >= 1, "must be at least 1"),
        ("warm_ips", volume.warm_ips >= 0, "must not be below 0"),
        ("days", 1 <= days <= MOST_DAYS, f"must be 1 to {MOST_DAYS}"),
        ("mix", all(share >= 0 for share in volume.mix.values()), "has a share below 0"),
        ("mix", math.fsum(volume.mix.values()) <= 1 + 1e-6, "adds up to more than the whole"),
    )
    for field, right, reason in wrong:
        if not right:
            raise invalid_plan(field, reason)
