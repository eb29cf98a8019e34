"""Policies of topics as the command line writes and tells them. Pure."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from audience.tapering import Policy, Step
from cli.output import CliError

_STEP: Final = re.compile(r"\s*(\d{1,5})\s*:\s*(none|\d{1,3})\s*", re.ASCII)
_ORDINALS: Final = {2: "second", 3: "third", 4: "fourth", 5: "fifth"}


def policy_from(
    stands: Policy, taper: str | None, silent: str | None, weekly: str | None, reconfirm: bool | None
) -> Policy:
    """What stands with what somebody said; the same object when they said nothing. Raises CliError."""
    if (taper, silent, weekly, reconfirm) == (None, None, None, None):
        return stands
    return replace(
        stands,
        steps=stands.steps if taper is None else _steps(taper),
        silent_days=stands.silent_days if silent is None else _number("--silent", silent, "never"),
        reconfirm=stands.reconfirm if reconfirm is None else reconfirm,
        most_per_week=stands.most_per_week if weekly is None else _number("--weekly", weekly, "any"),
    )


def policy_lines(policy: Policy) -> Iterator[str]:
    """What it means."""
    if policy.silent_days is None:
        yield "Whoever is silent goes on getting mail, however long."
    else:
        yield f"Who was silent for {policy.silent_days:,} days gets none."
    for step in policy.steps:
        yield f"After {step.after_days:,} days of silence: {_share(step)}."
    if not policy.steps:
        yield "Until then everybody gets every campaign: tapering is off."
    if policy.reconfirm:
        yield "Two weeks before somebody gets none, they are asked once whether they still want it."
    if policy.most_per_week is not None:
        yield f"Nobody gets more than {policy.most_per_week:,} campaigns of it in 7 days."


def _steps(text: str) -> tuple[Step, ...]:
    if text.strip() == "off":
        return ()
    found = [_STEP.fullmatch(part) for part in text.split(",")]
    steps = [Step(int(one[1]), None if one[2] == "none" else int(one[2])) for one in found if one]
    if len(steps) < len(found):
        raise CliError("invalid_policy", "--taper is written as 30:2,60:4,90:none, or off.")
    return tuple(steps)


def _number(option: str, text: str, none: str) -> int | None:
    if text.strip() == none:
        return None
    if not re.fullmatch(r"\d{1,5}", text.strip(), re.ASCII):
        raise CliError("invalid_policy", f"{option} is a number, or {none}.")
    return int(text)


def _share(step: Step) -> str:
    if step.every is None:
        return "none"
    return f"every {_ORDINALS.get(step.every, f'{step.every}th')} campaign"
