"""A plan as a form has it: texts, which may be wrong, and the definition that `warmup/plan` reads. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from console.typed import whole_number
from core.refusal import Refused
from warmup.plan import REST, Plan, as_dict, invalid_plan

RATES: Final = (
    ("advance_share", "A day counts as used from", "of its allowance delivered"),
    ("deferral", "Unhealthy above", "of attempts deferred"),
    ("hard_bounce", "Unhealthy above", "of mail refused for good"),
    ("complaint", "Unhealthy above", "complaints of mail delivered"),
)
"""Thresholds that people set: name, what stands before the percentage, and behind it."""
_SIMPLE: Final = ("name", "zone", "from", "to", "advance")


@dataclass(frozen=True, slots=True)
class Draft:
    """What stands in the fields."""

    texts: Mapping[str, str]
    stages: Sequence[str]
    """Mails a day, stage by stage; what is "" is being typed."""
    weights: Mapping[str, str]
    """Percent by provider; "" for those that are counted with all others."""

    def __getitem__(self, name: str) -> str:
        return self.texts.get(name, "")


def of_plan(plan: Plan, providers: Sequence[str], name: str) -> Draft:
    """The fields of a plan."""
    thresholds = as_dict(plan)["thresholds"]
    texts = {
        "name": name, "zone": plan.zone, "from": str(plan.first_hour), "to": str(plan.last_hour),
        "advance": plan.advance.value,
    } | {rate: _percent(thresholds[rate]) for rate, _, _ in RATES}  # fmt: skip
    weights = {provider: _percent(plan.weights.get(provider, 0.0)) for provider in providers}
    return Draft(texts, [f"{cap:,}" for cap in plan.stages], weights)


def of_form(asked: Callable[[str], str], stages: Sequence[str], providers: Sequence[str]) -> Draft:
    """The fields as they were sent."""
    names = (*_SIMPLE, *(rate for rate, _, _ in RATES))
    weights = {one: asked(f"weight-{one}") for one in providers}
    return Draft({name: asked(name) for name in names}, [text.strip() for text in stages], weights)


def definition(draft: Draft, base: Plan) -> dict[str, Any]:
    """What `warmup.plan.parse` reads; what a form does not have is as in `base`. Raises Refused."""
    rates = {rate: _part(rate, draft[rate]) for rate, _, _ in RATES if draft[rate]}
    given = as_dict(base)
    return given | {
        "name": draft["name"],
        "stages": [_whole(f"stages[{n}]", text) for n, text in enumerate(filter(None, draft.stages), 1)],
        "weights": _weights(draft),
        "zone": draft["zone"] or base.zone,
        "hours": [_whole("hours", draft["from"] or "0"), _whole("hours", draft["to"] or "24")],
        "advance": draft["advance"] or base.advance.value,
        "thresholds": given["thresholds"] | rates,
    }


def at_its_field(error: Refused) -> Refused:
    """The refusal at the field of the form that it is about."""
    name, _, below = error.field.partition(".")
    field = {"weights": f"weight-{below}" if below else "weights", "thresholds": below, "hours": "to"}.get(name, name)
    stage = name.removeprefix("stages[").removesuffix("]")
    if stage != name:
        return Refused(error.kind, f"stage {stage}: {error.reason}", f"stage-{stage}", error.hint, error.code)
    return Refused(error.kind, error.reason, field, error.hint, error.code)


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table."""

    number: int
    """Of the stage; 0 while nothing is typed."""
    text: str
    caps: Sequence[int]
    """Of each track, where the plan can be as it is; 0 for one that is counted with all others."""


def rows(draft: Draft, plan: Plan | None, tracks: Sequence[str]) -> list[Row]:
    """The stages as they stand, and one to be added."""
    found, number = [], 0
    texts = [*draft.stages]
    while texts and not texts[-1]:
        texts.pop()
    for text in [*texts, ""]:
        number += bool(text)
        caps = [plan.cap(number, one) if one in plan.weights else 0 for one in tracks] if plan and text else []
        found.append(Row(number if text else 0, text, caps))
    return found


def _weights(draft: Draft) -> dict[str, float]:
    found = {one: _part(f"weights.{one}", text) for one, text in draft.weights.items() if text.strip(" 0.,")}
    return found or {REST: 1.0}


def _whole(where: str, text: str) -> int:
    found = whole_number(text)
    if found is None:
        raise invalid_plan(where, f"{text[:40]!r} must be a whole number")
    return found


def percentage(text: str) -> float:
    """What a text says; 0 for none."""
    try:
        return float(text.strip().removesuffix("%").replace(",", "."))
    except ValueError:
        return 0.0


def _part(where: str, text: str) -> float:
    try:
        return round(float(text.strip().removesuffix("%").replace(",", ".")) / 100, 6)
    except ValueError:
        raise invalid_plan(where, f"{text[:40]!r} must be a percentage") from None


def _percent(part: float) -> str:
    return f"{part * 100:.4f}".rstrip("0").rstrip(".") if part else ""
