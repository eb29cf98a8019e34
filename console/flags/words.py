"""What pages say of flags. Pure."""

from collections.abc import Sequence
from typing import Final

from console.shown import plural
from flags.asking import OFF, ON
from flags.service import IN_FORCE_SECONDS, State, words_of

SHARES: Final = (1, 5, 10, 20, 50)
"""Percent that a form offers; API and command line take any."""


def how_they_stand(states: Sequence[State]) -> str:
    """The answer of the page."""
    switched = [one for one in states if not one.as_declared]
    if not switched:
        return f"No: all {plural(len(states), 'flag')} stand as declared."
    told = "; ".join(f"{title(one).lower()} {one.told_with_own}" for one in switched)
    return f"Yes, {plural(len(switched), 'flag')}: {told}."


def title(state: State) -> str:
    """A flag's name for people: Bounce suppressions."""
    plain = state.flag.name.replace("_", " ")
    return plain[:1].upper() + plain[1:]


def tone(one: State) -> str:
    """Of how it stands."""
    if one.percent == ON:
        return "enabled"
    return "disabled" if one.percent == OFF else "deferred"


def choices(one: State, back: str) -> list[tuple[str, str]]:
    """What a form offers."""
    of = words_of(one.flag, 50).partition(" of ")[2]
    shares = [(str(percent), f"on for {percent} % of {of}") for percent in SHARES]
    declared = f"back to what is declared: {'on' if one.flag.default else 'off'}"
    return [("off", "off"), ("on", "on"), *shares, (back, declared)]


def button(one: State, percent: str) -> str:
    """The verb that does it."""
    named = title(one).lower()
    if percent in ("on", "off"):
        return f"Switch {named} {percent}"
    return f"Switch {named} back" if not percent.isdigit() else f"Switch {named} on for {percent} %"


def what_happens(state: State, percent: int | None, application: str, processes: int) -> str:
    """What a switch will do, in sentences."""
    flag = state.flag
    goal = percent if percent is not None else (state.percent if application else flag.declared)
    whose = f"for {application}" if application else "for everything"
    back = "back to what is declared, " if percent is None and not application else ""
    back = "back to what holds for everything, " if percent is None and application else back
    told = f"{title(state)}: {back}{words_of(flag, goal)}, {whose}. "
    if goal == ON:
        told += flag.meaning
    elif goal == OFF:
        told += flag.off
    else:
        told += f"For the other {ON - goal} %: {flag.off} Who is in now stays in when the share grows."
    told += f" {_obey(processes)} within {IN_FORCE_SECONDS} seconds."
    return told if application else told + kept(state)


def kept(state: State) -> str:
    """Applications that a switch for everything leaves alone."""
    if not state.own:
        return ""
    named = ", ".join(f"{one.application} {words_of(state.flag, one.percent or OFF)}" for one in state.own[:3])
    more = f" and {len(state.own) - 3} more" if len(state.own) > 3 else ""
    return f" {plural(len(state.own), 'application')} {'has' if len(state.own) == 1 else 'have'} a switch of" + (
        f" {'its' if len(state.own) == 1 else 'their'} own that goes before: {named}{more}."
    )


def _obey(processes: int) -> str:
    if not processes:
        return "Every process that runs goes by it"
    return f"{plural(processes, 'process goes', 'processes go')} by it"
