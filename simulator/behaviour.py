"""Which behaviour a local part asks for. Pure; called once for each RCPT.

The beginning decides: `unknown`, `unknown-42` and `unknownperson` all are an unknown user. What follows a `+` is the
argument: `slow+4@gmail.sim` waits four seconds, `throttle+2@gmail.sim` is throttled twice. Some take the mail and react
later (`simulator/people.py`).
"""

import re

from simulator.model import Behaviour, Plan, Stage

_ASKED = re.compile(
    r"(unknown|full|greylist|throttle|drop-kept|drop|slow|badtls|spam|block|late|complain|unsubscribe|click)"
    r"[^+]*(?:\+(.*))?",
    re.IGNORECASE | re.DOTALL,
)

PEOPLE = frozenset({Behaviour.LATE, Behaviour.COMPLAIN, Behaviour.UNSUBSCRIBE, Behaviour.CLICK})
"""These take the mail, and what they do follows."""

_STAGES = {
    Behaviour.DROP: Stage.DOT,
    Behaviour.DROP_KEPT: Stage.DOT,
    Behaviour.SLOW: Stage.DOT,
    Behaviour.SPAM: Stage.DOT,
    **dict.fromkeys(PEOPLE, Stage.DOT),
}

ACCEPT = Plan(Behaviour.ACCEPT, Stage.DOT)
_MAX_SECONDS = 900.0


def plan_for(local_part: str, throttle_stage: Stage = Stage.RCPT) -> Plan:
    """The plan a local part asks for; ACCEPT when it asks for nothing. `throttle_stage` is the provider's habit."""
    asked = _ASKED.fullmatch(local_part)
    if asked is None:
        return ACCEPT
    behaviour = Behaviour(asked[1].lower())
    return Plan(behaviour, natural_stage(behaviour, max(throttle_stage, Stage.RCPT)), asked[2] or "")


def natural_stage(behaviour: Behaviour, throttle_stage: Stage) -> Stage:
    """When a provider shows this behaviour, unless a rule says otherwise."""
    if behaviour is Behaviour.THROTTLE:
        return throttle_stage
    return _STAGES.get(behaviour, Stage.RCPT)


def seconds(argument: str, default: float) -> float:
    """An argument as seconds between 0 and 900; the default when it is no number."""
    try:
        value = float(argument)
    except ValueError:
        return default
    return min(value, _MAX_SECONDS) if value >= 0 else default


def times(argument: str) -> int | None:
    """An argument as a number of times; None (always) when it is none."""
    return int(argument) if argument.isascii() and argument.isdigit() and len(argument) < 10 else None
