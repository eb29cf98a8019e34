"""A warm-up rehearsed: weeks of mail against providers that judge IPs, in seconds, with nothing sent and no sleeping.

`rehearse` runs one scenario in up to three ways (`Way`) and returns what came of each. Postlane's ways go through the
code that decides in production: `pools/grants` and `pools/choose` choose IPs, `pools/health` rests them and brings them
back, `warmup/shares` caps hours, `warmup/progress` judges days, `mta/replies` reads what the providers say. Only what
keeps their memory is replaced (`simulator/rehearsal_twins.py`). Deterministic for a scenario;
docs/warmup-rehearsal.md says what is assumed.
"""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from mta.providers import Providers
from simulator.rehearsal_field import Field, percentile
from simulator.rehearsal_model import DayResult, Result, Scenario, Tally, Way
from simulator.rehearsal_senders import START, STEP, Blast, Managed, Sender
from simulator.rehearsal_twins import Allowances
from warmup.progress import DayFigures, Decision, Move

_DAY: Final = 24 * 60
_STEPS: Final = _DAY // STEP

HOURS: Final = (2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 9, 8, 8, 8, 8, 8, 7, 7, 7, 6, 6, 5, 4, 3)
"""How mail is spread over the hours of a day: few at night, most from eight to eighteen."""

VOLUME_NOISE: Final = 0.05
FAIR: Final = 0.95


def rehearse(scenario: Scenario, providers: Providers, ways: Sequence[Way] = tuple(Way)) -> list[Result]:
    """What comes of the scenario in each way. `providers` has the limits of one IP (the shipped table, or your own)."""
    state = random.getstate()
    try:
        return [_run(scenario, providers, way) for way in ways]
    finally:
        random.setstate(state)


def addresses(scenario: Scenario) -> tuple[list[str], list[str]]:
    """The new and the warm IPs; addresses for examples (RFC 5737, one block for each), with an ending after 254."""
    return _addresses("198.51.100", scenario.new_ips), _addresses("203.0.113", scenario.warm_ips)


def _run(scenario: Scenario, providers: Providers, way: Way) -> Result:
    # In production each worker begins the turn of a pool somewhere (pools/grants); here at a place of the seed.
    random.seed(f"{scenario.seed}|turns")
    new, warm = addresses(scenario)
    plan = replace(scenario.plan, zone="UTC")
    sites = sorted(site for site, share in scenario.mix.items() if share > 0)
    field = Field(scenario, new, warm, sites)
    allowances = Allowances(plan, new if way is Way.PLAN else (), START)
    sender: Sender
    if way is Way.BLAST:
        sender = Blast([*warm, *new], field, scenario.seed)
    else:
        sender = Managed([*warm, *new], field, allowances, providers)
    stream = _Stream(scenario)
    days: list[DayResult] = []
    done: int | None = None
    exceeded = 0
    for number in range(scenario.days):
        stage = allowances.lowest_stage() if way is Way.PLAN else 0
        arrived = _send_day(number, sites, sender, stream)
        exceeded += _above_caps(allowances, field, new)
        decisions = _judge_day(allowances, field, number)
        tally = field.end_day()
        tally.arrived = arrived
        days.append(DayResult(number + 1, tally, sender.waiting(), stage, _told(decisions)))
        if done is None and way is Way.PLAN and allowances.complete(sites):
            done = number + 1
    return _result(scenario, way, days, done, field, exceeded)


def _send_day(number: int, sites: Sequence[str], sender: Sender, stream: "_Stream") -> int:
    """One day of mail; how much arrived."""
    arrived = 0
    stream.begin_day()
    for step in range(_STEPS):
        minute = number * _DAY + step * STEP
        for site in sites:
            fresh = stream.fresh(site, step)
            arrived += fresh
            sender.work(site, fresh, minute)
    return arrived


class _Stream:
    """What arrives: the same mail in every way."""

    def __init__(self, scenario: Scenario) -> None:
        self._random = random.Random(f"{scenario.seed}|stream")
        self._volume = scenario.volume
        self._mix = scenario.mix
        self._carried = dict.fromkeys(scenario.mix, 0.0)
        self._today = 0.0

    def begin_day(self) -> None:
        """Another day, a little more or less mail than usual."""
        self._today = self._volume * self._random.uniform(1 - VOLUME_NOISE, 1 + VOLUME_NOISE)

    def fresh(self, site: str, step: int) -> int:
        """Mails for a provider in one step of the day."""
        hour = HOURS[step * len(HOURS) // _STEPS] / sum(HOURS)
        carried = self._carried[site] + self._today * self._mix[site] * hour * len(HOURS) / _STEPS
        n = int(carried)
        self._carried[site] = carried - n
        return n


def _above_caps(allowances: Allowances, field: Field, new: Sequence[str]) -> int:
    """Mails of this day above the caps, counted where they arrived."""
    by_track: dict[tuple[str, str], tuple[int, int]] = {}
    for (ip, site), n in field.seen.items():
        cap = allowances.cap(ip, site) if ip in new else None
        if cap is not None:
            key = (ip, allowances.plan.track_of(site))
            by_track[key] = (by_track.get(key, (0, 0))[0] + n, cap)
    return sum(max(0, seen - cap) for seen, cap in by_track.values())


def _judge_day(allowances: Allowances, field: Field, number: int) -> list[tuple[str, Decision]]:
    by_track: dict[tuple[str, str], DayFigures] = {}
    for (ip, site), figures in field.figures.items():
        key = (ip, allowances.plan.track_of(site))
        by_track[key] = by_track.get(key, DayFigures()) + figures
    return allowances.end_day(START.date() + timedelta(days=number), by_track)


def _told(decisions: Sequence[tuple[str, Decision]]) -> tuple[str, ...]:
    return tuple(
        f"{ip} {decision.state.track}: {decision.move.value}, {decision.reason}"
        for ip, decision in decisions
        if decision.move is Move.STEP_BACK
    )


def _result(
    scenario: Scenario, way: Way, days: Sequence[DayResult], done: int | None, field: Field, exceeded: int
) -> Result:
    total = Tally()
    for day in days:
        total.add(day.tally)
    return Result(
        way=way,
        days=tuple(days),
        total=total,
        full_rate_day=_full_rate(scenario, days),
        plan_done_day=done,
        delay_p50=percentile(field.delays, 0.50),
        delay_p95=percentile(field.delays, 0.95),
        cap_exceeded=exceeded,
    )


def _full_rate(scenario: Scenario, days: Sequence[DayResult]) -> int | None:
    """The first day of the unbroken run of good ones that lasts to the end."""
    share = scenario.new_ips / (scenario.new_ips + scenario.warm_ips)
    found = None
    for day in reversed(days):
        if day.tally.refused_new or day.tally.by_new < FAIR * share * day.tally.arrived:
            break
        found = day.day
    return found


def _addresses(block: str, n: int) -> list[str]:
    return [f"{block}.{number}" if number <= 254 else f"{block}.{number}.rehearsal" for number in range(1, n + 1)]
