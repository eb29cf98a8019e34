"""What the pages of warm-up say in words. Pure."""

from collections.abc import Sequence
from datetime import date, timedelta

from console.shown import plural, short
from console.typed import whole_number
from console.warmup.grid import behind
from core.refusal import invalid
from warmup.model import IpToday, WarmupState
from warmup.plan import REST, Plan
from warmup.simulate import Row, Simulation


def on_plan(found: Sequence[IpToday]) -> str:
    """Whether warm-ups are on plan and when they are over: one or two sentences."""
    going = [one for one in found if one.state is not WarmupState.COMPLETE]
    if not going:
        return "No IP warms up." if not found else f"No IP warms up: {plural(len(found), 'warm-up')} is over."
    if len(going) == 1:
        return f"{going[0].ip} is {standing(going[0])}. {end(going[0])}"
    late = [one for one in going if behind(one, one.started_at)]
    last = max((one.likely_end or one.earliest_end for one in going if one.earliest_end), default=None)
    told = f"{len(going)} IPs warm up, {len(going) - len(late)} on plan"
    return f"{told}{f', {len(late)} behind it' if late else ''}. {_last(last)}"


def standing(one: IpToday) -> str:
    """The stage, and whether that is the plan's."""
    held = "on hold at" if one.state is WarmupState.PAUSED else "at"
    late = behind(one, one.started_at)
    pace = f"{plural(late, 'day')} behind a stage a day" if late else "on plan"
    return f"{held} stage {one.stage} of {one.stages}, {pace}"


def end(one: IpToday) -> str:
    """When it is over."""
    if one.state is WarmupState.PAUSED:
        return "Its stages stand still until you resume it; today's caps stay in force."
    if one.earliest_end is None:
        return "Nothing is left to warm."
    earliest = f"It is over on {shown(one.earliest_end)} at the earliest"
    if one.likely_end is None and one.day == one.started_at.date():
        return f"{earliest}; it began today, so there is no pace yet."
    if one.likely_end is None:
        return f"{earliest}; at the pace so far nobody can say, because a provider has not moved."
    if one.likely_end <= one.earliest_end:
        return f"{earliest}, and at the pace so far too."
    return f"{earliest}, on {shown(one.likely_end)} at the pace so far."


def projected(found: Simulation, per_day: int, today: date) -> str:
    """What a plan would do with so much mail."""
    waiting = max((row.waiting for row in found.rows), default=0)
    over = f"over after {plural(found.ends_on, 'day')}" if found.ends_on else "not over within the days looked at"
    kept = f"; up to {short(waiting)} mails to one provider wait for the next day" if waiting else ""
    return f"With {short(per_day)} mails a day it is {over}{kept}."


def outlook(found: Simulation, per_day: str, today: date) -> str:
    """When a plan would end that begins today."""
    over = (
        f"it ends on {shown(today + timedelta(days=found.ends_on - 1))}, after {plural(found.ends_on, 'day')}"
        if found.ends_on
        else "it stops at stages that are more than our mail"
        if found.stuck
        else "it does not end within the days looked at"
    )
    return f"Begun today with {short(whole('per_day', per_day))} mails a day, {over}."


def at_day(day: int, rows: Sequence[Row]) -> str:
    """What leaves through the IP on a day, by provider."""
    told = [f"{row.warming:,} to {whom(row.provider)}" for row in rows if row.warming]
    if not told:
        return f"On day {day} nothing leaves through it."
    more = f" and {plural(len(told) - 4, 'provider')} more" if len(told) > 4 else ""
    free = ", with no caps any more," if all(row.cap is None for row in rows) else ""
    return f"On day {day}{free} it sends {', '.join(told[:4])}{more}."


def tracks(plan: Plan) -> list[str]:
    """The parts of a plan: the largest first, all others last."""
    return sorted(plan.weights, key=lambda track: (track == REST, -plan.weights[track], track))


def whole(name: str, text: str) -> int:
    """A number of mails a day that somebody typed. Raises Refused."""
    found = whole_number(text)
    if found is None:
        raise invalid(name, "it must be a whole number of mails a day")
    return found


def shorter(plan: Plan, whole: Plan, target: str) -> str:
    """Why a plan has fewer stages than its name says; "" when it has them all."""
    if plan.last_stage >= whole.last_stage:
        return ""
    told, normal = f"{plural(plan.last_stage, 'stage')} of {whole.last_stage}", f"{whole_number(target) or 0:,}"
    if plan.last_stage == 1:
        return f"{told}: a normal volume of {normal} mails a day needs no warm-up by this plan, which begins with it."
    return f"{told}: those above this IP's normal volume of {normal} mails a day are left out."


def whom(track: str) -> str:
    """A part of a plan, for people."""
    return "all others" if track == REST else track


def stuck(told: str) -> str:
    """What never goes on, for people."""
    return f"All others{told[1:]}" if told.startswith(REST) else f"{told[:1].upper()}{told[1:]}"


def shown(day: date) -> str:
    """28 Nov"""
    return f"{day.day} {day:%b}"


def _last(day: date | None) -> str:
    return f"The last is over on {shown(day)}." if day else "None of them has moved yet."
