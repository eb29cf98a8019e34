"""What pages of automations say in words. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from audience.newly_confirmed import CONFIRMED
from campaigns.automations.model import Automation, AutomationState, RunState, Step, Workflow
from campaigns.automations.workflow import kind_of
from console.shown import plural

Counts = Mapping[str, int]

BEGINS: Final = (
    ("confirmed", "somebody confirms that they want mail"),
    ("event", "the application tells of an event"),
    ("rule", "a day of a rule comes"),
)
"""What begins a run, as the form offers it."""
HOW: Final[Mapping[str, str]] = {"delay": "Wait", "send_email": "Send", "send_broadcast": "Send a copy of"}
STATES: Final = [("", "Everybody"), *((state.value, state.value) for state in RunState)]


def overall(found: Sequence[Automation], counts: Mapping[UUID, Counts]) -> str:
    """The answer of the list."""
    if not found:
        return "Nothing yet."
    on = sum(one.state is AutomationState.ENABLED for one in found)
    under = sum(counts.get(one.id, {}).get(RunState.RUNNING.value, 0) for one in found)
    told = f"{on:,} of {plural(len(found), 'automation')} {'is' if on == 1 else 'are'} on"
    return f"{told}; {plural(under, 'run is', 'runs are')} under way."


def standing(found: Automation, counts: Counts) -> str:
    """The answer of its page."""
    under, failed = counts.get(RunState.RUNNING.value, 0), counts.get(RunState.FAILED.value, 0)
    through = counts.get(RunState.COMPLETED.value, 0)
    door = "People enter" if found.state is AutomationState.ENABLED else "Nobody enters: it is off"
    if not sum(counts.values()):
        return f"{door}. Nobody has entered it yet."
    trouble = f", {failed:,} failed" if failed else ""
    return f"{door}. {plural(under, 'run is', 'runs are')} under way, {through:,} went through{trouble}."


def begins(found: Workflow) -> str:
    """What begins a run, behind "when"."""
    rule = found.trigger.recurrence
    if rule is not None:
        return f"{rule.rule} from {rule.start:%Y-%m-%d %H:%M} {rule.zone}"
    return "somebody confirms" if found.trigger.event == CONFIRMED else f"{found.trigger.event} happens"


def step(found: Step) -> str:
    """What a step does."""
    return HOW[kind_of(found)]


def if_stopped(counts: Counts) -> str:
    """What a stop would do."""
    under = counts.get(RunState.RUNNING.value, 0)
    ends = f"{plural(under, 'run that is', 'runs that are')} under way {'ends' if under == 1 else 'end'}"
    return f"{ends}: they get no more of it. What is in the queue already leaves. Nobody enters any more."


def if_disabled(counts: Counts) -> str:
    """What switching it off would do."""
    under = counts.get(RunState.RUNNING.value, 0)
    goes = f"{plural(under, 'run that is', 'runs that are')} under way {'goes' if under == 1 else 'go'} on"
    return f"Nobody enters any more. {goes}; Stop ends that too."
