"""A plan as a form has it: texts, which may be wrong, and the definition that `warmup/plan` reads. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core.refusal import Refused
from warmup.plan import REST, Plan, as_dict, invalid_plan

RATES: Final = (
    ("advance_share", "A day counts as used from", "of its allowance delivered"),
    ("deferral", "Unhealthy above", "of attempts deferred"),
    ("hard_bounce", "Unhealthy above", "of mail refused for good"),
    ("complaint", "Unhealthy above", "complaints of mail delivered"),
)
"""Thresholds that people set: name, what stands before the percentage, and behind it."""
_SIMPLE: Final = ("name", "zone", "from", "to", "advance", "stages")


@dataclass(frozen=True, slots=True)
class Draft:
    """What stands in the fields."""

    texts: Mapping[str, str]
    weights: Mapping[str, str]
    """Percent by provider; "" for those that are counted with all others."""

    def __getitem__(self, name: str) -> str:
        return self.texts.get(name, "")


def of_plan(plan: Plan, providers: Sequence[str], name: str) -> Draft:
    """The fields of a plan."""
    thresholds = as_dict(plan)["thresholds"]
    texts = {
        "name": name, "stages": "\n".join(str(cap) for cap in plan.stages), "zone": plan.zone,
        "from": str(plan.first_hour), "to": str(plan.last_hour), "advance": plan.advance.value,
    } | {rate: _percent(thresholds[rate]) for rate, _, _ in RATES}  # fmt: skip
    weights = {provider: _percent(plan.weights.get(provider, 0.0)) for provider in providers}
    return Draft(texts, weights)


def of_form(asked: Callable[[str], str], providers: Sequence[str]) -> Draft:
    """The fields as they were sent."""
    names = (*_SIMPLE, *(rate for rate, _, _ in RATES))
    return Draft({name: asked(name) for name in names}, {one: asked(f"weight-{one}") for one in providers})


def definition(draft: Draft, base: Plan) -> dict[str, Any]:
    """What `warmup.plan.parse` reads; what a form does not have is as in `base`. Raises Refused."""
    rates = {rate: _part(rate, draft[rate]) for rate, _, _ in RATES if draft[rate]}
    given = as_dict(base)
    return given | {
        "name": draft["name"],
        "stages": [_whole(f"stages[{n}]", line) for n, line in enumerate(_lines(draft["stages"]), 1)],
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
        return Refused(error.kind, f"line {stage}: {error.reason}", "stages", error.hint, error.code)
    return Refused(error.kind, error.reason, field, error.hint, error.code)


def _weights(draft: Draft) -> dict[str, float]:
    found = {one: _part(f"weights.{one}", text) for one, text in draft.weights.items() if text.strip(" 0.,")}
    return found or {REST: 1.0}


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.replace("\r", "").split("\n") if line.strip()]


def _whole(where: str, text: str) -> int:
    plain = text.replace(",", "").replace(" ", "")
    if not plain.isascii() or not plain.isdigit() or len(plain) > 12:
        raise invalid_plan(where, f"{text[:40]!r} must be a whole number")
    return int(plain)


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
